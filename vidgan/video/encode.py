"""Writing clips as MP4, GIF, WebP, lossless video, frames and arrays, and images as PNG.

Pixels are uint8 RGB: tensors (T, 3, H, W), arrays (T, H, W, 3). Files are written atomically and never replace an
existing file unless `overwrite` is set. The same clip gives the same bytes with the same library versions, whatever
the number of CPU cores.
"""

import io
import math
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Final

import av
import numpy as np
from av.video.reformatter import ColorPrimaries, ColorRange, ColorTrc
from einops import rearrange
from PIL import Image

from vidgan.files import atomic_path, replace_folder
from vidgan.video.labels import Labels
from vidgan.video.montage import channel_last, contact_sheet, tile

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "FORMATS",
    "contact_sheet",
    "png_bytes",
    "tile",
    "webp_bytes",
    "write_clip",
    "write_gif",
    "write_mp4",
    "write_mp4_frames",
    "write_png",
]

_X264: Final = {
    "crf": "17",  # visually lossless
    "preset": "medium",
    # Reproducible bytes: x264's macroblock tree has coded the same small clip differently from run to run, and frames
    # are divided into as many slices as there are threads, by default the number of CPU cores.
    "mbtree": "0",
    "threads": "1",
}
FORMATS: Final = {"mp4": ".mp4", "webp": ".webp", "gif": ".gif", "png": "", "npz": ".npz", "ffv1": ".mkv"}
"""Formats of clips, with the suffix of their files. "png" is a folder of numbered images, "ffv1" a lossless video."""

MAX_HELD_BYTES: Final = 4 << 30  # of a clip in a format that is written at once
_BT601: Final = 6  # value in the stream header (PyAV's `Colorspace` holds the scaler's numbers instead)
_GIF_COLOURS: Final = 256
_GIF_MAX_FPS: Final = 50.0  # browsers play delays below 2/100 s at 10 frames per second
_PALETTE_FRAMES: Final = 16  # number of frames from which the palette of a GIF is computed


def write_clip(
    path: Path | str,
    frames: "Iterable[Tensor | np.ndarray]",
    fps: float = 8.0,
    format: str = "mp4",
    *,
    overwrite: bool = False,
) -> Path:
    """Write a clip, or a stream of its frames, in one of `FORMATS`.

    "mp4" is for viewing, see `write_mp4`; "webp" and "gif" loop. "ffv1" (RGB in a Matroska file), "png" (a folder with
    frame-000000.png, ...) and "npz" (one array `frames`, uint8 (T, H, W, 3)) keep every pixel, and vidgan reads all
    three. "png" and "npz" do not hold the frame rate. "webp", "gif" and "npz" are written at once; the others one frame
    at a time.

    Args:
        path: file or folder to write; its suffix is not looked at.
        frames: (3, H, W) uint8 tensors, or (H, W, 3) uint8 arrays, of one size; a clip is one such iterable.
        fps: frames per second, from 0.01 to 1000; of a GIF at most 50.
        format: a key of `FORMATS`.
        overwrite: replace an existing file; a folder is never replaced.

    Returns:
        `path`.

    Raises:
        ValueError: an unknown format, no frame, frames of several sizes, a rate out of range, or a clip above 4 GiB in
            a format that is written at once. FileExistsError, IsADirectoryError: as in `write_mp4`.
    """
    path = Path(path)
    if format not in FORMATS:
        raise ValueError(f"format {format}: accepted are {', '.join(FORMATS)}")
    if format == "mp4":
        return write_mp4_frames(path, frames, fps, overwrite=overwrite)
    if format == "ffv1":
        return _write_ffv1_frames(path, frames, fps, overwrite=overwrite)
    if format == "png":
        return _write_png_frames(path, frames)
    clip = _held(path, frames, format)
    if format == "gif":
        return write_gif(path, clip, fps, overwrite=overwrite)
    content = webp_bytes(clip, fps) if format == "webp" else None
    with _new_file(path, overwrite=overwrite) as temporary, temporary.open("wb") as file:
        if content is None:
            np.savez(file, frames=clip)
        else:
            file.write(content)
    return path


