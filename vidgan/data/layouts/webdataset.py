"""WebDataset shards: tars in which the members ``key.ext`` with the same key are one sample.

The key is the member's path up to the first dot of its file name, as in the webdataset library. A video or array is
labelled by other members of its sample: ``key.cls`` contains the class as text; ``key.json`` may contain ``category``
(or ``label`` or ``class``), ``group`` and ``split`` (train or test). Other fields, captions (``key.txt``) and other
members are ignored. Pickled members are never read.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from vidgan.data.layouts.layout import Layout
from vidgan.data.sources.file_tree import ARRAY_SUFFIXES, VIDEO_SUFFIXES, FileTree, suffix_of
from vidgan.data.sources.source import Source

_MAX_LABEL: Final = 1 << 20  # bytes
_CATEGORY_KEYS: Final = ("category", "label", "class")


@dataclass(frozen=True)
class Label:
    """Labels of a sample; `fault` describes why they are invalid, if so."""

    category: str | None = None
    group: str | None = None
    split: str | None = None
    fault: str | None = None


def _sample_key(name: str) -> str:
    folder, slash, last = name.rpartition("/")
    return folder + slash + last.partition(".")[0]


def _shard_labels(tree: FileTree, media: Sequence[str]) -> dict[str, Label]:
    """The labels of those `media` in archives whose sample has a ``.cls`` or ``.json`` member."""
    members: dict[str, list[str]] = {}
    for name in media:
        if tree.archive_of(name) is not None:
            members.setdefault(_sample_key(name), []).append(name)
    if not members:
        return {}
    label_files = [name for name in tree.names if suffix_of(name) in (".cls", ".json") and _sample_key(name) in members]
    labels: dict[str, Label] = {}
    for name, blob in tree.blobs(label_files):
        if not isinstance(blob, bytes):
            continue  # a file on disk, not in an archive
        tree.mark_used(name)
        key = _sample_key(name)
        labels[key] = _parse(name, blob, labels.get(key, Label()))
    return {name: labels[key] for key, names in members.items() if key in labels for name in names}


def _parse(name: str, content: bytes, label: Label) -> Label:
    """`label` updated from one label file."""
    if len(content) > _MAX_LABEL:
        return replace(label, fault=f"{name} has {len(content)} bytes; accepted: at most {_MAX_LABEL}")
    try:
        text = content.decode("utf-8").strip()
        if suffix_of(name) == ".cls":
            return replace(label, category=text or None)
        fields = json.loads(text)
    except (ValueError, RecursionError) as error:
        return replace(label, fault=f"{name} is not JSON or text ({error})")
    if not isinstance(fields, dict):
        return label  # such as a list of boxes
    split = fields.get("split")
    if split not in (None, "train", "test"):
        return replace(label, fault=f"{name}: split is {split!r}; accepted: train, test")
    category = next((fields[key] for key in _CATEGORY_KEYS if fields.get(key) is not None), None)
    return replace(
        label, category=_word(category) or label.category, group=_word(fields.get("group")) or label.group, split=split
    )


def _word(value: Any) -> str | None:
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else None


def labelled_sources(tree: FileTree, media: Sequence[str]) -> list[Source]:
    """One source per video or array file, labelled if it is a sample of a shard. Invalid labels are refused."""
    labels = _shard_labels(tree, media)
    sources: list[Source] = []
    for name in media:
        label = labels.get(name, Label())
        if label.fault is not None:
            tree.refuse(name, "wrong-label", label.fault)
            continue
        kind = "video" if suffix_of(name) in VIDEO_SUFFIXES else "array"
        sources.append(Source(name, kind, (name,), category=label.category, group=label.group, split=label.split))
    return sources


def _find(tree: FileTree, options: Mapping[str, str]) -> list[Source]:
    media = (name for name in tree.names if suffix_of(name) in VIDEO_SUFFIXES | ARRAY_SUFFIXES)
    return labelled_sources(tree, [name for name in media if (tree.archive_of(name) or "").endswith(".tar")])


WEBDATASET = Layout(
    "webdataset", "*.tar shards with members key.mp4 (or another video, .npy), key.json, key.cls", _find
)
