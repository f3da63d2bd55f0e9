"""Which pixels move, for the masked metrics: from optical flow between true frames, never from a forecast."""

from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from vidgan.evaluation.measure import MaskFunction
from vidgan.metrics.masked import flow_picture_mask
from vidgan.types import ByteClip
from vidgan.video.optical_flow import default_method, estimate_flow


def motion_masks() -> tuple[MaskFunction, str]:
    """The mask function, and what it adds to a metric's definition.

    The flow between a target and the true frame before it is drawn in colours, and a pixel moves where a channel of the
    picture is below 0.2, as in the script of Mathieu et al. Their archive holds flow pictures of another flow method:
    numbers with these masks are near the published ones, not the same.
    """
    from torchvision.utils import flow_to_image

    method = default_method()

    def masks(seen: ByteClip, truth: ByteClip) -> Tensor:
        """(B, T, 3, H, W) and (B, K, 3, H, W) -> (B, K, 1, H, W) bool."""
        frames = torch.cat([seen[:, -1:], truth], dim=1).cpu().permute(0, 1, 3, 4, 2).numpy()  # (B, K+1, H, W, 3)
        flows = [estimate_flow(now, before, method=method) for clip in frames for before, now in pairwise(clip)]
        # One picture at a time: colours are scaled by the largest vector of all flows that are drawn together.
        pictures = [flow_to_image(torch.from_numpy(np.asarray(flow, dtype=np.float32))) for flow in flows]
        return flow_picture_mask(torch.stack(pictures)).unflatten(0, truth.shape[:2])

    return masks, f"; moving pixels from {method} flow between true frames, not the authors' flow pictures"
