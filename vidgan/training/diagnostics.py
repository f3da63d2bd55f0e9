"""What is wrong with a training, read from its journal, in words that say what to do.

Pure functions over journal records: nothing here stops a run. A warning speaks of the present: it goes when its cause
has gone. Keys read, each only where records hold it: ``accuracy/<net>/real|fake``, ``loss/<net>/adversarial``,
``grad_norm/<net>``, ``diversity|motion|saturation/fake|real``, ``evaluation/score`` (higher is better),
``data_wait_share``. `vidgan.training.guards` acts on what is found here.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import takewhile
from statistics import fmean, median
from typing import Any, NamedTuple

Record = Mapping[str, Any]
Series = list[tuple[int, float]]

WINDOW = 50  # training records that a verdict on the discriminators or on the loader looks back on
SAMPLES = 2  # previews in a row that must agree before samples are called bad
WINNING = 0.99  # accuracy on real and on fake above which a discriminator leaves nothing to learn from
SHARE_OF_REAL = 0.1  # of the real clips' diversity or motion, below which samples are called collapsed or frozen
SPIKES = 5  # gradient norms in a row that must be out of range
EXPLODING = 20.0  # times the median of all norms before
VANISHING = 1e-3  # times the median of all norms before
SATURATED = 0.3  # share of pixels at the ends of the range, beyond that of real clips
PATIENCE = 5  # evaluations without a new best before their trend is judged
WORSE = 0.1  # how far below the best the median of these must lie, as a share of the best
WAITING = 0.2  # share of time spent waiting for data
CHANCE_TOLERANCE = 0.02

# The loss/<net>/adversarial of a discriminator that gives every clip the same answer, the best it then can. The
# Wasserstein loss has no scale of its own: near 0 says nothing.
CHANCE_LOSSES = {
    "minimax, non-saturating": 2 * math.log(2),
    "relativistic": math.log(2),
    "hinge": 2.0,
    "least squares": 0.25,
}


class TrainingWarning(NamedTuple):
    """A named fault, the step since which it has held, and what to do about it in plain words."""

    name: str
    step: int
    message: str


def warnings(records: Sequence[Record]) -> list[TrainingWarning]:
    """All faults that hold at the end of `records` (in the order of their steps), the oldest first."""
    judges = (_discriminators, _samples, _gradients, _evaluations, _waiting)
    found = [warning for judge in judges for warning in judge(records)]
    return sorted(found, key=lambda warning: warning.step)


def _discriminators(records: Sequence[Record]) -> Iterator[TrainingWarning]:
    for net in _names(records, "accuracy/", "/real"):
        real = _series(records, f"accuracy/{net}/real")
        fake = dict(_series(records, f"accuracy/{net}/fake"))
        worst = [(step, min(value, fake[step])) for step, value in real if step in fake]
        mean = [(step, (value + fake[step]) / 2) for step, value in real if step in fake]
        since = _since(worst, lambda accuracy: accuracy > WINNING, WINDOW)
        if since is not None:
            yield TrainingWarning(
                "discriminator_wins",
                since,
                f"The discriminator '{net}' tells real from fake almost without error, so the generator learns little "
                "from it. Lower its learning rate, add noise or augmentation to its input, or raise the weight of its "
                "gradient penalty.",
            )
        recent = mean[-WINDOW:]
        if len(recent) == WINDOW and abs(fmean(value for _, value in recent) - 0.5) < CHANCE_TOLERANCE:
            key = f"loss/{net}/adversarial"
            if _at_chance([value for _, value in _series(records, key)[-WINDOW:]]):
                yield TrainingWarning(
                    "discriminator_learns_nothing",
                    recent[0][0],
                    f"The discriminator '{net}' cannot tell real from fake: its accuracy is that of a coin and {key} "
                    "stays at the value of a constant answer. Look at the samples; unless they are as good as the real "
                    "clips, raise its learning rate, or lower its noise, its augmentation or its gradient penalty.",
                )


def _at_chance(losses: Sequence[float]) -> bool:
    """Whether all these losses lie at one and the same constant answer's loss."""
    return len(losses) == WINDOW and any(
        all(abs(loss - chance) < CHANCE_TOLERANCE * chance for loss in losses) for chance in CHANCE_LOSSES.values()
    )


