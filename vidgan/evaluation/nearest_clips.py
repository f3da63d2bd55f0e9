"""Memorisation: generated clips compared with their nearest training clips, by pixels and by features."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any, TypeAlias

import numpy as np
import torch

from vidgan.errors import DataError
from vidgan.evaluation.models import TrainedModel
from vidgan.evaluation.results import Score, SynthesisScores
from vidgan.evaluation.windows import Window
from vidgan.metrics.appearance import nearest_points
from vidgan.metrics.nearest_windows import DEFINITIONS, NearestWindows, Neighbour
from vidgan.metrics.statistics import SourceBootstrap
from vidgan.metrics.values import Values
from vidgan.types import ByteClip, Latents
from vidgan.video.encode import contact_sheet, png_bytes

CLIPS = 64  # generated clips, and most held-out clips
PAIRS = 8  # displayed pairs, the nearest first
MOST = 20_000  # most training windows compared; above it, evenly spaced blocks of windows
BLOCK = 1024  # windows compared at once: bounds memory
MOST_BY_FEATURES = 256  # most training windows that a network describes

BY_FEATURES = {
    "nearest_training_appearance": "root mean square over frames of the distance of unit-length ImageNet features to"
    " the nearest training window that does not overlap another, as it is or mirrored, mean over clips; 0 is a copy",
    "copy_ratio_appearance": "nearest_training_appearance of the generated clips over that of held-out real clips; well"
    " below 1: the model repeats what it saw",
}

Features: TypeAlias = Callable[[ByteClip], Values]


def add_nearest(
    scores: SynthesisScores, trained: TrainedModel, seed: int, features: Features | None = None
) -> SynthesisScores:
    """Add "nearest_training" and "copy_ratio", and the nearest pairs to the provenance.

    Args:
        features: of single frames, (N, T, 3, H, W) -> (N, T, D). With them, "nearest_training_appearance" and
            "copy_ratio_appearance" are added too.
    """
    generated = trained.clip_model.sample(CLIPS, frames=trained.facts.frames, seed=seed)
    held_out, groups = _held_out(trained)
    clips = generated if held_out is None else torch.cat([generated, held_out])
    neighbours, num_compared, num_windows = nearest_windows(trained, clips)
    distances = np.array([neighbour.distance for neighbour in neighbours])
    scores = _with_distances(scores, DEFINITIONS, distances, groups, seed)
    nearest = np.argsort(distances[:CLIPS], kind="stable")[:PAIRS]
    pairs = [{"clip": int(row), **asdict(neighbours[row])} for row in nearest]
    notes = []
    if num_compared < num_windows:
        notes.append(f"nearest_training: {num_compared} of {num_windows} training windows were compared")
    if held_out is None:
        notes.append("copy_ratio needs held-out clips; there are none")
    if features is not None:
        windows = trained.windows(split="train")
        chosen = windows.spread(MOST_BY_FEATURES)
        appearance = _appearance_distances(clips, windows.read_all(chosen), features)
        scores = _with_distances(scores, BY_FEATURES, appearance, groups, seed)
        if len(chosen) < len(windows):
            counts = f"{len(chosen)} of {len(windows)} training windows that do not overlap"
            notes.append(f"nearest_training_appearance: {counts} were compared")
    held_out_distance = None if held_out is None else float(distances[CLIPS:].mean())
    return replace(
        scores,
        notes=[*scores.notes, *notes],
        provenance={
            **scores.provenance,
            "nearest": {"clips": CLIPS, "seed": seed, "held_out_distance": held_out_distance, "pairs": pairs},
        },
    )


def _appearance_distances(clips: ByteClip, training: ByteClip, features: Features) -> Values:
    """Distance of each clip, as it is or mirrored, to the nearest of the training clips: (N,)."""
    candidates = features(training)
    return np.minimum(*(nearest_points(features(side), candidates)[0] for side in (clips, clips.flip(-1))))


def _with_distances(
    scores: SynthesisScores, definitions: Mapping[str, str], distances: Values, groups: Sequence[str], seed: int
) -> SynthesisScores:
    """Add a distance to the nearest training clip, and its ratio to that of the held-out clips if there are any.

    Args:
        definitions: of the distance and of the ratio, in this order.
        distances: of the `CLIPS` generated clips, then of the held-out ones.
        groups: the source of each held-out clip.
    """
    name, ratio = definitions
    table = dict(scores.scores)
    units = [str(row) for row in range(CLIPS)]
    generated, real = distances[:CLIPS, None], distances[CLIPS:, None]
    table["generated"] = {
        **table["generated"],
        name: Score(SourceBootstrap(units, seed=seed).mean(generated)[0], []),
    }
    if len(real):
        table["real"] = {**table["real"], name: Score(SourceBootstrap(groups, seed=seed).mean(real)[0], [])}
    added = {name: definitions[name]}
    if len(real) and real.mean() > 0:
        relative = SourceBootstrap(units, seed=seed).mean(generated / real.mean())[0]
        table["generated"][ratio] = Score(relative, [])
        added = dict(definitions)
    return replace(scores, scores=table, definitions={**scores.definitions, **added})


def nearest_windows(
    trained: TrainedModel, clips: ByteClip, on_block: Callable[[int, int], None] = lambda done, total: None
) -> tuple[list[Neighbour], int, int]:
    """The nearest training window of each clip, the number of windows compared, and the number of all windows.

    Args:
        on_block: called before each block of windows with the number of finished blocks and of all; may raise to stop.
    """
    windows = trained.windows(split="train")
    entries = {window.entry.id: window.entry for window in windows.windows}
    blocks = [
        (entry, candidates[first : first + BLOCK])
        for entry in entries.values()
        for candidates in [windows.overlapping(entry)]
        for first in range(0, len(candidates), BLOCK)
    ]
    num_windows = sum(len(candidates) for _, candidates in blocks)
    chosen = blocks[:: -(-num_windows // MOST)]
    search = NearestWindows(clips)
    for done, (entry, candidates) in enumerate(chosen):
        on_block(done, len(chosen))
        numbers = sorted({frame for candidate in candidates for frame in candidate})
        search.compare(entry.id, numbers, windows.read(Window(entry, numbers)), candidates)
    return search.nearest, sum(len(candidates) for _, candidates in chosen), num_windows


def nearest_sheet(trained: TrainedModel, nearest: Mapping[str, Any]) -> bytes:
    """A PNG with one pair per row: a generated clip, and to its right the nearest training clip.

    Args:
        nearest: the entry "nearest" of the provenance of a result.
    """
    pairs = torch.cat([torch.stack(clips) for _, clips in nearest_pairs(trained, nearest)])  # (2P, T, 3, H, W)
    return png_bytes(contact_sheet(pairs, columns=2))


def nearest_pairs(
    trained: TrainedModel, nearest: Mapping[str, Any]
) -> Iterator[tuple[Mapping[str, Any], tuple[ByteClip, ByteClip]]]:
    """Each pair of a result with its generated and its training clip, (T, 3, H, W), which are made again.

    Args:
        nearest: the entry "nearest" of the provenance of a result.

    Raises:
        DataError: a training clip is missing.
    """
    model = trained.clip_model
    latents = model.latents(nearest["clips"], trained.facts.frames, seed=nearest["seed"])
    rows = [pair["clip"] for pair in nearest["pairs"]]
    rendered = model.render(Latents(*(part[rows] for part in latents)))
    windows = trained.windows(split="train")
    entries = {window.entry.id: window.entry for window in windows.windows}
    for pair, generated in zip(nearest["pairs"], rendered, strict=True):
        if pair["video"] not in entries:
            raise DataError(f"{trained.data}: the training clip {pair['video']} is missing; evaluate again")
        clip = windows.read(Window(entries[pair["video"]], pair["frames"]))
        yield pair, (generated, clip.flip(-1) if pair["mirrored"] else clip)


def _held_out(trained: TrainedModel) -> tuple[ByteClip | None, list[str]]:
    """Read at most `CLIPS` held-out windows; returns them with their groups, None if nothing is held out."""
    try:
        windows = trained.windows(shifted=True)
    except DataError:
        return None, []
    chosen = windows.spread(CLIPS)
    return windows.read_all(chosen), [window.entry.group for window in chosen]
