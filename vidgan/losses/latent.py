"""Losses on latent codes and category logits."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from vidgan.types import UNLABELLED


def kl_standard_normal(mean: Tensor, logvar: Tensor) -> Tensor:
    """KL divergence of N(mean, exp(logvar)) from N(0, 1) (Kingma and Welling 2014, appendix B).

    1/2 (exp(logvar) + mean^2 - 1 - logvar), averaged over elements where the paper sums, so that one weight suits every
    latent size. Multiply by the number of elements per sample to get the paper's value.

    Args:
        mean: any shape.
        logvar: natural logarithm of the variance, same shape.

    Returns:
        float32 scalar, nats per element.

    Raises:
        ValueError: the shapes differ.
    """
    if mean.shape != logvar.shape:
        raise ValueError(f"mean and logvar must have one shape, got {tuple(mean.shape)} and {tuple(logvar.shape)}")
    mean, logvar = mean.float(), logvar.float()
    return 0.5 * (logvar.exp() + mean.square() - 1 - logvar).mean()


def category_cross_entropy(logits: Tensor, category: Tensor) -> Tensor:
    """Cross-entropy of the category head: the mutual-information term of InfoGAN that MoCoGAN adds to its objective.

    1/B sum over labelled rows of -log softmax(logits)[category] (Chen et al. 2016, Eq. 5; Tulyakov et al. 2018). The
    sum is divided by the number of all rows, so that accumulation over micro-batches is exact whichever rows are
    labelled. If no row has a label, the result is zero, with a zero gradient.

    Args:
        logits: (B, N).
        category: (B,) int64 in 0..N-1 or UNLABELLED.

    Returns:
        float32 scalar, nats.

    Raises:
        ValueError: the shapes do not match.
    """
    _check(logits, category)
    total = F.cross_entropy(logits.float(), category, ignore_index=UNLABELLED, reduction="sum")
    return total / category.shape[0]


def gaussian_cross_entropy(mean: Tensor, log_std: Tensor, value: Tensor) -> Tensor:
    """-log N(value; mean, exp(log_std)^2), averaged over all elements (Chen et al. 2016, a continuous code).

    1/2 ((value - mean) / std)^2 + log_std + 1/2 ln(2 pi), with log_std limited to [-4, 4].

    Args:
        mean, log_std, value: any shape, the same.

    Returns:
        float32 scalar, nats per element.

    Raises:
        ValueError: the shapes differ.
    """
    if not mean.shape == log_std.shape == value.shape:
        raise ValueError(
            f"mean, log_std and value must have one shape, got {tuple(mean.shape)}, {tuple(log_std.shape)} and"
            f" {tuple(value.shape)}"
        )
    log_std = log_std.float().clamp(-4, 4)
    distance = (value.float() - mean.float()) * torch.exp(-log_std)
    return (0.5 * distance.square() + log_std + 0.5 * math.log(2 * math.pi)).mean()


@torch.no_grad()
def category_accuracy(logits: Tensor, category: Tensor) -> Tensor:
    """Share of labelled rows whose highest logit is that of their category.

    Args:
        logits: (B, N).
        category: (B,) int64 in 0..N-1 or UNLABELLED.

    Returns:
        float32 scalar in [0, 1]; NaN if no row has a label.

    Raises:
        ValueError: the shapes do not match.
    """
    _check(logits, category)
    labelled = category != UNLABELLED
    correct = (logits.argmax(dim=1) == category) & labelled
    return correct.sum().float() / labelled.sum().float()


def _check(logits: Tensor, category: Tensor) -> None:
    if logits.dim() != 2 or category.shape != logits.shape[:1]:
        raise ValueError(
            f"expected logits (B, N) and categories (B,), got {tuple(logits.shape)} and {tuple(category.shape)}"
        )
