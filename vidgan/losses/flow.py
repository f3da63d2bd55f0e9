"""Losses on optical flow (..., 2, H, W), in pixels."""

from torch import Tensor

from vidgan.losses.reconstruction import l1
from vidgan.types import Flow


def flow_l1(prediction: Flow, target: Flow) -> Tensor:
    """Mean absolute difference of the flow components: the flow terms of Dual Motion GAN (Liang et al. 2017).

    mean |f - f*|, up to constants the negative log-likelihood of a Laplace distribution around the label flow.

    Args:
        prediction: (..., 2, H, W), pixels.
        target: label flow of the same shape, pixels.

    Returns:
        float32 scalar, pixels.

    Raises:
        ValueError: the shapes differ.
    """
    return l1(prediction, target)
