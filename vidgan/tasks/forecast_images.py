"""Images and animations of a forecast, for previews, `vidgan predict`, the report and the demo.

Every forecasting task can use them: they read only `vidgan.types.Forecast`.
"""

import torch
from torch import Tensor

from vidgan.pixels import to_byte
from vidgan.types import ByteClip, Forecast
from vidgan.video.encode import contact_sheet, tile
from vidgan.video.labels import Labels

NUM_CONTEXT_FRAMES = 3  # the newest context frames; older ones tell a viewer nothing new
MAX_FRAMES_IN_ONE_ROW = 2  # horizon up to which all parts of a forecast fit side by side
EMPTY_GREY = 40  # grey level of empty cells


def flow_images(flow: Tensor) -> ByteClip:
    """Colour-code a flow: hue is the direction, saturation the length, on one scale for all K images.

    Args:
        flow: (K, 2, H, W), in pixels.

    Returns:
        (K, 3, H, W) uint8.
    """
    from torchvision.utils import flow_to_image  # imported late: it doubles the start-up time of every command

    # flow_to_image scales by the longest vector: without the clamp, noise below a pixel would get full colour.
    longest = flow.norm(dim=1).max().clamp(min=1.0)
    unit = flow.new_tensor([1.0, 0.0]).view(1, 2, 1, 1).expand(1, 2, *flow.shape[2:])  # fixes the scale at one
    return flow_to_image(torch.cat([flow / longest, unit]))[:-1]


def error_images(forecast: ByteClip, truth: ByteClip) -> ByteClip:
    """Absolute difference, brightened three times: (K, 3, H, W) uint8."""
    return ((forecast.int() - truth.int()).abs() * 3).clamp(max=255).to(torch.uint8)


def spread_images(samples: ByteClip) -> ByteClip:
    """Per-pixel standard deviation over sampled forecasts, brightened four times.

    Args:
        samples: (N, K, 3, H, W) uint8, N forecasts of one clip.

    Returns:
        (K, 3, H, W) uint8, grey.
    """
    spread = samples.float().std(dim=0, correction=0).mean(dim=1, keepdim=True)  # (K, 1, H, W)
    return (spread * 4).clamp(max=255).to(torch.uint8).expand(-1, 3, -1, -1)


def forecast_rows(context: ByteClip, truth: ByteClip | None, forecast: Forecast) -> dict[str, ByteClip]:
    """Collect the parts of one forecast by name.

    Args:
        context: (T, 3, H, W) uint8.
        truth: (K, 3, H, W) uint8, where it is known.
        forecast: of this clip alone (batch of 1).

    Returns:
        Name -> (K, 3, H, W) uint8; "context" holds the last NUM_CONTEXT_FRAMES frames instead of K.
    """
    predicted = to_byte(forecast.frames[0])
    rows = {"context": context[-NUM_CONTEXT_FRAMES:]}
    if truth is not None:
        rows["truth"] = truth
    rows["forecast P"] = predicted
    rows |= {name: to_byte(part[0]) for name, part in forecast.parts.items()}
    if forecast.flow is not None:
        rows["flow f"] = flow_images(forecast.flow[0])
    if truth is not None:
        rows["error of P (x3)"] = error_images(predicted, truth)
    return rows


def forecast_strip(rows: dict[str, ByteClip]) -> Tensor:
    """Arrange the result of `forecast_rows` as one image, (3, H', W') uint8.

    A forecast of several frames has one row for each part; the context precedes the first part. For a horizon of at
    most MAX_FRAMES_IN_ONE_ROW, all parts stand side by side after the last context frame.
    """
    parts = {name: part for name, part in rows.items() if name != "context"}
    context = rows["context"]
    if len(rows["forecast P"]) <= MAX_FRAMES_IN_ONE_ROW:
        return contact_sheet(torch.cat([context[-1:], *parts.values()])[None], frames=10**6)
    empty = torch.full_like(context, EMPTY_GREY)
    lines = [torch.cat([context if i == 0 else empty, part]) for i, part in enumerate(parts.values())]
    return contact_sheet(torch.stack(lines), columns=1, frames=10**6)


def strip_labels(rows: dict[str, ByteClip], number: int) -> Labels:
    """What `forecast_strip` shows in its rows and columns.

    Args:
        rows: as given to `forecast_strip`.
        number: of the clip, counted from 1.
    """
    parts = [name for name in rows if name != "context"]
    horizon = [f"+{frame}" for frame in range(1, 1 + len(rows["forecast P"]))]
    if len(horizon) <= MAX_FRAMES_IN_ONE_ROW:
        return Labels((f"clip {number}",), ("context", *(f"{name} {frame}" for name in parts for frame in horizon)))
    context = [f"{frame}" for frame in range(1 - len(rows["context"]), 1)]
    return Labels(tuple(f"{number}: {name}" for name in parts), (*context, *horizon))


def forecast_animation(rows: dict[str, ByteClip]) -> ByteClip:
    """Play all parts side by side, truth and forecast after their context: (T, 3, H', W') uint8."""
    context = rows["context"]
    empty = torch.full_like(context, EMPTY_GREY)
    continued = ("truth", "forecast P")
    clips = [
        torch.cat([context if name in continued else empty, part]) for name, part in rows.items() if name != "context"
    ]
    return tile(torch.stack(clips), columns=len(clips))
