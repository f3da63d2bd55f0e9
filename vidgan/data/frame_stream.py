"""Frames of one clip of any length, one at a time, for models that map a video frame by frame."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from vidgan.data.sources.blobs import source_blobs
from vidgan.data.sources.images import read_image
from vidgan.data.sources.readers import ReadSettings
from vidgan.data.sources.source import Source
from vidgan.data.unprepared import list_clips, read_clip
from vidgan.errors import DataError, SourceError
from vidgan.video.decode import iterate_all, probe

__all__ = ["FrameStream", "open_stream"]


@dataclass(frozen=True)
class FrameStream:
    """A clip that is read frame by frame.

    Attributes:
        path: the file or folder.
        frames: number of frames.
        size: (H, W) of a frame in pixels.
        fps: mean frames per second; None without a clock.
        notes: properties of the file that a user should know, in words.
    """

    path: Path
    frames: int
    size: tuple[int, int]
    fps: float | None
    notes: tuple[str, ...]
    _open: Callable[[], Iterator[np.ndarray]]

    def __iter__(self) -> Iterator[np.ndarray]:
        """The frames (H, W, 3) uint8 RGB from the first one on.

        Raises:
            DataError: a frame cannot be read or has another size.
        """
        return self._open()


def open_stream(path: Path, *, frames: int | None = None) -> FrameStream:
    """The only clip at `path`: a video, a folder of frames, a strip, an npy file.

    A video file and a folder of frames are read frame by frame; a video is decoded once more before, because headers
    may be wrong. Other files are read as a whole.

    Args:
        frames: read at most this many; None: all.

    Raises:
        DataError, VideoError: there is no readable clip, or there are several.
    """
    root, sources = list_clips(path)
    if len(sources) > 1:
        names = ", ".join(source.name for source in sources[:3])
        raise DataError(f"{path}: contains {len(sources)} clips ({names}, ...); pass the path of one of them")
    source = sources[0]
    if source.kind == "video" and source.archive is None and not source.is_segment:
        return _video(root / source.files[0], frames)
    if source.kind == "frames" and source.archive is None and not source.is_segment:
        return _folder(path, root, source, frames)
    clip = read_clip(root, source, ReadSettings(max_frames=frames))
    pixels = clip.frames
    size = (pixels.shape[1], pixels.shape[2])
    return FrameStream(path, len(pixels), size, clip.fps, clip.notes, lambda: iter(pixels))


def _video(path: Path, frames: int | None) -> FrameStream:
    info = probe(path)
    audio = ("its audio is not carried over",) if info.has_audio else ()
    count = info.frames if frames is None else min(frames, info.frames)
    notes = (*audio, *info.notes)
    return FrameStream(path, count, (info.height, info.width), info.fps, notes, lambda: iterate_all(path, count=count))


def _folder(path: Path, root: Path, source: Source, frames: int | None) -> FrameStream:
    blobs = source_blobs(root, source)
    count = len(blobs) if frames is None else min(frames, len(blobs))

    def images() -> Iterator[np.ndarray]:
        size = None
        for name, blob in islice(zip(source.files, blobs, strict=True), count):
            try:
                image = read_image(blob)
            except SourceError as error:
                raise DataError(f"{root / name}: {error.detail}") from error
            if image.shape[:2] != (size := size or image.shape[:2]):
                shapes = f"is {image.shape[1]}x{image.shape[0]}, earlier frames are {size[1]}x{size[0]}"
                raise DataError(f"{root / name}: {shapes}; accepted: one size for all frames of a clip")
            yield image

    height, width = next(images()).shape[:2]
    return FrameStream(path, count, (height, width), source.fps, (), images)
