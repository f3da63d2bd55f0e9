"""How Dual Motion GAN makes its forecast P from the generated frame A, the warped frame W, and the observed motion.

Any fusion has this protocol: `forward(parts: Parts) -> P` with P (B, C, H, W) in [-1, 1].
"""

from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vidgan.nn.blocks import FullPrecisionConv2d
from vidgan.nn.mask_blend import MaskBlend
from vidgan.nn.warp import carry_flow, warp
from vidgan.sections import Section, option

__all__ = [
    "FUSIONS",
    "BlendFusion",
    "BlendFusionConfig",
    "ConvFusion",
    "ConvFusionConfig",
    "Evidence",
    "MaskFusion",
    "MaskFusionConfig",
    "Parts",
]


class Evidence(NamedTuple):
    """What was observed before the frame to forecast; frames (B, C, H, W) in [-1, 1], flow (B, 2, H, W) in pixels."""

    last: Tensor
    previous: Tensor
    observed: Tensor  # flow between the last two frames
    former: Tensor  # flow between the two before, moved along; equal to `observed` where that is not known
    unexplained: Tensor  # (B, C, H, W) of the last frame, what the observed flow fails to explain, moved along


class Parts(NamedTuple):
    """What a forecast is made from; frames (B, C, H, W) in [-1, 1], flow (B, 2, H, W) backward, in pixels."""

    direct: Tensor  # A
    warped: Tensor  # W
    flow: Tensor  # f
    evidence: Evidence


class ConvFusionConfig(Section):
    """P as a 1x1 convolution over A and W."""

    kind: Literal["conv"] = option("conv", "The published fusion.")


class ConvFusion(nn.Module):
    """P = 1x1 convolution over A and W, clamped to the pixel range; starts as their mean.

    Args:
        channels: of a frame.
        max_flow: not used; all kinds of fusion take the same arguments.
    """

    def __init__(self, *, channels: int, max_flow: float) -> None:
        super().__init__()
        self.mix = FullPrecisionConv2d(2 * channels, channels, 1)
        with torch.no_grad():
            self.mix.weight.copy_(torch.eye(channels).repeat(1, 2)[:, :, None, None] / 2)
            assert self.mix.bias is not None
            self.mix.bias.zero_()

    def forward(self, parts: Parts) -> Tensor:
        """P (B, C, H, W) in [-1, 1]."""
        return self.mix(torch.cat([parts.direct, parts.warped], dim=1)).clamp(-1, 1)


class MaskFusionConfig(Section):
    """P as an occlusion-aware convex blend of A and W."""

    kind: Literal["mask"] = option("mask", "Warped pixels where they exist, generated ones elsewhere.")


class MaskFusion(MaskBlend):
    """P = M * W + (1 - M) * A: warped pixels where they exist, generated ones where nothing was visible.

    Args:
        channels: of a frame.
        max_flow: pixels, the unit in which the mask's network reads the flow.
    """

    def forward(self, parts: Parts) -> Tensor:  # type: ignore[override]
        """P (B, C, H, W) in [-1, 1]."""
        return super().forward(parts.direct, parts.warped, parts.evidence.last, parts.flow)[0]


class BlendFusionConfig(Section):
    """P as a convex blend of A and of what several rules of motion expect."""

    kind: Literal["blend"] = option("blend", "Six candidates per pixel.")


class BlendFusion(nn.Module):
    """P = sum of m_k C_k: each pixel a convex blend of A and of what different rules of motion expect there.

    The candidates are W; A; the last frame warped by f carried along (motion stays with the object, where W's stays
    with the pixel); the frame before it warped by both flows; the last frame itself (frame edges, captions, the car's
    own bonnet); and the last frame warped by the flow of the frame before. No rule is right everywhere; where they
    differ their mean is closer than any of them, and where they agree nothing is lost. The weights come from a small
    network at three scales that reads how the candidates differ.

    Args:
        channels: of a frame.
        max_flow: pixels, the unit in which the network reads the flow.
    """

    WIDTH = 16
    CANDIDATES = 6

    def __init__(self, *, channels: int, max_flow: float) -> None:
        super().__init__()
        self.max_flow = max_flow
        inputs, width = channels * (self.CANDIDATES + 1) + 6, self.WIDTH
        self.fine = _conv(inputs, width)
        self.middle = nn.Sequential(_conv(width, 2 * width, stride=2), _conv(2 * width, 2 * width))
        self.coarse = nn.Sequential(_conv(2 * width, 2 * width, stride=2), _conv(2 * width, 2 * width))
        self.up = _conv(4 * width, 2 * width)
        self.last = _conv(3 * width, width)
        self.head = FullPrecisionConv2d(width, self.CANDIDATES, 3, padding=1)
        with torch.no_grad():
            self.head.weight.mul_(0.1)
            assert self.head.bias is not None
            self.head.bias.copy_(torch.tensor([2.0] + [-1.0] * (self.CANDIDATES - 1)))  # starts near W

    def forward(self, parts: Parts) -> Tensor:
        """P (B, C, H, W) in [-1, 1]."""
        evidence = parts.evidence
        carried = carry_flow(parts.flow)
        candidates = [
            parts.warped,
            parts.direct,
            warp(evidence.last, carried),
            warp(evidence.previous, parts.flow + warp(evidence.observed, parts.flow)),
            evidence.last,
            warp(evidence.last, evidence.former),
        ]
        flows = [parts.flow, parts.flow - carried, evidence.observed - evidence.former]
        frames = [evidence.last, evidence.unexplained, *(candidate - parts.warped for candidate in candidates[1:])]
        fine = self.fine(torch.cat([*frames, *(flow / self.max_flow for flow in flows)], dim=1))
        middle = self.middle(fine)  # (B, 2w, H/2, W/2)
        coarse = self.coarse(middle)  # (B, 2w, H/4, W/4)
        middle = self.up(torch.cat([middle, _double(coarse)], dim=1))
        logits = self.head(self.last(torch.cat([fine, _double(middle)], dim=1)))  # (B, K, H, W)
        blend = logits.softmax(dim=1).unsqueeze(2) * torch.stack(candidates, dim=1)  # (B, K, C, H, W)
        return blend.sum(dim=1)


# Config section -> network. A new kind is one file with both, and one line here.
FUSIONS: dict[type[Section], type[nn.Module]] = {
    ConvFusionConfig: ConvFusion,
    MaskFusionConfig: MaskFusion,
    BlendFusionConfig: BlendFusion,
}


def _conv(inputs: int, outputs: int, stride: int = 1) -> nn.Module:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1), nn.LeakyReLU(0.2))


def _double(maps: Tensor) -> Tensor:
    return F.interpolate(maps, scale_factor=2.0, mode="bilinear", align_corners=False)
