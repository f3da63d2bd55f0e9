"""Fréchet Video Distance (FVD, Unterthiner et al. 2018): I3D features from a weight file. KVD uses the same features.

FVD is the Fréchet distance between the 400 logits, averaged over time, that the Kinetics-400 I3D of TF-Hub
(deepmind/i3d-kinetics-400/1) computes for each clip. The TorchScript conversion `i3d_torchscript.pt` (StyleGAN-V,
fvd-comparison) holds the same weights. Features of another layer or another I3D are on another scale and are not FVD.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from vidgan.files import file_hash
from vidgan.metrics.features import FeatureNet, checked_rows, clip_function
from vidgan.metrics.weights import load_script, require_weights

LOGITS = 400
SIDE = 224
MIN_FRAMES = 10  # the temporal strides of I3D leave no output for fewer
HOW = "it is i3d_torchscript.pt, the TorchScript I3D that the StyleGAN-V and fvd-comparison repositories link"

Resize = Literal["file", "original"]


def i3d(weights: Path, *, resize: Resize = "file", device: torch.device | str = "cpu", batch: int = 16) -> FeatureNet:
    """Load the I3D of a TorchScript file, for FVD and KVD.

    Args:
        weights: a file that is called as ``net(x, rescale=, resize=, return_features=True)`` on (B, 3, T, H, W).
        resize: "file" passes levels 0..255, and the file resizes to 224x224 and rescales (StyleGAN-V protocol);
            "original" resizes here as TensorFlow 1 did for the first published FVDs (bilinear, corners not aligned, no
            half-pixel centres) and scales by 2x/255 - 1. The results differ little, but must not be mixed.
        device: device of the network.
        batch: clips per call.

    Raises:
        WeightsError: the file does not exist, is not TorchScript, or (on use) does not return 400 logits per clip.
        ValueError: an unknown ``resize``, or (on use) clips of fewer than 10 frames.
    """
    if resize not in ("file", "original"):
        raise ValueError(f"resize must be 'file' or 'original', got {resize!r}")
    path = require_weights(weights, "FVD", HOW)
    net = load_script(path, device)
    describe = partial(_logits, net=net, path=path, original=resize == "original")
    definition = (
        f"400 I3D logits of {path.name}, frames squashed to 224x224 "
        + ("inside the file (StyleGAN-V protocol)" if resize == "file" else "as TensorFlow 1 did (original protocol)")
        + "; float64, covariances divided by N - 1, symmetric square root"
    )
    hashes = {path.name: file_hash(path)}
    return FeatureNet(clip_function(describe, batch, device), definition, hashes, ("fvd", "kvd"))


def resize_tf1(frames: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize as TensorFlow 1 did (bilinear, ``align_corners=False``): output pixel i samples at i * in / out.

    There are no half-pixel centres, so the image is shifted by up to half an input pixel against current resizes.

    Args:
        frames: (..., H, W) floats.
        size: (height, width).
    """
    for axis, length in ((-2, size[0]), (-1, size[1])):
        number = frames.shape[axis]
        position = torch.arange(length, dtype=torch.float32, device=frames.device) * (number / length)
        low = position.floor().long()
        share = position - low
        if axis == -2:
            share = share[:, None]
        first = frames.index_select(axis, low)
        second = frames.index_select(axis, (low + 1).clamp(max=number - 1))
        frames = first + (second - first) * share
    return frames


def _logits(part: Tensor, *, net: Callable[..., Tensor], path: Path, original: bool) -> Tensor:
    """(B, 3, T, H, W) uint8 -> (B, 400)."""
    if part.shape[2] < MIN_FRAMES:
        raise ValueError(f"FVD needs clips of at least {MIN_FRAMES} frames, got {part.shape[2]}")
    pixels = part.float()
    if original:
        pixels = resize_tf1(pixels, (SIDE, SIDE)) * (2 / 255) - 1  # (B, 3, T, 224, 224) in [-1, 1]
    output = net(pixels, rescale=not original, resize=not original, return_features=True)
    return checked_rows(output, len(part), LOGITS, path)
