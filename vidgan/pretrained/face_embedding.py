"""dlib's face embedding (King 2017): a residual network whose outputs are close for pictures of one person.

29 convolutions after He et al. (2016), with half the filters and a learned scale and shift in place of batch norm,
which was folded. Trained with a metric loss: two pictures of one person are less than about 0.6 apart. Module names
follow the converted arrays of the package.
"""

from typing import Final

import torch.nn.functional as F
from torch import Tensor, nn

from vidgan.types import ByteClip

SIDE: Final = 150
"""Pixels per side of the faces that the network was trained on."""

_MEAN: Final = (122.782, 117.001, 104.298)  # RGB levels
# (name, channels, is halved) of each residual block.
_BLOCKS: Final = (
    *((f"conv32_{n}", 32, 32, False) for n in (1, 2, 3)),
    ("conv64_down", 32, 64, True),
    *((f"conv64_{n}", 64, 64, False) for n in (1, 2, 3)),
    ("conv128_down", 64, 128, True),
    *((f"conv128_{n}", 128, 128, False) for n in (1, 2)),
    ("conv256_down", 128, 256, True),
    *((f"conv256_{n}", 256, 256, False) for n in (1, 2)),
    ("conv256_down_out", 256, 256, True),
)


class _Scale(nn.Module):
    """A factor and a shift per channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        affine = nn.BatchNorm1d(channels)
        self.weight, self.bias = affine.weight, affine.bias

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weight[:, None, None] + self.bias[:, None, None]


class _Conv(nn.Module):
    """Convolution and scale; padded to keep the size, or without padding at stride 2."""

    def __init__(self, channels: int, filters: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, filters, kernel, stride, kernel // 2 if stride == 1 else 0)
        self.scale = _Scale(filters)

    def forward(self, x: Tensor) -> Tensor:
        return self.scale(self.conv(x))


class _Residual(nn.Module):
    """Two convolutions; a halving block adds its averaged input, with zeros for missing channels and borders."""

    def __init__(self, channels: int, filters: int, *, halved: bool) -> None:
        super().__init__()
        self.halved = halved
        self.conv1 = _Conv(channels, filters, 3, 2 if halved else 1)
        self.conv2 = _Conv(filters, filters, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv2(F.relu(self.conv1(x)))
        if self.halved:
            x = F.avg_pool2d(x, 2)
            x = F.pad(x, (0, 0, 0, 0, 0, y.shape[1] - x.shape[1]))
            y = F.pad(y, (0, x.shape[3] - y.shape[3], 0, x.shape[2] - y.shape[2]))
        return F.relu(x + y)


class FaceEmbedding(nn.Module):
    """uint8 faces (B, 3, H, W) RGB -> embeddings (B, 128); frames are squashed to 150x150 first."""

    def __init__(self) -> None:
        super().__init__()
        self.conv32_down = _Conv(3, 32, 7, 2)
        for name, channels, filters, halved in _BLOCKS:
            self.add_module(name, _Residual(channels, filters, halved=halved))
        self.fc = nn.Linear(256, 128, bias=False)

    def forward(self, frames: ByteClip) -> Tensor:
        x = F.interpolate(frames.float(), (SIDE, SIDE), mode="bilinear", antialias=True)
        x = (x - x.new_tensor(_MEAN)[:, None, None]) / 256
        x = F.max_pool2d(F.relu(self.conv32_down(x)), 3, 2)
        for name, *_ in _BLOCKS:
            x = self.get_submodule(name)(x)
        return self.fc(x.mean(dim=(2, 3)))
