"""Networks that describe clips for a set distance, each loaded from a file that the user names.

None of the usual networks (I3D, Inception, C3D) comes with a package, and their numbers are those of the exact file: so
a path is required, nothing is downloaded, and the result carries the file's hash. A TorchScript file is a program that
runs on loading. Clips are (N, T, 3, H, W) uint8.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from vidgan.errors import WeightsError
from vidgan.metrics.weights import file_hash, load_script, require_weights
from vidgan.pixels import to_float
from vidgan.types import ByteClip

Array: TypeAlias = npt.NDArray[np.float64]
Describe: TypeAlias = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class FeatureNet:
    """A function from clips (N, T, 3, H, W) uint8 to features: (N, D), or (N, T, D) for a network of single frames."""

    function: Callable[[ByteClip], Array]
    definition: str
    weights: Mapping[str, str] = field(default_factory=dict)  # file name -> sha256
    distances: tuple[str, str] | None = None  # own names of its Fréchet and kernel distance, e.g. ("fvd", "kvd")

    def __call__(self, clips: ByteClip) -> Array:
        return self.function(clips)


def distance_names(name: str, net: Callable[[ByteClip], Array]) -> tuple[str, str]:
    """Of the Fréchet and the kernel distance in the features of a network that the caller calls ``name``."""
    own = net.distances if isinstance(net, FeatureNet) else None
    return own or (f"frechet_{name}", f"kernel_{name}")


def distance_definitions(name: str, net: Callable[[ByteClip], Array]) -> dict[str, str]:
    """What those two distances are."""
    told = net.definition if isinstance(net, FeatureNet) else f"features {name}, given by the caller; not FVD"
    frechet, kernel = distance_names(name, net)
    return {
        frechet: f"Fréchet distance; {told}",
        kernel: f"kernel distance, unbiased MMD^2 with (x.y / D + 1)^3; {told}",
    }


def script_features(
    weights: Path,
    *,
    size: tuple[int, int] | None = None,
    frames: bool = False,
    device: torch.device | str = "cpu",
    batch: int = 16,
) -> FeatureNet:
    """Features of any network in a TorchScript file, for a Fréchet distance under its file's name; it is not FVD.

    The network is called with float32 in [-1, 1], (B, 3, T, H, W), or (B, 3, H, W) with ``frames``, and must answer
    with one row of numbers for each; a longer answer is flattened.

    Args:
        size: (H, W) that frames are brought to first, bilinearly without regard to the aspect; None: as they are.
        frames: a network of single frames: every frame becomes a row of the set.
        batch: clips (or frames) at once.

    Raises:
        WeightsError: no such file, or not TorchScript. ValueError, on use: its answer is not one row a clip.
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
    """Inception pool features of every frame, for the frame FID (Heusel et al. 2017) of a set of clips.

    Args:
        weights: the TorchScript conversion of the original TensorFlow network that StyleGAN's authors distribute
            (`inception-2015-12-05.pt`): it takes uint8 (B, 3, H, W), resizes inside, and gives 2048 numbers with
            ``return_features=True``. FID is defined on this network; another Inception gives other numbers.

    Raises:
        WeightsError: no such file, not TorchScript, or (on use) not 2048 numbers a frame.
    """
    how = "it is inception-2015-12-05.pt, the TorchScript file that NVIDIA's StyleGAN repositories link"
    path = require_weights(weights, "the frame FID", how)
    net = load_script(path, device)

    def describe(part: Tensor) -> Tensor:
        return checked_rows(net(part, return_features=True), len(part), 2048, path)

    definition = f"frame FID: {path.name}, 2048 pool features of every frame, covariances divided by N - 1, float64"
    hashes = {path.name: file_hash(path)}
    return FeatureNet(frame_function(describe, batch, device), definition, hashes, ("frame_fid", "frame_kid"))


def checked_rows(answer: Any, rows: int, columns: int, path: Path) -> Tensor:
    """The answer of a network, if it is (rows, columns).

    Raises:
        WeightsError: it is not; the message names the file.
    """
    shape = tuple(getattr(answer, "shape", ()))
    if shape != (rows, columns):
        raise WeightsError(f"{path}: {columns} numbers for each of {rows} inputs were expected, it gave {shape}")
    return answer


def clip_function(describe: Describe, batch: int, device: torch.device | str) -> Callable[[ByteClip], Array]:
    """From ``describe``, (B, 3, T, H, W) uint8 -> (B, D), a function of whole sets, (N, T, 3, H, W) -> (N, D)."""

    def function(clips: ByteClip) -> Array:
        parts = clips.transpose(1, 2).split(batch)  # (B, 3, T, H, W)
        return _collected(describe, parts, device)

    return function


def frame_function(describe: Describe, batch: int, device: torch.device | str) -> Callable[[ByteClip], Array]:
    """From ``describe``, (B, 3, H, W) uint8 -> (B, D), a function of whole sets, (N, T, 3, H, W) -> (N, T, D)."""

    def function(clips: ByteClip) -> Array:
        rows = _collected(describe, clips.flatten(0, 1).split(batch), device)
        return rows.reshape(len(clips), clips.shape[1], -1)  # (N, T, D)

    return function


def _collected(describe: Describe, parts: Any, device: torch.device | str) -> Array:
    with torch.inference_mode():
        return np.concatenate([describe(part.to(device)).double().cpu().numpy() for part in parts])


def _resized(pixels: Tensor, size: tuple[int, int] | None) -> Tensor:
    """(B, 3, T, H, W) or (B, 3, H, W) -> the same with frames of ``size``."""
    if size is None:
        return pixels
    if pixels.dim() == 4:
        return F.interpolate(pixels, size, mode="bilinear", align_corners=False)
    flat = pixels.transpose(1, 2).flatten(0, 1)  # (B*T, 3, H, W)
    flat = F.interpolate(flat, size, mode="bilinear", align_corners=False)
    return flat.unflatten(0, (pixels.shape[0], pixels.shape[2])).transpose(1, 2)
