"""Nearest-neighbour upsampling by two fused with the following convolution."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vidgan.nn.modes import without_autocast

__all__ = ["doubled_convolution"]

# Rows of the upsampled map come in equal pairs, so two of the three taps of the kernel read the same coarse row and can
# be summed. Entry (i, j) is 1 if tap j contributes to position i of the transposed kernel with stride 2.
_TAPS = ((0.0, 0.0, 1.0), (0.0, 1.0, 1.0), (1.0, 1.0, 0.0), (1.0, 0.0, 0.0))


def doubled_convolution(maps: Tensor, convolution: nn.Conv2d) -> Tensor:
    """Compute ``convolution(F.interpolate(maps, scale_factor=2, mode="nearest"))``, in half the time without gradients.

    Without gradients, this is a single 4x4 transposed convolution with stride 2, whose kernel consists of sums of the
    3x3 kernel. It needs 2.25 times fewer operations, does not store the upsampled maps, and is equal up to rounding.
    With gradients, the two steps are computed separately: on a CPU, the backward pass of the transposed convolution
    costs more than its forward pass saves.

    Args:
        maps: (N, C, H, W).
        convolution: kernel size 3, stride 1, padding 1 of mode "zeros" or "replicate".

    Returns:
        (N, out_channels, 2H, 2W).

    Raises:
        ValueError: another kind of convolution.
    """
    form = (convolution.kernel_size, convolution.stride, convolution.padding, convolution.dilation, convolution.groups)
    if form != ((3, 3), (1, 1), (1, 1), (1, 1), 1) or convolution.padding_mode not in ("zeros", "replicate"):
        raise ValueError(f"doubled_convolution needs a 3x3 convolution with stride 1 and padding 1, got {convolution}")
    if torch.is_grad_enabled() and (maps.requires_grad or convolution.weight.requires_grad):
        return convolution(F.interpolate(maps, scale_factor=2.0, mode="nearest"))
    taps = torch.tensor(_TAPS, dtype=convolution.weight.dtype, device=convolution.weight.device)
    # In the dtype of the weights: under autocast, rounded weights would be summed.
    with without_autocast(maps.device.type):
        kernel = torch.einsum("ay,oiyx,bx->ioab", taps, convolution.weight, taps)  # (C, out_channels, 4, 4)
    padding = 1
    if convolution.padding_mode == "replicate":
        maps = F.pad(maps, (1, 1, 1, 1), mode="replicate")
        padding = 3  # crops the two fine rows that were added on each side
    return F.conv_transpose2d(maps, kernel, convolution.bias, stride=2, padding=padding)
