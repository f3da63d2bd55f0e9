"""LIST: find the sources, and refuse options that contradict them before hours of decoding."""

from pathlib import Path

from vidgan.data.layouts.discovery import discover
from vidgan.data.preparing.cutting import KINDS_WITH_CUTS
from vidgan.data.preparing.options import Options
from vidgan.data.preparing.quarantine import count_reasons
from vidgan.data.preparing.splitting import check_split_by_name
from vidgan.data.sources.source import Listed
from vidgan.errors import DataError


def list_sources(source: Path, options: Options) -> Listed:
    """All sources in the folder or file `source`.

    Raises:
        DataError: there is none, or an option has no effect on the sources or contradicts their names.
    """
    listed = discover(source, layout=options.layout, strip_frame=options.strip_frame)
    if not listed.sources:
        raise DataError(
            f"{source}: no usable file; {listed.ignored} unrelated files, {count_reasons(listed.refusals)}. "
            "Accepted: videos, folders of frames, strips, .npy or .npz clips, and .tar or .zip archives of these"
        )
    kinds = {found.kind for found in listed.sources}
    if options.fps is not None and "video" not in kinds and not any(found.fps for found in listed.sources):
        raise DataError(f"fps={options.fps} has no effect: {source} contains no video, and other files have no clock")
    if options.strip_frame is not None and "strip" not in kinds:
        raise DataError(f"strip_frame={options.strip_frame} has no effect: {source} contains no such strips")
    shot_options = ("cut_threshold", "cut_weights", "drop_still", "drop_black")
    used = [name for name in shot_options if getattr(options, name)]
    if used and not kinds & set(KINDS_WITH_CUTS):
        raise DataError(f"{used[0]} has no effect: {source} contains no video or folder of frames")
    if options.store == "video":
        for found in listed.sources:
            if found.kind != "video" or found.archive is not None:
                raise DataError(
                    f"{found.name}: store='video' accepts only video files outside archives; use store='frames'"
                )
    check_split_by_name(listed.sources, options)
    return listed
