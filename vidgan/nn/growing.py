"""Networks that grow by one level at a time (progressive growing, ProGAN, Karras et al., ICLR 2018).

A network is built whole, and `Growth` says how many of its levels work. Rebuilding networks at each phase edge, as the
reference does, would make the structure of a checkpoint depend on its step. Built whole, a checkpoint, an average of
weights and a saved model have one structure in all phases, and a phase edge copies nothing. The price is the memory of
weights that do not work yet; these belong to the finest levels, which have the fewest channels. A level that does not
work is not computed, so an early phase is as cheap as a small network.
"""

import math
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vidgan.nn.blocks import halved

__all__ = ["EqualisedConv2d", "Growth", "enlarged", "faded_clip"]


class EqualisedConv2d(nn.Module):
    """A convolution of stride 1 with an equalised learning rate (Karras et al. 2018, section 4.1).

    Weights start with variance 1 and are scaled by 1 / sqrt(inputs * kernel) in the forward pass.

    Args:
        inputs, outputs: channels.
        kernel: (height, width); maps are padded with zeros by half of an odd side, and not padded by an even one.
    """

    def __init__(self, inputs: int, outputs: int, kernel: tuple[int, int]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, *kernel))
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, maps: Tensor) -> Tensor:
        """(N, inputs, H, W) -> (N, outputs, H', W')."""
        weight = self.weight / self.weight[0].numel() ** 0.5
        height, width = weight.shape[2:]
        return F.conv2d(maps, weight, self.bias, padding=(height // 2 * (height % 2), width // 2 * (width % 2)))


class Growth(nn.Module):
    """How far a network of several levels has grown: whole levels, and the share of the one that fades in.

    The number is a buffer, so it is saved with the weights. A plain number stands beside it, because reading a buffer
    on a GPU would wait for the GPU, and an exported model must not depend on it.

    Args:
        num_levels: L; level 0 is the coarsest. The network starts whole, at L - 1.
    """

    progress: Tensor

    def __init__(self, num_levels: int) -> None:
        super().__init__()
        self.num_levels = num_levels
        self._value = float(num_levels - 1)
        self.register_buffer("progress", torch.tensor(self._value, dtype=torch.float64))

    def set(self, progress: float) -> None:
        """Set how far the network has grown.

        Args:
            progress: 2.0 for levels 0 to 2; 2.25 for these and a share of 0.25 of level 3.

        Raises:
            ValueError: below 0 or above the finest level.
        """
        if not 0 <= progress <= self.num_levels - 1:
            raise ValueError(f"progress is {progress}; accepted: 0 to {self.num_levels - 1}")
        self._value = float(progress)
        self.progress.fill_(self._value)

    @property
    def level(self) -> int:
        """The finest level that works."""
        return math.ceil(self._value)

    @property
    def alpha(self) -> float:
        """The share of that level in (0, 1]."""
        return self._value - self.level + 1

    def idle(self, blocks: nn.ModuleList, heads: nn.ModuleList) -> list[nn.Module]:
        """The modules of a network that do not work.

        Args:
            blocks: one for each level.
            heads: layers between colours and maps, one for each level, of which only the finest works, and the one
                before it during a fade.
        """
        first = self.level if self.alpha == 1 else self.level - 1
        return [*blocks[self.level + 1 :], *heads[:first], *heads[self.level + 1 :]]

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *rest: Any) -> None:
        super()._load_from_state_dict(state_dict, prefix, *rest)
        value = float(self.progress)
        if not 0 <= value <= self.num_levels - 1:  # a NaN too
            raise ValueError(f"{prefix}progress is {value}; accepted: 0 to {self.num_levels - 1}")
        self._value = value


def enlarged(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Repeat pixels until (N, C, H, W) has this size, a multiple of its own."""
    return maps if maps.shape[-2:] == size else F.interpolate(maps, size=size, mode="nearest")


def faded_clip(clip: Tensor, size: tuple[int, int], alpha: float) -> Tensor:
    """Real clips as a growing discriminator sees them: averaged down, and faded like generated ones.

    Args:
        clip: (B, T, C, H, W).
        size: (H', W') of the phase; H and W are multiples of these.
        alpha: share of the details of this size beside those of half of it, in (0, 1].

    Returns:
        (B, T, C, H', W').
    """
    frames = clip.flatten(0, 1)
    if frames.shape[-2:] != size:
        frames = F.avg_pool2d(frames, frames.shape[-1] // size[1])
    if alpha < 1:
        frames = torch.lerp(enlarged(halved(frames), size), frames, alpha)
    return frames.unflatten(0, clip.shape[:2])
