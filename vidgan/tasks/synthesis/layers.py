"""Layers of a clip: a background drawn once per clip, a foreground and a mask per frame.

frame_t = m_t f_t + (1 - m_t) b, the composition of VGAN (Vondrick, Pirsiavash, Torralba, NIPS 2016), with MoCoGAN's
codes: b comes from the content code alone, f_t and m_t from content and motion. The background may be moved by one
affine map per frame. Nothing in the composition forces a useful mask, so the objective has guards: `mask_coverage`,
`mask_binary` and randomly shifted foregrounds (Bielski and Favaro, NeurIPS 2019).
"""

from collections.abc import Iterator
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from einops import rearrange, repeat
from torch import Tensor, nn

from vidgan.nn.pyramid import width_problems
from vidgan.pixels import to_byte
from vidgan.sections import Section, option
from vidgan.tasks.synthesis.dcgan import DCGANFrameGenerator
from vidgan.types import ByteClip, Clip

__all__ = [
    "MASK_CHANNELS",
    "BackgroundLayer",
    "Layers",
    "LayersConfig",
    "layer_panels",
    "paste",
    "remove_object",
    "shift_foreground",
    "split_drawn",
    "swap_background",
]

MASK_CHANNELS = 1  # channels of the frame generator's output beyond those of a frame


class LayersConfig(Section):
    """A background drawn once per clip; the frame generator draws a foreground and a mask per frame."""

    width: int = option(
        32, "Channels of the background's last hidden layer; they double inward.", unit="channels", ge=1
    )
    max_width: int = option(128, "Most channels of any layer of the background.", unit="channels", ge=1)
    norm: Literal["batch", "group", "pixel", "none"] = option("pixel", "Normalisation of the background's layers.")
    camera: float = option(
        0.0, "Largest change of an affine map of the background per frame; 0: the background rests.", ge=0
    )

    def problems(self) -> Iterator[str]:
        """Broken rules between fields."""
        yield from width_problems(self.width, self.max_width)


class Layers(NamedTuple):
    """The layers of B clips of S frames."""

    foreground: Clip  # (B, S, C, H, W) in [-1, 1]
    mask: Tensor  # (B, S, 1, H, W) in [0, 1], 1 where the foreground is opaque
    background: Clip  # (B, S, C, H, W) in [-1, 1]; equal frames unless the camera moves

    def clip(self) -> Clip:
        """The composed clip (B, S, C, H, W): exactly the foreground where m is 1, the background where m is 0."""
        return self.mask * self.foreground + (1 - self.mask) * self.background

    def segmentation(self) -> Tensor:
        """(B, S, H, W) bool: pixels that belong to the foreground."""
        return self.mask[:, :, 0] > 0.5


class BackgroundLayer(nn.Module):
    """Content code -> background, moved by an affine map per frame if `camera` is above 0.

    Args:
        image_size: (H, W).
        channels: of a frame.
        dim_content: length of the content code.
        dim_motion: length of a motion code, which moves the camera.
        width, max_width, norm: of the background's DCGAN decoder.
        camera: largest change of each entry of the 2x3 affine map in coordinates from -1 to 1; 0: no camera.
    """

    def __init__(
        self,
        *,
        image_size: tuple[int, int],
        channels: int,
        dim_content: int,
        dim_motion: int,
        width: int = 32,
        max_width: int = 128,
        norm: str = "pixel",
        camera: float = 0.0,
    ) -> None:
        super().__init__()
        self.decoder = DCGANFrameGenerator(
            image_size=image_size,
            channels=channels,
            dim_content=dim_content,
            dim_motion=0,
            width=width,
            max_width=max_width,
            norm=norm,
        )
        self.reach = camera
        self.camera = nn.Linear(dim_motion, 6) if camera else None
        if self.camera is not None:
            nn.init.normal_(self.camera.weight, std=0.1 / dim_motion**0.5)
            nn.init.zeros_(self.camera.bias)

    def forward(self, content: Tensor, path: Tensor) -> Clip:
        """Content (B, dim_content) and path (B, S, dim_motion) -> backgrounds (B, S, C, H, W) in [-1, 1]."""
        num_frames = path.shape[1]
        still = self.decoder(content, path.new_zeros(content.shape[0], 0))  # (B, C, H, W)
        clip = repeat(still, "b c h w -> b s c h w", s=num_frames)
        if self.camera is None:
            return clip
        identity = torch.eye(2, 3, device=path.device)
        affine = identity + self.reach * torch.tanh(self.camera(path.float())).unflatten(-1, (2, 3))  # (B, S, 2, 3)
        frames = rearrange(clip.float(), "b s c h w -> (b s) c h w")
        grid = F.affine_grid(rearrange(affine, "b s i j -> (b s) i j"), list(frames.shape), align_corners=False)
        moved = F.grid_sample(frames, grid, padding_mode="reflection", align_corners=False)
        return rearrange(moved, "(b s) c h w -> b s c h w", s=num_frames)


