"""Image-to-video by moving the picture that was given, instead of drawing it anew from its code.

Not in the paper, whose encoder-decoder was never published. A code of some fifty numbers holds a picture's colours and
layout, not its detail, and no small set of videos teaches more; what changes in a short clip is mostly where things
are.
"""

import torch
from torch import Tensor

from vidgan.nn.blur import gaussian_blur
from vidgan.nn.warp import warp

__all__ = ["FLOW", "moved"]

FLOW = 2  # channels of what the generator draws beyond those of a frame
_REACH = 0.25  # of a frame's side
_SMOOTH = 1 / 32  # of a frame's shorter side: sigma of the blur of the flow


def moved(picture: Tensor, drawn: Tensor, gone: Tensor) -> Tensor:
    """The picture along a path: x_t = warp(picture, tanh(g_t f_t)) + tanh(g_t r_t), where g_t = 0 at the path's start.

    The flow is smoothed. Otherwise it tears along the edges that it was read from, which then shine.

    Only how far the path has gone counts, so the first frame need not be learned. A constant flow is a constant speed.

    Args:
        picture: (B, C, H, W) in [-1, 1].
        drawn: (B, S, C + 2, H, W) in [-1, 1], for each of S frames: change of colour r, then backward flow f in
            quarters of the width and of the height, which is as far as pixels go.
        gone: (B, S), g >= 0: how far the path has gone.

    Returns:
        (B, S, C, H, W) float32 in [-1, 1].
    """
    change = torch.tanh(drawn * gone[:, :, None, None, None]).flatten(0, 1)  # (B * S, C + 2, H, W)
    colour, flow = change.split([picture.shape[1], FLOW], dim=1)
    height, width = picture.shape[-2:]
    flow = flow * torch.tensor([_REACH * width, _REACH * height], device=flow.device)[:, None, None]
    with torch.autocast(flow.device.type, enabled=False):
        flow = gaussian_blur(flow.contiguous(), _SMOOTH * min(height, width))  # matter moves in pieces, or edges tear
    frames = drawn.shape[1]
    frame = warp(picture.repeat_interleave(frames, dim=0), flow) + colour  # (B * S, C, H, W)
    return frame.clamp(-1, 1).unflatten(0, (-1, frames))  # (B, S, C, H, W)
