"""Memorisation: generated clips and the training clips that they are nearest to."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import torch

from vidgan.errors import DataError
from vidgan.evaluation.places import Place
from vidgan.evaluation.results import Score, SynthesisScores
from vidgan.evaluation.subjects import Subject
from vidgan.metrics.nearest_windows import DEFINITIONS, NearestWindows, Neighbour
from vidgan.metrics.statistics import SourceBootstrap
from vidgan.tasks.synthesis.sampling import ClipSampler
from vidgan.types import ByteClip, Latents
from vidgan.video.encode import contact_sheet, png_bytes

CLIPS = 64  # generated, and held-out ones at most
SHOWN = 8  # pairs, the nearest first
MOST = 20_000  # windows compared with; of more, evenly chosen stretches
BLOCK = 1024  # windows at once: bounds memory


def with_neighbours(scores: SynthesisScores, subject: Subject, seed: int) -> SynthesisScores:
    """The result with "nearest_training" and "copy_ratio", and in its provenance the pairs that are shown."""
    assert isinstance(subject.model, ClipSampler)
    made = subject.model.sample(CLIPS, frames=subject.frames, seed=seed)
    held_out, groups = _held_out(subject)
    clips = made if held_out is None else torch.cat([made, held_out])
    found, compared, there = nearest_windows(subject, clips)
    distances = np.array([neighbour.distance for neighbour in found])
    table = dict(scores.scores)
    rows = {"generated": (distances[:CLIPS], [str(row) for row in range(CLIPS)])}
    if held_out is not None:
        rows["real"] = distances[CLIPS:], groups
    for name, (values, units) in rows.items():
        estimate = SourceBootstrap(units, seed=seed).mean(values[:, None])[0]
        table[name] = {**table[name], "nearest_training": Score(estimate, [])}
    usual = None if held_out is None else float(distances[CLIPS:].mean())
    if usual:
        ratio, _ = SourceBootstrap(rows["generated"][1], seed=seed).mean(distances[:CLIPS, None] / usual)
        table["generated"]["copy_ratio"] = Score(ratio, [])
    nearest = np.argsort(distances[:CLIPS], kind="stable")[:SHOWN]
    pairs = [{"clip": int(row), **asdict(found[row])} for row in nearest]
    notes = [] if compared == there else [f"nearest_training: {compared} of {there} training windows were compared"]
    if held_out is None:
        notes.append("copy_ratio needs held-out clips; there are none")
    measured = DEFINITIONS if usual else {"nearest_training": DEFINITIONS["nearest_training"]}
    return replace(
        scores,
        scores=table,
        definitions={**scores.definitions, **measured},
        notes=[*scores.notes, *notes],
        provenance={
            **scores.provenance,
            "nearest": {"clips": CLIPS, "seed": seed, "held_out_distance": usual, "pairs": pairs},
        },
    )


def nearest_windows(subject: Subject, clips: ByteClip) -> tuple[list[Neighbour], int, int]:
    """The nearest training window of each clip, how many windows were looked at, and how many there are."""
    places = subject.places(split="train")
    entries = {place.entry.id: place.entry for place in places.found}
    blocks = [
        (entry, windows[first : first + BLOCK])
        for entry in entries.values()
        for windows in [places.overlapping(entry)]
        for first in range(0, len(windows), BLOCK)
    ]
    there = sum(len(windows) for _, windows in blocks)
    chosen = blocks[:: -(-there // MOST)]
    search = NearestWindows(clips)
    for entry, windows in chosen:
        numbers = sorted({frame for window in windows for frame in window})
        search.compare(entry.id, numbers, places.read(Place(entry, numbers)), windows)
    return search.nearest, sum(len(windows) for _, windows in chosen), there


def neighbour_sheet(subject: Subject, nearest: Mapping[str, Any]) -> bytes:
    """A PNG: in each row a generated clip, and on its right the training clip that it is nearest to."""
    pairs = torch.cat([torch.stack(clips) for _, clips in nearest_pairs(subject, nearest)])  # (2P, T, 3, H, W)
    return png_bytes(contact_sheet(pairs, columns=2))


def nearest_pairs(
    subject: Subject, nearest: Mapping[str, Any]
) -> Iterator[tuple[Mapping[str, Any], tuple[ByteClip, ByteClip]]]:
    """Each pair of a result with its generated and its training clip, (T, 3, H, W) uint8, drawn and read again.

    Args:
        subject: the model, with the data on which it was scored.
        nearest: ``provenance["nearest"]`` of the result.

    Raises:
        DataError: a training clip is no longer in the data.
    """
    assert isinstance(subject.model, ClipSampler)
    latents = subject.model.latents(nearest["clips"], subject.frames, seed=nearest["seed"])
    rows = [pair["clip"] for pair in nearest["pairs"]]
    shown = subject.model.render(Latents(*(part[rows] for part in latents)))
    places = subject.places(split="train")
    entries = {place.entry.id: place.entry for place in places.found}
    for pair, generated in zip(nearest["pairs"], shown, strict=True):
        if pair["video"] not in entries:
            raise DataError(f"{subject.data}: the training clip {pair['video']} is no longer there; evaluate again")
        clip = places.read(Place(entries[pair["video"]], pair["frames"]))
        yield pair, (generated, clip.flip(-1) if pair["mirrored"] else clip)


def _held_out(subject: Subject) -> tuple[ByteClip | None, list[str]]:
    """Up to `CLIPS` held-out windows and their groups; None where nothing is held out."""
    try:
        places = subject.places(shifted=True)
    except DataError:
        return None, []
    found = places.spread(CLIPS)
    return places.read_all(found), [place.entry.group for place in found]
