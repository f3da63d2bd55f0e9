"""Look at prepared data: contact sheet, cuts, refused files with their reasons, split, and duplicates."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import torch

from vidgan.data.preparing.quarantine import QUARANTINE_NAME
from vidgan.data.store.clip_store import ClipStore
from vidgan.data.store.index import SPLITS, ClipEntry, Index, load_index
from vidgan.data.store.storage import open_store
from vidgan.errors import ConfigError
from vidgan.files import open_regular, parse_json
from vidgan.metrics.clip_statistics import pool_frames
from vidgan.report import Cell, KeyValues, Notes, Picture, Section, Table, Text
from vidgan.report.page import render_page
from vidgan.studio.jobs import Job
from vidgan.studio.lines import command_line
from vidgan.video.encode import contact_sheet, png_bytes

__all__ = ["Duplicate", "data_page", "find_duplicates", "prepare_line"]

MAX_CLIPS: Final = 24
SHEET_FRAMES: Final = 6
MAX_ROWS: Final = 200
MAX_COMPARED: Final = 1500  # clips whose frames are compared
CUT_WEIGHTS: Final = "transnetv2"
FEW: Final = 16  # clips from which the time of all is estimated
NEAR: Final = 0.02  # root mean squared difference of the middle frames at 16x16, RGB in [0, 1]


class Duplicate(NamedTuple):
    """Two clips that show the same.

    Attributes:
        first, second: the clips.
        distance: of their middle frames; 0 for equal pixels in all frames.
    """

    first: ClipEntry
    second: ClipEntry
    distance: float

    @property
    def crosses(self) -> bool:
        """Whether one is trained on and the other one held out."""
        return self.first.split != self.second.split


def data_page(root: Path, split: str, count: int, seed: int, job: Job) -> str:
    """All about a data set as a page.

    Args:
        root: folder that `vidgan prepare` wrote.
        split: "train", "test" or "all", of the contact sheet.
        count: clips on the contact sheet.
        seed: of the choice of clips.
        job: its progress.

    Raises:
        DataError: no prepared data. ConfigError: a value outside its limits. CancelledError: the job was cancelled.
    """
    if split not in (*SPLITS, "all") or not 1 <= count <= MAX_CLIPS:
        raise ConfigError(f"split {split!r}, {count} clips: accepted are train, test or all, and 1 to {MAX_CLIPS}")
    index = load_index(root)
    store = open_store(root, index)
    chosen = index.clips if split == "all" else index.of_split(split)
    picked = sorted(np.random.default_rng(seed).permutation(len(chosen))[:count].tolist())
    job.step(0.1, "reading clips")
    sections = [
        Section("Overview", [KeyValues(_facts(index)), *([Notes(index.notices, "Notices")] if index.notices else [])]),
        Section("Contact sheet", [_sheet(store, [chosen[number] for number in picked])]),
        Section("Split", [_split(index)]),
        Section("Cuts", [_cuts(index)]),
        Section("Refused files", _refused(root, index)),
    ]
    job.step(0.5, "comparing clips")
    sections.append(Section("Duplicates", [_duplicates(index, store, job)]))
    height, width = index.size
    return render_page(
        title=root.name, subtitle=f"{len(index.clips)} clips of {width}x{height} pixels", sections=sections
    )


def find_duplicates(index: Index, store: ClipStore, job: Job) -> list[Duplicate]:
    """Pairs of clips with equal pixels or almost equal middle frames, those across the split first.

    Of more than MAX_COMPARED clips, only equal pixels are found for the rest.
    """
    by_digest: dict[str, list[ClipEntry]] = defaultdict(list)
    for entry in index.clips:
        by_digest[entry.digest].append(entry)
    found = [Duplicate(same[0], other, 0.0) for same in by_digest.values() for other in same[1:]]
    compared = [same[0] for same in by_digest.values()][:MAX_COMPARED]
    middles = []
    for number, entry in enumerate(compared):
        job.step(0.5 + 0.4 * number / len(compared), f"comparing clip {number + 1} of {len(compared)}")
        middles.append(_tensor(store.frames(entry, [entry.frames // 2])))
    if len(compared) > 1:
        points = pool_frames(torch.cat(middles))
        squares = (points**2).sum(axis=1)
        distances = np.sqrt(np.maximum(squares[:, None] + squares[None] - 2 * points @ points.T, 0) / points.shape[1])
        pairs = zip(*np.nonzero(np.triu(distances < NEAR, k=1)), strict=True)
        found += [Duplicate(compared[i], compared[j], float(distances[i, j])) for i, j in pairs]
    return sorted(found, key=lambda pair: (not pair.crosses, pair.distance))


def work_units(root: Path) -> int:
    """Clips that are read and compared, for the estimate of the time.

    Raises:
        DataError: no prepared data.
    """
    return max(1, min(MAX_COMPARED, len(load_index(root).clips)))


def compare_few(root: Path, job: Job) -> int:
    """Read and compare the first clips alone; returns their number.

    Raises:
        DataError: no prepared data.
    """
    index = load_index(root)
    few = replace(index, clips=index.clips[:FEW])
    find_duplicates(few, open_store(root, index), job)
    return max(1, len(few.clips))


def prepare_line(root: Path) -> str:
    """The command that prepares the same data again, with all options; VIDEOS stands for their source.

    Raises:
        DataError: no prepared data.
    """
    options: dict[str, object] = {}
    for name, value in load_index(root).settings.items():
        if name == "flow" and value is not None:
            options |= {"flow": True, "flow_method": value}
        elif name == "cut_weights" and value is not None:
            options[name] = CUT_WEIGHTS  # of which the settings keep a digest
        elif isinstance(value, list):
            options[name] = "x".join(map(str, value))
        else:
            options[name] = value
    return command_line("prepare", ["VIDEOS"], **options, out=root)


def _facts(index: Index) -> dict[str, Cell]:
    lengths = [clip.frames for clip in index.clips]
    return {
        "clips": len(index.clips),
        "sources": len({clip.file or clip.source for clip in index.clips}),
        "frames": sum(lengths),
        "shortest clip": min(lengths, default=0),
        "longest clip": max(lengths, default=0),
        "categories": ", ".join(index.categories[:8]) or None,
        "flow": index.flow,
        "refused files": sum(index.quarantined.values()),
    }


def _sheet(store: ClipStore, entries: Sequence[ClipEntry]) -> Picture | Text:
    if not entries:
        return Text("There is no clip in this split.")
    strips = []
    for entry in entries:
        numbers = np.linspace(0, entry.frames - 1, SHEET_FRAMES).round().astype(int).tolist()
        strips.append(_tensor(store.frames(entry, numbers)))
    names = ", ".join(entry.source for entry in entries)
    image = contact_sheet(torch.stack(strips), columns=1, frames=SHEET_FRAMES)
    return Picture(png_bytes(image), f"First to last frame of {names}, from top to bottom")


def _split(index: Index) -> Table:
    rows: list[list[Cell]] = []
    for split in SPLITS:
        clips = index.of_split(split)
        names = Counter(index.categories[clip.category] for clip in clips if 0 <= clip.category < len(index.categories))
        listed = ", ".join(f"{name} {count}" for name, count in sorted(names.items())[:12])
        rows.append(
            [split, len(clips), len({clip.group for clip in clips}), sum(c.frames for c in clips), listed or None]
        )
    shared = {clip.group for clip in index.of_split("train")} & {clip.group for clip in index.of_split("test")}
    caption = f"{len(shared)} groups are in both splits." if shared else "No group is in both splits."
    return Table(["split", "clips", "groups", "frames", "categories"], rows, caption)


def _cuts(index: Index) -> Table:
    by_file: dict[str, list[ClipEntry]] = defaultdict(list)
    for clip in index.clips:
        by_file[clip.file or clip.source].append(clip)
    several = {file: clips for file, clips in by_file.items() if len(clips) > 1}
    rows: list[list[Cell]] = [
        [file, len(clips), ", ".join(f"{clip.start}-{clip.start + clip.frames - 1}" for clip in clips[:12])]
        for file, clips in list(several.items())[:MAX_ROWS]
    ]
    caption = f"{len(several)} of {len(by_file)} files were cut into several clips."
    return Table(["file", "clips", "frames of each"], rows, caption)


def _refused(root: Path, index: Index) -> list[Table | Text]:
    if not index.quarantined:
        return [Text("No file was refused.")]
    blocks: list[Table | Text] = [Table(["reason", "files"], sorted(index.quarantined.items()))]
    rows = []
    file = root / QUARANTINE_NAME
    if file.is_file():
        with open_regular(file) as lines:
            for line in lines.readlines(1_000_000)[:MAX_ROWS]:
                entry = parse_json(line, file)
                if isinstance(entry, dict):
                    rows.append([str(entry.get(key, "")) for key in ("source", "reason", "detail")])
    return [*blocks, Table(["file", "reason", "detail"], rows)] if rows else blocks


def _duplicates(index: Index, store: ClipStore, job: Job) -> Table | Text:
    found = find_duplicates(index, store, job)
    different = len({clip.digest for clip in index.clips})
    limit = f" Of {different:,} different clips, the first {MAX_COMPARED:,} were compared by their middle frames."
    limit = limit if different > MAX_COMPARED else ""
    if not found:
        return Text(f"No two clips show the same.{limit}")
    rows: list[list[Cell]] = [
        [pair.first.source, pair.second.source, pair.distance, "train and test" if pair.crosses else pair.first.split]
        for pair in found[:MAX_ROWS]
    ]
    crossing = sum(pair.crosses for pair in found)
    caption = (
        f"{len(found)} pairs, {crossing} of them across the split. Distance: root mean squared difference of the middle"
        f" frames at 16x16, RGB in [0, 1]; 0: equal pixels; pairs below {NEAR} are listed.{limit}"
    )
    return Table(["clip", "other clip", "distance", "split"], rows, caption)


def _tensor(frames: np.ndarray) -> torch.Tensor:
    """(T, H, W, 3) uint8 -> (T, 3, H, W)."""
    return torch.from_numpy(np.ascontiguousarray(frames)).permute(0, 3, 1, 2)
