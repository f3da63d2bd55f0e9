"""How a frame is made from its condition: each alone (`direct`), or from the frame before as well (`carried`).

Any generator has this protocol: `forward(condition, base, memory) -> Drawn`, one frame of every clip at a time, with
`Memory` the condition and the output of the frame before, None at the start of a clip. Its attribute `carries` says
whether it reads the memory; one that does not may be given all frames of a clip as a batch. `observes_flow` says
whether it reads the flow between the two conditions.
"""

from typing import ClassVar, Literal, NamedTuple

import torch
from torch import Tensor, nn

from vidgan.nn.mask_blend import MaskBlend
from vidgan.nn.warp import warp
from vidgan.sections import Section, option
from vidgan.tasks.translation.conditions import RGB

__all__ = ["GENERATORS", "Carried", "CarriedConfig", "Direct", "DirectConfig", "Drawn", "Memory"]


class Memory(NamedTuple):
    """The frame before."""

    condition: Tensor  # (B, K, H, W)
    frame: Tensor  # (B, 3, H, W) as it was put out
    observed: Tensor | None  # (B, 2, H, W) backward flow from this frame's condition to it, if the generator reads it


class Drawn(NamedTuple):
    """One frame of every clip; pixels in [-1, 1] but for corrections that lead beyond."""

    frame: Tensor  # (B, 3, H, W) the output
    raw: Tensor  # (B, 3, H, W) drawn without the frame before
    warped: Tensor | None  # (B, 3, H, W) the frame before, warped; None without one
    flow: Tensor | None  # (B, 2, H, W) backward flow to the frame before, pixels; None without one


class DirectConfig(Section):
    """Each frame alone."""

    kind: Literal["direct"] = option("direct", "Each frame from its own condition, as pix2pix does.")


class CarriedConfig(Section):
    """Frames that carry the earlier ones on."""

    kind: Literal["carried"] = option(
        "carried", "The frame before, warped by flow, is blended with a newly drawn one, as in vid2vid."
    )
    max_flow: float = option(16.0, "Limit of the correction to the flow.", unit="pixels", gt=0)
    observe_flow: bool = option(
        True, "Start from the flow that is estimated between the conditions; false: all of it is learned."
    )


def _paint(drawing: Tensor, base: Tensor | None) -> Tensor:
    """Pixels from the network's output: a correction to `base`, or all of it."""
    return torch.tanh(drawing) if base is None else base + drawing


class Direct(nn.Module):
    """frame = network(condition).

    Args:
        network: see `vidgan.nn.frame_networks`; reads K maps and writes `OUTPUTS`.
        channels: K of the condition.
    """

    carries = False
    observes_flow = False
    OUTPUTS: ClassVar[int] = RGB

    def __init__(self, *, network: nn.Module, channels: int) -> None:
        super().__init__()
        self.channels = channels
        self.network = network

    @staticmethod
    def inputs(channels: int) -> int:
        """Maps that the network reads for a condition of K channels."""
        return channels

    def forward(self, condition: Tensor, base: Tensor | None = None, memory: Memory | None = None) -> Drawn:
        """Condition (N, K, H, W) -> frames; with `base` (N, 3, H, W) they are a correction to it."""
        raw = _paint(self.network(condition).float(), base)
        return Drawn(raw, raw, None, None)


class Carried(nn.Module):
    """frame = M * warp(frame before, flow) + (1 - M) * raw.

    The network reads the condition, the condition and the output of the frame before, and a plane that is 1 on the
    first frame of a clip, where there is no frame before and the raw frame is put out. The flow is that between the
    two conditions (Lucas-Kanade, without weights), plus a learned correction.

    Args:
        network: see `vidgan.nn.frame_networks`; reads 2K + 4 maps and writes `OUTPUTS`.
        channels: K of the condition.
        max_flow: limit of the correction, pixels.
        observe_flow: False: the correction is the whole flow.
    """

    carries = True
    OUTPUTS: ClassVar[int] = RGB + 2

    def __init__(self, *, network: nn.Module, channels: int, max_flow: float = 16.0, observe_flow: bool = True) -> None:
        super().__init__()
        self.channels, self.max_flow = channels, max_flow
        self.network = network
        self.blend = MaskBlend(channels=RGB, max_flow=max_flow)
        self.observes_flow = observe_flow

    @staticmethod
    def inputs(channels: int) -> int:
        """Maps that the network reads for a condition of K channels."""
        return 2 * channels + RGB + 1

    def forward(self, condition: Tensor, base: Tensor | None = None, memory: Memory | None = None) -> Drawn:
        """Condition (B, K, H, W) of one frame, and what the frame before left -> the frame."""
        plane = condition[:, :1]
        if memory is None:
            earlier = [torch.zeros_like(condition), torch.zeros_like(plane).expand(-1, RGB, -1, -1)]
        else:
            earlier = [memory.condition, memory.frame]
        first = torch.full_like(plane, float(memory is None))
        drawing = self.network(torch.cat([condition, *earlier, first], dim=1)).float()
        raw = _paint(drawing[:, :RGB], base)
        if memory is None:
            return Drawn(raw, raw, None, None)
        flow = self.max_flow * torch.tanh(drawing[:, RGB:] / self.max_flow)
        if memory.observed is not None:
            flow = flow + memory.observed
        warped = warp(memory.frame, flow)
        frame, _ = self.blend(raw, warped, memory.frame, flow)
        return Drawn(frame.float(), raw, warped, flow)


# Config section -> network. A new kind is one file with both, and one line here.
GENERATORS: dict[type[Section], type[Direct | Carried]] = {DirectConfig: Direct, CarriedConfig: Carried}
