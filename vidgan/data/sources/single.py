"""Single clips, unprepared: for forecasting a given video and for comparing folders of videos."""

from pathlib import Path

import numpy as np

from vidgan.data.sources.blobs import source_blobs
from vidgan.data.sources.discovery import Source, discover
from vidgan.data.sources.manifest import MANIFEST_SUFFIXES
from vidgan.data.sources.readers import ReadSettings, read_source
from vidgan.errors import DataError
from vidgan.video.resize import Fit, Resample


def list_clips(source: Path, *, strip_frame: tuple[int, int] | None = None) -> tuple[Path, list[Source]]:
    """The root, and the clips in a folder or file: videos, folders of frames, strips, arrays; in archives as well.

    Benchmarks are not recognised: each video or folder of frames is a clip. A manifest file is.

    Raises:
        DataError: there is none; the message says why files were refused.
    """
    layout = "manifest" if source.suffix.lower() in MANIFEST_SUFFIXES and source.is_file() else "plain"
    root, findings = discover(source, layout=layout, strip_frame=strip_frame)
    if not findings.sources:
        reasons = "; ".join(f"{r.source}: {r.reason}" for r in findings.refusals[:3])
        raise DataError(f"{source}: holds no readable clip{f' ({reasons})' if reasons else ''}")
    return root, findings.sources


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
) -> np.ndarray:
    """The one clip of a source, (T, H, W, 3) uint8, at `size` (H, W) or its own; a video at `fps`, or its own.

    `resample` is the filter, and of the frames every `every`-th is taken.

    Raises:
        DataError: it cannot be read, or is an array of several clips; the message names the file.
    """
    settings = ReadSettings(size=size, fit=fit, resample=resample, fps=fps, every=every, strip_frame=strip_frame)
    try:
        clips = [read.frames for read in read_source(source, source_blobs(root, source), settings)]
    except DataError as error:
        raise DataError(f"{root / source.name}: {error}") from error
    if len(clips) != 1:
        raise DataError(f"{root / source.name}: holds {len(clips)} clips; give a file with one")
    return np.array(clips[0])  # a clip of its own, which may be written to


def read_one(
    path: Path,
    *,
    size: tuple[int, int] | None = None,
    fit: Fit = "crop",
    resample: Resample = "area",
    fps: float | None = None,
    every: int = 1,
) -> np.ndarray:
    """The one clip that `path` (a video, a folder of frames, a strip, an array) holds, as in `read_clip`.

    Raises:
        DataError: it holds none, or several.
    """
    root, sources = list_clips(path)
    if len(sources) > 1:
        names = ", ".join(found.name for found in sources[:3])
        raise DataError(f"{path}: holds {len(sources)} clips ({names}, ...); give one of them")
    return read_clip(root, sources[0], size=size, fit=fit, resample=resample, fps=fps, every=every)
