"""The caption of a training item, and captions that describe other clips, as word numbers."""

from collections import defaultdict
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Final

from torch import Tensor

from vidgan.data.store.index import ClipEntry
from vidgan.errors import DataError
from vidgan.seeding import derive_seed
from vidgan.tokens import WordTokeniser, split_words

__all__ = ["CaptionSource"]

_TRIES: Final = 64  # random clips before all clips are searched
_EXAMPLES: Final = 256  # captions that a model keeps

Meaning = frozenset[tuple[str, ...]]


class CaptionSource:
    """Captions of the clips of a training split.

    Args:
        root: folder of the data, for messages.
        entries: the clips; all need captions, and two clips must differ in meaning.
        wrong: number of wrong captions of an item.

    Attributes:
        tokeniser: its vocabulary is the words of these captions.
        length: words of the longest caption.

    Raises:
        DataError: a clip has no caption, or all say the same.
    """

    def __init__(self, root: Path, entries: Sequence[ClipEntry], *, wrong: int = 1) -> None:
        missing = [entry for entry in entries if not entry.captions]
        if missing:
            raise DataError(
                f"{root}: {len(missing)} of {len(entries)} clips have no caption, such as {missing[0].source}; put a"
                " captions.jsonl or NAME.txt beside the videos and run `vidgan prepare` again"
            )
        self.entries = entries
        self.num_wrong = wrong
        texts = [caption for entry in entries for caption in entry.captions]
        self.tokeniser = WordTokeniser.of_texts(texts)
        self.length = max(len(split_words(text)) for text in texts)
        self._meanings = [_meaning(entry) for entry in entries]
        if not any(meaning.isdisjoint(self._meanings[0]) for meaning in self._meanings):
            raise DataError(f"{root}: no clip has a caption of another meaning; text needs two different ones")
        # (attribute, values of all others) -> clips: those of another value of it are the hard cases
        self._alike: dict[tuple[str, frozenset[tuple[str, str]]], list[int]] = defaultdict(list)
        for place, entry in enumerate(entries):
            for name in entry.attributes:
                self._alike[name, _others(entry, name)].append(place)

    @property
    def examples(self) -> tuple[str, ...]:
        """Different captions of the clips, in natural order of the clips, evenly spread, at most 256."""
        texts = list(dict.fromkeys(caption for entry in self.entries for caption in entry.captions))
        number = min(len(texts), _EXAMPLES)
        return tuple(texts[i * len(texts) // number] for i in range(number))

    def draw(self, place: int, *keys: int) -> Tensor:
        """A caption of a clip, and wrong ones: (1 + K, L) int64.

        Wrong captions are those of clips of another meaning. Half of them, where clips have attributes, differ from the
        clip in exactly one.
        """
        texts = [self._caption(place, derive_seed("caption", *keys))]
        texts += [self._wrong(place, *keys, number) for number in range(self.num_wrong)]
        return self.tokeniser.encode(texts, self.length)

    def _wrong(self, place: int, *keys: int) -> str:
        other = None
        if self.entries[place].attributes and derive_seed("hard", *keys) % 2:
            other = self._differing_in_one(place, *keys)
        if other is None:
            other = self._differing(place, *keys)
        return self._caption(other, derive_seed("wrong caption", *keys))

    def _caption(self, place: int, number: int) -> str:
        captions = self.entries[place].captions
        return captions[number % len(captions)]

    def _differing_in_one(self, place: int, *keys: int) -> int | None:
        entry = self.entries[place]
        names = sorted(entry.attributes)
        first = derive_seed("attribute", *keys) % len(names)
        for name in (*names[first:], *names[:first]):
            alike = self._alike[name, _others(entry, name)]
            others = [
                i
                for i in alike
                if self.entries[i].attributes[name] != entry.attributes[name]
                and self._meanings[i].isdisjoint(self._meanings[place])
            ]
            if others:
                return others[derive_seed("alike", *keys) % len(others)]
        return None

    def _differing(self, place: int, *keys: int) -> int:
        number = len(self.entries)
        drawn = (derive_seed("other", *keys, attempt) % number for attempt in count())
        for other in (next(drawn) for _ in range(_TRIES)):
            if self._meanings[other].isdisjoint(self._meanings[place]):
                return other
        start = next(drawn)
        rest = ((start + i) % number for i in range(number))
        found = next((i for i in rest if self._meanings[i].isdisjoint(self._meanings[place])), None)
        if found is None:
            raise DataError(
                f"{self.entries[place].source}: every clip shares a caption with it, so no caption is wrong for it"
            )
        return found


def _meaning(entry: ClipEntry) -> Meaning:
    """What is said of a clip: its captions and its attributes; two clips differ in meaning if these sets are disjoint.

    Attributes alone do not tell: clips that differ in them may share a caption, which is then right for both.
    """
    said = {tuple(split_words(caption)) for caption in entry.captions}
    if entry.attributes:
        said.add(tuple(f"{name}={value}" for name, value in sorted(entry.attributes.items())))
    return frozenset(said)


def _others(entry: ClipEntry, name: str) -> frozenset[tuple[str, str]]:
    return frozenset((other, value) for other, value in entry.attributes.items() if other != name)
