"""Scores of a trained model on prepared data, always with baselines and floors beside them."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from functools import partial

import torch
import torch.nn.functional as F

from vidgan.build import build_dataset
from vidgan.config import RunConfig
from vidgan.data.dataset import ClipDataset
from vidgan.data.store.index import ClipEntry
from vidgan.errors import ConfigError
from vidgan.evaluation.baselines import ConstantVelocityWarp, copy_last, linear_extrapolation, mean_context
from vidgan.evaluation.evaluator import chosen_measures
from vidgan.evaluation.measure import Predictor, Sampler, measure_forecasts
from vidgan.evaluation.places import Places
from vidgan.evaluation.protocols import DEFAULT_METRICS
from vidgan.evaluation.results import ForecastScores, SynthesisScores
from vidgan.evaluation.set_scores import score_synthesis
from vidgan.evaluation.summary import COPY_LAST, summarise
from vidgan.metrics.clip_statistics import BACKGROUND
from vidgan.metrics.features import FeatureNet
from vidgan.metrics.motion_control import CategoryCheck, Classifier
from vidgan.metrics.motion_histograms import FlowFunction
from vidgan.pixels import to_byte
from vidgan.tasks.base import ClipModel, ForecastModel
from vidgan.types import ByteClip, Forecast
from vidgan.video.optical_flow import default_method, estimate_flow

logger = logging.getLogger(__name__)

FUSED = "fused P"
SAMPLED = "sampled P"
MULTIPLE = 16  # pixels; the forecaster's coarsest grid
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
    """Batches of windows that do not overlap, (B, length, 3, H, W), and the groups that they come from."""
    for batch in _places(dataset, length).batches(limit=limit):
        yield batch.clips, list(batch.sources)


def forecasters(model: ForecastModel, *, brief: bool = False) -> dict[str, Predictor]:
    """The forecast, its parts and the baselines, by name; `brief`: only the forecast and copy-last."""
    parts = _Parts(model)
    found: dict[str, Predictor] = {model.forecast_name: parts.of(None), COPY_LAST: copy_last}
    if brief:
        return found
    flow = partial(estimate_flow, method=default_method())
    return found | {
        "constant-velocity warp": ConstantVelocityWarp(flow),
        "constant-velocity, carried": ConstantVelocityWarp(flow, carry=True),
        "linear extrapolation": linear_extrapolation,
        "context mean": mean_context,
        **{name: parts.of(name) for name in model.part_names},
    }


def samplers(model: ForecastModel, samples: int, seed: int) -> dict[str, Sampler]:
    """The stochastic forecast by name; none for a single sample. Draws are keyed by a window's number."""
    if samples == 1:
        return {}

    def sample(given: ByteClip, horizon: int, rows: Sequence[int]) -> ByteClip:
        futures = [
            model.predict(_filled(part), horizon, samples=samples, seed=seed, rows=some)
            for part, some in _alone(model, given, rows)
        ]
        height, width = given.shape[-2:]
        return torch.cat(futures, dim=1)[..., :height, :width]  # (N, B, K, C, H, W)

    return {SAMPLED: sample}


class _Parts:
    """The parts of a forecast; the network runs once for all parts of the same windows."""

    def __init__(self, model: ForecastModel) -> None:
        self.model = model
        self._made: tuple[ByteClip, int, Forecast] | None = None

    def of(self, name: str | None) -> Predictor:
        """The predictor that answers with one part, None: with the forecast itself."""

        def predict(given: ByteClip, horizon: int) -> ByteClip:
            if self._made is None or self._made[0] is not given or self._made[1] != horizon:
                parts = [forecast_of(self.model, part, horizon) for part, _ in _alone(self.model, given)]
                self._made = given, horizon, join_forecasts(parts, dim=0)
            made = self._made[2]
            return to_byte(made.frames if name is None else made.parts[name])

        return predict


def forecast_of(
    model: ForecastModel, given: ByteClip, horizon: int, *, seed: int | None = None, rows: Sequence[int] | None = None
) -> Forecast:
    """`ForecastModel.forecast` of frames of any size: filled up to the model's grid, and all parts cut back."""
    height, width = given.shape[-2:]
    made = model.forecast(_filled(given), horizon, seed=seed, rows=rows)
    return Forecast(
        frames=made.frames[..., :height, :width],
        parts={name: part[..., :height, :width] for name, part in made.parts.items()},
        flow=None if made.flow is None else made.flow[..., :height, :width],
    )


def join_forecasts(forecasts: Sequence[Forecast], *, dim: int) -> Forecast:
    """Concatenate forecasts along the batch (0) or time (1)."""
    first = forecasts[0]
    return Forecast(
        frames=torch.cat([one.frames for one in forecasts], dim=dim),
        parts={name: torch.cat([one.parts[name] for one in forecasts], dim=dim) for name in first.parts},
        flow=None
        if first.flow is None
        else torch.cat([one.flow for one in forecasts if one.flow is not None], dim=dim),
    )


def _alone(model: ForecastModel, given: ByteClip, rows: Sequence[int] = ()) -> Iterator[tuple[ByteClip, Sequence[int]]]:
    """On a CPU one clip after another, with its row: there a sum depends on how many clips stand in the batch."""
    size = 1 if next(model.parameters()).device.type == "cpu" else len(given)  # type: ignore[attr-defined]
    for first in range(0, len(given), size):
        yield given[first : first + size], rows[first : first + size]


