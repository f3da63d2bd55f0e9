"""Distances between predicted and true frames. Pixels are in [-1, 1]; every loss is a float32 scalar."""

from collections.abc import Sequence
from itertools import combinations

import torch
import torch.nn.functional as F
from torch import Tensor

from vidgan.types import Clip


def l1(prediction: Clip, target: Clip) -> Tensor:
    """Mean absolute difference, mean |Y' - Y|.

    Args:
        prediction: any shape.
        target: the same shape.

    Raises:
        ValueError: the shapes differ. Broadcasting would silently compute another loss.
    """
    return _difference(prediction, target).abs().mean()


def crps(futures: Sequence[Clip], target: Clip) -> Tensor:
    """Continuous ranked probability score of an ensemble (Gneiting and Raftery 2007, section 4.2).

    mean over pixels of E|X - y| - E|X - X'| / 2, with X and X' different members. Leaving out the pairs of a member
    with itself makes the estimate independent of the ensemble size (the "fair" score, Ferro 2014). The score is lowest
    if the members are distributed like the truth. For a single member it equals `l1`.

    Args:
        futures: ensemble of at least one clip, each with the shape of the target.
        target: true clip.

    Raises:
        ValueError: the shapes differ, or `futures` is empty.
    """
    if not futures:
        raise ValueError("crps: futures must hold at least one clip, got none")
    error = torch.stack([l1(future, target) for future in futures]).mean()
    pairs = [l1(one, other) for one, other in combinations(futures, 2)]
    return error - torch.stack(pairs).mean() / 2 if pairs else error


def l2(prediction: Clip, target: Clip) -> Tensor:
    """Mean squared difference, mean (Y' - Y)^2.

    Args:
        prediction: any shape.
        target: the same shape.

    Raises:
        ValueError: the shapes differ.
    """
    return _difference(prediction, target).square().mean()


def log_l2(prediction: Clip, target: Clip) -> Tensor:
    """Mean over frames of 1/2 ln(MSE + 1e-5), a linear function of PSNR: one unit is 8.7 dB.

    Frames contribute by the ratio of their errors, so that easy frames count as much as hard ones, as in mean PSNR. The
    constant limits PSNR to 56 dB, which keeps the loss of perfect frames finite.

    Args:
        prediction: (..., C, H, W).
        target: the same shape.

    Raises:
        ValueError: the shapes differ.
    """
    return (_difference(prediction, target).square().mean(dim=(-3, -2, -1)) + 1e-5).log().mean() / 2


def dissimilarity(prediction: Clip, target: Clip) -> Tensor:
    """1 - SSIM, mean over all positions of the kernel inside the frame (Wang et al. 2004, Eq. 13).

    Gaussian kernel of 11 x 11 pixels with sigma 1.5; K1 = 0.01, K2 = 0.03.

    Args:
        prediction: (..., C, H, W) in [-1, 1], height and width at least 11.
        target: the same shape.

    Raises:
        ValueError: the shapes differ.
    """
    _require_same_shape(prediction, target)
    offsets = torch.arange(-5, 6, dtype=torch.float32, device=target.device)
    kernel = torch.exp(-offsets.square() / (2 * 1.5**2))
    kernel = (kernel / kernel.sum())[None, None, None]  # (1, 1, 1, 11)
    x, y = (clip.float().reshape(-1, 1, *clip.shape[-2:]) for clip in (prediction, target))  # each (N, 1, H, W)

    def local_mean(maps: Tensor) -> Tensor:
        return F.conv2d(F.conv2d(maps, kernel), kernel.transpose(-1, -2))  # (N, 1, H-10, W-10)

    mean_x, mean_y = local_mean(x), local_mean(y)
    variances = local_mean(x * x) - mean_x.square() + local_mean(y * y) - mean_y.square()
    covariance = local_mean(x * y) - mean_x * mean_y
    c1, c2 = (0.01 * 2) ** 2, (0.03 * 2) ** 2  # dynamic range 2
    mean_x, mean_y = mean_x + 1, mean_y + 1  # SSIM is defined for values from 0 on, here [0, 2]
    luminance = (2 * mean_x * mean_y + c1) / (mean_x.square() + mean_y.square() + c1)
    return (1 - luminance * (2 * covariance + c2) / (variances + c2)).mean()


def gradient_difference(prediction: Clip, target: Clip) -> Tensor:
    """Image gradient difference loss, which penalises blur (Mathieu et al. 2016, Eq. 6, alpha = 1).

    mean ||d_y Y| - |d_y Y'|| + mean ||d_x Y| - |d_x Y'||, where d is the difference of neighbouring pixels. The paper
    sums where this takes means.

    Args:
        prediction: (..., H, W).
        target: the same shape.

    Raises:
        ValueError: the shapes differ.
    """
    _require_same_shape(prediction, target)
    loss = prediction.new_zeros((), dtype=prediction.float().dtype)
    for axis in (-2, -1):
        predicted, true = prediction.float().diff(dim=axis).abs(), target.float().diff(dim=axis).abs()
        loss = loss + (predicted - true).abs().mean()
    return loss


def ping_pong(outputs: Clip) -> Tensor:
    """Mean absolute difference of the two outputs of each frame of a clip that runs forth and back (Chu et al. 2020).

    Args:
        outputs: (B, 2T-1, ...) of the frames 1, 2, ..., T, ..., 2, 1; T of 2 or more. The turning point is left out.

    Raises:
        ValueError: an even number of frames, or fewer than three.
    """
    length = outputs.shape[1]
    if length < 3 or length % 2 == 0:
        raise ValueError(f"ping_pong needs 2T-1 frames, T of 2 or more, got {length}")
    half = length // 2
    return l1(outputs[:, :half], outputs.flip(1)[:, :half])


def _difference(prediction: Tensor, target: Tensor) -> Tensor:
    _require_same_shape(prediction, target)
    return prediction.float() - target.float()


def _require_same_shape(prediction: Tensor, target: Tensor) -> None:
    """Raise ValueError if the shapes differ."""
    if prediction.shape != target.shape:
        raise ValueError(
            f"prediction and target must have the same shape, got {tuple(prediction.shape)} and {tuple(target.shape)}"
        )
