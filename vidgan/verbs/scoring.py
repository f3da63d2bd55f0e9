"""Scores of a trained model on prepared data, always with baselines and floors beside them."""

import logging
from collections.abc import Callable, Iterator, Sequence
from itertools import islice

import numpy as np
import torch

from vidgan.build import build_dataset
from vidgan.config import ConfigError, RunConfig
from vidgan.data.dataset import ClipDataset
from vidgan.evaluation.evaluator import score_forecast
from vidgan.evaluation.protocols import DEFAULT_METRICS
from vidgan.evaluation.results import ForecastScores, SynthesisScores
from vidgan.evaluation.set_scores import score_synthesis
from vidgan.evaluation.synthesis import BACKGROUND
from vidgan.models.baselines import ConstantVelocityWarp, copy_last, mean_context
from vidgan.models.inference import ClipSampler, Forecaster
from vidgan.pixels import to_byte
from vidgan.types import ByteClip, Prediction
from vidgan.video.optical_flow import default_method, estimate_flow
from vidgan.video.sampling import windows

logger = logging.getLogger(__name__)

Predictor = Callable[[ByteClip, int], ByteClip]

BATCH = 8
FEWEST_REAL = 4  # below it a set cannot be halved for its own floor
NEAREST_AMONG = 1024  # training clips that samples are compared with


def held_out_or_training(config: RunConfig, training: ClipDataset, *, fewest: int = 1) -> ClipDataset:
    """The test split; `training` where less than `fewest` cuts are held out, said aloud."""
    try:
        held_out = build_dataset(config, split="test")
    except ValueError as error:
        logger.warning("nothing is held out (%s): training clips are used in its place", error)
        return training
    found = len(real_clips(held_out, fewest)[0])
    if found < fewest:
        logger.warning("%d clips are held out, %d are needed: training clips are used in their place", found, fewest)
        return training
    return held_out


def held_out_windows(
    dataset: ClipDataset, length: int, limit: int | None = None
) -> Iterator[tuple[ByteClip, list[str]]]:
    """Batches of non-overlapping windows (B, length, 3, H, W) and the groups that they come from."""
    clips: list[ByteClip] = []
    groups: list[str] = []
    span = (length - 1) * dataset.stride + 1
    for window in islice(dataset.windows(length, span), limit):
        clips.append(window.clip)
        groups.append(window.group)
        if len(clips) == BATCH:
            yield torch.stack(clips), groups
            clips, groups = [], []
    if clips:
        yield torch.stack(clips), groups


def forecast_scores(
    model: Forecaster,
    dataset: ClipDataset,
    *,
    context: int,
    horizon: int,
    samples: int = 1,
    seed: int = 0,
    limit: int | None = None,
    brief: bool = False,
    metrics: Sequence[str] = DEFAULT_METRICS,
    protocol: str = "held-out",
) -> ForecastScores:
    """A forecaster on the windows of `dataset`, with copy-last, mean and constant-velocity warp.

    Args:
        samples: more than one adds the stochastic forecast: mean, best and worst of the samples.
        limit: windows at most.
        brief: only the forecast and copy-last; else also A and W alone and the other baselines.
        metrics: names in `vidgan.evaluation.METRICS`.
    """
    made: list[tuple[ByteClip, Prediction]] = []

    def part(name: str) -> Predictor:
        """One part of the forecast; the network runs once for all parts of the same windows."""

        def predict(given: ByteClip, k: int) -> ByteClip:
            if not made or made[0][0] is not given:
                made[:] = [(given, model.forecast(given, k))]
            return to_byte(getattr(made[0][1], name))

        return predict

    predictors: dict[str, Predictor] = {"fused P": part("frames"), "copy-last": copy_last}
    if not brief:
        method = default_method()

        def flow(now: np.ndarray, before: np.ndarray) -> np.ndarray:
            return estimate_flow(now, before, method=method)

        predictors |= {
            "constant-velocity warp": ConstantVelocityWarp(flow),
            "constant-velocity, carried": ConstantVelocityWarp(flow, carry=True),
            "context mean": mean_context,
            "warped W": part("warped"),
            "direct A": part("direct"),
        }
    samplers: dict[str, Predictor] = {}
    if samples > 1:
        samplers["sampled P"] = lambda given, k: model.predict(given, k, samples=samples, seed=seed)
    return score_forecast(
        predictors,
        held_out_windows(dataset, context + horizon, limit),
        context=context,
        horizon=horizon,
        samplers=samplers,
        metrics=metrics,
        protocol=protocol,
        reference="copy-last",
        fingerprint=dataset.index.fingerprint,
        seed=seed,
    )


def real_clips(dataset: ClipDataset, count: int) -> tuple[ByteClip, list[str]]:
    """Up to `count` cuts (N, T, 3, H, W) that do not overlap, spread evenly over the data set, and their groups."""
    total = sum(len(windows(entry.frames, dataset.span, dataset.span)) for entry in dataset.entries)
    every = max(1, total // count)
    chosen = list(islice(dataset.windows(dataset.frames, dataset.span), 0, every * count, every))
    return torch.stack([window.clip for window in chosen]), [window.group for window in chosen]


def synthesis_scores(
    model: ClipSampler,
    dataset: ClipDataset,
    *,
    training: ClipDataset | None = None,
    clips: int = 256,
    seed: int = 0,
    protocol: str = "held-out",
) -> SynthesisScores:
    """Generated clips against real ones, with the real-versus-real floor and damaged controls beside.

    Raises:
        ConfigError: too few real clips.

    Args:
        training: the clips that the model saw, for the distance to the nearest of them; None where they are `dataset`.
        clips: generated; twice as many real ones are halved at random for the floor.
    """
    real, groups = real_clips(dataset, 2 * clips)
    if len(real) < FEWEST_REAL:
        raise ConfigError(
            f"{dataset.root}: {len(real)} clips of {dataset.frames} frames, but it takes {FEWEST_REAL} to compare"
        )
    fake = model.sample(max(2, len(real) // 2), frames=real.shape[1], seed=seed)
    known = real_clips(training, NEAREST_AMONG)[0] if training is not None else None
    # Content distance is the drift of the object's colour on a dark background, of the whole frame's elsewhere.
    dark = float((real.amax(dim=2) <= BACKGROUND).float().mean())
    background = BACKGROUND if dark > 0.5 else None
    return score_synthesis(
        real,
        fake,
        background=background,
        sources=groups,
        training=known,
        protocol=protocol,
        fingerprint=dataset.index.fingerprint,
        seed=seed,
    )
