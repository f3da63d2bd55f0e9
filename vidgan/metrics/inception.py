"""Inception Score (Salimans et al. 2016) of clips with the C3D of TGAN (Saito et al. 2017), from weight files.

The score depends on the protocol. TGAN's takes one split of 10,000 clips, others take ten splits of 2,048 clips, and
their numbers do not compare. Real UCF-101 scores 34.49 in TGAN's protocol.
"""

from pathlib import Path
from typing import NamedTuple
from zipfile import BadZipFile

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from vidgan.errors import WeightsError
from vidgan.files import file_hash
from vidgan.metrics.features import FeatureNet, clip_function
from vidgan.metrics.values import Values
from vidgan.metrics.weights import load_script, require_weights

FRAMES = 16
HOW = "TGAN's repository (pfnet-research/tgan) links conv3d_deepnetA_ucf.npz and mean2.npz"
CONVOLUTIONS = ("conv1a", "conv2a", "conv3a", "conv3b", "conv4a", "conv4b", "conv5a", "conv5b")
POOLED = ("conv1a", "conv2a", "conv3b", "conv4b", "conv5b")
DENSE = ("fc6", "fc7", "fc8")


class InceptionScore(NamedTuple):
    """exp(mean KL(p(y|x) || p(y))) and its standard deviation over splits (0 for one split)."""

    score: float
    deviation: float


def inception_score(probabilities: Values, splits: int = 1, eps: float = 1e-7) -> InceptionScore:
    """Inception Score of class probabilities, in [1, K]; higher is better.

    Args:
        probabilities: (N, K), each row sums to 1.
        splits: number of consecutive parts that are scored separately and averaged; TGAN uses 1. Scores of different
            numbers of splits do not compare.
        eps: added inside the logarithms (TGAN: 1e-7, TGANv2: 1e-20).

    Raises:
        ValueError: rows that are not probabilities, or fewer rows than splits.
    """
    probabilities = np.asarray(probabilities, dtype=np.float64)
    if probabilities.ndim != 2 or not 1 <= splits <= len(probabilities):
        raise ValueError(f"{splits} splits need (N, K) probabilities with N >= {splits}, got {probabilities.shape}")
    # NaN must fail this check, hence `not all(>= 0)` rather than `any(< 0)`.
    if not (probabilities >= 0).all() or not np.allclose(probabilities.sum(axis=1), 1, atol=1e-3):
        raise ValueError("probabilities must be non-negative and sum to 1 in each row")
    scores = []
    for part in np.array_split(probabilities, splits):
        divergence = part * (np.log(part + eps) - np.log(part.mean(axis=0) + eps))
        scores.append(np.exp(divergence.sum(axis=1).mean()))
    return InceptionScore(float(np.mean(scores)), float(np.std(scores)))


