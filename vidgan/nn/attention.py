"""Self-attention over the places of maps (SAGAN, Zhang et al., ICML 2019), of frames and of clips.

The scores are a plain matrix product and softmax: torch's fused attention has no second derivative, which a gradient
penalty of a discriminator needs. Each layer adds `gamma` times what it attends to, and gamma starts at 0, so a network
begins as the one without attention. A |gamma| that stays below 0.01 means that the layer does nothing; its sign is
free.
"""

from collections.abc import Collection
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from vidgan.nn.blocks import require_choice

__all__ = ["ClipAttention", "SelfAttention", "attention_gammas", "require_sides"]

ClipAxes = Literal["spatial", "temporal", "separable"]


class SelfAttention(nn.Module):
    """x + gamma * W_o softmax(theta(x)^T phi(x)) g(x) over the places of a frame, as in SAGAN's released code.

    theta and phi are 1x1 convolutions to an eighth of the channels, g to half of them; phi and g are max-pooled over
    2x2 places, which makes the map of scores four times smaller. Products are not divided by sqrt(d), and nothing has
    a bias. N places cost 5/4 C^2 N + 5/32 C N^2 multiplications, and N^2 / 4 numbers of memory per frame: use it at
    16x16 or 32x32.

    Args:
        channels: C of the maps.
        pooled: whether keys and values are pooled; needs maps of at least 2x2.
    """

    def __init__(self, channels: int, *, pooled: bool = True) -> None:
        super().__init__()
        inner, half = max(1, channels // 8), max(1, channels // 2)
        self.theta = nn.Conv2d(channels, inner, 1, bias=False)
        self.phi = nn.Conv2d(channels, inner, 1, bias=False)
        self.g = nn.Conv2d(channels, half, 1, bias=False)
        self.output = nn.Conv2d(half, channels, 1, bias=False)
        self.gamma = nn.Parameter(torch.zeros(()))
        self.pooled = pooled

    def forward(self, maps: Tensor) -> Tensor:
        """(N, C, H, W) -> the same shape."""
        attended: Tensor = self.output(self.attend(maps))
        return maps + self.gamma * attended

    def attend(self, maps: Tensor) -> Tensor:
        """The values that each place reads: (N, C, H, W) -> (N, C / 2, H, W)."""
        keys, values = self.phi(maps), self.g(maps)
        if self.pooled:
            keys, values = F.max_pool2d(keys, 2), F.max_pool2d(values, 2)
        scores = torch.einsum("nci,ncj->nij", self.theta(maps).flatten(2), keys.flatten(2))  # (N, H W, keys)
        weights = scores.softmax(dim=2)  # float32 under autocast
        return torch.einsum("nij,ncj->nci", weights, values.flatten(2)).unflatten(2, maps.shape[2:])


class ClipAttention(nn.Module):
    """Self-attention on the maps of a clip. There is no position in time, so clips of any length fit.

    Args:
        channels: C of the maps.
        axes: "spatial": within each frame. "temporal": each place over the frames. "separable": along height, then
            width, then time, one after another (DVD-GAN, Clark et al. 2019), which costs little on large maps.
    """

    def __init__(self, channels: int, axes: str = "spatial") -> None:
        super().__init__()
        require_choice("attention_axes", axes, get_args(ClipAxes))
        self.axes = axes
        passes = {"spatial": ("places",), "temporal": ("time",), "separable": ("height", "width", "time")}[axes]
        self.passes = nn.ModuleDict({name: SelfAttention(channels, pooled=name == "places") for name in passes})

    def forward(self, maps: Tensor) -> Tensor:
        """(B, C, T, H, W) -> the same shape."""
        batch, _, frames, height, width = maps.shape
        for name, layer in self.passes.items():
            match name:
                case "places":
                    rows = layer(rearrange(maps, "b c t h w -> (b t) c h w"))
                    maps = rearrange(rows, "(b t) c h w -> b c t h w", b=batch)
                case "height":
                    rows = layer(rearrange(maps, "b c t h w -> (b t w) c h 1"))
                    maps = rearrange(rows, "(b t w) c h 1 -> b c t h w", b=batch, t=frames)
                case "width":
                    rows = layer(rearrange(maps, "b c t h w -> (b t h) c 1 w"))
                    maps = rearrange(rows, "(b t h) c 1 w -> b c t h w", b=batch, t=frames)
                case _:
                    rows = layer(rearrange(maps, "b c t h w -> (b h w) c t 1"))
                    maps = rearrange(rows, "(b h w) c t 1 -> b c t h w", b=batch, h=height, w=width)
        return maps


def attention_gammas(module: nn.Module) -> dict[str, Tensor]:
    """gamma of each attention layer of a network by the layer's name, detached scalars."""
    layers = ((name, layer) for name, layer in module.named_modules() if isinstance(layer, SelfAttention))
    return {name: layer.gamma.detach() for name, layer in layers}


def require_sides(attention: Collection[int], sides: Collection[int]) -> None:
    """Make sure that each resolution of `attention` occurs in a network.

    Args:
        attention: the chosen ones, shorter sides in pixels.
        sides: shorter sides of the network's maps.

    Raises:
        ValueError: one does not occur, or twice.
    """
    wrong = [side for side in attention if side not in sides]
    if wrong or len(set(attention)) < len(attention):
        raise ValueError(
            f"attention={list(attention)}: each entry must be a different one of the sides of this network's maps,"
            f" {', '.join(map(str, sorted(sides)))}"
        )
