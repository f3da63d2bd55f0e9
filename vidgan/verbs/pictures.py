"""The pictures that previews, forecasts and reports show: forecast strips and exchange grids."""

import torch
from torch import Tensor
from torchvision.utils import flow_to_image

from vidgan.models.inference import ClipSampler
from vidgan.pixels import to_byte
from vidgan.types import ByteClip, Prediction
from vidgan.video.encode import contact_sheet

CONTEXT_SHOWN = 3  # the newest context frames; older ones tell a viewer nothing new


def flow_pictures(flow: Tensor) -> ByteClip:
    """(K, 2, H, W) pixels -> (K, 3, H, W) uint8: hue is the direction, saturation the size, on one scale for all K."""
    # flow_to_image scales by the largest vector: below a pixel that would blow noise up to full colour.
    largest = flow.norm(dim=1).max().clamp(min=1.0)
    bounded = torch.cat([flow / largest, flow.new_tensor([1.0, 0.0]).view(1, 2, 1, 1).expand(1, 2, *flow.shape[2:])])
    return flow_to_image(bounded)[:-1]


def error_pictures(forecast: ByteClip, truth: ByteClip) -> ByteClip:
    """Absolute difference, brightened three times: (K, 3, H, W) uint8."""
    return ((forecast.int() - truth.int()).abs() * 3).clamp(max=255).to(torch.uint8)


def forecast_rows(context: ByteClip, truth: ByteClip | None, prediction: Prediction) -> dict[str, ByteClip]:
    """Rows of one forecast by name, each (CONTEXT_SHOWN + K, 3, H, W): frames that do not exist are dark.

    Args:
        context: (T, 3, H, W) uint8.
        truth: (K, 3, H, W) uint8, where it is known.
        prediction: of this clip alone (batch of 1).
    """
    shown = context[-CONTEXT_SHOWN:]
    empty = torch.full_like(shown, 40)
    fused = to_byte(prediction.frames[0])
    rows = {}
    if truth is not None:
        rows["truth"] = torch.cat([shown, truth])
    rows["forecast P"] = torch.cat([shown, fused])
    rows["warped W"] = torch.cat([empty, to_byte(prediction.warped[0])])
    rows["direct A"] = torch.cat([empty, to_byte(prediction.direct[0])])
    rows["flow f"] = torch.cat([empty, flow_pictures(prediction.flow[0])])
    if truth is not None:
        rows["error of P (x3)"] = torch.cat([empty, error_pictures(fused, truth)])
    return rows


def forecast_strip(rows: dict[str, ByteClip], frames: int = 10) -> Tensor:
    """The rows below each other, (3, H', W') uint8."""
    return contact_sheet(torch.stack(list(rows.values())), columns=1, frames=frames)


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
