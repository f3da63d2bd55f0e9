"""The networks of one scale: five spatial convolutions, the first three each with one in time.

A (2+1)D convolution is one over space followed by one over time (Tran et al., CVPR 2018). No layer pads and none
normalises: on a single clip, batch norm would make every patch depend on all others, and zeros at the border would be
seen by the border alone. So the output of a network is smaller than its input by `MARGIN`, its receptive field less 1.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vidgan.tasks.single_clip.scaling import ClipSize

__all__ = ["MARGIN", "ScaleNetwork"]

LAYERS, TIMED = 5, 3
MARGIN = ClipSize(2 * TIMED, 2 * LAYERS, 2 * LAYERS)
SLOPE = 0.2
FIRST_STEP = 0.3  # factor on the initial weights of the last layer


class ScaleNetwork(nn.Module):
    """Receptive field: 7 frames of 11x11 pixels.

    Args:
        width: channels of all layers.
        outputs: channels of the output.
    """

    def __init__(self, width: int, outputs: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for number in range(LAYERS):
            is_last = number == LAYERS - 1
            layers.append(nn.Conv3d(channels, outputs if is_last else width, (1, 3, 3)))
            if number < TIMED:
                layers += [nn.LeakyReLU(SLOPE), nn.Conv3d(width, width, (3, 1, 1))]
            if not is_last:
                layers.append(nn.LeakyReLU(SLOPE))
            channels = width
        self.layers = nn.Sequential(*layers)
        convolutions = [layer for layer in layers if isinstance(layer, nn.Conv3d)]
        for layer in convolutions:
            nn.init.kaiming_normal_(layer.weight, a=SLOPE)  # without norms, torch's default fades out over eight layers
        with torch.no_grad():
            convolutions[-1].weight.mul_(FIRST_STEP)

    @torch.no_grad()
    def begin_at_zero(self) -> None:
        """Set the last layer to 0, so that the output is 0 until it is trained."""
        for parameter in self.layers[-1].parameters():
            parameter.zero_()

    def forward(self, clip: Tensor) -> Tensor:
        """(B, T, 3, H, W) -> (B, T - 6, outputs, H - 10, W - 10)."""
        maps = clip.flatten(0, 1)  # (B * T, C, H, W)
        for layer in self.layers:
            if not isinstance(layer, nn.Conv3d):
                maps = layer(maps)
            elif layer.kernel_size[0] == 1:
                maps = F.conv2d(maps, layer.weight[:, :, 0], layer.bias)
            else:
                maps = _convolve_times(maps, layer, len(clip))
        return maps.unflatten(0, (len(clip), -1))


def _convolve_times(maps: Tensor, layer: nn.Conv3d, clips: int) -> Tensor:
    """A convolution over time of (B * T, C, H, W).

    Both kinds are computed by `conv2d`, which takes half to a third of the time of `conv3d` on a CPU.
    """
    channels, height, width = maps.shape[1:]
    volume = maps.reshape(clips, -1, channels, height * width).transpose(1, 2)  # (B, C, T, H * W)
    volume = F.conv2d(volume, layer.weight[..., 0], layer.bias)
    return volume.transpose(1, 2).reshape(-1, volume.shape[1], height, width)