def c3d_classifier(weights: Path, mean: Path, *, device: torch.device | str = "cpu", batch: int = 8) -> FeatureNet:
    """Load TGAN's C3D: a function from clips (N, 16, 3, H, W) uint8 to class probabilities (N, K) float64.

    As in TGAN's `calc_inception.py`, frames are resized to 128x128 (bicubic, as OpenCV does) and converted to BGR in
    0..255. Columns 21..148 of the mean clip are subtracted, and the central 112x112 is cropped.

    Args:
        weights: TGAN's Chainer file `conv3d_deepnetA_ucf.npz`, or a TorchScript file that takes (B, 3, 16, 112, 112)
            prepared in this way and returns (B, K) probabilities or logits.
        mean: `mean2.npz`, whose array `mean` has 3x16x128x171 numbers.
        device: device of the network.
        batch: clips per call.

    Raises:
        WeightsError: a file is missing or has other contents.
        ValueError: on use, clips that do not have 16 frames.
    """
    weights = require_weights(weights, "the Inception Score", HOW)
    centre = _mean_clip(require_weights(mean, "the Inception Score", HOW)).to(device)  # (3, 16, 128, 128)
    if weights.suffix == ".npz":
        arrays = {name: array.to(device) for name, array in _chainer_arrays(weights).items()}

        def classify(prepared: Tensor) -> Tensor:
            return c3d(prepared, arrays)
    else:
        classify = load_script(weights, device)

    def describe(part: Tensor) -> Tensor:
        """(B, 3, 16, H, W) uint8 -> (B, K)."""
        if part.shape[2] != FRAMES:
            raise ValueError(f"the Inception Score is defined on clips of {FRAMES} frames, got {part.shape[2]}")
        rows = classify(_prepare(part, centre))
        if rows.dim() != 2 or len(rows) != len(part):
            raise WeightsError(
                f"{weights}: expected an output of shape ({len(part)}, classes), got {tuple(rows.shape)}"
            )
        normalised = bool((rows >= 0).all()) and torch.allclose(rows.sum(1), torch.ones_like(rows[:, 0]), atol=1e-3)
        return rows if normalised else rows.double().softmax(dim=1)

    definition = f"class probabilities of {weights.name}, TGAN's preparation (128x128 bicubic, BGR less mean, 112x112)"
    hashes = {path.name: file_hash(path) for path in (weights, mean)}
    return FeatureNet(clip_function(describe, batch, device), definition, hashes)


def c3d(clips: Tensor, arrays: dict[str, Tensor]) -> Tensor:
    """C3D (Tran et al. 2015) as TGAN runs it, without dropout: (B, 3, 16, 112, 112) -> (B, K) logits.

    Args:
        clips: prepared clips.
        arrays: weights `<layer>/W` and `<layer>/b`, with the layer names of Chainer's file.
    """
    features = clips
    for name in CONVOLUTIONS:
        features = F.conv3d(features, arrays[f"{name}/W"], arrays[f"{name}/b"], padding=1).relu()
        if name in POOLED:
            kernel = (1, 2, 2) if name == "conv1a" else (2, 2, 2)
            features = F.max_pool3d(features, kernel, ceil_mode=True)  # Chainer rounds up: 7 becomes 4
    features = features.flatten(1)
    for name in DENSE:
        features = F.linear(features, arrays[f"{name}/W"], arrays[f"{name}/b"])
        if name != DENSE[-1]:
            features = features.relu()
    return features


def _prepare(part: Tensor, centre: Tensor) -> Tensor:
    """(B, 3, 16, H, W) uint8 RGB -> (B, 3, 16, 112, 112) BGR minus the mean."""
    frames = rearrange(part, "b c t h w -> (b t) c h w").float()
    frames = F.interpolate(frames, (128, 128), mode="bicubic", align_corners=False).clamp(0, 255)
    clips = rearrange(frames, "(b t) c h w -> b c t h w", b=len(part)).flip(1) - centre  # (B, 3, 16, 128, 128)
    return clips[..., 8:120, 8:120]


def _mean_clip(path: Path) -> Tensor:
    arrays = _arrays(path)
    if "mean" not in arrays or arrays["mean"].size != 3 * FRAMES * 128 * 171:
        raise WeightsError(f"{path}: expected an array 'mean' of 3x{FRAMES}x128x171 numbers; {HOW}")
    mean = torch.from_numpy(arrays["mean"].astype(np.float32)).reshape(3, FRAMES, 128, 171)
    return mean[..., 21:149]


def _chainer_arrays(path: Path) -> dict[str, Tensor]:
    arrays = _arrays(path)
    names = [f"{layer}/{part}" for layer in (*CONVOLUTIONS, *DENSE) for part in ("W", "b")]
    if missing := [name for name in names if name not in arrays]:
        raise WeightsError(f"{path}: the arrays {', '.join(missing[:4])} of TGAN's C3D are missing; {HOW}")
    return {name: torch.from_numpy(arrays[name].astype(np.float32)) for name in names}


def _arrays(path: Path) -> dict[str, Values]:
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (ValueError, OSError, AttributeError, BadZipFile) as error:
        raise WeightsError(f"{path}: not a readable .npz file ({error})") from error
