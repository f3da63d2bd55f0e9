"""WebDataset shards: tars whose members ``key.ext`` with one key are one sample.

The key is the member's path up to the first dot of its last part (as in the webdataset library). A video or array is
labelled by its neighbours: ``key.cls`` holds the class as text; ``key.json`` may hold ``category`` (or ``label`` or
``class``), ``group`` and ``split`` (train or test), anything else in it is left alone, as are captions (``key.txt``).
Pickled members are never read.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from vidgan.data.layouts.layout import Layout
from vidgan.data.sources.entries import Source
from vidgan.data.sources.listing import ARRAY_SUFFIXES, VIDEO_SUFFIXES, Listing, suffix_of

_MAX_LABEL: Final = 1 << 20  # bytes
_CATEGORY_KEYS: Final = ("category", "label", "class")


@dataclass(frozen=True)
class Label:
    """What a sample's neighbours say of it; `fault` says why they cannot be used."""

    category: str | None = None
    group: str | None = None
    split: str | None = None
    fault: str | None = None


def _sample_key(name: str) -> str:
    folder, slash, last = name.rpartition("/")
    return folder + slash + last.partition(".")[0]


def _shard_labels(listing: Listing, media: Sequence[str]) -> dict[str, Label]:
    """The labels of those of `media` that are members of an archive and have a ``.cls`` or ``.json`` of their key."""
    members: dict[str, list[str]] = {}
    for name in media:
        if listing.archive_of(name) is not None:
            members.setdefault(_sample_key(name), []).append(name)
    if not members:
        return {}
    notes = [name for name in listing.names if suffix_of(name) in (".cls", ".json") and _sample_key(name) in members]
    labels: dict[str, Label] = {}
    for name, blob in listing.blobs(notes):
        if not isinstance(blob, bytes):
            continue  # a plain file that happens to lie beside the archive
        listing.mark_used(name)
        key = _sample_key(name)
        labels[key] = _parse(name, blob, labels.get(key, Label()))
    return {name: labels[key] for key, names in members.items() if key in labels for name in names}


def _parse(name: str, content: bytes, label: Label) -> Label:
    """`label` with what one neighbour adds."""
    if len(content) > _MAX_LABEL:
        return replace(label, fault=f"{name} has {len(content)} bytes, at most {_MAX_LABEL}")
    try:
        text = content.decode("utf-8").strip()
        if suffix_of(name) == ".cls":
            return replace(label, category=text or None)
        fields = json.loads(text)
    except (ValueError, RecursionError) as error:
        return replace(label, fault=f"{name} is no JSON or text ({error})")
    if not isinstance(fields, dict):
        return label  # a list of boxes, say, which labels nothing here
    split = fields.get("split")
    if split not in (None, "train", "test"):
        return replace(label, fault=f"{name}: split is {split!r}; accepted: train, test")
    category = next((fields[key] for key in _CATEGORY_KEYS if fields.get(key) is not None), None)
    return replace(
        label, category=_word(category) or label.category, group=_word(fields.get("group")) or label.group, split=split
    )


def _word(value: Any) -> str | None:
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else None


def labelled_sources(listing: Listing, media: Sequence[str]) -> list[Source]:
    """A source a video or array file, labelled where it is a sample of a shard; wrongly labelled ones are refused."""
    labels = _shard_labels(listing, media)
    sources: list[Source] = []
    for name in media:
        label = labels.get(name, Label())
        if label.fault is not None:
            listing.refuse(name, "wrong-label", label.fault)
            continue
        kind = "video" if suffix_of(name) in VIDEO_SUFFIXES else "array"
        sources.append(Source(name, kind, (name,), category=label.category, group=label.group, split=label.split))
    return sources


def _find(listing: Listing, options: Mapping[str, str]) -> list[Source]:
    media = (name for name in listing.names if suffix_of(name) in VIDEO_SUFFIXES | ARRAY_SUFFIXES)
    return labelled_sources(listing, [name for name in media if (listing.archive_of(name) or "").endswith(".tar")])


WEBDATASET = Layout(
    "webdataset", "*.tar shards with members key.mp4 (or another video, .npy), key.json, key.cls", _find
)
