"""EfficientNet-Lite2, an ImageNet classifier, as a feature network of single frames.

EfficientNet (Tan and Le 2019) with width 1.1 and depth 1.2, in the Lite form: no squeeze-and-excitation, ReLU6, and a
stem, head, first and last stage that are not scaled. The weights were trained by TensorFlow, so that a convolution of
stride 2 pads right and below, and batch norm adds 1e-3 to the variance. Module names follow the published state dict.
"""

from typing import Final

import torch.nn.functional as F
from torch import Tensor, nn

from vidgan.types import ByteClip

FEATURES: Final = 1280
CLASSES: Final = 1000
RESOLUTION: Final = 260
"""Pixels per side of the images that the classifier was trained on."""

# (kernel, stride, expansion, output channels, blocks) of each stage.
_STAGES: Final = (
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 3),
    (5, 2, 6, 48, 3),
    (3, 2, 6, 88, 4),
    (5, 1, 6, 120, 4),
    (5, 2, 6, 208, 5),
    (3, 1, 6, 352, 1),
)


class _SameConv(nn.Conv2d):
    """Convolution padded as TensorFlow does: ceil(size / stride) outputs, an odd pixel of padding right and below."""

    def forward(self, x: Tensor) -> Tensor:
        padding: list[int] = []
        for size, kernel, stride in zip(x.shape[:1:-1], self.kernel_size[::-1], self.stride[::-1], strict=True):
            total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
            padding += [total // 2, total - total // 2]
        return super().forward(F.pad(x, padding))


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3)


class _Block(nn.Module):
    """Inverted residual: expand, convolve each channel by itself, project; added to its input if the shape allows."""

    def __init__(self, channels: int, kernel: int, stride: int, expansion: int, filters: int) -> None:
        super().__init__()
        wide = channels * expansion
        self.expands = expansion > 1
        if self.expands:
            self._expand_conv = nn.Conv2d(channels, wide, 1, bias=False)
            self._bn0 = _norm(wide)
        self._depthwise_conv = _SameConv(wide, wide, kernel, stride, groups=wide, bias=False)
        self._bn1 = _norm(wide)
        self._project_conv = nn.Conv2d(wide, filters, 1, bias=False)
        self._bn2 = _norm(filters)
        self.is_residual = stride == 1 and channels == filters

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu6(self._bn0(self._expand_conv(x))) if self.expands else x
        y = F.relu6(self._bn1(self._depthwise_conv(y)))
        y = self._bn2(self._project_conv(y))
        return x + y if self.is_residual else y


class EfficientNetLite2(nn.Module):
    """uint8 frames (B, 3, H, W) RGB -> pooled features (B, 1280), squashed to a square of `side` pixels first.

    Args:
        side: pixels per side that frames are resized to, bilinearly with antialiasing, whatever their aspect ratio.
    """

    def __init__(self, side: int = RESOLUTION) -> None:
        super().__init__()
        self.side = side
        self._conv_stem = _SameConv(3, 32, 3, 2, bias=False)
        self._bn0 = _norm(32)
        blocks: list[nn.Module] = []
        channels = 32
        for kernel, stride, expansion, filters, number in _STAGES:
            for position in range(number):
                blocks.append(_Block(channels, kernel, stride if position == 0 else 1, expansion, filters))
                channels = filters
        self._blocks = nn.ModuleList(blocks)
        self._conv_head = nn.Conv2d(channels, FEATURES, 1, bias=False)
        self._bn1 = _norm(FEATURES)
        self._fc = nn.Linear(FEATURES, CLASSES)

    def forward(self, frames: ByteClip) -> Tensor:
        x = F.interpolate(frames.float(), (self.side, self.side), mode="bilinear", antialias=True)
        x = (x - 127) / 128
        x = F.relu6(self._bn0(self._conv_stem(x)))
        for block in self._blocks:
            x = block(x)
        return F.relu6(self._bn1(self._conv_head(x))).mean(dim=(2, 3))

    def classify(self, frames: ByteClip) -> Tensor:
        """uint8 (B, 3, H, W) RGB -> (B, 1000) logits of the ImageNet classes, in their usual order."""
        return self._fc(self(frames))
