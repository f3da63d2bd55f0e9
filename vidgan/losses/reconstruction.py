"""Distances between predicted and true frames, in model pixels ([-1, 1]); float32 means over every number."""

from torch import Tensor

from vidgan.types import Clip


def l1(prediction: Clip, target: Clip) -> Tensor:
    """Mean absolute difference; any equal shapes.

    Raises:
        ValueError: the shapes differ (no broadcasting: a silently repeated batch is a wrong loss).
    """
    return _difference(prediction, target).abs().mean()


def l2(prediction: Clip, target: Clip) -> Tensor:
    """Mean squared difference; any equal shapes.

    Raises:
        ValueError: the shapes differ.
    """
    return _difference(prediction, target).square().mean()


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
