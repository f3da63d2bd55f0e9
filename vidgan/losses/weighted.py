"""The total loss as a weighted sum of terms."""

import math
from collections.abc import Mapping

from torch import Tensor

from vidgan.types import Terms


def weighted_sum(terms: Terms, weights: Mapping[str, float]) -> Tensor:
    """Sum of weight times term. Both tables must have the same names, so that no term is ignored by mistake.

    Args:
        terms: name -> scalar tensor, unweighted.
        weights: name -> finite number.

    Returns:
        Scalar.

    Raises:
        ValueError: a term without a weight, a weight without a term, a term that is not a scalar, a weight that is not
            finite, or no term at all. The message names it.
    """
    if not terms:
        raise ValueError("no loss term to sum")
    if missing := sorted(terms.keys() - weights.keys()):
        raise ValueError(f"loss terms without a weight: {', '.join(missing)}; weights: {_names(weights)}")
    if unused := sorted(weights.keys() - terms.keys()):
        raise ValueError(f"loss weights without a term: {', '.join(unused)}; terms: {_names(terms)}")
    for name, term in terms.items():
        if term.dim() != 0:
            raise ValueError(f"loss term {name!r} must be a scalar, got shape {tuple(term.shape)}")
        if not math.isfinite(weights[name]):
            raise ValueError(f"the weight of loss term {name!r} must be a finite number, got {weights[name]}")
    first, *others = (weights[name] * term for name, term in terms.items())
    return sum(others, start=first)


def _names(table: Mapping[str, object]) -> str:
    return ", ".join(sorted(table)) or "none"
