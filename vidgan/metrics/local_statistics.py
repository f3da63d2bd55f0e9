"""Local statistics in a sliding kernel: the arithmetic that all forms of SSIM share.

The functions take NumPy arrays and torch tensors alike, because they only slice, add and multiply. The same code serves
the CPU path (`frame`) and the batched, differentiable path (`frame_torch`). A separable kernel is applied as a sum of
shifted copies, which is faster than a convolution with one input and one output channel, and which no tensor-core mode
can round.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch.nn.functional as F
from torch import Tensor

Pixels = TypeVar("Pixels", npt.NDArray[Any], Tensor)  # floating point

GAUSSIAN_WINDOW = 11
UNIFORM_WINDOW = 7
_OFFSETS = np.arange(GAUSSIAN_WINDOW) - GAUSSIAN_WINDOW // 2
_WEIGHTS = np.exp(-(_OFFSETS**2) / (2 * 1.5**2))
GAUSSIAN = tuple(float(weight) for weight in _WEIGHTS / _WEIGHTS.sum())  # sigma 1.5, sums to 1

K1, K2 = 0.01, 0.03  # Wang et al. 2004
MS_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # Wang et al. 2003
# Smallest side whose fifth scale still fits the Gaussian kernel.
MS_SMALLEST = (GAUSSIAN_WINDOW - 1) * 2 ** (len(MS_WEIGHTS) - 1) + 1
_TINY = 1e-12


def gaussian_mean(pixels: Pixels) -> Pixels:
    """Mean in the 11x11 Gaussian kernel of sigma 1.5, valid border: (..., H, W) -> (..., H-10, W-10)."""
    return _gaussian(_gaussian(pixels.swapaxes(-1, -2)).swapaxes(-1, -2))


def uniform_mean(pixels: Pixels) -> Pixels:
    """Mean in the 7x7 uniform kernel, valid border: (..., H, W) -> (..., H-6, W-6)."""
    return _uniform(_uniform(pixels.swapaxes(-1, -2)).swapaxes(-1, -2)) / UNIFORM_WINDOW**2


def gaussian_terms(first: Pixels, second: Pixels, data_range: float) -> tuple[Pixels, Pixels]:
    """Luminance and contrast-structure terms of SSIM-G: (..., H, W) twice -> two (..., H-10, W-10).

    Their product is the SSIM map. MS-SSIM uses the second alone on all scales except the last.
    """
    return _terms(first, second, gaussian_mean, 1.0, data_range)


def uniform_terms(first: Pixels, second: Pixels, data_range: float) -> tuple[Pixels, Pixels]:
    """The same two terms in the 7x7 uniform kernel with the sample covariance (divided by N - 1)."""
    number = UNIFORM_WINDOW**2
    return _terms(first, second, uniform_mean, number / (number - 1), data_range)


def multi_scale_ssim(first: Pixels, second: Pixels, data_range: float) -> Pixels:
    """MS-SSIM (Wang et al. 2003) of single planes: (..., H, W) twice -> (...), H and W at least `MS_SMALLEST`.

    The product of the contrast-structure term on four scales and of SSIM on the fifth, each a mean over the plane to
    the power of its weight; a negative mean counts as 0. Between scales 2x2 pixels are averaged. An odd side is padded
    with a row of zeros in front, as in pytorch-msssim, so that numbers published with it compare.
    """
    factors: list[Pixels] = []
    for scale, weight in enumerate(MS_WEIGHTS):
        luminance, structure = gaussian_terms(first, second, data_range)
        coarsest = scale == len(MS_WEIGHTS) - 1
        mean = (luminance * structure if coarsest else structure).mean((-2, -1))
        # The lower bound keeps the gradient of the power finite where the factor is zero.
        factors.append(mean.clip(_TINY) ** weight * (mean > 0))
        if not coarsest:
            first, second = _halved(first), _halved(second)
    result = factors[0]
    for factor in factors[1:]:
        result = result * factor
    return result


def _halved(pixels: Pixels) -> Pixels:
    """Average 2x2 pixels: (..., H, W) -> (..., ceil(H/2), ceil(W/2))."""
    odd_rows, odd_columns = pixels.shape[-2] % 2, pixels.shape[-1] % 2
    if odd_rows or odd_columns:
        if isinstance(pixels, Tensor):
            pixels = F.pad(pixels, (odd_columns, 0, odd_rows, 0))
        else:
            pixels = np.pad(pixels, [(0, 0)] * (pixels.ndim - 2) + [(odd_rows, 0), (odd_columns, 0)])
    pairs = pixels[..., 0::2, :] + pixels[..., 1::2, :]
    return (pairs[..., 0::2] + pairs[..., 1::2]) / 4


def _terms(
    first: Pixels, second: Pixels, mean: Callable[[Pixels], Pixels], correction: float, data_range: float
) -> tuple[Pixels, Pixels]:
    c1, c2 = (K1 * data_range) ** 2, (K2 * data_range) ** 2
    # E[x^2] - E[x]^2 cancels where x is large and uniform. Variances are invariant to a shift, and
    # 2 cov(x, y) = var(x) + var(y) - var(x - y) computes the small variance from small numbers.
    level = first.mean((-2, -1))[..., None, None]
    first, second = first - level, second - level
    difference = first - second
    mean1, mean2 = mean(first), mean(second)
    shift = mean1 - mean2
    apart = correction * (mean(difference * difference) - shift * shift)
    variances = correction * (mean(first * first + second * second) - (mean1 * mean1 + mean2 * mean2))
    structure = 1 - apart / (variances + c2)
    mean1, mean2 = mean1 + level, mean2 + level
    luminance = 1 - shift * shift / (mean1 * mean1 + mean2 * mean2 + c1)
    return luminance, structure


def _gaussian(pixels: Pixels) -> Pixels:
    """(..., W) -> (..., W-10). The kernel is symmetric, so two shifts share one product."""
    last = GAUSSIAN_WINDOW - 1
    size = pixels.shape[-1] - last
    total = pixels[..., last // 2 : last // 2 + size] * GAUSSIAN[last // 2]
    for shift in range(last // 2):
        opposite = last - shift
        pair = pixels[..., shift : shift + size] + pixels[..., opposite : opposite + size]
        pair *= GAUSSIAN[shift]
        total += pair
    return total


def _uniform(pixels: Pixels) -> Pixels:
    """(..., W) -> (..., W-6): sums of seven neighbours, computed from sums of two and of four."""
    two = pixels[..., :-1] + pixels[..., 1:]
    four = two[..., :-2] + two[..., 2:]
    return four[..., :-3] + two[..., 4:-1] + pixels[..., 6:]
