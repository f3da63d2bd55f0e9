"""Losses of clip-to-clip models: features of a discriminator, and frames against their warped predecessors."""

from collections.abc import Sequence

import torch
from torch import Tensor

from vidgan.losses.reconstruction import l1

__all__ = ["feature_matching", "masked_l1", "warp_confidence"]

CONFIDENT = 0.02  # squared colour difference below which vid2vid trusts a flow, pixels in [-1, 1]


def feature_matching(fake: Sequence[Tensor], real: Sequence[Tensor]) -> Tensor:
    """Mean over layers of the mean absolute difference of a discriminator's features (Wang et al., CVPR 2018, Eq. 4).

    Args:
        fake: features of the generated samples, one tensor per layer.
        real: of the true samples, of the same shapes; no gradient flows into them.

    Raises:
        ValueError: there is no layer, or shapes differ.
    """
    if not fake or len(fake) != len(real):
        raise ValueError(f"feature_matching needs the same layers of both, got {len(fake)} and {len(real)}")
    return torch.stack([l1(one, other.detach()) for one, other in zip(fake, real, strict=True)]).mean()


def warp_confidence(frame: Tensor, warped: Tensor, threshold: float = CONFIDENT) -> Tensor:
    """1 where a flow explains a pixel, else 0: sum over colours of (frame - warped)^2 < threshold (vid2vid).

    Args:
        frame: (..., C, H, W) in [-1, 1].
        warped: its predecessor warped to it.
        threshold: of the sum.

    Returns:
        (..., 1, H, W) float32.
    """
    return ((frame - warped).float().square().sum(dim=-3, keepdim=True) < threshold).float()


def masked_l1(prediction: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Mean absolute difference over the pixels of a mask; 0 where the mask is empty.

    The mean is over each sample's own pixels, then over samples, so that the loss of a batch is that of its parts.

    Args:
        prediction: (N, ..., C, H, W).
        target: the same shape.
        mask: (N, ..., 1, H, W), 0 to 1.

    Raises:
        ValueError: the shapes differ.
    """
    if prediction.shape != target.shape:
        raise ValueError(f"prediction and target differ in shape: {tuple(prediction.shape)}, {tuple(target.shape)}")
    error = ((prediction.float() - target.float()).abs().mean(dim=-3, keepdim=True) * mask).flatten(1).sum(dim=1)
    return (error / mask.float().expand_as(prediction[..., :1, :, :]).flatten(1).sum(dim=1).clamp_min(1)).mean()
