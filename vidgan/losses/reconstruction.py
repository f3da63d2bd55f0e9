"""Distances between predicted and true frames, in model pixels ([-1, 1]); float32 means over every number."""

from collections.abc import Sequence
from itertools import combinations

import torch
import torch.nn.functional as F
from torch import Tensor

from vidgan.types import Clip


def l1(prediction: Clip, target: Clip) -> Tensor:
    """Mean absolute difference; any equal shapes.

    Raises:
        ValueError: the shapes differ (no broadcasting: a silently repeated batch is a wrong loss).
    """
    return _difference(prediction, target).abs().mean()


def crps(futures: Sequence[Clip], target: Clip) -> Tensor:
    """Continuous ranked probability score of several draws, mean over numbers (Gneiting and Raftery 2007, section 4.2).

    E|X - y| - E|X - X'| / 2 at every number, with pairs of different draws, so that few draws score as many would (the
    "fair" estimate, Ferro 2014). Least where the draws are spread as the truth is; of a single draw it is `l1`.

    Args:
        futures: one clip or more, each of the target's shape.
        target: the true clip.

    Raises:
        ValueError: the shapes differ, or there is no future.
    """
    if not futures:
        raise ValueError("crps needs one future or more")
    error = torch.stack([l1(future, target) for future in futures]).mean()
    pairs = [l1(one, other) for one, other in combinations(futures, 2)]
    return error - torch.stack(pairs).mean() / 2 if pairs else error


def l2(prediction: Clip, target: Clip) -> Tensor:
    """Mean squared difference; any equal shapes.

    Raises:
        ValueError: the shapes differ.
    """
    return _difference(prediction, target).square().mean()


def log_l2(prediction: Clip, target: Clip) -> Tensor:
    """Half the logarithm of each frame's mean squared difference, averaged; (..., C, H, W).

    8.7 dB of PSNR a unit. A frame's scale does not matter: easy ones count as much as hard ones, as in a mean of PSNR.
    A floor of 1e-5 (56 dB of PSNR) keeps perfect frames finite.

    Raises:
        ValueError: the shapes differ.
    """
    return (_difference(prediction, target).square().mean(dim=(-3, -2, -1)) + 1e-5).log().mean() / 2


def dissimilarity(prediction: Clip, target: Clip) -> Tensor:
    """1 - SSIM (Wang et al. 2004; 11 taps, sigma 1.5, K1 = 0.01, K2 = 0.03), mean over all windows inside the frame.

    Args:
        prediction, target: (..., C, H, W) in [-1, 1], H and W of 11 or more.

    Raises:
        ValueError: the shapes differ.
    """
    require_same_shape(prediction, target)
    offsets = torch.arange(-5, 6, dtype=torch.float32, device=target.device)
    kernel = torch.exp(-offsets.square() / (2 * 1.5**2))
    kernel = (kernel / kernel.sum())[None, None, None]  # (1, 1, 1, 11)
    x, y = (clip.float().reshape(-1, 1, *clip.shape[-2:]) for clip in (prediction, target))  # each (N, 1, H, W)

    def local_mean(maps: Tensor) -> Tensor:
        return F.conv2d(F.conv2d(maps, kernel), kernel.transpose(-1, -2))  # (N, 1, H-10, W-10)

    mean_x, mean_y = local_mean(x), local_mean(y)
    variances = local_mean(x * x) - mean_x.square() + local_mean(y * y) - mean_y.square()
    covariance = local_mean(x * y) - mean_x * mean_y
    small, less_small = (0.01 * 2) ** 2, (0.03 * 2) ** 2  # the range of values is 2; means below are of [0, 2]
    mean_x, mean_y = mean_x + 1, mean_y + 1
    light = (2 * mean_x * mean_y + small) / (mean_x.square() + mean_y.square() + small)
    return (1 - light * (2 * covariance + less_small) / (variances + less_small)).mean()


def gradient_difference(prediction: Clip, target: Clip) -> Tensor:
    """Image gradient difference loss, against blur (Mathieu et al. 2016, Eq. 6, alpha = 1; means in place of sums).

    ||d_y Y| - |d_y Y'|| + ||d_x Y| - |d_x Y'||, with d the difference of neighbouring pixels; (..., H, W).

    Raises:
        ValueError: the shapes differ.
    """
    require_same_shape(prediction, target)
    loss = prediction.new_zeros((), dtype=prediction.float().dtype)
    for axis in (-2, -1):
        steps = prediction.float().diff(dim=axis).abs(), target.float().diff(dim=axis).abs()
        loss = loss + (steps[0] - steps[1]).abs().mean()
    return loss


def _difference(prediction: Tensor, target: Tensor) -> Tensor:
    require_same_shape(prediction, target)
    return prediction.float() - target.float()


def require_same_shape(prediction: Tensor, target: Tensor) -> None:
    """Raise ValueError unless both tensors have one shape."""
    if prediction.shape != target.shape:
        raise ValueError(
            f"prediction and target must have one shape, got {tuple(prediction.shape)} and {tuple(target.shape)}"
        )
