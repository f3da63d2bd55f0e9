"""Writing clips that play everywhere, and pictures of them.

Pixels are uint8 RGB: tensors channel-first, (T, 3, H, W), arrays channel-last, (T, H, W, 3). A file appears under its
name only when it is complete, and none is replaced unless asked for.
"""

import io
import math
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Final

import av
import numpy as np
from av.video.reformatter import ColorPrimaries, ColorRange, ColorTrc
from PIL import Image

from vidgan.video.grids import channel_last, contact_sheet, tile

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["contact_sheet", "png_bytes", "tile", "webp_bytes", "write_gif", "write_mp4", "write_png"]

_CRF: Final = "17"  # visually lossless
_BT601: Final = 6  # in the stream's header; PyAV's Colorspace numbers are the scaler's
_GIF_COLOURS: Final = 256
_GIF_FASTEST: Final = 50.0  # browsers play shorter delays than 2/100 s at 10 frames a second
_PALETTE_SAMPLE: Final = 16  # frames that the palette of a GIF is chosen from


def write_mp4(path: Path | str, clip: "Tensor | np.ndarray", fps: float = 8.0, *, overwrite: bool = False) -> Path:
    """Write a clip as H.264 in MP4, ready to be streamed, in the pixel format that every browser plays.

    Frames of an odd height or width, which that format does not have, get one more row or column, a copy of the last;
    they are never scaled.

    Args:
        path: the file to write; its folder is made where it is missing.
        clip: (T, 3, H, W) uint8 tensor, or (T, H, W, 3) uint8 array.
        fps: frames per second, from 0.01 to 1000.
        overwrite: replace an existing file.

    Returns:
        The path.

    Raises:
        FileExistsError: the file exists and `overwrite` is off.
        ValueError: the clip has another shape or type, or fps is out of range.
    """
    frames = channel_last(clip, dims=4)  # (T, H, W, 3)
    rate = _rate(fps)
    odd_rows, odd_columns = frames.shape[1] % 2, frames.shape[2] % 2
    frames = np.pad(frames, ((0, 0), (0, odd_rows), (0, odd_columns), (0, 0)), mode="edge")
    with _complete_file(Path(path), overwrite=overwrite) as temporary:
        # The explicit protocol keeps a name with a colon a plain file name.
        target = f"file:{temporary.absolute()}"
        with av.open(target, "w", format="mp4", options={"movflags": "+faststart"}) as container:
            stream = container.add_stream("libx264", rate=rate, options={"crf": _CRF, "preset": "medium"})
            stream.height, stream.width = frames.shape[1:3]
            stream.pix_fmt = "yuv420p"
            # Players take small untagged video for BT.601: say so, and be right with those that do not read the tag.
            codec = stream.codec_context
            codec.colorspace, codec.color_range = _BT601, ColorRange.MPEG
            codec.color_primaries, codec.color_trc = ColorPrimaries.BT709, ColorTrc.BT709
            for index, pixels in enumerate(frames):
                picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
                frame = picture.reformat(format="yuv420p", dst_colorspace="ITU601", dst_color_range="MPEG", threads=1)
                frame.pts, frame.time_base = index, 1 / rate
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
    return Path(path)


def write_gif(path: Path | str, clip: "Tensor | np.ndarray", fps: float = 8.0, *, overwrite: bool = False) -> Path:
    """Write a clip as an endless GIF with one palette for all its frames, so that flat areas do not flicker.

    Clips of at most 256 colours come back exactly. Frames that equal the one before are stored as a longer delay.
    Delays are hundredths of a second, spread so that the clip as a whole keeps time; fps is 50 at most. Other
    arguments and errors as in `write_mp4`.
    """
    frames = channel_last(clip, dims=4)  # (T, H, W, 3)
    _rate(fps)
    if fps > _GIF_FASTEST:
        raise ValueError(f"a GIF plays at most {_GIF_FASTEST:.0f} frames per second, got {fps}; write an MP4")
    indexed = _one_palette(frames)
    ends = np.round(np.arange(len(frames) + 1) * 100 / fps).astype(int)  # hundredths of a second
    with _complete_file(Path(path), overwrite=overwrite) as temporary:
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


def webp_bytes(clip: "Tensor | np.ndarray", fps: float = 8.0, scale: int = 1) -> bytes:
    """An endless animated WebP, small enough to be part of a page.

    Args:
        clip: (T, 3, H, W) uint8 tensor, or (T, H, W, 3) uint8 array.
        fps: frames per second, from 0.01 to 1000.
        scale: enlarge every pixel to a square of so many, so that small clips can be seen.

    Raises:
        ValueError: the clip has another shape or type, or a number is out of range.
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
        quality=85,
        method=4,
    )
    return buffer.getvalue()


def png_bytes(image: "Tensor | np.ndarray") -> bytes:
    """A picture, (3, H, W) uint8 tensor or (H, W, 3) uint8 array, as PNG. Raises ValueError for anything else."""
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(channel_last(image, dims=3))).save(buffer, format="PNG")
    return buffer.getvalue()


def write_png(path: Path | str, image: "Tensor | np.ndarray", *, overwrite: bool = False) -> Path:
    """Write a picture, (3, H, W) uint8 tensor or (H, W, 3) uint8 array; the rest as in `write_mp4`."""
    data = png_bytes(image)
    with _complete_file(Path(path), overwrite=overwrite) as temporary:
        temporary.write_bytes(data)
    return Path(path)


@contextmanager
def _complete_file(path: Path, *, overwrite: bool) -> Iterator[Path]:
    """A temporary name beside `path`, which becomes `path` when all went well and is removed when not."""
    _check_free(path, overwrite=overwrite)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{uuid.uuid4().hex}.tmp")
    try:
        yield temporary
        _check_free(path, overwrite=overwrite)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _check_free(path: Path, *, overwrite: bool) -> None:
    if path.is_dir():
        raise IsADirectoryError(f"{path}: is a folder; give the name of a file")
    if path.exists() and not overwrite:
        raise FileExistsError(f"{path}: exists already; give another name, or allow overwriting")


def _rate(fps: float) -> Fraction:
    if not (math.isfinite(fps) and 0.01 <= fps <= 1000):
        raise ValueError(f"fps must be a number from 0.01 to 1000, got {fps}")
    return Fraction(fps).limit_denominator(1001)  # 29.97 becomes 2997/100, 30000/1001 stays what it is


def _one_palette(frames: np.ndarray) -> list[Image.Image]:
    """(T, H, W, 3) -> T pictures that share one palette: exact up to 256 colours, nearest colours above."""
    red, green, blue = (frames[..., channel].astype(np.int32) for channel in range(3))
    colours, indices = np.unique(red << 16 | green << 8 | blue, return_inverse=True)  # (N,), (T, H, W)
    if len(colours) <= _GIF_COLOURS:
        palette = np.stack([colours >> 16, colours >> 8 & 255, colours & 255], axis=-1)  # (N, 3)
        images = [Image.fromarray(index) for index in indices.reshape(red.shape).astype(np.uint8)]
        for image in images:
            image.putpalette(palette.astype(np.uint8).tobytes())
        return images
    sample = frames[np.linspace(0, len(frames) - 1, min(len(frames), _PALETTE_SAMPLE)).round().astype(int)]
    column = Image.fromarray(sample.reshape(-1, frames.shape[2], 3))  # the frames one below the other
    shared = column.quantize(_GIF_COLOURS, method=Image.Quantize.MEDIANCUT)
    # Dithering would make still areas crawl.
    return [Image.fromarray(frame).quantize(palette=shared, dither=Image.Dither.NONE) for frame in frames]
