"""How a forecast's motion may turn out otherwise: it goes on changing as much as it did a frame ago.

Not in the paper, whose draws of the motion code lead to futures that hardly differ. Where motion just kept its velocity
the next frame is certain; where it did not, or where the estimator is at a loss, futures part.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from vidgan.nn.blur import gaussian_blur
from vidgan.seeding import Draws
from vidgan.types import Flow

__all__ = ["MotionDrift", "flow_change", "smooth_noise", "strayed"]

PATCH = 4.0  # pixels, sigma of the window that the change of motion is measured in
CELL = 16  # pixels between independent values of the noise: matter moves in pieces, not pixel by pixel


def flow_change(observed: Flow, former: Flow) -> Tensor:
    """How strongly motion changes from frame to frame, place by place: the root mean square of what it just did.

    Args:
        observed: (B, 2, H, W), pixels, the flow between the last two frames.
        former: the flow between the two before, moved along.

    Returns:
        (B, 1, H, W), pixels a frame, of either component.
    """
    with torch.autocast(observed.device.type, enabled=False):
        change = (observed - former).float().square().mean(dim=1, keepdim=True)
        return gaussian_blur(change, PATCH).clamp(min=0).sqrt()


def strayed(change: Tensor, frames: int) -> Tensor:
    """Where matter may be after so many frames, if its velocity walks at random by steps of `change`.

    The step before frame i of k moves it in k - i + 1 frames, so variances add up to change^2 (1 + 4 + ... + k^2).

    Args:
        change: pixels a frame, of any shape; see `flow_change`.
        frames: k >= 1.

    Returns:
        The standard deviation in pixels, of the same shape.
    """
    return change * sum(frame**2 for frame in range(1, frames + 1)) ** 0.5


def smooth_noise(draws: Draws, size: tuple[int, int]) -> Tensor:
    """Smooth random fields, (B, 2, H, W), of unit variance at the points of a grid of about `CELL` pixels."""
    height, width = size
    coarse = draws.normal(2, height // CELL + 1, width // CELL + 1)
    return F.interpolate(coarse, size=size, mode="bicubic", align_corners=True)


class MotionDrift:
    """What is added to the flow that was seen, in a future that is drawn: a random walk of the velocity.

    Args:
        draws: a row for each clip; they go on with every step.
        deviation: (B, 1, H, W), pixels a frame: of the step that the velocity makes from one frame to the next.
    """

    def __init__(self, draws: Draws, deviation: Tensor) -> None:
        self.draws = draws
        self.deviation = deviation
        self.drift = torch.zeros_like(deviation)

    def step(self) -> Tensor:
        """(B, 2, H, W) pixels, for the next frame."""
        height, width = self.drift.shape[-2:]
        self.drift = self.drift + self.deviation * smooth_noise(self.draws, (height, width)).to(self.drift)
        return self.drift
