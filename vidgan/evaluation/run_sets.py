"""`vidgan evaluate` of a model that generates clips, and of two folders as sets of clips."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from itertools import islice

import torch

from vidgan.data.dataset import ClipDataset
from vidgan.data.store.index import load_index
from vidgan.errors import ConfigError, DataError, WeightsError
from vidgan.evaluation.clip_streams import Fingerprint, cut_clips, made_clips, real_clips, real_places
from vidgan.evaluation.content_scores import FACE, motion_classifier, with_embedding
from vidgan.evaluation.generation import PROBABILITIES, describe_clips, merge_seeds, score_generation
from vidgan.evaluation.nearest_clips import with_neighbours
from vidgan.evaluation.networks import set_networks
from vidgan.evaluation.presets import deviating, fitting
from vidgan.evaluation.protocols import GenerationProtocol
from vidgan.evaluation.results import SynthesisScores
from vidgan.evaluation.scoring import FEWEST_REAL, background_level, synthesis_scores
from vidgan.evaluation.set_scores import score_synthesis
from vidgan.evaluation.settings import Settings
from vidgan.evaluation.subjects import Subject
from vidgan.metrics import fvd, inception
from vidgan.metrics.features import FeatureNet
from vidgan.tasks.synthesis.sampling import ClipSampler
from vidgan.types import ByteClip
from vidgan.video.optical_flow import default_method, estimate_flow

CLIPS = 256
_HOW = {"i3d": fvd.HOW, "c3d": inception.HOW, "c3d-mean": inception.HOW}
_BIAS = {
    "fvd": "a Fréchet distance grows about as 1/n, so that {count} clips would read far higher",
    "inception_score": "an Inception Score falls with fewer clips than it takes to show all classes",
}

Clips = Callable[[], Iterator[ByteClip]]


def evaluate_samples(subject: Subject, settings: Settings) -> SynthesisScores:
    """Score a model that generates, by a preset or by the in-house measures.

    Raises:
        ConfigError: an option without effect. DataError: too few clips.
        WeightsError: weights of a measure are missing.
    """
    settings.refuse(
        "a model that generates clips", "context", "horizon", "growing", "samples", "best_by", "metrics", "split"
    )
    preset = settings.preset()
    if preset is not None and not isinstance(preset, GenerationProtocol):
        raise ConfigError(f"--protocol {preset.name} is for models that forecast; {subject.name} generates clips")
    model = subject.model
    assert isinstance(model, ClipSampler)
    if model.needs_first_frame:
        settings.refuse("an image-to-video model", "protocol", "mcs")
    model.to(settings.torch_device())  # type: ignore[attr-defined]
    seeds = [settings.seed + n for n in range(settings.seeds)]
    if preset is None:
        return _in_house(subject, model, settings, seeds)
    settings.refuse(f"--protocol {preset.name}", "mcs", "flow_histograms")
    _require(preset, settings)
    index = load_index(subject.data)
    preset = fitting(preset, index, settings)
    available = len(real_places(subject, preset.frames, settings.seed))
    results = [
        _by_protocol(
            partial(made_clips, model, preset.frames, seed),
            partial(real_clips, subject, preset.frames, seed),
            preset,
            settings,
            seed,
            (None, available),
        )
        for seed in seeds
    ]
    return replace(merge_seeds(results), fingerprint=index.fingerprint)


def _in_house(subject: Subject, model: ClipSampler, settings: Settings, seeds: list[int]) -> SynthesisScores:
    """The weight-free measures and the user's networks, beside floor and controls; held-out clips where there are."""
    networks = set_networks(settings.weights, settings.torch_device(), also=[FACE])
    flow = partial(estimate_flow, method=default_method()) if settings.flow_histograms else None

    def clips_of(split: str) -> ClipDataset:
        return ClipDataset(
            subject.data,
            window=subject.window,
            split=split,
            frames=subject.frames,
            stride=subject.stride,
            fps=subject.fps,
        )

    training, held_out = clips_of("train"), None
    try:
        if len(subject.places(shifted=True)) >= FEWEST_REAL:
            held_out = clips_of("test")
    except DataError:
        pass  # nothing is held out: the result's name says so
    classifier = motion_classifier(subject, training, settings) if settings.mcs else None
    name = f"{'training' if held_out is None else 'held-out'}-{subject.frames}-frames"
    results = [
        synthesis_scores(
            model,
            held_out or training,
            training=training if held_out is not None else None,
            clips=settings.clips or CLIPS,
            seed=seed,
            protocol=name,
            features=networks,
            flow=flow,
            classifier=classifier,
        )
        for seed in seeds
    ]
    scores = merge_seeds(results)
    other = [] if subject.trained_on == scores.fingerprint else ["other data than the model was trained on"]
    scores = replace(scores, notes=[*scores.notes, *other], provenance=_network_facts(networks))
    if not other and not model.needs_first_frame:  # a given picture is no copy
        scores = with_neighbours(scores, subject, settings.seed)
    return with_embedding(scores, model, held_out or training, settings) if FACE in settings.weights else scores


