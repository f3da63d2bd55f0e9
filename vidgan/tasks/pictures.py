"""The pictures that previews, forecasts and reports show: forecast strips and exchange grids."""

import torch
from torch import Tensor
from torchvision.utils import flow_to_image

from vidgan.pixels import to_byte
from vidgan.tasks.synthesis.sampling import ClipSampler
from vidgan.types import ByteClip, Forecast
from vidgan.video.encode import contact_sheet, tile

CONTEXT_SHOWN = 3  # the newest context frames; older ones tell a viewer nothing new
SIDE_BY_SIDE = 2  # forecasts of so few frames are shown in one row
DARK = 40  # grey of places where there is nothing to show


def flow_pictures(flow: Tensor) -> ByteClip:
    """(K, 2, H, W) pixels -> (K, 3, H, W) uint8: hue is the direction, saturation the size, on one scale for all K."""
    # flow_to_image scales by the largest vector: below a pixel that would blow noise up to full colour.
    largest = flow.norm(dim=1).max().clamp(min=1.0)
    bounded = torch.cat([flow / largest, flow.new_tensor([1.0, 0.0]).view(1, 2, 1, 1).expand(1, 2, *flow.shape[2:])])
    return flow_to_image(bounded)[:-1]


def error_pictures(forecast: ByteClip, truth: ByteClip) -> ByteClip:
    """Absolute difference, brightened three times: (K, 3, H, W) uint8."""
    return ((forecast.int() - truth.int()).abs() * 3).clamp(max=255).to(torch.uint8)


def forecast_rows(context: ByteClip, truth: ByteClip | None, forecast: Forecast) -> dict[str, ByteClip]:
    """The parts of one forecast by name, each (K, 3, H, W) uint8, except "context", (CONTEXT_SHOWN, 3, H, W).

    Args:
        context: (T, 3, H, W) uint8.
        truth: (K, 3, H, W) uint8, where it is known.
        forecast: of this clip alone (batch of 1).
    """
    predicted = to_byte(forecast.frames[0])
    rows = {"context": context[-CONTEXT_SHOWN:]}
    if truth is not None:
        rows["truth"] = truth
    rows["forecast P"] = predicted
    rows |= {name: to_byte(part[0]) for name, part in forecast.parts.items()}
    if forecast.flow is not None:
        rows["flow f"] = flow_pictures(forecast.flow[0])
    if truth is not None:
        rows["error of P (x3)"] = error_pictures(predicted, truth)
    return rows


def forecast_strip(rows: dict[str, ByteClip]) -> Tensor:
    """One picture of `forecast_rows`, (3, H', W') uint8.

    A forecast of several frames has a row a part, the context before the first; of one or two frames, all parts stand
    side by side after the last context frame.
    """
    parts = {name: part for name, part in rows.items() if name != "context"}
    context = rows["context"]
    if len(rows["forecast P"]) <= SIDE_BY_SIDE:
        return contact_sheet(torch.cat([context[-1:], *parts.values()])[None], frames=10**6)
    empty = torch.full_like(context, DARK)
    lines = [torch.cat([context if i == 0 else empty, part]) for i, part in enumerate(parts.values())]
    return contact_sheet(torch.stack(lines), columns=1, frames=10**6)


def forecast_animation(rows: dict[str, ByteClip]) -> ByteClip:
    """All parts playing side by side, the truth and the forecast after their context: (T, 3, H', W') uint8."""
    context = rows["context"]
    empty = torch.full_like(context, DARK)
    seen = ("truth", "forecast P")
    clips = [torch.cat([context if name in seen else empty, part]) for name, part in rows.items() if name != "context"]
    return tile(torch.stack(clips), columns=len(clips))


def exchange_grid(model: ClipSampler, *, count: int = 4, frames: int = 16, seed: int = 0) -> ByteClip:
    """`count` x `count` clips: each row holds one content, each column one motion (and its category).

    Returns:
        (count * count, T, 3, H, W) uint8, row by row.
    """
    latents = model.latents(count, frames, seed=seed)
    contents = torch.arange(count).repeat_interleave(count)
    motions = torch.arange(count).repeat(count)
    return model.render(
        latents._replace(
            content=latents.content[contents], motion=latents.motion[motions], category=latents.category[motions]
        )
    )


def spread_picture(futures: ByteClip) -> ByteClip:
    """Per-pixel deviation over N futures of one clip, four times as bright: (N, K, 3, H, W) -> (K, 3, H, W) uint8."""
    spread = futures.float().std(dim=0, correction=0).mean(dim=1, keepdim=True)  # (K, 1, H, W)
    return (spread * 4).clamp(max=255).to(torch.uint8).expand(-1, 3, -1, -1)
