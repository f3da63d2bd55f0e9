"""The index of a prepared data set: its clips, their sources and their splits.

``index.json`` is the only description that training and evaluation read. It contains two digests: ``fingerprint``
changes with any pixel, length or category, ``split_hash`` with the assignment of clips to train and test. Resuming and
scoring compare them to detect other data.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from vidgan.errors import DataError
from vidgan.files import digest_of, write_json

FORMAT: Final = 2
STORES: Final = ("frames", "video", "shards")
"""Where the pixels are stored: ``clips/<id>.npy``, the source videos themselves, or tar shards."""
SPLITS: Final = ("train", "test")
INDEX_NAME: Final = "index.json"


@dataclass(frozen=True)
class ClipEntry:
    """One prepared clip.

    Attributes:
        id: file-safe name; the pixels are ``clips/<id>.npy``, uint8 (T, H, W, 3), the flow ``flow/<id>.npy``.
        source: posix path below the source folder, with the suffix ``#name`` or ``#number`` for clips of a multi-clip
            array and ``@start`` for shots of a source with shot changes.
        group: clips of one group share a split, except where a benchmark's own split separates them.
        category: index into `Index.categories`, or `UNLABELLED`.
        split: ``"train"`` or ``"test"``.
        frames: number of frames T.
        fps: frames per second of the stored frames, None if the source has no clock (image sequences without a known
            rate, arrays).
        digest: digest of the pixels.
        start: number of the clip's first frame in its source.
        file: posix path, below the source folder, of the file or folder of frames that the clip was read from.
    """

    id: str
    source: str
    group: str
    category: int
    split: str
    frames: int
    fps: float | None
    digest: str
    start: int = 0
    file: str = ""


@dataclass(frozen=True)
class Index:
    """A prepared data set.

    Attributes:
        size: (H, W) of the frames in pixels.
        fps: requested frame rate, None if every frame was kept.
        flow: method of the stored flow, None without flow.
        categories: class names.
        clips: all clips, in natural order of their sources.
        store: one of `STORES`.
        source_root: for store ``"video"`` the absolute path of the folder that contains the clips' files, else None.
        protocol: benchmark protocol whose settings were used, if any.
        settings: all options of `prepare`.
        quarantined: reason -> number of refused files.
        ignored: number of hidden and unrelated files.
        notices: what a person should know about the data set.
    """

    size: tuple[int, int]
    fps: float | None
    flow: str | None
    categories: list[str]
    clips: list[ClipEntry]
    store: str = "frames"
    source_root: str | None = None
    protocol: str | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    quarantined: dict[str, int] = field(default_factory=dict)
    ignored: int = 0
    notices: list[str] = field(default_factory=list)

    @property
    def fingerprint(self) -> str:
        """32 hexadecimal digits over size, flow method, categories and every clip's source, pixels and category."""
        clips = sorted((c.source, c.digest, c.frames, c.category) for c in self.clips)
        return digest_of(FORMAT, list(self.size), self.flow, self.categories, clips)

    @property
    def split_hash(self) -> str:
        """32 hexadecimal digits over the assignment of sources to splits."""
        return digest_of(FORMAT, sorted((c.source, c.split) for c in self.clips))

    def of_split(self, split: str) -> list[ClipEntry]:
        """The clips of one split, in natural order of their sources."""
        if split not in SPLITS:
            raise DataError(f"split is {split!r}; accepted: {', '.join(SPLITS)}")
        return [clip for clip in self.clips if clip.split == split]


def clip_path(root: Path, entry: ClipEntry) -> Path:
    """File of the pixels of `entry`."""
    return root / "clips" / f"{entry.id}.npy"


def flow_path(root: Path, entry: ClipEntry) -> Path:
    """File of the flow of `entry`, if the data set has flow."""
    return root / "flow" / f"{entry.id}.npy"


def save_index(root: Path, index: Index) -> None:
    """Write ``index.json`` atomically."""
    content = {"format": FORMAT, "split_hash": index.split_hash, "fingerprint": index.fingerprint}
    write_json(root / INDEX_NAME, content | asdict(index))


