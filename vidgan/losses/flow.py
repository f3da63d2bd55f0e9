"""Losses on optical flow (..., 2, H, W), in pixels, and on frames that a flow has warped."""

from torch import Tensor

from vidgan.losses.reconstruction import l1, require_same_shape
from vidgan.types import Clip, Flow

# Below this difference (model pixels; a quarter of a grey level is 0.002) the photometric penalty turns quadratic.
CHARBONNIER = 1e-3


def flow_l1(prediction: Flow, target: Flow) -> Tensor:
    """Mean absolute difference of the flow components, in pixels: a Laplacian likelihood of the label flow.

    Raises:
        ValueError: the shapes differ.
    """
    return l1(prediction, target)


def smoothness(flow: Flow) -> Tensor:
    """Total variation, in pixels a pixel: mean |d_x f| + mean |d_y f| over both components (Horn and Schunck's term
    with the L1 norm of Brox et al. 2004), so that flow may change at object borders. Zero for a constant flow.

    Raises:
        ValueError: the flow is not (..., 2, H, W).
    """
    if flow.dim() < 3 or flow.shape[-3] != 2:
        raise ValueError(f"a flow has shape (..., 2, H, W), got {tuple(flow.shape)}")
    flow = flow.float()
    return flow.diff(dim=-1).abs().mean() + flow.diff(dim=-2).abs().mean()


def photometric(warped: Clip, target: Clip) -> Tensor:
    """Brightness constancy with the Charbonnier penalty sqrt(d^2 + e^2) - e, mean over every number (Sun et al. 2010).

    Args:
        warped: (..., C, H, W) a frame moved by a flow, model pixels.
        target: (..., C, H, W) the frame that it should match.

    Raises:
        ValueError: the shapes differ.
    """
    require_same_shape(warped, target)
    squares = (warped.float() - target.float()).square()
    return ((squares + CHARBONNIER**2).sqrt() - CHARBONNIER).mean()
