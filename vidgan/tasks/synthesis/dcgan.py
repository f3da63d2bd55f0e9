"""G_I, MoCoGAN's frame generator: a DCGAN decoder from one code to one frame.

With the defaults it is the released code's net at 64x64: a 4x4 start, four 4x4 transposed convolutions of stride 2,
channels 512-256-128-64-3, batch norm and ReLU, tanh at the end (Tulyakov et al. 2018; Radford et al. 2016).
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vidgan.nn.blocks import activation_layer, append_coordinates, require_choice
from vidgan.nn.norms import norm_layer, norm_shifts
from vidgan.nn.pyramid import channel_plan, pyramid
from vidgan.nn.upsample import doubled_convolution

__all__ = ["NORMS", "UPSAMPLINGS", "FrameGenerator"]

UPSAMPLINGS = ("transposed", "nearest")
NORMS = ("batch", "group", "pixel", "none")


class StepConv(nn.Module):
    """Double height and width, or keep them.

    Args:
        in_channels, out_channels: of the maps.
        upsampling: "transposed" (4x4 transposed convolution of stride 2), "nearest" (pixels repeated, then a 3x3
            convolution: dearer, without checkerboards) or None (a 3x3 convolution that keeps the size).
        coordinates: the convolution also reads each position's x and y.
        bias: of the convolution.
    """

    def __init__(
        self, *, in_channels: int, out_channels: int, upsampling: str | None, coordinates: bool, bias: bool
    ) -> None:
        super().__init__()
        self.repeat = upsampling == "nearest"
        self.coordinates = coordinates
        inputs = in_channels + 2 * coordinates
        self.conv: nn.Module = (
            nn.ConvTranspose2d(inputs, out_channels, 4, stride=2, padding=1, bias=bias)
            if upsampling == "transposed"
            else nn.Conv2d(inputs, out_channels, 3, padding=1, bias=bias)
        )

    def forward(self, maps: Tensor) -> Tensor:
        """(N, in_channels, H, W) -> (N, out_channels, 2H, 2W), or (N, out_channels, H, W) without upsampling."""
        if self.repeat and not self.coordinates:
            assert isinstance(self.conv, nn.Conv2d)
            return doubled_convolution(maps, self.conv)
        if self.repeat:  # the coordinates are of the fine grid
            maps = F.interpolate(maps, scale_factor=2.0, mode="nearest")
        if self.coordinates:
            maps = append_coordinates(maps)
        return self.conv(maps)


class Finish(nn.Module):
    """Norm, then scale and offset read from the code (if modulated), then activation."""

    def __init__(self, *, channels: int, norm: str, activation: str, dim_code: int | None) -> None:
        super().__init__()
        self.norm = norm_layer(norm, channels)
        self.modulation = None if dim_code is None else nn.Linear(dim_code, 2 * channels)
        self.activation = activation_layer(activation)

    def forward(self, maps: Tensor, code: Tensor) -> Tensor:
        """Maps (N, C, H, W) and codes (N, dim_code) -> (N, C, H, W)."""
        maps = self.norm(maps)
        if self.modulation is not None:
            scale, offset = self.modulation(code)[:, :, None, None].to(maps.dtype).chunk(2, dim=1)  # (N, C, 1, 1)
            maps = maps * (1 + scale) + offset
        return self.activation(maps)


class FrameGenerator(nn.Module):
    """Content and motion code -> one frame.

    Args:
        image_size: (H, W), multiples of 16 from 32 up. The first layer spans the grid that halving leaves (64x64: 4x4,
            128x160: 4x5, 96x96: 6x6); each further layer doubles it.
        channels: of a frame.
        dim_content, dim_motion: lengths of the two codes, which are read as one.
        width: channels of the last hidden layer; they double toward the input.
        max_width: most channels of any layer.
        norm: "batch" (rows of a batch mix in training mode), "group", "pixel" or "none".
        activation: "relu" or "leaky_relu".
        upsampling: "transposed" or "nearest", see `StepConv`.
        full_resolution: one more layer of `width` channels, at the frame's own size, before a 3x3 convolution.
        coordinates: every step also reads the pixel's place (CoordConv), which eases drawing an object anywhere.
        modulation: every layer's maps are scaled and shifted by the code as well (as in FiLM and StyleGAN).
        bias: convolutions without a shifting norm behind them have a bias (the released code has none anywhere).
    """

    def __init__(
        self,
        *,
        image_size: tuple[int, int],
        channels: int = 3,
        dim_content: int,
        dim_motion: int,
        width: int = 64,
        max_width: int = 512,
        norm: str = "batch",
        activation: str = "relu",
        upsampling: str = "transposed",
        full_resolution: bool = False,
        coordinates: bool = False,
        modulation: bool = False,
        bias: bool = True,
    ) -> None:
        super().__init__()
        dim_code = dim_content + dim_motion
        require_choice("norm", norm, NORMS)
        require_choice("upsampling", upsampling, UPSAMPLINGS)
        depth, grid = pyramid(image_size)
        plan = channel_plan(width, depth, max_width)[::-1]  # coarse to fine
        steps: list[str | None] = [upsampling] * depth
        if full_resolution:
            plan, steps = [*plan, width], [*steps, None]
        hidden_bias = bias and not norm_shifts(norm)
        dim_modulation = dim_code if modulation else None
        self.start = nn.ConvTranspose2d(dim_code, plan[0], grid, bias=hidden_bias)
        self.finishes = nn.ModuleList(
            Finish(channels=level, norm=norm, activation=activation, dim_code=dim_modulation) for level in plan
        )
        self.steps = nn.ModuleList()
        for level, outputs in enumerate([*plan[1:], channels]):
            last = level == len(plan) - 1
            self.steps.append(
                StepConv(
                    in_channels=plan[level],
                    out_channels=outputs,
                    upsampling=steps[level],
                    coordinates=coordinates,
                    bias=bias if last else hidden_bias,
                )
            )

    def forward(self, content: Tensor, motion: Tensor) -> Tensor:
        """Codes (N, dim_content) and (N, dim_motion) -> frames (N, channels, H, W), float32 in [-1, 1]."""
        code = torch.cat([content, motion], dim=1)  # (N, dim_code)
        maps = self.start(code[:, :, None, None])  # (N, plan[0], *grid)
        for finish, step in zip(self.finishes, self.steps, strict=True):
            maps = step(finish(maps, code))
        return torch.tanh(maps.float())
