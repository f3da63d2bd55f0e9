"""Detect faults of a training from its journal, with advice for each.

Pure functions of journal records; `vidgan.training.guards` acts on the results. A fault describes the present and
disappears with its cause. Keys that are read, if present: ``accuracy/<net>/real|fake``, ``loss/<net>/adversarial``,
``grad_norm/<net>``, ``mask/mean``, ``diversity|motion|saturation/fake|real``, ``evaluation/score`` (higher is better),
``data_wait_share``.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import takewhile
from statistics import fmean, median
from typing import Any, NamedTuple

Record = Mapping[str, Any]
Series = list[tuple[int, float]]

WINDOW = 50  # training records over which discriminators and loading speed are assessed
NUM_PREVIEWS = 2  # consecutive previews that must agree on a fault of the samples
MAX_ACCURACY = 0.99  # accuracy on real and on fake above which a discriminator gives no useful gradient
MIN_SHARE_OF_REAL = 0.1  # of the real clips' diversity or motion, below which samples count as collapsed or frozen
NUM_NORMS = 5  # consecutive gradient norms that must be out of range
EXPLODING = 20.0  # times the median of all earlier norms
VANISHING = 1e-3  # times the median of all earlier norms
TRIVIAL_MASK = (0.005, 0.9)  # mean mask below which a layered clip has no foreground, above which no background
MAX_SATURATION = 0.3  # share of pixels at the ends of the range, in excess of that of real clips
PATIENCE = 5  # evaluations without a new best before their trend is assessed
MAX_DECLINE = 0.1  # of the median of these evaluations below the best, as a share of the best
MAX_DATA_WAIT = 0.2  # share of time spent waiting for data
CHANCE_TOLERANCE = 0.02

# The loss/<net>/adversarial of the best discriminator that outputs the same value for every clip. The Wasserstein loss
# is not listed: it has no natural scale, so a value near 0 is not informative.
CHANCE_LOSSES = {
    "minimax, non-saturating": 2 * math.log(2),
    "relativistic": math.log(2),
    "hinge": 2.0,
    "least squares": 0.25,
}


class TrainingWarning(NamedTuple):
    """A fault of a training.

    Attributes:
        name: stable identifier.
        step: since when it has been present.
        message: what it means and what to do about it.
    """

    name: str
    step: int
    message: str


def diagnose(records: Sequence[Record]) -> list[TrainingWarning]:
    """Return the faults that are present at the end of `records` (sorted by step), the oldest first."""
    checks = (_check_discriminators, _check_samples, _check_masks, _check_gradients, _check_evaluations, _check_loading)
    faults = [fault for check in checks for fault in check(records)]
    return sorted(faults, key=lambda fault: fault.step)


def _check_discriminators(records: Sequence[Record]) -> Iterator[TrainingWarning]:
    for net in _names(records, "accuracy/", "/real"):
        real = _series(records, f"accuracy/{net}/real")
        fake = dict(_series(records, f"accuracy/{net}/fake"))
        lower = [(step, min(value, fake[step])) for step, value in real if step in fake]
        mean = [(step, (value + fake[step]) / 2) for step, value in real if step in fake]
        since = _since(lower, lambda accuracy: accuracy > MAX_ACCURACY, WINDOW)
        if since is not None:
            yield TrainingWarning(
                "discriminator_wins",
                since,
                f"The discriminator '{net}' classifies real and fake almost without error, so the generator learns "
                "little from it. Lower its learning rate, add noise or augmentation to its input, or raise the weight "
                "of its gradient penalty.",
            )
        recent = mean[-WINDOW:]
        if len(recent) == WINDOW and abs(fmean(value for _, value in recent) - 0.5) < CHANCE_TOLERANCE:
            key = f"loss/{net}/adversarial"
            if _at_chance([value for _, value in _series(records, key)[-WINDOW:]]):
                yield TrainingWarning(
                    "discriminator_learns_nothing",
                    recent[0][0],
                    f"The discriminator '{net}' does not separate real from fake: its accuracy is at chance and {key} "
                    "stays at the value of a constant output. Unless the samples look as good as real clips, raise its "
                    "learning rate, or lower its noise, augmentation or gradient penalty.",
                )


def _at_chance(losses: Sequence[float]) -> bool:
    """Whether all losses equal that of a constant output, for one of the objectives."""
    return len(losses) == WINDOW and any(
        all(abs(loss - chance) < CHANCE_TOLERANCE * chance for loss in losses) for chance in CHANCE_LOSSES.values()
    )


def _check_samples(records: Sequence[Record]) -> Iterator[TrainingWarning]:
    since = _since(_ratio(records, "diversity"), lambda share: share < MIN_SHARE_OF_REAL, NUM_PREVIEWS)
    if since is not None:
        yield TrainingWarning(
            "mode_collapse",
            since,
            "Mode collapse: the diversity of the samples is below a tenth of that of real clips. Return to an earlier "
            "checkpoint and lower the learning rates, or raise the weight of the gradient penalty.",
        )
    since = _since(_ratio(records, "motion"), lambda share: share < MIN_SHARE_OF_REAL, NUM_PREVIEWS)
    if since is not None:
        yield TrainingWarning(
            "frozen_clips",
            since,
            "The samples are almost still: their change from frame to frame is below a tenth of that of real clips. "
            "Raise the weight of the video or flow discriminator, or the stride between frames.",
        )
    real = dict(_series(records, "saturation/real"))
    excess = [(step, value - real.get(step, 0.0)) for step, value in _series(records, "saturation/fake")]
    since = _since(excess, lambda share: share > MAX_SATURATION, NUM_PREVIEWS)
    if since is not None:
        yield TrainingWarning(
            "saturation",
            since,
            "Many pixels of the samples are saturated at black or white, where the output layer has almost no "
            "gradient. Lower the generator's learning rate, or return to an earlier checkpoint.",
        )


def _check_masks(records: Sequence[Record]) -> Iterator[TrainingWarning]:
    lowest, highest = TRIVIAL_MASK
    since = _since(_series(records, "mask/mean"), lambda mean: not lowest <= mean <= highest, WINDOW)
    if since is not None:
        yield TrainingWarning(
            "trivial_mask",
            since,
            "The mask is empty or covers the whole frame, so the clips have one layer only. Set objective.coverage to "
            "the share of the frame that moves, raise objective.weights.mask_coverage, or set "
            "objective.shift_foreground.",
        )


def _check_gradients(records: Sequence[Record]) -> Iterator[TrainingWarning]:
    for net in _names(records, "grad_norm/", ""):
        norms = _series(records, f"grad_norm/{net}")
        since = _since(norms, lambda norm: norm == 0, NUM_NORMS)
        if since is not None:
            yield TrainingWarning(
                "zero_gradient",
                since,
                f"The network '{net}' does not learn: the norm of its gradient is exactly 0. Check for a loss term of "
                "weight 0 or a saturated loss.",
            )
            continue
        before = [norm for _, norm in norms[:-NUM_NORMS] if norm > 0]
        if len(before) < WINDOW:
            continue
        typical = median(before)
        since = _since(norms, lambda norm, typical=typical: norm > EXPLODING * typical, NUM_NORMS)  # type: ignore[misc]
        if since is not None:
            yield TrainingWarning(
                "exploding_gradient",
                since,
                f"The gradient norm of '{net}' is above {EXPLODING:g} times its median ({typical:.3g}). Lower the "
                "learning rate or limit the gradient norm (train.clip_grad_norm), and resume from a checkpoint before "
                "this step.",
            )
        since = _since(norms, lambda norm, typical=typical: norm < VANISHING * typical, NUM_NORMS)  # type: ignore[misc]
        if since is not None:
            yield TrainingWarning(
                "vanishing_gradient",
                since,
                f"The gradient norm of '{net}' is below a thousandth of its median ({typical:.3g}), so the network "
                "barely learns. A discriminator that scores its output may be overconfident: check its accuracy.",
            )


def _check_evaluations(records: Sequence[Record]) -> Iterator[TrainingWarning]:
    scores = _series(records, "evaluation/score")
    if not scores:
        return
    best_step, best = max(scores, key=lambda pair: pair[1])
    later = [value for step, value in scores if step > best_step]
    if len(later) >= PATIENCE and median(later[-PATIENCE:]) < best - MAX_DECLINE * abs(best):
        yield TrainingWarning(
            "evaluation_worsens",
            best_step,
            f"The score has been below its best for {len(later)} evaluations, recently by more than {MAX_DECLINE:.0%}. "
            "The best weights are kept in best/; lower the learning rates, or stop the run.",
        )


def _check_loading(records: Sequence[Record]) -> Iterator[TrainingWarning]:
    recent = _series(records, "data_wait_share")[-WINDOW:]
    share = fmean(value for _, value in recent) if recent else 0.0
    if len(recent) == WINDOW and share > MAX_DATA_WAIT:
        yield TrainingWarning(
            "waiting_for_data",
            recent[0][0],
            f"{share:.0%} of the training time is spent waiting for data. Raise the number of loader workers "
            "(data.workers), or prepare the clips at the size that training uses.",
        )


def _names(records: Sequence[Record], start: str, end: str) -> list[str]:
    """Return the middle part of all keys with this prefix and suffix, in the order of appearance."""
    keys = dict.fromkeys(key for record in records for key in record if key.startswith(start) and key.endswith(end))
    return [key[len(start) : len(key) - len(end)] for key in keys]


def _series(records: Sequence[Record], key: str) -> Series:
    return [(record["step"], record[key]) for record in records if key in record]


def _ratio(records: Sequence[Record], name: str) -> Series:
    """Return the ratio of fake to real where both were measured and real is positive."""
    real = dict(_series(records, f"{name}/real"))
    return [(step, value / real[step]) for step, value in _series(records, f"{name}/fake") if real.get(step, 0.0) > 0]


def _since(series: Series, holds: Callable[[float], bool], min_count: int) -> int | None:
    """Return the step since which `holds` has been true up to the end, or None if for fewer than `min_count` values."""
    tail = list(takewhile(lambda pair: holds(pair[1]), reversed(series)))
    return tail[-1][0] if len(tail) >= min_count else None
