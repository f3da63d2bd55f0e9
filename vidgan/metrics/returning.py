"""Motion that turns back: clips that move away from their first frame and return to it, like a spring.

Generators with a bounded or periodic path show one-way motion as there and back, as users of StyleGAN-V reported.
"""

import torch

from vidgan.metrics.content import check_clips
from vidgan.types import ByteClip

__all__ = ["returning_share"]

RETURNED = 0.5  # of the largest distance from the first frame; a clip that ends closer has turned back
STILL = 1.0  # grey levels; clips whose largest distance is below do not move


def returning_share(clips: ByteClip) -> float:
    """Share of the moving clips whose last frame is less than half as far from the first as their farthest frame.

    The distance of two frames is the root mean square difference of their pixels. Compare with real clips: waving
    returns, a gliding object does not. An object that leaves its own area keeps a constant distance, which counts as
    not returned.

    Args:
        clips: (N, T, 3, H, W) uint8.

    Returns:
        In [0, 1]; 0 if no clip moves.
    """
    check_clips(clips)
    distances = torch.stack(
        [(clip.float() - clip[:1].float()).square().flatten(1).mean(dim=1).sqrt() for clip in clips.cpu()]
    )  # (N, T)
    farthest = distances.amax(dim=1)
    moving = farthest > STILL
    returned = distances[:, -1] < RETURNED * farthest
    return float((returned & moving).sum() / moving.sum().clamp_min(1))
