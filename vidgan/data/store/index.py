"""The index of a prepared data set: what clips there are, where they came from and which split they belong to.

``index.json`` is the only description that training and evaluation read. It carries two digests: ``fingerprint``
changes with any pixel, length or category, ``split_hash`` with the assignment of clips to train and test. A run
that resumes or is scored against other data can therefore be told so.
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
"""Where the pixels lie: ``clips/<id>.npy``, the source videos themselves, or tar shards."""
SPLITS: Final = ("train", "test")
INDEX_NAME: Final = "index.json"


@dataclass(frozen=True)
class ClipEntry:
    """One prepared clip.

    Attributes:
        id: file-safe name; the pixels are ``clips/<id>.npy``, uint8 (T, H, W, 3), the flow ``flow/<id>.npy``.
        source: posix path below the source folder; clips of one many-clip array have ``#name`` or ``#number`` added,
            the shots of a source with shot changes ``@start``.
        group: clips of one group always share a split, except for copies that a benchmark's own split holds twice.
        category: position in `Index.categories`, or `UNLABELLED`.
        split: ``"train"`` or ``"test"``.
        frames: number of frames T.
        fps: effective frames per second of the stored frames, None where the source has no clock (image sequences
            without a known rate, arrays).
        digest: digest of the pixels.
        start: number, in its source, of the frame that the clip begins with.
        file: posix path, below the source folder, of the file or folder of frames that it was read from.
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

    `size` is (H, W); `fps` is the rate that was asked for, None where every frame was kept; `flow` names the method
    that made the stored flow, None without flow. `store` is one of `STORES`; for ``"video"`` `source_root` is the
    absolute path of the folder that the clips' files lie in. `protocol` names the benchmark protocol whose settings
    were used, if one was named.
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
    quarantined: dict[str, int] = field(default_factory=dict)  # reason -> number of refused files
    ignored: int = 0  # hidden and unrelated files
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
    """Where the pixels of `entry` lie."""
    return root / "clips" / f"{entry.id}.npy"


def flow_path(root: Path, entry: ClipEntry) -> Path:
    """Where the flow of `entry` lies, when the data set has flow."""
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
        raise DataError(f"{root}: no such folder; give the folder that `vidgan prepare` wrote")
    if not path.is_file():
        raise DataError(
            f"{root}: holds no {INDEX_NAME}; run `vidgan prepare` on your videos (again, if it was stopped)"
        )
    try:
        content = json.loads(path.read_bytes())
    except ValueError as error:
        raise DataError(f"{path}: not valid JSON ({error}); run `vidgan prepare` again") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        found = content.get("format") if isinstance(content, dict) else None
        age = " was written by an earlier version" if found == 1 else ""
        raise DataError(
            f"{path}: index format {found!r}{age}, this version reads {FORMAT}; run `vidgan prepare` again, into a new "
            "folder"
        )
    try:
        index = _parse(content)
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path}: damaged ({type(error).__name__}: {error}); run `vidgan prepare` again") from error
    for name in ("fingerprint", "split_hash"):
        if content.get(name) != getattr(index, name):
            raise DataError(
                f"{path}: {name} does not fit the clips listed; the file was edited or damaged, prepare again"
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
    from vidgan.types import UNLABELLED  # here, as it needs torch, which the processes that read files do without

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
    # An id becomes a file name: anything but the letters that `clip_id` makes could lead out of the folder.
    if not re.fullmatch(r"[A-Za-z0-9-]+", clip.id):
        raise ValueError(f"clip id {clip.id!r}")
    if clip.split not in SPLITS:
        raise ValueError(f"split {clip.split!r} of clip {clip.id}")
    if clip.category != UNLABELLED and not 0 <= clip.category < num_categories:
        raise ValueError(f"category {clip.category} of clip {clip.id}, of {num_categories}")
    if clip.frames < 1 or clip.start < 0:
        raise ValueError(f"{clip.frames} frames from {clip.start} in clip {clip.id}")
    return clip


def _refuse_repeats(ids: Sequence[str]) -> None:
    seen: set[str] = set()
    for name in ids:
        if name in seen:
            raise ValueError(f"clip id {name} twice")
        seen.add(name)
