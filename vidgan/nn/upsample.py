"""Doubling of maps by repeated pixels and the convolution behind it, in one."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["doubled_convolution"]

# A row of the fine grid lies beside one that repeats the same coarse row, so two of the three taps of a kernel meet one
# coarse row. Which taps are summed at the four places of a transposed kernel of stride 2 (rows: place, columns: tap):
_TAPS = ((0.0, 0.0, 1.0), (0.0, 1.0, 1.0), (1.0, 1.0, 0.0), (1.0, 0.0, 0.0))


def doubled_convolution(maps: Tensor, convolution: nn.Conv2d) -> Tensor:
    """`convolution(F.interpolate(maps, scale_factor=2, mode="nearest"))`, without gradients in half the time.

    The same up to rounding, as one 4x4 transposed convolution of stride 2 whose kernel is summed from the 3x3 one: 2.25
    times fewer operations, no repeated pixel is read twice, and the enlarged maps are never made. Where gradients are
    taken it goes the long way: on a CPU the backward pass of the transposed form costs more than its forward saves.

    Args:
        maps: (N, C, H, W).
        convolution: 3x3 of stride 1 with padding 1, of zeros or "replicate".

    Returns:
        (N, out_channels, 2H, 2W).

    Raises:
        ValueError: another convolution.
    """
    form = (convolution.kernel_size, convolution.stride, convolution.padding, convolution.dilation, convolution.groups)
    if form != ((3, 3), (1, 1), (1, 1), (1, 1), 1) or convolution.padding_mode not in ("zeros", "replicate"):
        raise ValueError(f"doubled_convolution takes a 3x3 convolution that keeps the size, got {convolution}")
    if torch.is_grad_enabled() and (maps.requires_grad or convolution.weight.requires_grad):
        return convolution(F.interpolate(maps, scale_factor=2.0, mode="nearest"))
    taps = torch.tensor(_TAPS, dtype=convolution.weight.dtype, device=convolution.weight.device)
    # In the weights' own type: under autocast the sums would be taken of rounded weights.
    with torch.autocast(maps.device.type, enabled=False):
        kernel = torch.einsum("ay,oiyx,bx->ioab", taps, convolution.weight, taps)  # (C, out_channels, 4, 4)
    padding = 1
    if convolution.padding_mode == "replicate":
        maps, padding = F.pad(maps, (1, 1, 1, 1), mode="replicate"), 3  # two more fine rows a side, cut off again
    return F.conv_transpose2d(maps, kernel, convolution.bias, stride=2, padding=padding)
