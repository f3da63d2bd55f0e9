"""Masks of moving pixels for the masked metrics, from optical flow between true frames, never from a forecast."""

from itertools import pairwise

import numpy as np
import torch
from einops import rearrange
from torch import Tensor

from vidgan.evaluation.measure import MaskFunction
from vidgan.metrics.masked import flow_picture_mask
from vidgan.types import ByteClip
from vidgan.video.optical_flow import default_method, estimate_flow


def motion_masks() -> tuple[MaskFunction, str]:
    """The mask function, and the text that it adds to the definition of a metric.

    The flow between a target frame and the true frame before it is converted to a colour image. A pixel moves if a
    channel of that image is below 0.2, as in the script of Mathieu et al. Their archive holds images of another flow
    method, so that numbers with these masks are close to the published ones but not identical.
    """
    from torchvision.utils import flow_to_image

    method = default_method()

    def masks(context: ByteClip, truth: ByteClip) -> Tensor:
        """(B, T, 3, H, W) and (B, K, 3, H, W) -> (B, K, 1, H, W) bool."""
        clips = rearrange(torch.cat([context[:, -1:], truth], dim=1).cpu(), "b t c h w -> b t h w c").numpy()
        flows = [estimate_flow(now, before, method=method) for clip in clips for before, now in pairwise(clip)]
        # One image at a time, because flow_to_image scales colours by the largest vector of its batch.
        images = [flow_to_image(torch.from_numpy(np.asarray(flow, dtype=np.float32))) for flow in flows]
        return rearrange(flow_picture_mask(torch.stack(images)), "(b k) 1 h w -> b k 1 h w", b=len(truth))

    return masks, f"; moving pixels from {method} flow between true frames, not the authors' flow pictures"
