"""WebDataset shards: tars in which the members ``key.ext`` with the same key are one sample.

A video or array is labelled by other members: ``key.cls`` contains the class as text; ``key.json`` may contain
``category`` (or ``label`` or ``class``), ``group`` and ``split`` (train or test), and has priority. Other fields,
captions (``key.txt``) and other members are ignored. Pickled members are never read.

A clip and its label share everything but the last suffix (``cam1.2024.0.mp4``, ``cam1.2024.0.cls``). Otherwise the key
ends at an earlier dot, as in the webdataset library: ``a.json`` labels both ``a.left.mp4`` and ``a.right.mp4``. A clip
with several labels that could be its own is refused. Clips of one sample are one group.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from vidgan.data.layouts.layout import Layout
from vidgan.data.sources.file_tree import ARRAY_SUFFIXES, VIDEO_SUFFIXES, FileTree, suffix_of
from vidgan.data.sources.source import Source
from vidgan.files import parse_json

_MAX_LABEL: Final = 1 << 20  # bytes
_CATEGORY_KEYS: Final = ("category", "label", "class")


@dataclass(frozen=True)
class Label:
    """Labels of a sample; `fault` describes why they are invalid, if so."""

    category: str | None = None
    group: str | None = None
    split: str | None = None
    fault: str | None = None


def _stem(name: str) -> str:
    return name[: len(name) - len(suffix_of(name))]


def _sample_key(name: str) -> str:
    folder, slash, last = name.rpartition("/")
    return folder + slash + last.partition(".")[0]


def _shard_labels(tree: FileTree, media: Sequence[str]) -> dict[str, Label]:
    """The labels of those `media` in archives whose sample has a ``.cls`` or ``.json`` member, or several clips."""
    samples: dict[str, list[str]] = defaultdict(list)
    for name in media:
        if tree.archive_of(name) is not None:
            samples[_sample_key(name)].append(name)
    annotations: dict[str, list[str]] = defaultdict(list)
    for name in tree.names if samples else ():
        is_label = suffix_of(name) in (".cls", ".json") and tree.archive_of(name) is not None
        if is_label and _sample_key(name) in samples:
            annotations[_sample_key(name)].append(name)
    contents: dict[str, bytes] = {}
    for name, blob in tree.blobs(name for names in annotations.values() for name in names):
        assert isinstance(blob, bytes), "a member of an archive"
        tree.mark_used(name)
        contents[name] = blob[: _MAX_LABEL + 1]
    labels: dict[str, Label] = {}
    for key, clips in samples.items():
        labels |= _sample_labels(clips, [name for name in annotations[key] if name in contents], contents)
    return labels


def _sample_labels(clips: Sequence[str], annotations: Sequence[str], contents: Mapping[str, bytes]) -> dict[str, Label]:
    """The labels of the clips with one key; `annotations` are the label files with this key."""
    labels: dict[str, Label] = {}
    names = {clip: [_stem(clip)] for clip in clips}  # its own, and those of its labels
    for suffix in (".cls", ".json"):
        files = [name for name in annotations if suffix_of(name) == suffix]
        for clip, own in _partners(clips, files).items():
            label = labels.get(clip, Label())
            if len(own) == 1 and own[0] is not None:
                labels[clip] = _parse(own[0], contents[own[0]], label)
                names[clip].append(_stem(own[0]))
            elif own:
                shown = ", ".join(name for name in own[:4] if name is not None)
                fault = f"{clip} and {shown}: a clip and its label must share everything but the last suffix"
                labels[clip] = replace(label, fault=fault)
    for sample, members in _samples(names).items():
        if len(members) > 1:
            known = [labels[clip] for clip in members if clip in labels]
            group = next((label.group for label in known if label.group), sample)
            split = next((label.split for label in known if label.split), None)
            for clip in members:
                label = labels.get(clip, Label())
                labels[clip] = replace(label, group=label.group or group, split=label.split or split)
    return labels


def _partners(clips: Sequence[str], files: Sequence[str]) -> dict[str, list[str | None]]:
    """The label file of each clip, among files with one suffix; several entries where that is not clear.

    A file with the clip's name up to the last suffix belongs to it, and to no clip of another name. Of the others,
    those belong to a clip whose name is the beginning of the clip's, or the reverse (``a.mp4``, ``a.label.cls``).
    """
    stems = {_stem(clip) for clip in clips}
    exact: dict[str, list[str | None]] = defaultdict(list)
    shared: dict[str, list[str | None]] = defaultdict(list)  # by name
    longer: dict[str, list[str | None]] = defaultdict(list)  # by every beginning of the name
    for file in files:
        stem = _stem(file)
        if stem in stems:
            exact[stem].append(file)
            continue
        shared[stem].append(file)
        for beginning in _beginnings(stem):
            longer[beginning].append(file)
    strangers: list[str | None] = [file for names in shared.values() for file in names][:3]
    partners = {}
    for clip in clips:
        stem = _stem(clip)
        related = longer[stem] + [file for beginning in _beginnings(stem)[:-1] for file in shared[beginning]]
        # Labels of other clips say how labels are named, so that a label without its clip is only that.
        unclear = [None, *strangers] if strangers and not exact else []
        partners[clip] = exact.get(stem) or related or unclear
    return partners


def _beginnings(stem: str) -> list[str]:
    """``a/b.c.d`` -> ``a/b``, ``a/b.c``, ``a/b.c.d``."""
    folder, slash, last = stem.rpartition("/")
    parts = last.split(".")
    return [folder + slash + ".".join(parts[:end]) for end in range(1, len(parts) + 1)]


def _samples(names: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """The clips of each sample: those for which one name is the beginning of the others'."""
    known = {name for own in names.values() for name in own}
    samples: dict[str, list[str]] = defaultdict(list)
    for clip, own in names.items():
        samples[min((b for name in own for b in _beginnings(name) if b in known), key=len)].append(clip)
    return samples


def _parse(name: str, content: bytes, label: Label) -> Label:
    """`label` updated from one label file."""
    if len(content) > _MAX_LABEL:
        return replace(label, fault=f"{name} has {len(content)} bytes; accepted: at most {_MAX_LABEL}")
    try:
        text = content.decode("utf-8").strip()
        if suffix_of(name) == ".cls":
            return replace(label, category=text or None)
        fields = parse_json(text, name)
    except ValueError as error:
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
        kind = "array" if suffix_of(name) in ARRAY_SUFFIXES else "video"
        sources.append(Source(name, kind, (name,), category=label.category, group=label.group, split=label.split))
    return sources


def _find(tree: FileTree, options: Mapping[str, str]) -> list[Source]:
    media = (name for name in tree.names if suffix_of(name) in VIDEO_SUFFIXES | ARRAY_SUFFIXES)
    return labelled_sources(tree, [name for name in media if (tree.archive_of(name) or "").endswith(".tar")])


WEBDATASET = Layout(
    "webdataset", "*.tar shards with members key.mp4 (or another video, .npy), key.json, key.cls", _find
)
