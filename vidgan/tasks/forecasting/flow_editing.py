"""Edit the predicted motion of a region of a forecast, and render the forecast again.

The flow of a region is scaled: by 0.5 things move half as fast, by -1 backward, by 0 they stay. The forecast remains as
it is elsewhere. Where the region would have been, the background of the last known frame is moved on; behind the region
itself that is unknown, and its surroundings are continued smoothly.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from vidgan.nn.blur import gaussian_blur
from vidgan.nn.warp import warp
from vidgan.pixels import to_float
from vidgan.types import ByteClip, Forecast

__all__ = ["edit_flow", "moving_region"]

ROUNDS = 5  # of the search for the pixel that arrives at a place
REACH = 4.0  # pixels, standard deviation of the window from which motion and background continue beyond their region
FEATHER = 0.7  # pixels, standard deviation of the blur of the region's edge
SHARE = 0.5  # of the region from which a pixel belongs to it
MOVING = 0.25  # share of the highest speed, relative to the background
NOISE = 0.05  # pixels per frame, below which nothing moves


def moving_region(forecast: Forecast) -> Tensor:
    """Where a forecast moves at first, in the last context frame: (B, H, W), 0 or 1.

    Raises:
        ValueError: a forecast without flow.
    """
    flow = _flow_of(forecast)[:, 0]
    speed = (flow - _median(flow)).norm(dim=1, keepdim=True)  # (B, 1, H, W), of the next frame
    moving = (speed > (MOVING * speed.amax(dim=(2, 3), keepdim=True)).clamp(min=NOISE)).float()
    batch, _, height, width = moving.shape
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    x = (columns + flow[:, 0]).round().long().clamp(0, width - 1)
    y = (rows + flow[:, 1]).round().long().clamp(0, height - 1)
    region = torch.zeros(batch, height * width)
    region.scatter_reduce_(1, (y * width + x).flatten(1), moving.flatten(1), "amax")
    return F.max_pool2d(region.view(batch, 1, height, width), 3, stride=1, padding=1)[:, 0]  # closes gaps


def edit_flow(
    model: Any,
    context: ByteClip,
    horizon: int,
    *,
    scale: float = 0.0,
    region: Tensor | None = None,
    seed: int | None = None,
) -> Forecast:
    """Forecast with the flow of a region scaled.

    Args:
        model: a `vidgan.tasks.base.ForecastModel` that predicts flow.
        context: (B, T, C, H, W) uint8.
        horizon: K, frames to forecast.
        scale: of the region's flow; 0 holds it, negative numbers reverse it.
        region: (H, W) or (B, H, W), 0 to 1, in the last context frame; None for everything that moves.
        seed: of the forecast, as in `ForecastModel.forecast`.

    Returns:
        The edited frames and flow; the part "unedited" is the forecast as it was.

    Raises:
        ValueError: a model without flow, or a region of another size.
    """
    forecast = model.forecast(context, horizon, seed=seed)
    flows = _flow_of(forecast)
    last = to_float(context[:, -1]).to(flows.device)  # (B, C, H, W)
    region = moving_region(forecast) if region is None else region.to(flows)
    if region.ndim == 2:
        region = region.expand(len(context), -1, -1)
    if region.shape != (len(context), *context.shape[-2:]):
        raise ValueError(f"region must be (H, W) or (B, H, W) of the frames, got {tuple(region.shape)}")
    region = region[:, None]  # (B, 1, H, W), in the last context frame
    behind = torch.lerp(last, _continued(last, 1 - region), region)
    natural, total = region, torch.zeros_like(flows[:, 0])  # where the region would be, and the flow from there back
    still = torch.zeros_like(total[:, :, :1, :1])  # flow of the background back to the last context frame
    frames, edited_flows = [], []
    for step in range(horizon):
        flow = flows[:, step]
        here = _median(flow, 1 - natural)
        still = still + here
        natural, total = _moved_region(natural, flow, here), flow + warp(total, flow)
        inside = (natural > SHARE).to(flow)
        displaced = _continued(-total, inside)  # of the region, at the places where it would be
        moved = _inverted(displaced)  # the same, at the places where it is in the last context frame
        origin = -scale * moved  # flow from the edited place back
        for _ in range(ROUNDS):
            origin = -scale * warp(moved, origin)
        covered = gaussian_blur(warp(region, origin), FEATHER).clamp(0, 1)
        vacated = gaussian_blur(F.max_pool2d(natural, 5, stride=1, padding=2), FEATHER).clamp(0, 1)
        under = torch.lerp(forecast.frames[:, step], warp(behind, still.expand_as(flow)), vacated)
        frames.append(torch.lerp(under, warp(last, origin), covered))
        step_flow = scale * warp(_continued(flow, inside), origin + warp(moved, origin))
        under_flow = torch.where(vacated > SHARE, here.expand_as(flow), flow)
        edited_flows.append(torch.where(covered > SHARE, step_flow, under_flow))
    return Forecast(
        frames=torch.stack(frames, dim=1),
        parts={"unedited": forecast.frames},
        flow=torch.stack(edited_flows, dim=1),
    )


def _flow_of(forecast: Forecast) -> Tensor:
    if forecast.flow is None:
        raise ValueError("this model predicts no flow, so there is no motion to edit")
    return forecast.flow


def _median(flow: Tensor, region: Tensor | None = None) -> Tensor:
    """The median flow (B, 2, H, W) in a region (B, 1, H, W), or everywhere: (B, 2, 1, 1)."""
    medians = []
    for number, one in enumerate(flow):
        chosen = torch.ones_like(one[0], dtype=torch.bool) if region is None else region[number, 0] > SHARE
        medians.append(one[:, chosen].median(dim=1).values if bool(chosen.any()) else torch.zeros_like(one[:, 0, 0]))
    return torch.stack(medians)[:, :, None, None]


def _moved_region(region: Tensor, flow: Tensor, background: Tensor) -> Tensor:
    """A region (B, 1, H, W) of the last frame, in the frame of `flow`.

    What it uncovers moves as the background, so that its backward flow points into the region too. Such pixels, slower
    than half of what is typical around them, are taken out.
    """
    moved = warp(region, flow)
    speed = (flow - background).norm(dim=1, keepdim=True)
    squares, speeds = (gaussian_blur((moved * speed**power).contiguous(), REACH) for power in (2, 1))
    return moved * (speed >= squares / (2 * speeds + 1e-6)).to(flow)


def _continued(maps: Tensor, region: Tensor) -> Tensor:
    """Maps (B, C, H, W) as they are in a region (B, 1, H, W), and continued smoothly outside it."""
    number = region.sum(dim=(2, 3), keepdim=True).clamp(min=1e-6)
    mean = (maps * region).sum(dim=(2, 3), keepdim=True) / number
    weight = gaussian_blur(region.contiguous(), REACH) + 1e-4
    around = (gaussian_blur((maps * region).contiguous(), REACH) + 1e-4 * mean) / weight
    return torch.lerp(around, maps, region)


def _inverted(displaced: Tensor) -> Tensor:
    """A displacement (B, 2, H, W) that is known where it arrives, at the places where it starts."""
    start = displaced
    for _ in range(ROUNDS):
        start = warp(displaced, start)
    return start
