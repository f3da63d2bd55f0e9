"""Losses on latent codes and categories."""

import torch
import torch.nn.functional as F
from torch import Tensor

from vidgan.types import UNLABELLED


def kl_standard_normal(mean: Tensor, logvar: Tensor) -> Tensor:
    """KL(N(mean, exp(logvar)) || N(0, 1)), in nats, mean over every element (Kingma and Welling 2014, appendix B).

    1/2 (exp(logvar) + mean^2 - 1 - logvar). A mean over elements, not the paper's sum, so that one weight serves every
    latent size; multiply by the number of elements of a sample to get the paper's number.

    Args:
        mean: any shape.
        logvar: the same shape.

    Raises:
        ValueError: the shapes differ.
    """
    if mean.shape != logvar.shape:
        raise ValueError(f"mean and logvar must have one shape, got {tuple(mean.shape)} and {tuple(logvar.shape)}")
    mean, logvar = mean.float(), logvar.float()
    return 0.5 * (logvar.exp() + mean.square() - 1 - logvar).mean()


def category_cross_entropy(logits: Tensor, category: Tensor) -> Tensor:
    """Cross-entropy of the category head, in nats; rows whose category is UNLABELLED add nothing.

    The sum over labelled rows is divided by the number of all rows, so that accumulation over micro-batches stays
    exact whichever rows are labelled. Without a label the result is zero and still has a (zero) gradient.

    Args:
        logits: (B, N).
        category: (B,) int64 in 0..N-1 or UNLABELLED.

    Raises:
        ValueError: the shapes do not fit.
    """
    _check(logits, category)
    total = F.cross_entropy(logits.float(), category, ignore_index=UNLABELLED, reduction="sum")
    return total / category.shape[0]


@torch.no_grad()
def category_accuracy(logits: Tensor, category: Tensor) -> Tensor:
    """Share of labelled rows whose highest logit is the category: float32 scalar in [0, 1], NaN without a label.

    Args:
        logits: (B, N).
        category: (B,) int64 in 0..N-1 or UNLABELLED.

    Raises:
        ValueError: the shapes do not fit.
    """
    _check(logits, category)
    labelled = category != UNLABELLED
    right = (logits.argmax(dim=1) == category) & labelled
    return right.sum().float() / labelled.sum().float()


def _check(logits: Tensor, category: Tensor) -> None:
    if logits.dim() != 2 or category.shape != logits.shape[:1]:
        raise ValueError(
            f"category logits are (B, N) and categories (B,), got {tuple(logits.shape)} and {tuple(category.shape)}"
        )
