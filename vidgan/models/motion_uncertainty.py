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

__all__ = ["MotionDrift", "flow_change", "smooth_noise"]

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


def smooth_noise(draws: Draws, size: tuple[int, int]) -> Tensor:
    """Smooth random fields of unit variance on a grid of `CELL` pixels, (B, 2, H, W)."""
    height, width = size
    coarse = draws.normal(2, height // CELL + 1, width // CELL + 1)
    return F.interpolate(coarse, size=size, mode="bicubic", align_corners=True)


class MotionDrift:
    """What is added to the flow that was seen, in a future that is drawn: a random walk of the velocity.

    Args:
        draws: a row for each clip; they go on with every step.
        strength: times the change that was seen; 1 expects as much from frame to frame.
        observed, former: as in `flow_change`. Where they are one and the same (two frames of context tell of no change)
            nothing drifts.
    """

    def __init__(self, draws: Draws, strength: float, observed: Flow, former: Flow) -> None:
        self.draws = draws
        self.deviation = strength * flow_change(observed, former)  # (B, 1, H, W)
        self.drift = torch.zeros_like(observed)

    def step(self) -> Tensor:
        """(B, 2, H, W) pixels, for the next frame."""
        height, width = self.drift.shape[-2:]
        self.drift = self.drift + self.deviation * smooth_noise(self.draws, (height, width)).to(self.drift)
        return self.drift
