"""Feature networks for distances between sets of clips, each loaded from a file that the user names.

The usual networks (I3D, Inception, C3D) come with no package, and their scores depend on the exact file. So a path is
required, nothing is downloaded, and the result records the hash of the file. Loading a TorchScript file runs its code.
Clips are (N, T, 3, H, W) uint8.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from vidgan.errors import WeightsError
from vidgan.files import file_hash
from vidgan.metrics.frechet import frechet_between, kernel_distance
from vidgan.metrics.values import Values
from vidgan.metrics.weights import load_script, require_weights
from vidgan.pixels import to_float
from vidgan.types import ByteClip

Describe: TypeAlias = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class ClipMeasure:
    """A number per clip, (N,), or a curve per clip, (N, L), computed from the features of the clips."""

    function: Callable[[Values], Values]
    definition: str


@dataclass(frozen=True)
class SetMeasures:
    """Numbers that compare the features of a set with those of a reference."""

    function: Callable[[Values, Values], Mapping[str, float]]  # name -> value
    definitions: Mapping[str, str]
    better: Mapping[str, str]  # name -> "lower" or "higher"
    fewest: int = 2  # clips of each set


@dataclass(frozen=True)
class FeatureNet:
    """A function from clips (N, T, 3, H, W) uint8 to features (N, D), or (N, T, D) for a network of single frames.

    Attributes:
        definition: of the features.
        weights: file name -> SHA-256.
        distances: names of its Fréchet and kernel distance, such as ("fvd", "kvd"); None: after the name of the
            network; empty: the features have no such distance.
        of_clips, of_sets: further measures of its features.
        of_pairs: measures of every two frames of a clip: their function returns (N, T, T).
    """

    function: Callable[[ByteClip], Values]
    definition: str
    weights: Mapping[str, str] = field(default_factory=dict)
    distances: tuple[str, str] | tuple[()] | None = None
    of_clips: Mapping[str, ClipMeasure] = field(default_factory=dict)
    of_pairs: Mapping[str, ClipMeasure] = field(default_factory=dict)
    of_sets: SetMeasures | None = None

    def __call__(self, clips: ByteClip) -> Values:
        return self.function(clips)


def distance_names(name: str, net: Callable[[ByteClip], Values]) -> tuple[str, str] | tuple[()]:
    """Metric names of the Fréchet and the kernel distance in the features of the network ``name``; or none."""
    own = net.distances if isinstance(net, FeatureNet) else None
    return (f"frechet_{name}", f"kernel_{name}") if own is None else own


def feature_distances(name: str, net: Callable[[ByteClip], Values]) -> dict[str, Callable[[Values, Values], float]]:
    """Metric name -> distance of two sets of features, one row each clip or frame."""
    return dict(zip(distance_names(name, net), (frechet_between, kernel_distance), strict=False))


def distance_definitions(name: str, net: Callable[[ByteClip], Values]) -> dict[str, str]:
    """Metric name -> definition of the two distances of `distance_names`."""
    features = net.definition if isinstance(net, FeatureNet) else f"features {name}, given by the caller; not FVD"
    texts = ("Fréchet distance", "kernel distance, unbiased MMD^2 with (x.y / D + 1)^3")
    return {key: f"{text}; {features}" for key, text in zip(distance_names(name, net), texts, strict=False)}


def script_features(
    weights: Path,
    *,
    size: tuple[int, int] | None = None,
    frames: bool = False,
    device: torch.device | str = "cpu",
    batch: int = 16,
) -> FeatureNet:
    """Load any TorchScript network as features for a Fréchet distance named after the file; this is not FVD.

    The network is called with float32 in [-1, 1], (B, 3, T, H, W), or (B, 3, H, W) with ``frames``. Its output is
    flattened to one row per clip or frame.

    Args:
        weights: the TorchScript file.
        size: (H, W) that frames are resized to, bilinearly, ignoring the aspect ratio; None keeps their size.
        frames: the network takes single frames; every frame becomes a row of the set.
        device: device of the network.
        batch: clips (or frames) per call.

    Raises:
        WeightsError: the file does not exist or is not TorchScript.
    """
    path = require_weights(weights, "the feature distance", "give the path of a TorchScript file (torch.jit.save)")
    net = load_script(path, device)

    def describe(part: Tensor) -> Tensor:
        """(B, 3, T, H, W) or (B, 3, H, W) uint8 -> (B, D)."""
        return net(_resized(to_float(part), size)).flatten(1)

    unit = "frame" if frames else "clip"
    prepared = "as they are" if size is None else f"squashed to {size[0]}x{size[1]}, bilinear"
    return FeatureNet(
        frame_function(describe, batch, device) if frames else clip_function(describe, batch, device),
        f"features of {path.name}, one row a {unit}; RGB in [-1, 1], frames {prepared}; not FVD",
        {path.name: file_hash(path)},
    )


def inception_features(weights: Path, *, device: torch.device | str = "cpu", batch: int = 64) -> FeatureNet:
    """Load Inception, whose pool features of every frame give the frame FID (Heusel et al. 2017) of a set of clips.

    Args:
        weights: `inception-2015-12-05.pt`, the TorchScript conversion of the original TensorFlow network that the
            StyleGAN authors distribute. It takes uint8 (B, 3, H, W), resizes internally, and returns 2048 features with
            ``return_features=True``. FID is defined on this network; other Inception networks give other numbers.
        device: device of the network.
        batch: frames per call.

    Raises:
        WeightsError: the file does not exist, is not TorchScript, or (on use) does not return 2048 features per frame.
    """
    how = "it is inception-2015-12-05.pt, the TorchScript file that NVIDIA's StyleGAN repositories link"
    path = require_weights(weights, "the frame FID", how)
    net = load_script(path, device)

    def describe(part: Tensor) -> Tensor:
        return checked_rows(net(part, return_features=True), len(part), 2048, path)

    definition = f"frame FID: {path.name}, 2048 pool features of every frame, covariances divided by N - 1, float64"
    hashes = {path.name: file_hash(path)}
    return FeatureNet(frame_function(describe, batch, device), definition, hashes, ("frame_fid", "frame_kid"))


def checked_rows(output: Any, rows: int, columns: int, path: Path) -> Tensor:
    """Return the output of a network if it has the shape (rows, columns).

    Raises:
        WeightsError: it has another shape; the message names the file of the network.
    """
    shape = tuple(getattr(output, "shape", ()))
    if shape != (rows, columns):
        raise WeightsError(f"{path}: expected an output of shape ({rows}, {columns}), got {shape}")
    return output


def clip_function(describe: Describe, batch: int, device: torch.device | str) -> Callable[[ByteClip], Values]:
    """Turn ``describe``, (B, 3, T, H, W) uint8 -> (B, D), into a function of whole sets, (N, T, 3, H, W) -> (N, D)."""

    def function(clips: ByteClip) -> Values:
        return _describe_parts(describe, rearrange(clips, "n t c h w -> n c t h w").split(batch), device)

    return function


def frame_function(describe: Describe, batch: int, device: torch.device | str) -> Callable[[ByteClip], Values]:
    """Turn ``describe``, (B, 3, H, W) uint8 -> (B, D), into a function of whole sets, (N, T, 3, H, W) -> (N, T, D)."""

    def function(clips: ByteClip) -> Values:
        rows = _describe_parts(describe, rearrange(clips, "n t c h w -> (n t) c h w").split(batch), device)
        return rearrange(rows, "(n t) d -> n t d", n=len(clips))

    return function


def _describe_parts(describe: Describe, parts: Any, device: torch.device | str) -> Values:
    with torch.inference_mode():
        return np.concatenate([describe(part.to(device)).double().cpu().numpy() for part in parts])


def _resized(pixels: Tensor, size: tuple[int, int] | None) -> Tensor:
    """Resize the frames of (B, 3, T, H, W) or (B, 3, H, W) to ``size``."""
    if size is None:
        return pixels
    if pixels.dim() == 4:
        return F.interpolate(pixels, size, mode="bilinear", align_corners=False)
    flat = rearrange(pixels, "b c t h w -> (b t) c h w")
    flat = F.interpolate(flat, size, mode="bilinear", align_corners=False)
    return rearrange(flat, "(b t) c h w -> b c t h w", b=len(pixels))
