"""Evaluation of models that generate clips, at the length of their training clips.

`evaluate_clips` scores a trained model by a protocol, or by the measures of this project. `synthesis_scores` is the
short evaluation during training.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import nn

from vidgan.data.dataset import ClipDataset
from vidgan.data.store.index import load_index
from vidgan.errors import ConfigError, DataError
from vidgan.evaluation.clip_streams import generated_clips, random_order
from vidgan.evaluation.models import TrainedModel
from vidgan.evaluation.nearest_clips import add_nearest
from vidgan.evaluation.networks import APPEARANCE, FACE, set_networks
from vidgan.evaluation.outside_models import OutsideGenerator
from vidgan.evaluation.protocol_scores import merge_seeds, require_weights, score_by_protocol, weight_hashes
from vidgan.evaluation.protocols import GenerationProtocol
from vidgan.evaluation.protocols.fitting import fit_to_data
from vidgan.evaluation.results import Score, SynthesisScores
from vidgan.evaluation.set_scores import CLIPS, FEWEST_REAL, background_level, score_synthesis
from vidgan.evaluation.settings import ALL, ClipSettings
from vidgan.evaluation.share import Share
from vidgan.evaluation.windows import Window, WindowSet, labelled_clips, real_clips
from vidgan.files import file_hash
from vidgan.metrics.content import embedding_distance, face_embedding
from vidgan.metrics.features import FeatureNet
from vidgan.metrics.motion_control import CategoryCheck, Classifier, train_classifier
from vidgan.metrics.motion_histograms import FlowFunction
from vidgan.metrics.statistics import SourceBootstrap
from vidgan.tasks.base import ClipModel
from vidgan.types import ByteClip
from vidgan.video.optical_flow import default_method, estimate_flow

NEAREST_AMONG = 1024  # training clips that generated clips are compared with
CLASSIFIER_CLIPS = 2048  # most training clips of the category classifier
ACD = (
    "ACD, embedding form: mean pairwise L2 distance over the frames of a clip of {name}'s features; only a network that"
    " tells faces apart makes it the paper's; a frozen clip scores 0, so read it beside motion_energy"
)


def evaluate_clips(trained: TrainedModel, settings: ClipSettings, share: Share = Share()) -> SynthesisScores:
    """Score a model that generates clips.

    Args:
        share: the position of this process among those that share the features of fetched networks; each process
            returns the same result.

    Raises:
        ConfigError: settings that do not fit the model or its data. DataError: too few clips.
        WeightsError: weights of a measure are missing.
    """
    model = trained.clip_model
    if isinstance(model, nn.Module):
        model.to(settings.torch_device())
    if isinstance(model, OutsideGenerator):
        length = trained.facts.frames if settings.protocol is None else settings.protocol.frames
        windows = trained.windows(length, split=ALL)
        model.check(windows.read_all(windows.windows[:1]))
    seeds = [settings.seed + n for n in range(settings.seeds)]
    if settings.protocol is not None:
        return _by_protocol(trained, settings.protocol, settings, seeds)
    return _by_own_measures(trained, settings, seeds, share)


def _by_protocol(
    trained: TrainedModel, protocol: GenerationProtocol, settings: ClipSettings, seeds: Sequence[int]
) -> SynthesisScores:
    """Features of generated and of real clips, streamed, for each evaluation seed."""
    require_weights(protocol, settings.weights)
    index = load_index(trained.data)
    protocol = fit_to_data(protocol, index, allow_deviation=settings.allow_deviation)
    available = len(real_windows(trained, protocol.frames, settings.seed))
    results = [
        score_by_protocol(
            partial(generated_clips, trained.clip_model, protocol.frames, seed),
            partial(real_clip_stream, trained, protocol.frames, seed),
            protocol,
            settings,
            seed,
            counts=(None, available),
        )
        for seed in seeds
    ]
    return replace(merge_seeds(results), fingerprint=index.fingerprint)


def real_windows(trained: TrainedModel, frames: int, seed: int) -> list[tuple[WindowSet, Window]]:
    """One window with a random start per training and test video, at the frame rate of the training clips."""
    pairs = []
    for split in ("train", "test"):
        try:
            windows = trained.windows(frames, split=split, one_each=True, seed=seed)
        except DataError:
            continue  # no video of this split is long enough
        pairs += [(windows, window) for window in windows.windows]
    return pairs


def real_clip_stream(trained: TrainedModel, frames: int, seed: int) -> Iterator[ByteClip]:
    """The clips of `real_windows`, in random order."""
    pairs = real_windows(trained, frames, seed)
    for position in random_order(len(pairs), seed):
        windows, window = pairs[position]
        yield windows.read(window)


def _by_own_measures(
    trained: TrainedModel, settings: ClipSettings, seeds: Sequence[int], share: Share
) -> SynthesisScores:
    """The measures without weights and those of the user's networks, on held-out clips if there are enough."""
    model, frames = trained.clip_model, trained.facts.frames
    networks = set_networks(settings.weights, settings.torch_device(), also=[FACE], share=share)
    flow = partial(estimate_flow, method=default_method()) if settings.flow_histograms else None

    def clips_of(split: str) -> ClipDataset:
        return ClipDataset(
            trained.data,
            window=trained.crop,
            split=split,
            frames=frames,
            stride=trained.facts.stride,
            fps=trained.facts.sampled_fps,
        )

    training, held_out = clips_of("train"), None
    try:
        if len(trained.windows(shifted=True)) >= FEWEST_REAL:
            held_out = clips_of("test")
    except DataError:
        pass  # nothing is held out: the name of the result says so
    classifier = motion_classifier(trained, training, settings) if settings.mcs else None
    results = [
        synthesis_scores(
            model,
            held_out or training,
            training=training if held_out is not None else None,
            clips=settings.clips or CLIPS,
            seed=seed,
            protocol=f"{'training' if held_out is None else 'held-out'}-{frames}-frames",
            features=networks,
            flow=flow,
            classifier=classifier,
            truncations=settings.truncation,
        )
        for seed in seeds
    ]
    scores = merge_seeds(results)
    same_data = trained.facts.fingerprint == scores.fingerprint
    unknown = f"what {trained.name} was trained on is not known"
    notes = [] if same_data else [unknown if trained.is_outside else "scored on data other than the training data set"]
    scores = replace(scores, notes=[*scores.notes, *notes], provenance=weight_hashes(networks))
    if same_data and not model.needs_first_frame:  # a given first frame is no sign of memorisation
        scores = add_nearest(scores, trained, settings.seed, networks.get(APPEARANCE))
    if FACE in settings.weights:
        scores = add_embedding_distance(scores, model, held_out or training, settings)
    return scores


