"""The sum that is differentiated."""

import math
from collections.abc import Mapping

from torch import Tensor

from vidgan.types import Terms


def weighted_sum(terms: Terms, weights: Mapping[str, float]) -> Tensor:
    """Sum of weight times term, a scalar. Names must agree both ways: nothing is counted or dropped by accident.

    Args:
        terms: name -> scalar tensor, unweighted.
        weights: name -> finite number.

    Raises:
        ValueError: a term without a weight, a weight without a term, a term that is no scalar, a weight that is not
            finite, or nothing to sum; the message names it.
    """
    if not terms:
        raise ValueError("there is no loss term to sum")
    if missing := sorted(terms.keys() - weights.keys()):
        raise ValueError(f"loss terms without a weight: {', '.join(missing)}; weights given: {_names(weights)}")
    if unused := sorted(weights.keys() - terms.keys()):
        raise ValueError(f"loss weights without a term: {', '.join(unused)}; terms computed: {_names(terms)}")
    for name, term in terms.items():
        if term.dim() != 0:
            raise ValueError(f"loss term {name!r} must be a scalar, got shape {tuple(term.shape)}")
        if not math.isfinite(weights[name]):
            raise ValueError(f"the weight of loss term {name!r} must be a finite number, got {weights[name]}")
    first, *others = (weights[name] * term for name, term in terms.items())
    return sum(others, start=first)


def _names(table: Mapping[str, object]) -> str:
    return ", ".join(sorted(table)) or "none"
