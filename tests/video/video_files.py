"""Small videos of known content, encoded on demand."""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import numpy as np
from av.video.stream import VideoStream


def counting_frames(count: int, height: int = 48, width: int = 64) -> np.ndarray:
    """(T, H, W, 3) uint8: a grey level that encodes the frame number (see `frame_numbers`), with one white corner."""
    levels = 20 + 5 * np.arange(count, dtype=np.uint8)
    frames = np.broadcast_to(levels[:, None, None, None], (count, height, width, 3)).copy()
    frames[:, : height // 4, : width // 4] = 255
    return frames


def frame_numbers(frames: np.ndarray) -> list[int]:
    """Decode the frame numbers of `counting_frames` from the lower right quarter."""
    height, width = frames.shape[1:3]
    levels = frames[:, height // 2 :, width // 2 :].mean(axis=(1, 2, 3))
    return np.rint((levels - 20) / 5).astype(int).tolist()


def textured_frames(count: int, height: int = 48, width: int = 64) -> np.ndarray:
    """(T, H, W, 3) uint8: smooth colours with a block of noise that moves by two pixels per frame."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:height, :width]
    frames = np.empty((count, height, width, 3), np.uint8)
    frames[..., 0], frames[..., 1], frames[..., 2] = columns * 3, rows * 4, 90
    speckle = rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)
    for t, frame in enumerate(frames):
        left = (2 * t) % (width - 16)
        frame[8:24, left : left + 16] = speckle
    return frames


def encode(
    path: Path,
    frames: np.ndarray,
    codec: str = "libx264",
    *,
    pix_fmt: str = "yuv420p",
    container: str | None = None,
    fps: int = 25,
    pts: Sequence[int] | None = None,
    time_base: Fraction | None = None,
    options: Mapping[str, str] | None = None,
    container_options: Mapping[str, str] | None = None,
    display: tuple[int, bool] = (0, False),
    pts_from_dts: bool = False,
) -> Path:
    """Encode (T, H, W, 3) uint8 frames.

    Args:
        display: rotation in degrees counter-clockwise, and whether to mirror left to right.
        pts_from_dts: write decoding times as presentation times, as some faulty writers do.
    """
    with av.open(str(path), "w", format=container, options=dict(container_options or {})) as output:
        stream = cast(VideoStream, output.add_stream(codec, rate=fps, options=dict(options or {})))
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = pix_fmt
        if time_base is not None:
            stream.codec_context.time_base = time_base
        if display != (0, False):
            stream.set_display_rotation(display[0], hflip=display[1])
        for index, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts = index if pts is None else pts[index]
            frame.time_base = time_base or Fraction(1, fps)
            _mux(output, stream.encode(frame), pts_from_dts)
        _mux(output, stream.encode(), pts_from_dts)
    return path


def encode_sound(path: Path) -> Path:
    """Encode half a second of silence."""
    with av.open(str(path), "w") as output:
        stream = output.add_stream("aac", rate=16000)
        for index in range(8):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            frame.rate, frame.pts = 16000, index * 1024
            output.mux(stream.encode(frame))
        output.mux(stream.encode())
    return path


def _mux(output: av.container.OutputContainer, packets: list[av.Packet], pts_from_dts: bool) -> None:
    for packet in packets:
        if pts_from_dts:
            packet.pts = packet.dts
        output.mux(packet)
