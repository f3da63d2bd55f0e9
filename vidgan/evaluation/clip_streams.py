"""Generated and real clips one at a time, for sets that do not fit into memory."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from vidgan.evaluation.protocols import Windows
from vidgan.seeding import derive_seed
from vidgan.tasks.base import ClipModel
from vidgan.types import ByteClip, Latents

RENDERED = 16  # clips rendered at once


class Fingerprint:
    """A hash of a set of clips that does not depend on their order."""

    def __init__(self) -> None:
        self._clips: list[bytes] = []

    def add(self, clips: Iterable[ByteClip]) -> Iterator[ByteClip]:
        """Yield the same clips and add each to the hash."""
        for clip in clips:
            content = repr(tuple(clip.shape)).encode() + clip.contiguous().numpy().tobytes()
            self._clips.append(hashlib.blake2b(content, digest_size=16).digest())
            yield clip

    def hexdigest(self) -> str:
        """32 hexadecimal digits."""
        return hashlib.blake2b(b"".join(sorted(self._clips)), digest_size=16).hexdigest()


def generated_clips(model: ClipModel, frames: int, seed: int) -> Iterator[ByteClip]:
    """An endless stream of clips of the model, (T, 3, H, W); clip i depends on (seed, i) alone."""
    block = 0
    while True:
        latents = model.latents(64 * RENDERED, frames, seed=derive_seed("generated", seed, block))
        for first in range(0, 64 * RENDERED, RENDERED):
            yield from model.render(Latents(*(part[first : first + RENDERED] for part in latents)))
        block += 1


def cut_clips(clips: Iterable[ByteClip], frames: int, seed: int) -> Iterator[ByteClip]:
    """One window with a random start per video; shorter videos are skipped."""
    for number, clip in enumerate(clips):
        for start in Windows(align="random").starts(len(clip), frames, key=str(number), seed=seed):
            yield clip[start : start + frames]


def random_order(number: int, seed: int) -> Sequence[int]:
    """A permutation. Videos are sorted by name, and so by class: shuffle them before a set is divided or truncated."""
    return np.random.default_rng(derive_seed("order of clips", seed)).permutation(number).tolist()