def write_mp4(path: Path | str, clip: "Tensor | np.ndarray", fps: float = 8.0, *, overwrite: bool = False) -> Path:
    """Write a clip as a streamable MP4 (H.264, yuv420p), which every browser plays.

    The pixel format requires an even height and width. An odd frame is padded by repeating its last row or column; it
    is never scaled.

    Args:
        path: output file; missing parent folders are created.
        clip: (T, 3, H, W) uint8 tensor, or (T, H, W, 3) uint8 array.
        fps: frames per second, from 0.01 to 1000.
        overwrite: replace an existing file.

    Returns:
        `path`.

    Raises:
        FileExistsError: the file exists and `overwrite` is off.
        IsADirectoryError: `path` is a folder.
        ValueError: wrong shape or dtype, or fps out of range.
    """
    frames = channel_last(clip, dims=4)  # (T, H, W, 3)
    return write_mp4_frames(path, iter(frames), fps, overwrite=overwrite)


def write_mp4_frames(
    path: Path | str, frames: "Iterable[Tensor | np.ndarray]", fps: float = 8.0, *, overwrite: bool = False
) -> Path:
    """Write a stream of frames, one at a time, as `write_mp4` writes a clip; memory holds a few frames.

    Args:
        frames: (3, H, W) uint8 tensors, or (H, W, 3) uint8 arrays, of one size.
        path, fps, overwrite: as in `write_mp4`.

    Returns:
        `path`.

    Raises:
        ValueError: there is no frame, or one of another size; otherwise as `write_mp4`.
    """
    rate = _rate(fps)
    sized = _SizedFrames(path, frames)
    height, width = sized.size
    with _container(Path(path), "mp4", {"movflags": "+faststart"}, overwrite=overwrite) as container:
        stream = container.add_stream("libx264", rate=rate, options=_X264)
        stream.height, stream.width = height + height % 2, width + width % 2
        stream.pix_fmt = "yuv420p"
        # Players assume BT.601 for small untagged video. Tagging it as such is right for all players.
        codec = stream.codec_context
        codec.colorspace, codec.color_range = _BT601, ColorRange.MPEG
        codec.color_primaries, codec.color_trc = ColorPrimaries.BT709, ColorTrc.BT709
        for index, image in enumerate(sized):
            pixels = np.pad(image, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
            rgb = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
            frame = rgb.reformat(format="yuv420p", dst_colorspace="ITU601", dst_color_range="MPEG", threads=1)
            frame.pts, frame.time_base = index, 1 / rate
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return Path(path)


def _write_ffv1_frames(
    path: Path, frames: "Iterable[Tensor | np.ndarray]", fps: float, *, overwrite: bool = False
) -> Path:
    """Write a stream of frames as lossless RGB video in a Matroska file; arguments and errors as `write_mp4_frames`."""
    rate = _rate(fps)
    sized = _SizedFrames(path, frames)
    # Without this flag, the file holds a random number.
    with _container(path, "matroska", {"fflags": "+bitexact"}, overwrite=overwrite) as container:
        stream = container.add_stream("ffv1", rate=rate, options={"level": "3", "slicecrc": "1", "threads": "1"})
        stream.height, stream.width = sized.size
        stream.pix_fmt = "bgr0"
        for index, image in enumerate(sized):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24").reformat(format="bgr0")
            frame.pts, frame.time_base = index, 1 / rate
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def _write_png_frames(path: Path, frames: "Iterable[Tensor | np.ndarray]") -> Path:
    """Write a stream of frames as `path`/frame-000000.png, ...; the folder appears when it is complete.

    Raises:
        FileExistsError: `path` exists and is no empty folder. ValueError: as `write_mp4_frames`.
    """
    if path.exists() and not (path.is_dir() and not any(path.iterdir())):
        raise FileExistsError(f"{path} already exists; choose another name")
    partial = path.with_name(f".{path.name}.{os.getpid()}.new")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        for index, image in enumerate(_SizedFrames(path, frames)):
            write_png(partial / f"frame-{index:06d}.png", image)
        replace_folder(partial, path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return path


class _SizedFrames:
    """Frames as (H, W, 3) arrays of one size, which the first one sets.

    Raises:
        ValueError: there is no frame, or one of another size.
    """

    def __init__(self, path: Path | str, frames: "Iterable[Tensor | np.ndarray]") -> None:
        rest = iter(frames)
        first = next(rest, None)
        if first is None:
            raise ValueError(f"{path}: there is no frame to write")
        self.frames = chain([first], rest)
        height, width = channel_last(first, dims=3).shape[:2]
        self.size = (height, width)

    def __iter__(self) -> Iterator[np.ndarray]:
        for index, image in enumerate(self.frames):
            pixels = channel_last(image, dims=3)  # (H, W, 3)
            if pixels.shape[:2] != self.size:
                size, first = f"{pixels.shape[1]}x{pixels.shape[0]}", f"{self.size[1]}x{self.size[0]}"
                raise ValueError(f"frame {index} is {size}, the first is {first}")
            yield pixels


@contextmanager
def _container(
    path: Path, container_format: str, options: dict[str, str], *, overwrite: bool
) -> Iterator["av.container.OutputContainer"]:
    """An open container that becomes `path` when it is complete."""
    with (
        _new_file(path, overwrite=overwrite) as temporary,
        # With an explicit protocol, FFmpeg does not take a name such as `http:a.mp4` for an address.
        av.open(f"file:{temporary.absolute()}", "w", format=container_format, options=options) as container,
    ):
        yield container


def _held(path: Path, frames: "Iterable[Tensor | np.ndarray]", format: str) -> np.ndarray:
    """All frames in memory, (T, H, W, 3).

    Raises:
        ValueError: they need more than `MAX_HELD_BYTES`.
    """
    held: list[np.ndarray] = []
    for pixels in _SizedFrames(path, frames):
        if (len(held) + 1) * pixels.nbytes > MAX_HELD_BYTES:
            raise ValueError(
                f"{path}: the clip needs more than {MAX_HELD_BYTES >> 30} GiB, and {format} is written at once; use mp4"
                " or ffv1"
            )
        held.append(pixels)
    return np.stack(held)


def write_gif(path: Path | str, clip: "Tensor | np.ndarray", fps: float = 8.0, *, overwrite: bool = False) -> Path:
    """Write a clip as an endless GIF. One palette for all frames keeps flat areas from flickering.

    Clips with at most 256 colours are stored exactly. A frame equal to its predecessor is stored as a longer delay.
    Delays are multiples of 1/100 s; their rounding errors do not accumulate. `fps` is at most 50; other arguments and
    errors as in `write_mp4`.
    """
    frames = channel_last(clip, dims=4)  # (T, H, W, 3)
    _rate(fps)
    if fps > _GIF_MAX_FPS:
        raise ValueError(f"fps of a GIF must be at most {_GIF_MAX_FPS:.0f}, got {fps}; write an MP4 instead")
    indexed = _one_palette(frames)
    ends = np.round(np.arange(len(frames) + 1) * 100 / fps).astype(int)  # hundredths of a second
    with _new_file(Path(path), overwrite=overwrite) as temporary:
        indexed[0].save(
            temporary,
            format="GIF",
            save_all=True,
            append_images=indexed[1:],
            duration=(np.diff(ends) * 10).tolist(),  # milliseconds
            loop=0,
            optimize=False,
        )
    return Path(path)


def webp_bytes(
    clip: "Tensor | np.ndarray",
    fps: float = 8.0,
    scale: int = 1,
    *,
    lossless: bool = False,
    labels: Labels | None = None,
) -> bytes:
    """Encode a clip as an endless animated WebP, small enough to embed in an HTML page.

    Args:
        clip: (T, 3, H, W) uint8 tensor, or (T, H, W, 3) uint8 array.
        fps: frames per second, from 0.01 to 1000.
        scale: integer magnification; every pixel becomes a square of `scale` x `scale`.
        lossless: keep every pixel, in a larger file.
        labels: of the rows and columns, stored with the scale.

    Raises:
        ValueError: wrong shape or dtype, or a number out of range.
    """
    frames = channel_last(clip, dims=4)  # (T, H, W, 3)
    _rate(fps)
    if scale < 1:
        raise ValueError(f"scale must be at least 1, got {scale}")
    ends = np.round(np.arange(len(frames) + 1) * 1000 / fps).astype(int)  # milliseconds
    images = [Image.fromarray(frame.repeat(scale, axis=0).repeat(scale, axis=1)) for frame in frames]
    buffer = io.BytesIO()
    images[0].save(
        buffer,
        format="WEBP",
        save_all=True,
        append_images=images[1:],
        duration=np.diff(ends).tolist(),
        loop=0,
        lossless=lossless,
        quality=85,
        method=4,
        **({"exif": replace(labels, scale=scale).exif()} if labels else {}),
    )
    return buffer.getvalue()


def png_bytes(image: "Tensor | np.ndarray", *, labels: Labels | None = None) -> bytes:
    """Encode an image, (3, H, W) uint8 tensor or (H, W, 3) uint8 array, as PNG; `labels` are stored in it.

    Raises:
        ValueError: wrong shape or dtype.
    """
    buffer = io.BytesIO()
    exif = {"exif": labels.exif()} if labels else {}
    Image.fromarray(np.ascontiguousarray(channel_last(image, dims=3))).save(buffer, format="PNG", **exif)
    return buffer.getvalue()


def write_png(path: Path | str, image: "Tensor | np.ndarray", *, overwrite: bool = False) -> Path:
    """Write an image, (3, H, W) uint8 tensor or (H, W, 3) uint8 array, as PNG; otherwise as `write_mp4`."""
    data = png_bytes(image)
    with _new_file(Path(path), overwrite=overwrite) as temporary:
        temporary.write_bytes(data)
    return Path(path)


@contextmanager
def _new_file(path: Path, *, overwrite: bool) -> Iterator[Path]:
    """`atomic_path` that creates missing folders and refuses to replace an existing file unless `overwrite` is set."""
    _check_free(path, overwrite=overwrite)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        yield temporary
        _check_free(path, overwrite=overwrite)  # the file may have been created in the meantime


def _check_free(path: Path, *, overwrite: bool) -> None:
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder; expected a file name")
    if path.exists() and not overwrite:
        raise FileExistsError(f"{path} already exists; choose another name, or allow overwriting")


def _rate(fps: float) -> Fraction:
    if not (math.isfinite(fps) and 0.01 <= fps <= 1000):
        raise ValueError(f"fps must be a number from 0.01 to 1000, got {fps}")
    return Fraction(fps).limit_denominator(1001)  # 29.97 becomes 2997/100; 30000/1001 is kept


def _one_palette(frames: np.ndarray) -> list[Image.Image]:
    """(T, H, W, 3) -> T images with a shared palette: exact up to 256 colours, nearest colours above."""
    red, green, blue = (frames[..., channel].astype(np.int32) for channel in range(3))
    colours, indices = np.unique(red << 16 | green << 8 | blue, return_inverse=True)  # (N,), (T, H, W)
    if len(colours) <= _GIF_COLOURS:
        palette = np.stack([colours >> 16, colours >> 8 & 255, colours & 255], axis=-1)  # (N, 3)
        images = [Image.fromarray(index) for index in indices.reshape(red.shape).astype(np.uint8)]
        for image in images:
            image.putpalette(palette.astype(np.uint8).tobytes())
        return images
    sample = frames[np.linspace(0, len(frames) - 1, min(len(frames), _PALETTE_FRAMES)).round().astype(int)]
    column = Image.fromarray(rearrange(sample, "t h w c -> (t h) w c"))
    shared = column.quantize(_GIF_COLOURS, method=Image.Quantize.MEDIANCUT)
    # Dithering would make static areas flicker.
    return [Image.fromarray(frame).quantize(palette=shared, dither=Image.Dither.NONE) for frame in frames]
