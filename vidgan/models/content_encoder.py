"""The image-to-video variant's encoder from a given first frame to the content code.

The paper tells only that an encoder supplies the content code there, and its layers were never published; this is the
frame discriminator's layout.
"""

from itertools import pairwise

from torch import Tensor, nn

from vidgan.nn.blocks import LEAK, channel_plan, norm_layer, norm_shifts, pyramid

__all__ = ["ContentEncoder"]


class ContentEncoder(nn.Module):
    """Strided 4x4 convolutions down to the smallest grid, then one that spans it.

    Args:
        image_size: (H, W), multiples of 16 from 32 up.
        channels: of a frame.
        dim_content: length of the code.
        width: channels of the first layer, doubled at each further one.
        max_width: most channels of any layer.
        norm: "batch", "group", "pixel" or "none", behind all convolutions but the first and the last.
        bias: convolutions without a shifting norm behind them have a bias.
    """

    def __init__(
        self,
        *,
        image_size: tuple[int, int],
        channels: int = 3,
        dim_content: int,
        width: int = 64,
        max_width: int = 512,
        norm: str = "batch",
        bias: bool = True,
    ) -> None:
        super().__init__()
        depth, grid = pyramid(image_size)
        plan = [channels, *channel_plan(width, depth, max_width)]
        layers: list[nn.Module] = []
        for level, (inputs, outputs) in enumerate(pairwise(plan)):
            kind = norm if level else "none"
            with_bias = bias and not norm_shifts(kind)
            layers += [nn.Conv2d(inputs, outputs, 4, stride=2, padding=1, bias=with_bias), norm_layer(kind, outputs)]
            layers.append(nn.LeakyReLU(LEAK))
        self.layers = nn.Sequential(*layers, nn.Conv2d(plan[-1], dim_content, grid, bias=bias))

    def forward(self, frame: Tensor) -> Tensor:
        """Frames (B, channels, H, W) in [-1, 1] -> content codes (B, dim_content), float32."""
        return self.layers(frame).flatten(1).float()
