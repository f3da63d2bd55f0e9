"""Terms that keep the mask of a layered generator from becoming trivial: empty, full, or half transparent."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["mask_binary", "mask_coverage", "mask_entropy"]


def mask_coverage(mask: Tensor, low: float, high: float) -> Tensor:
    """Distance of each clip's mean mask from the window [low, high], averaged over clips; 0 inside the window.

    Args:
        mask: (B, T, 1, H, W) in [0, 1].
        low, high: shares of the frame.
    """
    share = mask.float().mean(dim=(1, 2, 3, 4))  # (B,)
    return (F.relu(low - share) + F.relu(share - high)).mean()


def mask_binary(mask: Tensor) -> Tensor:
    """Mean of min(m, 1 - m) of a mask in [0, 1]: 0 for a mask of zeros and ones, 0.5 at most."""
    mask = mask.float()
    return torch.minimum(mask, 1 - mask).mean()


def mask_entropy(mask: Tensor) -> Tensor:
    """Mean binary entropy of a mask's values in [0, 1], in bits, 0 to 1."""
    mask = mask.float()
    return -(torch.xlogy(mask, mask) + torch.xlogy(1 - mask, 1 - mask)).mean() / math.log(2)
