"""Pre-activation residual blocks of frames and of clips, with and without a norm.

The form of SNGAN and BigGAN (Miyato et al. 2018; Brock et al. 2019): norm, activation, 3x3 convolution, twice, beside a
shortcut; nothing is applied to the sum. Without a norm, the branch is scaled by 0.1 (Mescheder et al. 2018, the network
for which R1 was shown to converge), or its last convolution starts at 0, so that the block starts as its shortcut.
Leaky ReLU 0.2 stands for ReLU, as everywhere in vidgan.
"""

from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from vidgan.nn.blocks import LEAK, halved, require_choice
from vidgan.nn.norms import norm_layer, norm_shifts
from vidgan.nn.upsample import doubled_convolution

__all__ = ["NORM_FREE_SCALE", "ModulatedNorm", "ResidualBlock", "branch_scale_of"]

NORM_FREE_SCALE = 0.1
TEMPORAL_KERNEL = 3  # frames; the maps shrink by two frames


def branch_scale_of(chosen: float | None, *, normalised: bool) -> float:
    """The factor on the branch: the chosen one, or 1 with a norm or spectral norm and 0.1 without."""
    if chosen is not None:
        return chosen
    return 1.0 if normalised else NORM_FREE_SCALE


class ModulatedNorm(nn.Module):
    """A norm whose scale and offset depend on a code (the conditional norm of BigGAN).

    Args:
        norm: see `vidgan.nn.norms.norm_layer`.
        channels: of the maps.
        dim_code: length of the code; 0 for a plain norm.
    """

    def __init__(self, norm: str, channels: int, dim_code: int) -> None:
        super().__init__()
        self.norm = norm_layer(norm, channels)
        self.style = nn.Linear(dim_code, 2 * channels) if dim_code else None
        if self.style is not None:
            nn.init.normal_(self.style.weight, std=0.5 / dim_code**0.5)
            nn.init.zeros_(self.style.bias)

    def forward(self, maps: Tensor, code: Tensor | None) -> Tensor:
        """Maps (N, C, H, W) and codes (N, dim_code) -> (N, C, H, W)."""
        maps = self.norm(maps)
        if self.style is None:
            return maps
        assert code is not None, "a modulated norm needs a code"
        scale, offset = self.style(code)[:, :, None, None].to(maps.dtype).chunk(2, dim=1)  # (N, C, 1, 1)
        return maps * (1 + scale) + offset


class ResidualBlock(nn.Module):
    """shortcut(x) + scale * branch(x).

    The branch is norm, activation, convolution, norm, activation, convolution. The shortcut is a 1x1 convolution where
    channels differ, else the input. Of a clip, each convolution is spatial, and a temporal one follows the first where
    `temporal` ((2+1)D). It is not padded: the block then returns two frames less, and its shortcut leaves out the first
    and the last.

    Args:
        inputs, outputs: channels.
        resample: "up" doubles and "down" halves height and width; "none" keeps them.
        norm: see `vidgan.nn.norms.norm_layer`.
        dim_code: length of the code that modulates the norms; 0 for none. Only of frames.
        scale: factor on the branch.
        zero_start: the branch's last convolution starts at 0.
        first: the first block of a discriminator, which does not apply an activation to pixels.
        clips: maps are (B, C, T, H, W) instead of (N, C, H, W).
        temporal: of clips, see above.

    Raises:
        ValueError: an unknown name, or an option of frames for clips or the other way round.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        resample: Literal["up", "down", "none"] = "none",
        norm: str = "none",
        dim_code: int = 0,
        scale: float = 1.0,
        zero_start: bool = False,
        first: bool = False,
        clips: bool = False,
        temporal: bool = False,
    ) -> None:
        super().__init__()
        require_choice("resample", resample, ("up", "down", "none"))
        if clips and (dim_code or resample == "up" or norm != "none"):
            raise ValueError("a block of clips has no code, no norm and no doubling")
        if temporal and not clips:
            raise ValueError("temporal needs clips=True")
        self.resample, self.scale, self.is_first = resample, scale, first
        padding_mode: Literal["replicate", "zeros"] = "replicate" if resample == "up" else "zeros"

        def spatial(channels: int, size: int, bias: bool) -> nn.Module:
            if clips:
                return nn.Conv3d(channels, outputs, (1, size, size), padding=(0, size // 2, size // 2), bias=bias)
            if size == 1:
                return nn.Conv2d(channels, outputs, 1, bias=bias)
            return nn.Conv2d(channels, outputs, size, padding=size // 2, bias=bias, padding_mode=padding_mode)

        self.norms = nn.ModuleList(ModulatedNorm(norm, channels, dim_code) for channels in (inputs, outputs))
        self.convs = nn.ModuleList((spatial(inputs, 3, not norm_shifts(norm)), spatial(outputs, 3, True)))
        self.temporal = nn.Conv3d(outputs, outputs, (TEMPORAL_KERNEL, 1, 1)) if temporal else None
        self.shortcut = spatial(inputs, 1, True) if inputs != outputs else nn.Identity()
        for conv in self.convs:
            assert isinstance(conv, nn.Conv2d | nn.Conv3d)
            nn.init.xavier_uniform_(conv.weight, gain=2**0.5)
        if zero_start:
            last = self.convs[1]
            assert isinstance(last, nn.Conv2d | nn.Conv3d) and last.bias is not None
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)

    def forward(self, maps: Tensor, code: Tensor | None = None) -> Tensor:
        """(N, inputs, H, W) and codes (N, dim_code), or (B, inputs, T, H, W) -> maps of `outputs` channels."""
        branch = maps if self.is_first else F.leaky_relu(self.norms[0](maps, code), LEAK)
        first, last = self.convs
        if self.resample == "up":
            assert isinstance(first, nn.Conv2d)
            branch = doubled_convolution(branch, first)
        else:
            branch = first(branch)
        if self.temporal is not None:
            branch = self.temporal(F.leaky_relu(branch, LEAK))
            maps = maps[:, :, 1:-1]
        branch = F.leaky_relu(self.norms[1](branch, code), LEAK)
        if self.resample == "down":  # pooling and a 1x1 convolution commute; the smaller maps are cheaper
            branch, maps = halved(last(branch)), self.shortcut(halved(maps))
        else:
            branch, maps = last(branch), self.shortcut(maps)
        if self.resample == "up":
            maps = F.interpolate(maps, scale_factor=2.0, mode="nearest")
        return maps + self.scale * branch
