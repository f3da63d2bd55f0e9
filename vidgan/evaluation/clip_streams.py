"""Generated and real clips one after another, for sets that do not fit into memory."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from vidgan.errors import DataError
from vidgan.evaluation.places import Place, Places
from vidgan.evaluation.protocols import Windows
from vidgan.evaluation.subjects import Subject
from vidgan.seeding import derive_seed
from vidgan.tasks.synthesis.sampling import ClipSampler
from vidgan.types import ByteClip, Latents

RENDERED = 16  # clips at once


class Fingerprint:
    """Of a set of clips, whatever their order."""

    def __init__(self) -> None:
        self._clips: list[bytes] = []

    def noting(self, clips: Iterable[ByteClip]) -> Iterator[ByteClip]:
        """The same clips, taken in as they pass."""
        for clip in clips:
            content = repr(tuple(clip.shape)).encode() + clip.contiguous().numpy().tobytes()
            self._clips.append(hashlib.blake2b(content, digest_size=16).digest())
            yield clip

    def hexdigest(self) -> str:
        """32 hexadecimal digits."""
        return hashlib.blake2b(b"".join(sorted(self._clips)), digest_size=16).hexdigest()


def made_clips(model: ClipSampler, frames: int, seed: int) -> Iterator[ByteClip]:
    """Clips of the model without end, (T, 3, H, W); clip i depends on (seed, i) alone."""
    block = 0
    while True:
        latents = model.latents(64 * RENDERED, frames, seed=derive_seed("generated", seed, block))
        for first in range(0, 64 * RENDERED, RENDERED):
            yield from model.render(Latents(*(part[first : first + RENDERED] for part in latents)))
        block += 1


def real_places(subject: Subject, frames: int, seed: int) -> list[tuple[Places, Place]]:
    """One window with a random start in each training and test video, in the model's sense of time."""
    found = []
    for split in ("train", "test"):
        try:
            places = subject.places(frames, split=split, one_each=True, seed=seed)
        except DataError:
            continue  # none of this split is long enough
        found += [(places, place) for place in places.found]
    return found


def real_clips(subject: Subject, frames: int, seed: int) -> Iterator[ByteClip]:
    """Those windows read, in random order."""
    found = real_places(subject, frames, seed)
    for position in random_order(len(found), seed):
        places, place = found[position]
        yield places.read(place)


def cut_clips(clips: Iterable[ByteClip], frames: int, seed: int) -> Iterator[ByteClip]:
    """One window with a random start from each video; shorter ones are left out."""
    for number, clip in enumerate(clips):
        for start in Windows(align="random").starts(len(clip), frames, key=str(number), seed=seed):
            yield clip[start : start + frames]


def random_order(number: int, seed: int) -> Sequence[int]:
    """Videos lie sorted by name, and so by class: what is compared, halved or split must be mixed first."""
    return np.random.default_rng(derive_seed("order of clips", seed)).permutation(number).tolist()