def load_index(root: Path | str) -> Index:
    """Read ``index.json`` of the data set in `root`.

    Raises:
        DataError: no such folder, no finished data set in it, an unreadable or hand-edited index.
    """
    root = Path(root)
    path = root / INDEX_NAME
    if not root.is_dir():
        raise DataError(f"{root}: no such folder; accepted: a folder written by `vidgan prepare`")
    if not path.is_file():
        raise DataError(
            f"{root}: contains no {INDEX_NAME}; run `vidgan prepare` on your videos (again, if it was interrupted)"
        )
    try:
        content = json.loads(path.read_bytes())
    except ValueError as error:
        raise DataError(f"{path}: not valid JSON ({error}); run `vidgan prepare` again") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        version = content.get("format") if isinstance(content, dict) else None
        origin = " (written by an earlier version)" if version == 1 else ""
        raise DataError(
            f"{path}: index format {version!r}{origin}; accepted: {FORMAT}. Run `vidgan prepare` into a new folder"
        )
    try:
        index = _parse(content)
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path}: damaged ({type(error).__name__}: {error}); run `vidgan prepare` again") from error
    for name in ("fingerprint", "split_hash"):
        if content.get(name) != getattr(index, name):
            raise DataError(
                f"{path}: {name} does not match the listed clips; the file was edited or damaged. Run `vidgan prepare` "
                "again"
            )
    return index


def _parse(content: Mapping[str, Any]) -> Index:
    height, width = (int(value) for value in content["size"])
    categories = [str(name) for name in content["categories"]]
    clips = [_parse_clip(entry, len(categories)) for entry in content["clips"]]
    _refuse_repeats([clip.id for clip in clips])
    store, source_root = str(content["store"]), content["source_root"]
    if store not in STORES or (store == "video") != isinstance(source_root, str):
        raise ValueError(f"store {store!r} with source_root {source_root!r}")
    return Index(
        size=(height, width),
        fps=None if content["fps"] is None else float(content["fps"]),
        flow=None if content["flow"] is None else str(content["flow"]),
        categories=categories,
        clips=clips,
        store=store,
        source_root=source_root,
        protocol=None if content["protocol"] is None else str(content["protocol"]),
        settings=dict(content["settings"]),
        quarantined={str(reason): int(count) for reason, count in content["quarantined"].items()},
        ignored=int(content["ignored"]),
        notices=[str(notice) for notice in content["notices"]],
    )


def _parse_clip(entry: Mapping[str, Any], num_categories: int) -> ClipEntry:
    from vidgan.types import UNLABELLED  # imports torch, which the processes that read files do not need

    clip = ClipEntry(
        id=str(entry["id"]),
        source=str(entry["source"]),
        group=str(entry["group"]),
        category=int(entry["category"]),
        split=str(entry["split"]),
        frames=int(entry["frames"]),
        fps=None if entry["fps"] is None else float(entry["fps"]),
        digest=str(entry["digest"]),
        start=int(entry["start"]),
        file=str(entry["file"]),
    )
    # An id becomes a file name: characters other than those of `clip_id` could refer to files outside the folder.
    if not re.fullmatch(r"[A-Za-z0-9-]+", clip.id):
        raise ValueError(f"clip id {clip.id!r}")
    if clip.split not in SPLITS:
        raise ValueError(f"split {clip.split!r} of clip {clip.id}")
    if clip.category != UNLABELLED and not 0 <= clip.category < num_categories:
        raise ValueError(f"category {clip.category} of clip {clip.id}; accepted: below {num_categories}")
    if clip.frames < 1 or clip.start < 0:
        raise ValueError(f"{clip.frames} frames from {clip.start} in clip {clip.id}")
    return clip


def _refuse_repeats(ids: Sequence[str]) -> None:
    unique: set[str] = set()
    for name in ids:
        if name in unique:
            raise ValueError(f"clip id {name} occurs twice")
        unique.add(name)
