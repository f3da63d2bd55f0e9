"""Learning-rate schedules as pure functions of the step."""

import math
from collections.abc import Callable


def learning_rate_factor(schedule: str, warmup: int, steps: int, decay_start: float = 0.0) -> Callable[[int], float]:
    """Return step -> factor on the base learning rate: linear warm-up, then constant or decaying to 0 at `steps`.

    Args:
        schedule: "constant", "linear" or "cosine".
        warmup: steps of the warm-up.
        steps: steps of the whole training.
        decay_start: fraction of the steps after which the decay begins.
    """
    start = max(warmup, round(decay_start * steps))

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / warmup
        progress = max(0, step - start) / max(1, steps - start)
        if schedule == "linear":
            return 1 - progress
        if schedule == "cosine":
            return 0.5 * (1 + math.cos(math.pi * progress))
        return 1.0

    return factor
