"""LIST: find the sources, and refuse options that contradict them before hours of decoding."""

from dataclasses import replace
from pathlib import Path

from vidgan.data.layouts.discovery import discover
from vidgan.data.preparing.cutting import KINDS_WITH_CUTS
from vidgan.data.preparing.options import Options
from vidgan.data.preparing.quarantine import count_reasons
from vidgan.data.preparing.splitting import check_split_by_name
from vidgan.data.sources.source import Listed
from vidgan.errors import DataError


def list_sources(source: Path, options: Options) -> Listed:
    """All sources in the folder or file `source`. Raises DataError when there is no such file."""
    listed = discover(
        source,
        layout=options.layout,
        strip_frame=options.strip_frame,
        size=options.size,
        follow_links=options.follow_links,
    )
    if any(refusal.reason == "link" for refusal in listed.refusals) and not options.follow_links:
        way_out = "--follow-links (follow_links=True) reads what links outside the source lead to"
        listed = replace(listed, remarks=(*listed.remarks, way_out))
    return listed


def check_sources(source: Path, listed: Listed, options: Options, quarantine: Path) -> None:
    """Refuse options that have no effect on the sources or contradict their names.

    Args:
        source: folder or file that was listed.
        listed: its sources.
        options: the options.
        quarantine: file with the list of refused files, for the message.

    Raises:
        DataError: an option is refused, or there is no source.
    """
    if not listed.sources:
        first = ""
        if listed.refusals:
            refusal = listed.refusals[0]
            first = f". First: {refusal.source}: {refusal.detail}; full list in {quarantine}"
        raise DataError(
            f"{source}: no usable file; {listed.ignored} unrelated files, {count_reasons(listed.refusals)}{first}. "
            + "".join(f"{remark}. " for remark in listed.remarks)
            + "Accepted: videos, folders of frames, strips, .npy or .npz clips, and .tar or .zip archives of these"
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
