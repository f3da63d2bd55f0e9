"""Score a set of generated clips between the floor of held-out real clips and the damaged controls."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from vidgan.evaluation.results import Score, SynthesisScores
from vidgan.evaluation.sensitivity import sensitivity_notes
from vidgan.metrics import motion_histograms
from vidgan.metrics.clip_statistics import (
    CONTROLS,
    DEFINITIONS,
    FEATURES,
    Description,
    describe,
    diversity_by_category,
    frechet_inhouse,
    nearest_distance,
    pairwise_diversity,
)
from vidgan.metrics.content import BACKGROUND, check_clips
from vidgan.metrics.features import FeatureNet, distance_definitions, distance_names, feature_distances
from vidgan.metrics.motion_control import CategoryCheck, Classifier, category_scores
from vidgan.metrics.motion_histograms import FlowFunction, FlowHistograms, flow_histograms, histogram_distance
from vidgan.metrics.statistics import MIN_RESAMPLES, Estimate, SourceBootstrap
from vidgan.seeding import derive_seed
from vidgan.types import ByteClip

Rows: TypeAlias = npt.NDArray[np.intp]
Array: TypeAlias = npt.NDArray[np.float64]
Features: TypeAlias = Callable[[ByteClip], Array]
Estimates: TypeAlias = Callable[[Array], tuple[Estimate, list[Estimate]]]

CLIPS_PER_FEATURE = 10  # with fewer clips per feature, sampling bias dominates a Fréchet distance
CLIPS = 256  # generated clips of an evaluation
COLLAPSED = 0.5  # share of the real diversity, below which a note speaks of collapse within a category
FEWEST_REAL = 4  # clips; a smaller set cannot be halved for its own floor


@dataclass(frozen=True)
class MeasuredSet:
    """The descriptions of one set of clips that all measures are computed from. Indexing selects clips."""

    description: Description
    flow: FlowHistograms | None
    features: dict[str, Array]  # name -> (N, D), or (N, T, D) where every frame is a row

    def __getitem__(self, rows: Rows) -> "MeasuredSet":
        features = {name: table[rows] for name, table in self.features.items()}
        return MeasuredSet(self.description[rows], self.flow and self.flow[rows], features)


def score_synthesis(
    real: ByteClip,
    generated: ByteClip,
    *,
    sources: Sequence[str] | None = None,
    continued: bool = False,
    training: ByteClip | None = None,
    background: int | None = BACKGROUND,
    flow: FlowFunction | None = None,
    features: Mapping[str, Features] | None = None,
    categories: CategoryCheck | None = None,
    also: Mapping[str, ByteClip] | None = None,
    splits: int = 5,
    protocol: str = "synthesis-inhouse",
    fingerprint: str = "",
    resamples: int = MIN_RESAMPLES,
    seed: int = 0,
) -> SynthesisScores:
    """Compare generated clips with real ones, at equal numbers, with floor and controls.

    The real clips are halved at random, without a source in both halves if the sources allow it (a note says if not).
    The first half is the reference. It is compared with an equal number of generated clips ("generated"), with the
    other half ("real": the floor, the best score a perfect model can expect) and with damaged copies of that half
    ("frozen", "shuffled", "reversed", "blurred"). Provide twice as many real as generated clips to use all of them. A
    measure is informative only if "generated" lies between "real" and the control that it is sensitive to.

    Args:
        real: (N, T, 3, H, W) uint8, N >= 4, T >= 3.
        generated: (M, T, 3, H, W) uint8, M >= 2, with the same T, H, W and the same frame rate.
        sources: the source video of each real clip; default: each clip has its own.
        continued: generated clip i continues the first frame of real clip i. Then only those generated clips are
            compared that continue the half that the controls are made of: none contains a frame of the reference, and
            "frozen" is the score of a model that only repeats the first frame.
        training: (.., T, 3, H, W) uint8, the model's training clips, if ``real`` is held out. "nearest_clip" is then
            the distance to these, and is 0 for a copied training clip.
        background: level up to which a pixel is background for the content distance; None: no background.
        flow: backward flow of two frames, for the flow histograms; None: no flow histograms.
        features: name -> function of clips that returns (N, D) features, or (N, T, D) for single frames. Each adds a
            Fréchet and a kernel distance: a `FeatureNet` under its own names ("fvd", "kvd"), another function under
            "frechet_<name>" and "kernel_<name>".
        categories: a classifier of real clips, for the motion control score "mcs" and the accuracy of each category
            ("mcs_<name>"), on the generated clips, on ``real`` (which should not be its training data) and on the
            controls: a classifier that recognises frozen clips equally well does not use motion. The diversity within
            each category ("diversity_<name>") is that of generated and of real clips, and needs no classifier.
        also: row name -> further generated clips, as many as ``generated``, compared in the same splits; not with
            ``continued``.
        splits: number of random halvings; set measures report their mean, smallest and largest value over them.
        protocol, fingerprint: recorded in the result.
        resamples, seed: of the bootstrap; the seed also draws the halvings.

    Raises:
        ValueError: clips of other shapes, too few clips, or no split.
    """
    _check(real, generated, training, sources, splits)
    if continued and len(generated) != len(real):
        raise ValueError(f"one continuation per real clip is needed, got {len(generated)} of {len(real)}")
    further = dict(also or {})
    if further and (continued or any(clips.shape != generated.shape for clips in further.values())):
        raise ValueError("further sets must have the shape of the generated clips, and continue no given frames")
    nets = dict(features or {})
    own = [str(row) for row in range(len(real))]
    names = own if sources is None else [str(name) for name in sources]
    # Two sources of 100 and 2 clips would leave sets of 2: then it is better to share sources.
    separable = min(map(len, halves(names, np.random.default_rng(0)))) >= max(2, len(real) // 4)
    groups = names if separable else own
    measure = partial(measure_set, background=background, flow=flow, nets=nets)
    truth, made = measure(real), measure(generated)
    controls = {name: measure(damage(real)) for name, damage in CONTROLS.items()}
    others = {name: measure(clips) for name, clips in further.items()}
    known = None if training is None else describe(training, background).pooled
    spread = truth.description.features.std(axis=0)
    measured: dict[str, dict[str, list[float]]] = {}
    smallest = len(generated)
    for split in range(splits):
        random = np.random.default_rng(derive_seed("synthesis split", seed, split))
        first, second = halves(groups, random)
        number = min(len(first), len(second), len(generated))
        smallest = min(smallest, number)
        reference, other = truth[first[:number]], second[:number]
        compare = partial(compare_sets, reference=reference, known=known, spread=spread, nets=nets)
        drawn = other if continued else random.permutation(len(generated))[:number]
        rows = {"generated": made[drawn], "real": truth[other]}
        rows |= {name: control[other] for name, control in controls.items()}
        rows |= {name: one[drawn] for name, one in others.items()}
        for name, row in rows.items():
            for key, value in compare(row).items():
                measured.setdefault(name, {}).setdefault(key, []).append(value)
    scores = {
        name: {key: Score(over_splits(values), []) for key, values in table.items()} for name, table in measured.items()
    }
    over_real = SourceBootstrap(names, resamples=resamples, seed=seed).mean
    drawn_from = names if continued else [str(row) for row in range(len(generated))]
    over_made = SourceBootstrap(drawn_from, resamples=resamples, seed=seed).mean
    for name, whole in {"generated": made, "real": truth, **controls, **others}.items():
        estimate = over_made if name == "generated" or name in others else over_real
        scores[name] = {**_per_clip(whole, nets, estimate), **scores[name]}
    if categories is not None:
        recognise = partial(_category_scores, categories.classifier)
        scores["generated"] |= recognise(generated, categories.requested, over_made)
        for name, damage in {"real": lambda clips: clips, **CONTROLS}.items():
            scores[name] |= recognise(damage(real), categories.labels, over_real)
        names_of = categories.classifier.names
        within = {
            "generated": diversity_by_category(made.description.pooled, categories.requested, names_of),
            "real": diversity_by_category(truth.description.pooled, categories.labels, names_of),
        }
        for name, values in within.items():
            scores[name] |= {
                f"diversity_{key}": Score(Estimate(value, None, None), []) for key, value in values.items()
            }
    distances = ["motion_histogram", "frechet_inhouse", *(motion_histograms.DISTANCES if flow else ())]
    distances += [key for name, net in nets.items() for key in distance_names(name, net)]
    widths = {
        distance: table.shape[-1]
        for name, table in truth.features.items()
        for distance in distance_names(name, nets[name])[:1]
    }
    known_nets = [net for net in nets.values() if isinstance(net, FeatureNet)]
    weights = {k: v for net in known_nets for k, v in net.weights.items()}
    network_texts = {k: text for name, net in nets.items() for k, text in distance_definitions(name, net).items()}
    compared = [net.of_sets for net in known_nets if net.of_sets is not None and smallest >= net.of_sets.fewest]
    network_texts |= {k: text for measures in compared for k, text in measures.definitions.items()}
    network_texts |= {k: measure.definition for net in known_nets for k, measure in net.of_clips.items()}
    controlled = {} if categories is None else _category_definitions(categories.classifier)
    return SynthesisScores(
        protocol=protocol,
        definitions=DEFINITIONS | (motion_histograms.DEFINITIONS if flow else {}) | network_texts | controlled,
        better=dict.fromkeys(distances, "lower")
        | {k: better for measures in compared for k, better in measures.better.items()}
        | {key: "higher" for key in controlled if key.startswith("mcs")},
        fingerprint=fingerprint,
        frame_size=(real.shape[-2], real.shape[-1]),
        seed=seed,
        notes=[
            *_notes(smallest, widths, separable=separable, held_out=training is not None, continued=continued),
            *_too_few(smallest, known_nets),
            *sensitivity_notes(scores["generated"]),
            *_collapse_notes(scores),
        ],
        provenance={"metric_weights": weights} if weights else {},
        clips=smallest,
        real_clips=len(real),
        generated_clips=len(generated),
        frames=real.shape[1],
        splits=splits,
        resamples=resamples,
        scores=scores,
    )


def measure_set(
    clips: ByteClip, *, background: int | None, flow: FlowFunction | None, nets: Mapping[str, Features]
) -> MeasuredSet:
    """Describe clips (N, T, 3, H, W) uint8 for `compare_sets` and `clip_values`; arguments as in `score_synthesis`.

    Raises:
        ValueError: features of another shape, or not finite.
    """
    features = {name: np.asarray(net(clips), dtype=np.float64) for name, net in nets.items()}
    for name, table in features.items():
        if table.ndim not in (2, 3) or len(table) != len(clips) or not np.isfinite(table).all():
            raise ValueError(
                f"the features {name!r} of {len(clips)} clips must be finite and ({len(clips)}, D) or "
                f"({len(clips)}, T, D), got {table.shape}"
            )
    return MeasuredSet(describe(clips, background), None if flow is None else flow_histograms(clips, flow), features)


def compare_sets(
    row: MeasuredSet, *, reference: MeasuredSet, known: Array | None, spread: Array, nets: Mapping[str, Features]
) -> dict[str, float]:
    """The measures that compare a set with a reference of the same number of clips.

    Args:
        row, reference: the sets.
        known: pooled frames of the clips that `nearest_clip` is the distance to; None: those of the reference.
        spread: standard deviation of the hand-made features of the real clips.
        nets: the networks whose features the sets have.
    """
    ours, theirs = row.description, reference.description
    values = {
        "motion_histogram": histogram_distance(ours.histogram.mean(axis=0), theirs.histogram.mean(axis=0)),
        "diversity": pairwise_diversity(ours.pooled),
        "nearest_clip": float(nearest_distance(ours.pooled, theirs.pooled if known is None else known).mean()),
        "frechet_inhouse": frechet_inhouse(ours.features, theirs.features, spread),
    }
    if row.flow is not None and reference.flow is not None:
        values["flow_speed"] = motion_histograms.speed_distance(row.flow, reference.flow)
        values["flow_direction"] = motion_histograms.direction_distance(row.flow, reference.flow)
        values["track_frechet"] = motion_histograms.track_distance(row.flow, reference.flow)
    for name, net in nets.items():
        pair = row.features[name], reference.features[name]
        rows = [table.reshape(-1, table.shape[-1]) for table in pair]
        for key, distance in feature_distances(name, net).items():
            values[key] = distance(*rows)
        measures = net.of_sets if isinstance(net, FeatureNet) else None
        if measures is not None and min(map(len, pair)) >= measures.fewest:
            values |= measures.function(*pair)
    return values


def _category_scores(
    classifier: Classifier, clips: ByteClip, labels: Sequence[int], estimate: Estimates
) -> dict[str, Score]:
    result = category_scores(classifier, clips, labels)
    each = {f"mcs_{name}": Score(Estimate(share, None, None), []) for name, share in result.by_category.items()}
    return {"mcs": Score(estimate(result.right[:, None].astype(np.float64))[0], []), **each}


def _category_definitions(classifier: Classifier) -> dict[str, str]:
    each = {f"mcs_{name}": f"share of the clips of category {name} that are recognised" for name in classifier.names}
    each |= {f"diversity_{name}": f"diversity among the clips of category {name}" for name in classifier.names}
    return {"mcs": classifier.definition, **each}


def _collapse_notes(scores: Mapping[str, Mapping[str, Score]]) -> list[str]:
    """A note for each category whose generated clips differ far less from each other than its real ones."""
    notes = []
    for key in sorted(scores["generated"].keys() & scores["real"].keys()):
        made, real = (scores[row][key].mean.mean for row in ("generated", "real"))
        if key.startswith("diversity_") and made is not None and real and made < COLLAPSED * real:
            notes.append(
                f"collapse within category {key.removeprefix('diversity_')}: its generated clips differ"
                f" {made / real:.2f} times as much from each other as its real ones (diversity)"
            )
    return notes


def _per_clip(clips: MeasuredSet, nets: Mapping[str, Features], estimate: Estimates) -> dict[str, Score]:
    scores = {}
    for measure, values in clip_values(clips, nets).items():
        curve = values.reshape(len(values), -1)
        mean = estimate(curve.mean(axis=1)[:, None])[0]
        scores[measure] = Score(mean, estimate(curve)[1] if values.ndim == 2 else [])
    return scores


def clip_values(clips: MeasuredSet, nets: Mapping[str, Features]) -> dict[str, Array]:
    """The measures of single clips by name: (N,), or (N, L) where they are curves."""
    columns = {
        "motion_energy": clips.description.motion_energy,
        "flicker": clips.description.flicker,
        "content_distance": clips.description.content_distance,
    }
    if clips.flow is not None:
        columns["dynamic_degree"] = clips.flow.dynamic_degree
    for name, net in nets.items():
        if isinstance(net, FeatureNet):
            columns |= {key: measure.function(clips.features[name]) for key, measure in net.of_clips.items()}
    return columns


def background_level(real: ByteClip) -> int | None:
    """`BACKGROUND` if most pixels of the clips are dark, None otherwise.

    The content distance then compares the colour of the object on its dark background, or that of whole frames.
    """
    dark = float((real.amax(dim=2) <= BACKGROUND).float().mean())
    return BACKGROUND if dark > 0.5 else None


def over_splits(values: list[float]) -> Estimate:
    """Mean, smallest and largest over the random halvings."""
    return Estimate(float(np.mean(values)), min(values), max(values))


def halves(names: Sequence[str], random: np.random.Generator) -> tuple[Rows, Rows]:
    """Row numbers of two halves without a common source, of sizes as equal as possible, each in random order."""
    unique, group = np.unique(np.asarray(names, dtype=str), return_inverse=True)
    sizes = np.bincount(group)
    side = np.zeros(len(unique), dtype=int)
    filled = [0, 0]
    # The largest sources first, each to the smaller half; sources of equal size in random order.
    for source in sorted(random.permutation(len(unique)), key=lambda index: -sizes[index]):
        side[source] = int(filled[1] < filled[0])
        filled[side[source]] += sizes[source]
    order = random.permutation(len(names))
    return order[side[group[order]] == 0], order[side[group[order]] == 1]


def _too_few(number: int, nets: Sequence[FeatureNet]) -> list[str]:
    """A note for measures that need more clips, with the reason."""
    return [
        f"{', '.join(net.of_sets.definitions)} need at least {net.of_sets.fewest} clips in each set, there are"
        f" {number}: with fewer, every clip is a neighbour of every other"
        for net in nets
        if net.of_sets is not None and number < net.of_sets.fewest
    ]


def _check(
    real: ByteClip, generated: ByteClip, training: ByteClip | None, sources: Sequence[str] | None, splits: int
) -> None:
    for name, clips in (("generated", generated), ("training", training)):
        if clips is not None:
            check_clips(clips)
            if clips.shape[1:] != real.shape[1:]:
                raise ValueError(
                    f"real and {name} clips must have one length and size, "
                    f"got {tuple(real.shape[1:])} and {tuple(clips.shape[1:])} (T, C, H, W)"
                )
    if sources is not None and len(sources) != len(real):
        raise ValueError(f"one source per real clip is needed, got {len(real)} clips, {len(sources)} sources")
    if len(real) < 4 or len(generated) < 2:
        raise ValueError(f"at least 4 real and 2 generated clips are needed, got {len(real)} and {len(generated)}")
    if splits < 1:
        raise ValueError(f"at least one split is needed, got {splits}")


def _notes(number: int, widths: Mapping[str, int], *, separable: bool, held_out: bool, continued: bool) -> list[str]:
    """``widths``: Fréchet distance -> number of features."""
    notes = []
    if continued:
        notes.append(
            "each generated clip continues the first frame of a real clip that is not in the reference;"
            " 'frozen' repeats that frame"
        )
    if not separable:
        notes.append(
            "the real clips are of too few source videos to be halved by source: the row 'real' compares clips of the"
            " same videos, so that this floor is too low"
        )
    for name, width in {"frechet_inhouse": FEATURES, **widths}.items():
        if number < CLIPS_PER_FEATURE * width:
            worse = f", and below {width} the covariance is singular" if number < width else ""
            notes.append(
                f"{number} clips per set: below {CLIPS_PER_FEATURE * width} clips sampling bias is a large part of"
                f" {name}{worse}; compare it only with the row 'real' and with results of the same number"
            )
    if not held_out:
        notes.append("nearest_clip is the distance to half of the real clips, not to all training clips")
    return notes
