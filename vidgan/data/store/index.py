"""The index of a prepared data set: its clips, their sources and their splits.

``index.json`` is the only description that training and evaluation read. It contains two digests: ``fingerprint``
changes with any pixel, length or category, ``split_hash`` with the assignment of clips to train and test. Resuming and
scoring compare them to detect other data.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Final

from vidgan.errors import DataError, UserError
from vidgan.files import digest_of, read_json, write_json

FORMAT: Final = 2
STORES: Final = ("frames", "video", "shards")
"""Where the pixels are stored: ``clips/<id>.npy``, the source videos themselves, or tar shards."""
SPLITS: Final = ("train", "test")
INDEX_NAME: Final = "index.json"
_MAX_BYTES: Final = 1 << 29
"""Largest accepted index: about a million clips."""
_MAX_SIDE: Final = 8192  # pixels, as in `vidgan.video.resize.check_size`
_MAX_RATE: Final = 1e6  # frames per second
_MAX_FRAMES: Final = 100_000_000  # of a clip: a month at 30 frames per second


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
        captions: texts that describe the clip.
        attributes: what these say, name -> value.
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
    captions: tuple[str, ...] = ()
    attributes: Mapping[str, str] = field(default_factory=dict)


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
        """32 hexadecimal digits over size, flow method, categories, and each clip's source, pixels, class, captions."""
        clips = sorted((c.source, c.digest, c.frames, c.category) for c in self.clips)
        captions = sorted((c.source, list(c.captions), dict(c.attributes)) for c in self.clips if c.captions)
        return digest_of(FORMAT, list(self.size), self.flow, self.categories, clips, *([captions] if captions else ()))

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
    listed = asdict(index)
    for entry in listed["clips"]:  # most data have neither
        for name in ("captions", "attributes"):
            if not entry[name]:
                del entry[name]
    write_json(root / INDEX_NAME, content | listed)


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
        content = read_json(path, max_bytes=_MAX_BYTES)
    except UserError as error:
        raise DataError(f"{error}; run `vidgan prepare` again") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        version = content.get("format") if isinstance(content, dict) else None
        origin = " (written by an earlier version)" if version == 1 else ""
        raise DataError(
            f"{path}: index format {version!r}{origin}; accepted: {FORMAT}. Run `vidgan prepare` into a new folder"
        )
    try:
        index = _parse(content)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"{path}: damaged ({type(error).__name__}: {error}); run `vidgan prepare` again") from error
    for name in ("fingerprint", "split_hash"):
        if content.get(name) != getattr(index, name):
            raise DataError(
                f"{path}: {name} does not match the listed clips; the file was edited or damaged. Run `vidgan prepare` "
                "again"
            )
    return index


def _parse(content: Mapping[str, Any]) -> Index:
    height, width = (whole_number("size", value, least=1, most=_MAX_SIDE) for value in content["size"])
    categories = [_text("categories", name) for name in _list("categories", content["categories"])]
    entries = _list("clips", content["clips"])
    if len(categories) > len(entries):
        raise ValueError(f"{len(categories)} categories of {len(entries)} clips")
    clips = [_parse_clip(entry, len(categories)) for entry in entries]
    _refuse_repeats([clip.id for clip in clips])
    store, source_root = _text("store", content["store"]), content["source_root"]
    if store not in STORES or (store == "video") != isinstance(source_root, str):
        raise ValueError(f"store {store!r} with source_root {source_root!r}")
    if not isinstance(content["settings"], dict):
        raise TypeError(f"settings is {type(content['settings']).__name__}")
    return Index(
        size=(height, width),
        fps=_rate(content["fps"]),
        flow=None if content["flow"] is None else _text("flow", content["flow"]),
        categories=categories,
        clips=clips,
        store=store,
        source_root=source_root,
        protocol=None if content["protocol"] is None else _text("protocol", content["protocol"]),
        settings=dict(content["settings"]),
        quarantined={reason: whole_number("quarantined", n, least=0) for reason, n in content["quarantined"].items()},
        ignored=whole_number("ignored", content["ignored"], least=0),
        notices=[_text("notices", notice) for notice in _list("notices", content["notices"])],
    )


def _parse_clip(entry: Mapping[str, Any], num_categories: int) -> ClipEntry:
    from vidgan.types import UNLABELLED  # imports torch, which the processes that read files do not need

    clip = ClipEntry(
        id=_text("id", entry["id"]),
        source=_text("source", entry["source"]),
        group=_text("group", entry["group"]),
        category=whole_number("category", entry["category"], least=min(0, UNLABELLED)),
        split=_text("split", entry["split"]),
        frames=whole_number("frames", entry["frames"], least=-_MAX_FRAMES, most=_MAX_FRAMES),
        fps=_rate(entry["fps"]),
        digest=_text("digest", entry["digest"]),
        start=whole_number("start", entry["start"], least=-_MAX_FRAMES, most=_MAX_FRAMES),
        file=source_file(entry["file"]),
        captions=tuple(_text("captions", caption) for caption in _list("captions", entry.get("captions", []))),
        attributes=_attributes(entry.get("attributes", {})),
    )
    # An id becomes a file name: characters other than those of `clip_id` could refer to files outside the folder.
    if not re.fullmatch(r"[A-Za-z0-9-]{1,200}", clip.id):
        raise ValueError(f"clip id {clip.id!r:.80}")
    if clip.split not in SPLITS:
        raise ValueError(f"split {clip.split!r} of clip {clip.id}")
    if clip.category != UNLABELLED and not 0 <= clip.category < num_categories:
        raise ValueError(f"category {clip.category} of clip {clip.id}; accepted: below {num_categories}")
    if clip.frames < 1 or clip.start < 0:
        raise ValueError(f"{clip.frames} frames from {clip.start} in clip {clip.id}")
    return clip


def source_file(value: Any) -> str:
    """`value`, if it is the posix path of a file below the source folder, or an absolute one. Raises ValueError."""
    name = _text("file", value)
    if "\0" in name or ".." in PurePosixPath(name).parts:
        raise ValueError(f"file {name!r:.200} is outside the source folder")
    return name


def whole_number(name: str, value: Any, *, least: int, most: int = 2**63 - 1) -> int:
    """`value`, if it is an integer within the bounds. Raises ValueError naming the field."""
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ValueError(f"{name} is {value!r:.40}; accepted: whole numbers from {least} to {most}")
    return value


def _rate(value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= _MAX_RATE:
        raise ValueError(f"fps is {value!r:.40}; accepted: a number above 0 and at most {_MAX_RATE:g}, or null")
    return float(value)


def _attributes(value: Any) -> dict[str, str]:
    if not isinstance(value, dict):
        raise TypeError(f"attributes is {type(value).__name__}; accepted: a mapping")
    return {_text("attributes", name): _text("attributes", content) for name, content in value.items()}


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{name} is {type(value).__name__}; accepted: text")
    return value


def _list(name: str, value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError(f"{name} is {type(value).__name__}; accepted: a list")
    return value


def stride_of(root: Path, index: Index) -> int:
    """The option ``every`` that the data set in `root` was prepared with. Raises DataError where it is missing."""
    try:
        return whole_number("settings: every", index.settings["every"], least=1)
    except (KeyError, ValueError) as error:
        raise DataError(
            f"{root / INDEX_NAME}: settings are incomplete ({error}); run `vidgan prepare` again"
        ) from error


def _refuse_repeats(ids: Sequence[str]) -> None:
    unique: set[str] = set()
    for name in ids:
        if name in unique:
            raise ValueError(f"clip id {name} occurs twice")
        unique.add(name)