def split_drawn(drawn: Tensor, background: Clip) -> Layers:
    """Layers from a frame generator's output (B, S, C + 1, H, W) in [-1, 1] and backgrounds (B, S, C, H, W)."""
    channels = background.shape[2]
    return Layers(drawn[:, :, :channels], (drawn[:, :, channels:] + 1) / 2, background)


def shift_foreground(layers: Layers, shift: Tensor) -> Layers:
    """Move foreground and mask of each clip by whole pixels; the mask is 0 where the foreground has left.

    Args:
        layers: of B clips.
        shift: (B, 2) int64, pixels to the right and down.
    """
    height, width = layers.mask.shape[-2:]
    x = torch.arange(width, device=shift.device) - shift[:, :1]  # (B, W), the column that each pixel comes from
    y = torch.arange(height, device=shift.device) - shift[:, 1:]  # (B, H)
    inside = ((y >= 0) & (y < height))[:, :, None] & ((x >= 0) & (x < width))[:, None, :]  # (B, H, W)
    index = y.clamp(0, height - 1)[:, :, None] * width + x.clamp(0, width - 1)[:, None, :]

    def moved(layer: Tensor) -> Tensor:
        flat = layer.flatten(3)  # (B, S, C, H * W)
        return flat.gather(3, index.flatten(1)[:, None, None].expand_as(flat)).unflatten(3, (height, width))

    return layers._replace(foreground=moved(layers.foreground), mask=moved(layers.mask) * inside[:, None, None])


def remove_object(layers: Layers) -> Clip:
    """The clips without their foreground (m = 0): (B, S, C, H, W) in [-1, 1]."""
    return layers.background


def swap_background(layers: Layers, other: Layers) -> Clip:
    """The foreground of each clip on the background of the same row of `other`: (B, S, C, H, W) in [-1, 1]."""
    return layers._replace(background=other.background).clip()


def paste(layers: Layers, clip: Clip) -> Clip:
    """The foreground of each clip over given clips (B, S, C, H, W) in [-1, 1], real or generated.

    Raises:
        ValueError: `clip` has another shape.
    """
    if clip.shape != layers.background.shape:
        raise ValueError(
            f"the clips are {tuple(clip.shape)}; accepted: {tuple(layers.background.shape)}, as the layers"
        )
    return layers._replace(background=clip).clip()


PANELS = ("clip", "foreground", "mask", "background")


def layer_panels(layers: Layers) -> ByteClip:
    """The clips of `PANELS` for each row, the foreground on grey: (B, S, 3, H, W) -> (4 B, S, 3, H, W) uint8."""
    grey = layers._replace(background=torch.zeros_like(layers.background)).clip()
    mask = (2 * layers.mask - 1).expand_as(layers.foreground)
    panels = torch.stack([layers.clip(), grey, mask, layers.background], dim=1)
    return to_byte(rearrange(panels, "b p s c h w -> (b p) s c h w"))
