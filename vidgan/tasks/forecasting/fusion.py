"""How Dual Motion GAN makes its forecast P from the generated frame A, the moved frame W, and what was seen."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vidgan.nn.blur import gaussian_blur
from vidgan.nn.warp import carry_flow, warp
from vidgan.tasks.forecasting.motion_encoder import FullPrecisionConv2d

__all__ = ["FUSIONS", "BlendFusion", "ConvFusion", "MaskFusion", "Parts", "hindsight", "restore_detail"]

DETAIL = 0.7  # pixels, sigma of the blur that detail is the difference from
NEIGHBOURHOOD = 4.0  # pixels, sigma of the window that the strength of detail is measured in
MOST_GAIN = 3.0
NO_HINDSIGHT = 0.7  # share of what fusion adds to W that is shown where the past says nothing
PATCH = 8.0  # pixels, sigma of the window that the past is asked in
DOUBT = 2e-3  # mean square of what fusion adds, of pixels in [-1, 1], beside which less says little
FLAT = 1e-5  # mean square of detail, of pixels in [-1, 1], beside which less counts as none


class Parts(NamedTuple):
    """What a forecast can be made from; frames (B, C, H, W) in [-1, 1], flow (B, 2, H, W) backward, in pixels."""

    direct: Tensor  # A
    warped: Tensor  # W
    flow: Tensor  # f
    last: Tensor
    previous: Tensor
    observed: Tensor  # flow seen between the last two frames
    former: Tensor  # flow seen between the two before, moved along; equal to `observed` where that is not known
    unexplained: Tensor  # of the last frame, what the observed flow fails to explain, moved along, (B, C, H, W)


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

    def forward(self, *parts: Tensor) -> Tensor:
        """The fields of `Parts` -> P (B, C, H, W) in [-1, 1]."""
        known = Parts(*parts)
        return self.mix(torch.cat([known.direct, known.warped], dim=1)).clamp(-1, 1)


class MaskFusion(nn.Module):
    """P = M * W + (1 - M) * A: moved pixels where they exist, generated ones where nothing was visible.

    Args:
        channels: of a frame.
        max_flow: pixels, the unit in which the mask's network is shown the flow.
    """

    WIDTH = 16

    def __init__(self, *, channels: int, max_flow: float) -> None:
        super().__init__()
        self.max_flow = max_flow
        self.net = nn.Sequential(
            nn.Conv2d(3 * channels + 2, self.WIDTH, 3, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(self.WIDTH, self.WIDTH, 3, padding=2, dilation=2),
            nn.LeakyReLU(0.2),
            FullPrecisionConv2d(self.WIDTH, 1, 3, padding=1),
        )

    def forward(self, *parts: Tensor) -> Tensor:
        """The fields of `Parts` -> P (B, C, H, W) in [-1, 1]."""
        direct, warped, flow, last = Parts(*parts)[:4]
        mask = torch.sigmoid(self.net(torch.cat([direct, warped, last, flow / self.max_flow], dim=1)))  # (B, 1, H, W)
        return mask * warped + (1 - mask) * direct


class BlendFusion(nn.Module):
    """P = sum of m_k C_k: each pixel a convex blend of A and of what different rules of motion expect there.

    The candidates are W; A; the last frame moved by f carried along (motion stays with the object, where W's stays with
    the pixel); the frame before it moved by both flows; the last frame as it is (frame edges, captions, the car's own
    bonnet); and the last frame moved by the flow that the frame before had. No rule is right everywhere, their mean is
    nearer than any of them where they differ, and where they agree nothing is lost. The weights come from a small
    network at three scales that sees how the candidates differ.

    Args:
        channels: of a frame.
        max_flow: pixels, the unit in which the network is shown the flow.
    """

    WIDTH = 16
    CANDIDATES = 6

    def __init__(self, *, channels: int, max_flow: float) -> None:
        super().__init__()
        self.max_flow = max_flow
        shown, width = channels * (self.CANDIDATES + 1) + 6, self.WIDTH
        self.fine = _conv(shown, width)
        self.middle = nn.Sequential(_conv(width, 2 * width, stride=2), _conv(2 * width, 2 * width))
        self.coarse = nn.Sequential(_conv(2 * width, 2 * width, stride=2), _conv(2 * width, 2 * width))
        self.up = _conv(4 * width, 2 * width)
        self.last = _conv(3 * width, width)
        self.head = FullPrecisionConv2d(width, self.CANDIDATES, 3, padding=1)
        with torch.no_grad():
            self.head.weight.mul_(0.1)
            assert self.head.bias is not None
            self.head.bias.copy_(torch.tensor([2.0] + [-1.0] * (self.CANDIDATES - 1)))  # starts near W

    def forward(self, *parts: Tensor) -> Tensor:
        """The fields of `Parts` -> P (B, C, H, W) in [-1, 1]."""
        known = Parts(*parts)
        carried = carry_flow(known.flow)
        candidates = [
            known.warped,
            known.direct,
            warp(known.last, carried),
            warp(known.previous, known.flow + warp(known.observed, known.flow)),
            known.last,
            warp(known.last, known.former),
        ]
        flows = [known.flow, known.flow - carried, known.observed - known.former]
        shown = [known.last, known.unexplained, *(candidate - known.warped for candidate in candidates[1:])]
        fine = self.fine(torch.cat([*shown, *(flow / self.max_flow for flow in flows)], dim=1))
        middle = self.middle(fine)  # (B, 2w, H/2, W/2)
        coarse = self.coarse(middle)  # (B, 2w, H/4, W/4)
        middle = self.up(torch.cat([middle, _twice(coarse)], dim=1))
        logits = self.head(self.last(torch.cat([fine, _twice(middle)], dim=1)))  # (B, K, H, W)
        blend = logits.softmax(dim=1).unsqueeze(2) * torch.stack(candidates, dim=1)  # (B, K, C, H, W)
        return blend.sum(dim=1)


FUSIONS: dict[str, type[nn.Module]] = {"conv": ConvFusion, "mask": MaskFusion, "blend": BlendFusion}


def hindsight(fused: Tensor, warped: Tensor, truth: Tensor) -> Tensor:
    """How much of what fusion adds to W would have been right, place by place: least squares of truth - W on P - W.

    Fusion learns from the training videos how to mend a moved frame, and is wrong about videos of another kind. A frame
    that is known already tells which it is: there P is shown, or W, or what lies between.

    Args:
        fused: P of a frame that is known, (B, C, H, W) in [-1, 1].
        warped: W of the same frame.
        truth: that frame.

    Returns:
        (B, 1, H, W) in [0, 1]: 0 for W, 1 for P; near `NO_HINDSIGHT` where both say the same.
    """
    added, missing = fused - warped, truth - warped
    agreement = gaussian_blur((added * missing).mean(dim=1, keepdim=True), PATCH)  # (B, 1, H, W)
    strength = gaussian_blur(added.square().mean(dim=1, keepdim=True), PATCH)
    return ((agreement + DOUBT * NO_HINDSIGHT) / (strength + DOUBT)).clamp(0, 1)


def restore_detail(fused: Tensor, last: Tensor, true: Tensor, strayed: Tensor, share: float) -> Tensor:
    """Give a forecast back a share of the detail that it lost to interpolation and blending.

    Near a least error a little sharpening costs hardly any of it, but much of what the eye (and LPIPS) misses returns.
    What the detail should amount to is read off the last true frame, in the same place: scenes change slowly there.
    Where matter may have strayed by more than a pixel or so detail would stand in the wrong place, and the frame that
    the forecast was made from, itself a forecast by then, says how much of it is still to be shown.

    Args:
        fused: (B, C, H, W) in [-1, 1].
        last: the frame that it was made from, of the same shape.
        true: the last frame that was seen.
        strayed: (B, 1, H, W), pixels, how far matter may be from where it is forecast (one standard deviation).
        share: 0 for none of what was lost, 1 for all of it.

    Returns:
        (B, C, H, W) in [-1, 1], float32.
    """
    with torch.autocast(fused.device.type, enabled=False):
        fused = fused.float()
        detail = fused - gaussian_blur(fused, DETAIL)
        with torch.no_grad():
            due, still = (_strength(frame - gaussian_blur(frame, DETAIL)) for frame in (true.float(), last.float()))
            due = torch.lerp(still, due, torch.exp(-strayed.float().square() / 2))  # (B, 1, H, W)
            gain = share * ((due / _strength(detail)).sqrt().clamp(1, MOST_GAIN) - 1)
        return (fused + gain * detail).clamp(-1, 1)


def _strength(detail: Tensor) -> Tensor:
    """Mean square in the neighbourhood, (B, C, H, W) -> (B, 1, H, W)."""
    return gaussian_blur(detail.square().mean(dim=1, keepdim=True), NEIGHBOURHOOD) + FLAT


def _conv(inputs: int, outputs: int, stride: int = 1) -> nn.Module:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1), nn.LeakyReLU(0.2))


def _twice(maps: Tensor) -> Tensor:
    return F.interpolate(maps, scale_factor=2.0, mode="bilinear", align_corners=False)