def score_sets(
    fake: Clips, real: Clips, counts: tuple[int, int], protocol: GenerationProtocol | None, settings: Settings
) -> SynthesisScores:
    """Two folders as sets of clips: `counts` generated and real ones.

    Raises:
        ConfigError, ValueError: too few clips, or of different sizes. WeightsError: weights of a measure are missing.
    """
    if protocol is not None:
        settings.refuse("a protocol on two folders", "seeds", "mcs", "flow_histograms")
        _require(protocol, settings)
        height, width = next(real()).shape[-2:]
        wrong = protocol.frame_size is not None and protocol.frame_size != (height, width)
        protocol = deviating(protocol, [f"frames are {height}x{width}"] if wrong else [], settings)

        def cut() -> Iterator[ByteClip]:
            return cut_clips(real(), protocol.frames, settings.seed)

        return _by_protocol(fake, cut, protocol, settings, settings.seed, counts)
    number = min(counts[0], settings.clips or CLIPS)
    made, true = list(islice(fake(), number)), list(islice(real(), 2 * number))
    length = min(len(clip) for clip in (*made, *true))
    for clip in (*made, *true):
        if clip.shape[1:] != true[0].shape[1:]:
            raise ValueError(
                f"clips of one size are needed, got {tuple(clip.shape[1:])} and {tuple(true[0].shape[1:])}"
            )
    networks = set_networks(settings.weights, settings.torch_device())
    fingerprint = Fingerprint()
    true = list(fingerprint.noting(true))
    clips = [torch.stack([clip[:length] for clip in side]) for side in (true, made)]
    results = [
        score_synthesis(
            *clips,
            background=background_level(clips[0]),
            protocol=f"sets-{length}-frames",
            fingerprint=fingerprint.hexdigest(),
            seed=settings.seed + n,
            features=networks,
            flow=partial(estimate_flow, method=default_method()) if settings.flow_histograms else None,
        )
        for n in range(settings.seeds)
    ]
    return replace(merge_seeds(results), provenance=_network_facts(networks))


def _network_facts(networks: Mapping[str, FeatureNet]) -> dict[str, dict[str, str]]:
    return {"metric_weights": {name: digest for net in networks.values() for name, digest in net.weights.items()}}


def _by_protocol(
    fake: Clips,
    real: Clips,
    protocol: GenerationProtocol,
    settings: Settings,
    seed: int,
    counts: tuple[int | None, int],
) -> SynthesisScores:
    """One evaluation seed of a preset: both sides described in turn, never held in memory.

    Args:
        counts: generated clips there are (None: as many as wanted), and real ones.
    """
    number = settings.clips or protocol.clips
    if number != protocol.clips:
        protocol = deviating(protocol, [f"{number} clips, not {protocol.clips}"], settings)
    for side, count in zip(("generated", "real"), counts, strict=True):
        if count is not None and count < number:
            bias = _BIAS[protocol.measures[0]].format(count=count)
            raise DataError(
                f"--protocol {protocol.name} compares {number} clips, there are {count} {side} ones of"
                f" {protocol.frames} frames; {bias}. For a number of your own: --clips {count} --allow-deviation"
            )
    describers = _describers(protocol, settings)
    fingerprint = Fingerprint()
    made = describe_clips(_checked(islice(fake(), number), protocol), describers)
    true = describe_clips(fingerprint.noting(_checked(islice(real(), 2 * number), protocol)), describers)
    height, width = next(real()).shape[-2:]
    scores = score_generation(
        made,
        true,
        {name: net for name, net in describers.items() if name != PROBABILITIES},
        splits=protocol.splits,
        frames=protocol.frames,
        frame_size=(height, width),
        protocol=protocol.name,
        fingerprint=fingerprint.hexdigest(),
        seed=seed,
    )
    notes = [*scores.notes, f"the protocol: {protocol.data}", *protocol.notes]
    return replace(scores, notes=notes, provenance=_network_facts(describers))


def _checked(clips: Iterable[ByteClip], protocol: GenerationProtocol) -> Iterator[ByteClip]:
    """The clips cut to the protocol's length, all of one size."""
    size = None
    for clip in clips:
        size = size or clip.shape[-2:]
        if len(clip) < protocol.frames or clip.shape[-2:] != size:
            raise DataError(
                f"--protocol {protocol.name} takes clips of {protocol.frames} frames and one size, got {len(clip)}"
                f" frames of {tuple(clip.shape[-2:])} (H, W)"
            )
        yield clip[: protocol.frames]


def _require(protocol: GenerationProtocol, settings: Settings) -> None:
    """Raise WeightsError, with how to get them, unless the weights that the protocol needs are given."""
    missing = [name for name in protocol.needs if name not in settings.weights]
    if missing:
        told = " ".join(f"--weights {name}=PATH" for name in missing)
        raise WeightsError(f"--protocol {protocol.name} needs {told}; {_HOW[missing[0]]}")


def _describers(protocol: GenerationProtocol, settings: Settings) -> dict[str, FeatureNet]:
    """The networks that the protocol needs, and those that the user adds; each is loaded once."""
    device = settings.torch_device()
    found = set_networks(settings.weights, device, also=protocol.needs)
    if "inception_score" in protocol.measures:
        c3d, mean = (settings.weights[name] for name in ("c3d", "c3d-mean"))
        found[PROBABILITIES] = inception.c3d_classifier(c3d, mean, device=device)
    return found
