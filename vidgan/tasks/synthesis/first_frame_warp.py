"""Image-to-video by moving the pixels of the given first frame, instead of drawing it anew from its code.

Not in the paper, whose encoder-decoder was never published. A code of some fifty numbers holds the colours and layout
of an image, not its detail, and no small set of videos teaches more; what changes in a short clip is mostly where
things are.
"""

import torch
from einops import rearrange
from torch import Tensor

from vidgan.nn.blur import gaussian_blur
from vidgan.nn.modes import without_autocast
from vidgan.nn.warp import warp

__all__ = ["FLOW_CHANNELS", "warp_first_frame"]

FLOW_CHANNELS = 2  # channels of the generator's output beyond those of a frame
_REACH = 0.25  # largest displacement, as a share of the frame's side
_SMOOTHING = 1 / 32  # standard deviation of the flow's blur, as a share of the frame's shorter side


def warp_first_frame(first_frame: Tensor, drawn: Tensor, distance: Tensor) -> Tensor:
    """x_t = warp(x_0, tanh(g_t f_t)) + tanh(g_t r_t), where g_t = 0 at the start of the path.

    The flow is smoothed; otherwise it tears along the edges that it was read from, which then shine. Since only the
    distance along the path counts, frame 0 need not be learned. A constant flow is a constant speed.

    Args:
        first_frame: x_0, (B, C, H, W) in [-1, 1].
        drawn: (B, S, C + 2, H, W) in [-1, 1], for each of S frames: change of colour r, then backward flow f in units
            of a quarter of the width and of the height, the largest displacement.
        distance: (B, S), g >= 0, along the path since frame 0.

    Returns:
        (B, S, C, H, W) float32 in [-1, 1].
    """
    num_frames = drawn.shape[1]
    change = torch.tanh(drawn * distance[:, :, None, None, None])
    change = rearrange(change, "b s c h w -> (b s) c h w")
    colour, flow = change.split([first_frame.shape[1], FLOW_CHANNELS], dim=1)
    height, width = first_frame.shape[-2:]
    flow = flow * torch.tensor([_REACH * width, _REACH * height], device=flow.device)[:, None, None]
    with without_autocast(flow.device.type):
        flow = gaussian_blur(flow.contiguous(), _SMOOTHING * min(height, width))
    frames = warp(first_frame.repeat_interleave(num_frames, dim=0), flow) + colour  # (B * S, C, H, W)
    return rearrange(frames.clamp(-1, 1), "(b s) c h w -> b s c h w", s=num_frames)