def synthesis_scores(
    model: ClipModel,
    dataset: ClipDataset,
    *,
    training: ClipDataset | None = None,
    clips: int = CLIPS,
    seed: int = 0,
    protocol: str = "held-out",
    features: Mapping[str, FeatureNet] | None = None,
    flow: FlowFunction | None = None,
    classifier: Classifier | None = None,
    truncations: Sequence[float] = (),
) -> SynthesisScores:
    """Score generated clips against real ones, with the real-versus-real floor and damaged controls.

    An image-to-video model continues the first frame of each real clip.

    Args:
        training: the model's training clips, for the distance to the nearest one; None if `dataset` holds them.
        clips: generated clips. Twice as many real ones are halved at random for the floor.
        features: networks whose Fréchet and kernel distances are also measured.
        flow: optical flow for the flow histograms; None: no flow histograms.
        classifier: of real clips, for the motion control score; then the same number of clips of each category is
            generated.
        truncations: how far styles are pulled toward their mean, each a further row "truncation PSI" with the clips of
            the same latents; only for a model with styles.

    Raises:
        ConfigError: too few real clips.
    """
    real, entries = labelled_clips(dataset, 2 * clips)
    if len(real) < FEWEST_REAL:
        raise ConfigError(
            f"{dataset.root}: {len(real)} clips of {dataset.frames} frames; at least {FEWEST_REAL} are needed"
        )
    number = max(2, len(real) // 2)
    check = None
    sample: Callable[..., ByteClip] = model.sample
    if model.needs_first_frame:
        draw = partial(sample, len(real), frames=real.shape[1], seed=seed, first_frame=real[:, 0])
    elif classifier is None:
        draw = partial(sample, number, frames=real.shape[1], seed=seed)
    else:
        categories = len(classifier.names)
        # Not limited by the number of real clips: categories are classified clip by clip.
        counts = {category: len(range(category, clips, categories)) for category in range(categories)}
        draw = partial(_sample_categories, sample, counts, frames=real.shape[1], seed=seed)
        requested = [category for category, count in counts.items() for _ in range(count)]
        check = CategoryCheck(classifier, requested, [entry.category for entry in entries])
    return score_synthesis(
        real,
        draw(),
        also={f"truncation {psi:g}": draw(truncation=psi) for psi in truncations},
        background=background_level(real),
        sources=[entry.group for entry in entries],
        continued=model.needs_first_frame,
        training=real_clips(training, NEAREST_AMONG)[0] if training is not None else None,
        protocol=protocol,
        fingerprint=dataset.index.fingerprint,
        seed=seed,
        features=features,
        flow=flow,
        categories=check,
    )


def _sample_categories(sample: Callable[..., ByteClip], counts: Mapping[int, int], **options: Any) -> ByteClip:
    """Clips of each category, one category after another."""
    return torch.cat([sample(number, category=category, **options) for category, number in counts.items() if number])


def motion_classifier(trained: TrainedModel, training: ClipDataset, settings: ClipSettings) -> Classifier:
    """A classifier of the training clips, validated on real clips of other sources.

    Raises:
        ConfigError: the model and the data have different numbers of categories.
        ValueError: too few sources of a category.
    """
    number = trained.clip_model.num_categories
    if training.num_categories != number:
        raise ConfigError(
            f"--mcs: {trained.name} has {number} categories, {trained.data} has {training.num_categories}"
        )
    clips, entries = labelled_clips(training, CLASSIFIER_CLIPS)
    return train_classifier(
        clips,
        [entry.category for entry in entries],
        names=training.category_names,
        sources=[entry.group for entry in entries],
        seed=settings.seed,
        device=settings.torch_device(),
    )


def add_embedding_distance(
    scores: SynthesisScores, model: ClipModel, dataset: ClipDataset, settings: ClipSettings
) -> SynthesisScores:
    """Add the content distance in the features of the user's network, of generated and of real clips."""
    path = settings.weights[FACE]
    embed = face_embedding(path, device=settings.torch_device())
    real, groups = real_clips(dataset, scores.clips)
    count, first_frames = (len(real), real[:, 0]) if model.needs_first_frame else (scores.clips, None)
    generated = model.sample(count, frames=dataset.frames, seed=settings.seed, first_frame=first_frames)
    table = dict(scores.scores)
    own = [str(n) for n in range(len(generated))]
    for row, clips, units in (("generated", generated, own), ("real", real, groups)):
        values = embedding_distance(clips, embed)
        interval, _ = SourceBootstrap(units, seed=settings.seed).mean(values[:, None])
        table[row] = {**table[row], "acd_embedding": Score(interval, [])}
    hashes = {**scores.provenance.get("metric_weights", {}), path.name: file_hash(path)}
    return replace(
        scores,
        scores=table,
        definitions={**scores.definitions, "acd_embedding": ACD.format(name=path.name)},
        provenance={**scores.provenance, "metric_weights": hashes},
    )
