"""`vidgan evaluate RUN --frames N`: clips longer than the model was trained on, stretch by stretch."""

from dataclasses import replace

import torch

from vidgan.errors import ConfigError, DataError
from vidgan.evaluation.longer import SHORTEST, score_longer
from vidgan.evaluation.places import Places
from vidgan.evaluation.results import LongerScores
from vidgan.evaluation.scoring import FEWEST_REAL, background_level
from vidgan.evaluation.settings import Settings
from vidgan.evaluation.subjects import Subject
from vidgan.tasks.synthesis.sampling import ClipSampler

CLIPS = 64


def evaluate_longer(subject: Subject, settings: Settings) -> LongerScores:
    """Score clips of `settings.frames` frames of a model that generates; real ones beside, as long as they are.

    An image-to-video model goes on from the first frames of the real clips in turn.

    Raises:
        ConfigError: an option without effect, or no whole number of stretches of the trained length, two or more.
        DataError: too few real clips of even one stretch.
    """
    settings.refuse(
        "clips longer than trained", "context", "horizon", "growing", "samples", "best_by", "metrics", "split",
        "protocol", "variant", "allow_deviation", "seeds", "mcs", "flow_histograms", "weights",
    )  # fmt: skip
    frames, stretch = settings.frames or 0, subject.frames
    if stretch < SHORTEST or frames < 2 * stretch or frames % stretch:
        raise ConfigError(
            f"--frames {frames}: {subject.name} was trained on clips of {stretch} frames, and longer ones are measured"
            f" stretch by stretch: give a multiple, {2 * stretch} or more; without --frames, clips are as trained"
        )
    model = subject.model
    assert isinstance(model, ClipSampler)
    model.to(settings.torch_device())  # type: ignore[attr-defined]
    count = settings.clips or CLIPS
    split, places = _longest(subject, frames)
    found = places.spread(2 * count)
    real = places.read_all(found)
    pictures = torch.stack([real[row % len(real), 0] for row in range(count)]) if model.needs_first_frame else None
    scores = score_longer(
        real,
        model.sample(count, frames=frames, seed=settings.seed, first_frame=pictures),
        stretch=stretch,
        sources=[place.entry.group for place in found],
        background=background_level(real),
        protocol=f"{split}-{frames}-frames-by-{stretch}",
        fingerprint=places.index.fingerprint,
        seed=settings.seed,
    )
    notes = list(scores.notes)
    if real.shape[1] < frames:
        notes.append(f"no {FEWEST_REAL} real clips are longer than {real.shape[1]} frames: their curves end there")
    if subject.trained_on != scores.fingerprint:
        notes.append("other data than the model was trained on")
    return replace(scores, notes=notes)


def _longest(subject: Subject, frames: int) -> tuple[str, Places]:
    """Real windows of as many whole stretches as there are enough clips for; of equal reach, held-out ones."""
    for length in range(frames, 0, -subject.frames):
        for name, split in (("held-out", "test"), ("training", "train")):
            try:
                places = subject.places(length, split=split)
            except DataError:
                continue
            if len(places) >= FEWEST_REAL:
                return name, places
    raise DataError(f"{subject.data}: fewer than {FEWEST_REAL} clips of {subject.frames} frames in either split")
