"""Read clips from files without preparing a data set: to forecast a video, or to compare folders of videos."""

from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np

from vidgan.data.layouts.discovery import discover
from vidgan.data.sources.blobs import source_blobs
from vidgan.data.sources.manifest import is_manifest
from vidgan.data.sources.readers import ReadClip, ReadSettings, read_source
from vidgan.data.sources.source import Source
from vidgan.errors import DataError

DEFAULT_SETTINGS: Final = ReadSettings()


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


def read_clip(root: Path, source: Source, settings: ReadSettings) -> ReadClip:
    """The only clip of a source, its frames in a new array.

    Args:
        root, source: as returned by `list_clips`.
        settings: with `max_frames`, a long video takes no more memory than these frames.

    Raises:
        DataError: it cannot be read, or contains several clips; the message names the file.
    """
    try:
        clips = list(read_source(source, source_blobs(root, source), settings))
    except DataError as error:
        raise DataError(f"{root / source.name}: {error}") from error
    if len(clips) != 1:
        raise DataError(f"{root / source.name}: contains {len(clips)} clips; accepted: a file with one clip")
    return replace(clips[0], frames=np.array(clips[0].frames))


def read_one(path: Path, settings: ReadSettings = DEFAULT_SETTINGS) -> ReadClip:
    """The only clip that `path` (a video, a folder of frames, a strip, an array) contains; otherwise as `read_clip`.

    Raises:
        DataError: it contains no clip, or several.
    """
    root, sources = list_clips(path, strip_frame=settings.strip_frame, size=settings.size)
    if len(sources) > 1:
        names = ", ".join(source.name for source in sources[:3])
        raise DataError(f"{path}: contains {len(sources)} clips ({names}, ...); pass the path of one of them")
    return read_clip(root, sources[0], settings)
