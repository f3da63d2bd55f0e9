"""STORE: bring the arrays into their final form and write the files that describe the data set, the index last."""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import torch
from einops import rearrange

from vidgan.data.preparing.captions import add_captions
from vidgan.data.preparing.cutting import CutSource
from vidgan.data.preparing.options import Options
from vidgan.data.preparing.output_folder import ARRAY_FOLDERS
from vidgan.data.preparing.splitting import SplitClips
from vidgan.data.sources.source import Listed, Refusal
from vidgan.data.store.index import Index, save_index
from vidgan.data.store.shards import packed_clips, write_shards
from vidgan.data.store.storage import open_store
from vidgan.data.store.video import VideosFile
from vidgan.files import natural_key
from vidgan.video.encode import contact_sheet, write_png

SHEET_NAME: Final = "contact_sheet.png"
SHARD_MB: Final = 256
_SHEET_CLIPS: Final = 16
_SHEET_FRAMES: Final = 8
NOTE_MEANINGS: Final = {
    "hdr": "high dynamic range, converted without tone mapping (colours look washed out)",
    "assumed-bt709": "720 lines or more without a colour tag, read as BT.709 like players do",
    "interlaced": "interlaced frames (moving edges show combs)",
    "variable-frame-rate": "variable frame rate (set fps to sample evenly in time)",
    "non-square-pixels": "non-square pixels (shapes look stretched)",
    "timestamps-repaired": "missing or disordered timestamps",
    "fewer-frames-than-announced": "fewer frames than the header says",
    "frames-repeated": "slower than the requested fps (some frames are repeated)",
}
"""Properties of source files that a notice reports."""


def store_clips(
    out: Path,
    listed: Listed,
    cut: Collection[CutSource],
    split: SplitClips,
    options: Options,
    refusals: Iterable[Refusal],
    other_videos: Sequence[VideosFile] = (),
) -> Index:
    """Write everything except the arrays, and pack these if the store is ``"shards"``.

    Args:
        out: folder of the data set.
        listed, cut, split: results of the other stages.
        options: all options.
        refusals: all refused files.
        other_videos: files to copy missing lines of ``videos.jsonl`` from.

    Returns:
        The index, written last: a folder with an index is finished.
    """
    index = build_index(listed, cut, split, options, refusals)
    names = sorted((source.source for source in cut if source.has_metadata and source.clips), key=natural_key)
    if names:
        VideosFile(out).rewrite(names, other_videos)
    if options.store == "shards":
        if packed_clips(out) != {(entry.id, entry.digest) for entry in index.clips}:
            shard_bytes = (options.shard_mb or SHARD_MB) << 20
            has_flow = options.flow is not None
            write_shards(out, index.clips, shard_bytes=shard_bytes, flow=has_flow, categories=index.categories)
        for folder in ARRAY_FOLDERS:  # arrays left by a run that was interrupted while packing
            for path in (out / folder).glob("*.npy"):
                path.unlink()
    _write_contact_sheet(out, index)
    save_index(out, index)
    return index


def build_index(
    listed: Listed, cut: Collection[CutSource], split: SplitClips, options: Options, refusals: Iterable[Refusal]
) -> Index:
    """The index of a data set from the results of all other stages; arguments as in `store_clips`."""
    clips, caption_notices = add_captions(listed.root, split.clips, split.categories)
    return Index(
        size=options.size,
        fps=options.fps,
        flow=options.flow,
        categories=split.categories,
        clips=clips,
        store=options.store,
        source_root=str(listed.root) if options.store == "video" else None,
        protocol=options.protocol,
        settings=options.as_json(),
        quarantined=dict(sorted(Counter(refusal.reason for refusal in refusals).items())),
        ignored=listed.ignored,
        notices=[
            *listed.notices,
            *split.notices,
            *_cut_notices(cut, options),
            *_file_notices(cut),
            *caption_notices,
            *listed.remarks,
        ],
    )


def _cut_notices(cut: Collection[CutSource], options: Options) -> list[str]:
    """Numbers of shot changes and of excluded shots and frames."""
    total: Counter[str] = Counter()
    for source in cut:
        total.update(source.counts)
    notices = []
    if total["cuts"]:
        num_sources = sum(source.counts.get("cuts", 0) > 0 for source in cut)
        notices.append(f"{total['cuts']} shot changes in {num_sources} of {len(cut)} sources: no clip spans one")
    if total["short"]:
        notices.append(f"{total['short']} shots of less than {options.min_frames} frames are excluded")
    for name in ("still", "black"):
        if total[name]:
            notices.append(f"{total[name]} {name} frames are excluded")
    return notices


def _file_notices(cut: Iterable[CutSource]) -> list[str]:
    notes = Counter(note for source in cut for note in {note for clip in source.clips for note in clip.notes})
    return [f"{count} videos: {NOTE_MEANINGS.get(note, note)}" for note, count in sorted(notes.items())]


def _write_contact_sheet(root: Path, index: Index) -> None:
    """``contact_sheet.png``: up to 16 clips spread over the index, one per row, from first to last frame."""
    store = open_store(root, index)
    chosen = np.unique(np.linspace(0, len(index.clips) - 1, _SHEET_CLIPS).round().astype(int))
    rows = []
    for entry in (index.clips[i] for i in chosen):
        times = np.linspace(0, entry.frames - 1, _SHEET_FRAMES).round().astype(int).tolist()
        frames = torch.from_numpy(np.array(store.frames(entry, times)))
        rows.append(rearrange(frames, "t h w c -> t c h w"))
    write_png(root / SHEET_NAME, contact_sheet(torch.stack(rows), frames=_SHEET_FRAMES), overwrite=True)