def _filled(frames: ByteClip) -> ByteClip:
    """Frames whose sides are no multiples of the model's grid, with the lower and right border repeated."""
    down, right = (-side % MULTIPLE for side in frames.shape[-2:])
    if not (down or right):
        return frames
    flat = F.pad(frames.flatten(0, 1).float(), (0, right, 0, down), mode="replicate")
    return flat.to(torch.uint8).unflatten(0, frames.shape[:2])


def forecast_scores(
    model: ForecastModel,
    dataset: ClipDataset,
    *,
    context: int,
    horizon: int,
    limit: int | None = None,
    brief: bool = False,
    metrics: Sequence[str] = DEFAULT_METRICS,
) -> ForecastScores:
    """A forecaster on windows of `dataset` that do not overlap, beside copy-last.

    Args:
        limit: windows at most.
        brief: only the forecast and copy-last; else also its parts and the other baselines.
    """
    places = _places(dataset, context + horizon)
    measures = chosen_measures(metrics)
    measured = measure_forecasts(
        forecasters(model, brief=brief), {}, places.batches(limit=limit), measures, context=context, horizon=horizon
    )
    fingerprint = dataset.index.fingerprint
    return summarise(measured, measures, context=context, horizon=horizon, protocol="held-out", fingerprint=fingerprint)


def real_clips(dataset: ClipDataset, count: int) -> tuple[ByteClip, list[str]]:
    """Up to `count` cuts (N, T, 3, H, W), spread evenly over the data set, and their groups.

    They do not overlap, and start anywhere in their clips, as those of training do; the same ones at every call.
    """
    clips, entries = labelled_clips(dataset, count)
    return clips, [entry.group for entry in entries]


def labelled_clips(dataset: ClipDataset, count: int) -> tuple[ByteClip, list[ClipEntry]]:
    """As `real_clips`, with all that is known of the clip that each was cut from."""
    places = _places(dataset, dataset.frames, shifted=True)
    chosen = places.spread(count)
    return places.read_all(chosen), [place.entry for place in chosen]


def _places(dataset: ClipDataset, length: int, *, shifted: bool = False) -> Places:
    """The data set's windows of `length` frames, in its sense of time."""
    return Places(
        dataset.root,
        length,
        window=dataset.size,
        stride=dataset.stride,
        fps=dataset.fps,
        split=dataset.split,
        shifted=shifted,
    )


def synthesis_scores(
    model: ClipModel,
    dataset: ClipDataset,
    *,
    training: ClipDataset | None = None,
    clips: int = 256,
    seed: int = 0,
    protocol: str = "held-out",
    features: Mapping[str, FeatureNet] | None = None,
    flow: FlowFunction | None = None,
    classifier: Classifier | None = None,
) -> SynthesisScores:
    """Generated clips against real ones, with the real-versus-real floor and damaged controls beside.

    An image-to-video model goes on from the first frame of each real clip.

    Raises:
        ConfigError: too few real clips.

    Args:
        training: the clips that the model saw, for the distance to the nearest of them; None where they are `dataset`.
        clips: generated; twice as many real ones are halved at random for the floor.
        features: networks whose Fréchet and kernel distances are measured too.
        flow: optical flow for the flow histograms, None: without them.
        classifier: of real clips, for the motion control score; then as many clips of each category are generated.
    """
    real, entries = labelled_clips(dataset, 2 * clips)
    if len(real) < FEWEST_REAL:
        raise ConfigError(
            f"{dataset.root}: {len(real)} clips of {dataset.frames} frames, but it takes {FEWEST_REAL} to compare"
        )
    number = max(2, len(real) // 2)
    check = None
    if model.needs_first_frame:
        fake = model.sample(len(real), frames=real.shape[1], seed=seed, first_frame=real[:, 0])
    elif classifier is None:
        fake = model.sample(number, frames=real.shape[1], seed=seed)
    else:
        kinds = len(classifier.names)
        # All that were asked for, however few real clips there are: a category is judged clip by clip.
        counts = {kind: len(range(kind, clips, kinds)) for kind in range(kinds)}
        made = [model.sample(n, frames=real.shape[1], seed=seed, category=k) for k, n in counts.items() if n]
        fake = torch.cat(made)
        requested = [kind for kind, count in counts.items() for _ in range(count)]
        check = CategoryCheck(classifier, requested, [entry.category for entry in entries])
    known = real_clips(training, NEAREST_AMONG)[0] if training is not None else None
    return score_synthesis(
        real,
        fake,
        background=background_level(real),
        sources=[entry.group for entry in entries],
        continued=model.needs_first_frame,
        training=known,
        protocol=protocol,
        fingerprint=dataset.index.fingerprint,
        seed=seed,
        features=features,
        flow=flow,
        categories=check,
    )


def background_level(real: ByteClip) -> int | None:
    """Content distance is the drift of the object's colour on a dark background, of the whole frame's elsewhere."""
    dark = float((real.amax(dim=2) <= BACKGROUND).float().mean())
    return BACKGROUND if dark > 0.5 else None
