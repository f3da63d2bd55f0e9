"""Inference with TransNet V2, a network for shot boundary detection (Soucek and Lokoc, arXiv:2008.04838).

Module names follow the published state dict, so that it loads unchanged. Cells of 3-D convolutions (DDCNN V2) are
factored into space (3x3) and time (3), with dilations 1, 2, 4 and 8 in time. Similarities between frames, of learned
features and of colour histograms, are added. The output is one logit per frame: the shot ends with this frame.
"""

from pathlib import Path
from typing import Final

import numpy as np
import torch
from einops import rearrange
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["TransNetV2", "load_transnet", "shot_end_probabilities"]

SIZE: Final = (27, 48)
"""(H, W) in pixels of the network's input."""

_DILATIONS: Final = (1, 2, 4, 8)
_LOOKUP: Final = 101  # a frame is compared with itself and 50 frames on each side
_CHUNK: Final = 100  # frames per forward pass
_MARGIN: Final = 25  # frames at each end of a chunk whose logits lack context and are discarded


class _Conv(nn.Module):
    """3x3 convolution in space, then a dilated convolution of size 3 in time."""

    def __init__(self, channels: int, filters: int, dilation: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            [
                nn.Conv3d(channels, 2 * filters, (1, 3, 3), padding=(0, 1, 1), bias=False),
                nn.Conv3d(
                    2 * filters, filters, (3, 1, 1), dilation=(dilation, 1, 1), padding=(dilation, 0, 0), bias=False
                ),
            ]
        )

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x)
        return x


class _Cell(nn.Module):
    """Four dilations in parallel, then batch norm (Figure 2 of the paper)."""

    def __init__(self, channels: int, filters: int) -> None:
        super().__init__()
        for dilation in _DILATIONS:
            self.add_module(f"Conv3D_{dilation}", _Conv(channels, filters, dilation))
        self.bn = nn.BatchNorm3d(4 * filters, eps=1e-3)

    def forward(self, x: Tensor) -> Tensor:
        parts = [self.get_submodule(f"Conv3D_{dilation}")(x) for dilation in _DILATIONS]
        return self.bn(torch.cat(parts, 1))  # (B, 4 filters, T, h, w)


class _Stack(nn.Module):
    """Two cells, the second one residual, then spatial pooling by two."""

    def __init__(self, channels: int, filters: int) -> None:
        super().__init__()
        self.DDCNN = nn.ModuleList([_Cell(channels, filters), _Cell(4 * filters, filters)])

    def forward(self, x: Tensor) -> Tensor:
        first = functional.relu(self.DDCNN[0](x))
        x = first + functional.relu(self.DDCNN[1](first))
        return functional.avg_pool3d(x, (1, 2, 2))  # (B, 4 filters, T, h/2, w/2)


class _FrameSimilarity(nn.Module):
    """Cosine similarity of each frame's features to those of its neighbours."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.projection = nn.Linear(channels, 128)
        self.fc = nn.Linear(_LOOKUP, 128)

    def forward(self, blocks: list[Tensor]) -> Tensor:
        features = torch.cat([block.mean((3, 4)) for block in blocks], 1).transpose(1, 2)  # (B, T, C)
        return functional.relu(self.fc(_neighbours(functional.normalize(self.projection(features), dim=2))))


class _ColourHistograms(nn.Module):
    """Cosine similarity of each frame's 8x8x8 colour histogram to those of its neighbours."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(_LOOKUP, 128)

    def forward(self, frames: Tensor) -> Tensor:
        red, green, blue = (frames.long() >> 5).unbind(-1)  # (B, T, H, W) each
        bins = ((red << 6) + (green << 3) + blue).flatten(2)  # (B, T, H W)
        counts = torch.zeros(*bins.shape[:2], 512).scatter_add_(2, bins, torch.ones(bins.shape))
        return functional.relu(self.fc(_neighbours(functional.normalize(counts, dim=2))))


def _neighbours(features: Tensor) -> Tensor:
    """(B, T, C) -> (B, T, 101): dot products with the frames from 50 before to 50 after; 0 outside the clip."""
    batch, length, _ = features.shape
    half = _LOOKUP // 2
    products = functional.pad(features @ features.transpose(1, 2), (half, half))  # (B, T, T + 100)
    columns = torch.arange(length)[:, None] + torch.arange(_LOOKUP)  # (T, 101)
    return products.gather(2, columns.expand(batch, -1, -1))


class TransNetV2(nn.Module):
    """uint8 (B, T, 27, 48, 3) RGB -> logits (B, T) that a shot ends with the frame."""

    def __init__(self) -> None:
        super().__init__()
        self.SDDCNN = nn.ModuleList([_Stack(3, 16), _Stack(64, 32), _Stack(128, 64)])
        self.frame_sim_layer = _FrameSimilarity(64 + 128 + 256)
        self.color_hist_layer = _ColourHistograms()
        self.fc1 = nn.Linear(256 * 3 * 6 + 2 * 128, 1024)
        self.cls_layer1 = nn.Linear(1024, 1)
        self.cls_layer2 = nn.Linear(1024, 1)  # all frames of a gradual transition; used in training only

    def forward(self, frames: Tensor) -> Tensor:
        x = rearrange(frames, "b t h w c -> b c t h w").float() / 255
        blocks = []
        for stack in self.SDDCNN:
            x = stack(x)
            blocks.append(x)
        flat = rearrange(x, "b c t h w -> b t (h w c)")
        x = torch.cat([self.color_hist_layer(frames), self.frame_sim_layer(blocks), flat], 2)
        return self.cls_layer1(functional.relu(self.fc1(x)))[..., 0]


def load_transnet(weights: Path | str) -> TransNetV2:
    """Load published weights: a state dict of any floating-point type, of PyTorch or as safetensors.

    Raises:
        ValueError: the file is missing, or is not a state dict of TransNet V2.
    """
    path = Path(weights)
    if not path.is_file():
        raise ValueError(f"{path}: no such file; expected the state dict of TransNet V2 for PyTorch")
    net = TransNetV2()
    try:
        safe = path.suffix == ".safetensors"
        state = load_file(path) if safe else torch.load(path, map_location="cpu", weights_only=True)
        net.load_state_dict(
            {name: value.float() if value.is_floating_point() else value for name, value in state.items()}
        )
    except Exception as error:  # damaged bytes can make the unpickler raise anything
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ValueError(f"{path}: not the state dict of TransNet V2 for PyTorch ({reason})") from error
    return net.eval()


@torch.inference_mode()
def shot_end_probabilities(net: TransNetV2, frames: np.ndarray) -> np.ndarray:
    """Probability that a shot ends with each frame: uint8 (T, 27, 48, 3) RGB -> float64 (T,).

    Frames are processed in overlapping chunks of 100, of which the middle 50 are used.
    """
    count = len(frames)
    tail = -count % (_CHUNK - 2 * _MARGIN) + _MARGIN
    padded = np.concatenate([frames[:1].repeat(_MARGIN, 0), frames, frames[-1:].repeat(tail, 0)])
    probabilities = []
    for start in range(0, count, _CHUNK - 2 * _MARGIN):
        chunk = torch.from_numpy(np.ascontiguousarray(padded[start : start + _CHUNK]))[None]  # (1, 100, H, W, 3)
        probabilities.append(torch.sigmoid(net(chunk))[0, _MARGIN:-_MARGIN])
    return torch.cat(probabilities)[:count].double().numpy()