def _samples(records: Sequence[Record]) -> Iterator[TrainingWarning]:
    since = _since(_ratio(records, "diversity"), lambda share: share < SHARE_OF_REAL, SAMPLES)
    if since is not None:
        yield TrainingWarning(
            "mode_collapse",
            since,
            "The samples are almost all alike: they differ from each other by less than a tenth of what real clips do. "
            "Go back to an earlier checkpoint and lower the learning rates, or strengthen the gradient penalty.",
        )
    since = _since(_ratio(records, "motion"), lambda share: share < SHARE_OF_REAL, SAMPLES)
    if since is not None:
        yield TrainingWarning(
            "frozen_clips",
            since,
            "The samples hardly move: they change from frame to frame by less than a tenth of what real clips do. Give "
            "the video or flow discriminator more weight, or raise the stride between frames.",
        )
    real = dict(_series(records, "saturation/real"))
    excess = [(step, value - real.get(step, 0.0)) for step, value in _series(records, "saturation/fake")]
    since = _since(excess, lambda share: share > SATURATED, SAMPLES)
    if since is not None:
        yield TrainingWarning(
            "saturation",
            since,
            "A large share of the samples' pixels is stuck at black or white, where the output layer passes hardly any "
            "gradient. Lower the generator's learning rate, or go back to an earlier checkpoint.",
        )


def _gradients(records: Sequence[Record]) -> Iterator[TrainingWarning]:
    for net in _names(records, "grad_norm/", ""):
        norms = _series(records, f"grad_norm/{net}")
        since = _since(norms, lambda norm: norm == 0, SPIKES)
        if since is not None:
            yield TrainingWarning(
                "zero_gradient",
                since,
                f"No gradient reaches '{net}': its norm is exactly 0, so it does not learn. A loss term may have the "
                "weight 0, or a saturated loss may pass nothing back.",
            )
            continue
        before = [norm for _, norm in norms[:-SPIKES] if norm > 0]
        if len(before) < WINDOW:
            continue
        usual = median(before)
        since = _since(norms, lambda norm, usual=usual: norm > EXPLODING * usual, SPIKES)  # type: ignore[misc]
        if since is not None:
            yield TrainingWarning(
                "exploding_gradient",
                since,
                f"The gradients of '{net}' are more than {EXPLODING:g} times their usual size ({usual:.3g}). Lower the "
                "learning rate or set a limit on the gradient norm, and resume from a checkpoint before this step.",
            )
        since = _since(norms, lambda norm, usual=usual: norm < VANISHING * usual, SPIKES)  # type: ignore[misc]
        if since is not None:
            yield TrainingWarning(
                "vanishing_gradient",
                since,
                f"The gradients of '{net}' are less than a thousandth of their usual size ({usual:.3g}), so it hardly "
                "learns. A network that judges it may be too sure: see its accuracy.",
            )


def _evaluations(records: Sequence[Record]) -> Iterator[TrainingWarning]:
    scores = _series(records, "evaluation/score")
    if not scores:
        return
    best_step, best = max(scores, key=lambda pair: pair[1])
    later = [value for step, value in scores if step > best_step]
    if len(later) >= PATIENCE and median(later[-PATIENCE:]) < best - WORSE * abs(best):
        yield TrainingWarning(
            "evaluation_worsens",
            best_step,
            f"The evaluation has not come back to its best for {len(later)} evaluations and lies more than {WORSE:.0%}"
            " below it. The best weights are kept in best/; lower the learning rates, or stop here.",
        )


def _waiting(records: Sequence[Record]) -> Iterator[TrainingWarning]:
    recent = _series(records, "data_wait_share")[-WINDOW:]
    share = fmean(value for _, value in recent) if recent else 0.0
    if len(recent) == WINDOW and share > WAITING:
        yield TrainingWarning(
            "waiting_for_data",
            recent[0][0],
            f"{share:.0%} of the time goes into waiting for data. Raise the number of loader workers, or prepare the "
            "clips at the size that training uses.",
        )


def _names(records: Sequence[Record], start: str, end: str) -> list[str]:
    """What stands between `start` and `end` in the keys, in the order of appearance."""
    keys = dict.fromkeys(key for record in records for key in record if key.startswith(start) and key.endswith(end))
    return [key[len(start) : len(key) - len(end)] for key in keys]


def _series(records: Sequence[Record], key: str) -> Series:
    return [(record["step"], record[key]) for record in records if key in record]


def _ratio(records: Sequence[Record], name: str) -> Series:
    """Fake over real, where both were measured and real clips have any."""
    real = dict(_series(records, f"{name}/real"))
    return [(step, value / real[step]) for step, value in _series(records, f"{name}/fake") if real.get(step, 0.0) > 0]


def _since(series: Series, holds: Callable[[float], bool], least: int) -> int | None:
    """The step since which `holds` is true without a break up to the end, None if for fewer than `least` values."""
    run = list(takewhile(lambda pair: holds(pair[1]), reversed(series)))
    return run[-1][0] if len(run) >= least else None
