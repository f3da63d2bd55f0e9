"""Read clips from files without preparing a data set: to forecast a video, or to compare folders of videos."""

from pathlib import Path

import numpy as np

from vidgan.data.layouts.discovery import discover
from vidgan.data.sources.blobs import source_blobs
from vidgan.data.sources.manifest import is_manifest
from vidgan.data.sources.readers import ReadClip, ReadSettings, read_source
from vidgan.data.sources.source import Source
from vidgan.errors import DataError
from vidgan.video.resize import Fit, Resample


def list_clips(
    source: Path, *, strip_frame: tuple[int, int] | None = None, size: tuple[int, int] | None = None
) -> tuple[Path, list[Source]]:
    """The root folder, and the clips in a folder or file: videos, folders of frames, strips, arrays, also in archives.

    Published data sets are not recognised: each video or folder of frames is a clip. A manifest is read. The `size`
    (H, W) that frames will have distinguishes wide frames from strips.

    Raises:
        DataError: there is no clip; the message contains the reasons for refused files.
    """
    layout = "manifest" if is_manifest(source) else "plain"
    listed = discover(source, layout=layout, strip_frame=strip_frame, size=size)
    if not listed.sources:
        reasons = "; ".join([f"{r.source}: {r.reason}: {r.detail}" for r in listed.refusals[:3]] or listed.remarks)
        raise DataError(f"{source}: contains no readable clip{f' ({reasons})' if reasons else ''}")
    return listed.root, list(listed.sources)


def read_clip(
    root: Path,
    source: Source,
    *,
    size: tuple[int, int] | None = None,
    fit: Fit = "crop",
    resample: Resample = "area",
    fps: float | None = None,
    every: int = 1,
    strip_frame: tuple[int, int] | None = None,
    max_frames: int | None = None,
) -> np.ndarray:
    """The only clip of a source, (T, H, W, 3) uint8, in a new array.

    Args:
        root, source: as returned by `list_clips`.
        size: (H, W) in pixels, None for the clip's own.
        fit, resample: see `vidgan.video.resize`.
        fps: target frame rate of clips with a clock, None to keep all frames.
        every: stride, applied after `fps`.
        strip_frame: (H, W) of one frame of a strip, None for square frames.
        max_frames: read only so many frames of the result, so that a long video takes no more memory; None for all.

    Raises:
        DataError: it cannot be read, or contains several clips; the message names the file.
    """
    settings = ReadSettings(
        size=size,
        fit=fit,
        resample=resample,
        fps=fps,
        every=every,
        strip_frame=strip_frame,
        max_frames=max_frames,
    )
    return np.array(_read_only_clip(root, source, settings).frames)


def _read_only_clip(root: Path, source: Source, settings: ReadSettings) -> ReadClip:
    try:
        clips = list(read_source(source, source_blobs(root, source), settings))
    except DataError as error:
        raise DataError(f"{root / source.name}: {error}") from error
    if len(clips) != 1:
        raise DataError(f"{root / source.name}: contains {len(clips)} clips; accepted: a file with one clip")
    return clips[0]


def read_one(
    path: Path,
    *,
    size: tuple[int, int] | None = None,
    fit: Fit = "crop",
    resample: Resample = "area",
    fps: float | None = None,
    every: int = 1,
    max_frames: int | None = None,
) -> np.ndarray:
    """The only clip that `path` (a video, a folder of frames, a strip, an array) contains; arguments as in `read_clip`.

    Raises:
        DataError: it contains no clip, or several.
    """
    frames, _ = read_one_timed(path, size=size, fit=fit, resample=resample, fps=fps, every=every, max_frames=max_frames)
    return frames


def read_one_timed(
    path: Path,
    *,
    size: tuple[int, int] | None = None,
    fit: Fit = "crop",
    resample: Resample = "area",
    fps: float | None = None,
    every: int = 1,
    max_frames: int | None = None,
) -> tuple[np.ndarray, float | None]:
    """As `read_one`, with the frames per second of what was read; None without a clock."""
    root, sources = list_clips(path, size=size)
    if len(sources) > 1:
        names = ", ".join(source.name for source in sources[:3])
        raise DataError(f"{path}: contains {len(sources)} clips ({names}, ...); pass the path of one of them")
    settings = ReadSettings(
        size=size, fit=fit, resample=resample, fps=fps, every=every, strip_frame=None, max_frames=max_frames
    )
    clip = _read_only_clip(root, sources[0], settings)
    return np.array(clip.frames), clip.fps
