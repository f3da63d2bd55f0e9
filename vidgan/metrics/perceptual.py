"""Perceptual distances of frames: LPIPS (Zhang et al. 2018, version 0.1) and ST-LPIPS (Ghildyal and Liu 2022).

LPIPS is a network *and* its weights: an ImageNet trunk of torchvision and five or seven small linear layers. Nothing is
downloaded here; a missing file raises an error that says where to get it, before anything runs. The metric records the
hashes of the files, and it is called LPIPS only if both are the published ones.
"""

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vidgan.errors import WeightsError
from vidgan.files import file_hash
from vidgan.metrics.frame import FrameMetric, check_pair
from vidgan.metrics.values import Values
from vidgan.metrics.weights import load_tensors, require_weights
from vidgan.types import ByteClip

Net = Literal["alex", "vgg", "squeeze"]
Trunk = Callable[[Tensor], list[Tensor]]  # (N, 3, H, W) normalised -> feature maps

# ImageNet statistics as LPIPS writes them, for RGB in [-1, 1].
SHIFT = (-0.030, -0.088, -0.188)
SCALE = (0.458, 0.448, 0.450)
MIN_SIDE = 32  # pixels; the trunks leave no output for smaller frames
PIXELS_PER_CALL = 2**21  # bounds memory and does not change a result


class _Backbone(NamedTuple):
    """A torchvision network whose feature maps are compared."""

    model: str  # its constructor
    file: str  # torchvision's file name, whose last part is the prefix of the SHA-256
    ends: tuple[int, ...]  # ends of the parts whose outputs are compared
    linear: str  # prefix of the SHA-256 of the linear layers of LPIPS v0.1


BACKBONES: dict[str, _Backbone] = {
    "alex": _Backbone("alexnet", "alexnet-owt-7be5be79.pth", (2, 5, 8, 10, 12), "df73285e"),
    "vgg": _Backbone("vgg16", "vgg16-397923af.pth", (4, 9, 16, 23, 30), "a78928a0"),
    "squeeze": _Backbone("squeezenet1_1", "squeezenet1_1-b8a52dc0.pth", (2, 5, 8, 10, 11, 12, 13), "4a5350f2"),
}


def lpips_metric(
    net: Net = "alex",
    *,
    backbone: Path | None = None,
    linear: Path | None = None,
    device: torch.device | str = "cpu",
) -> FrameMetric:
    """LPIPS v0.1 of uint8 frames scaled to [-1, 1], RGB order, spatial mean of every layer; >= 0, lower is closer.

    Args:
        net: the trunk: "alex" (most tables), "vgg" or "squeeze". Their numbers do not compare.
        backbone: torchvision's checkpoint of the trunk, or its ``features.*`` alone; default: the file of that name in
            torch's download cache.
        linear: the linear layers, `<net>.pth` of LPIPS v0.1; default: those that torchmetrics contains.
        device: device of the network.

    Returns:
        A metric like those of `METRICS`. Its `definition` says LPIPS only for the two published files.

    Raises:
        ValueError: an unknown ``net``.
        WeightsError: a file is missing or does not fit; the message says where to get it.
    """
    if net not in BACKBONES:
        raise ValueError(f"unknown LPIPS network {net!r}; accepted: {', '.join(BACKBONES)}")
    facts = BACKBONES[net]
    cached = Path(torch.hub.get_dir()) / "checkpoints" / facts.file
    url = f"https://download.pytorch.org/models/{facts.file}"
    trunk_file = require_weights(
        backbone or cached, f"LPIPS ({net})", f"download {url} there or give its path, or choose another metric"
    )
    linear_file = require_weights(
        linear or _packaged_linear(net),
        f"LPIPS ({net})",
        f"install it with pip install 'vidgan[metrics]', or give the path of lpips/weights/v0.1/{net}.pth of the LPIPS "
        "repository",
    )
    trunk = _torchvision_trunk(facts, trunk_file, device)
    layers = _linear_layers(load_tensors(linear_file), len(facts.ends), linear_file, device)
    hashes = {trunk_file.name: file_hash(trunk_file), linear_file.name: file_hash(linear_file)}
    trunk_hash = facts.file.rpartition("-")[2].removesuffix(".pth")
    is_published = hashes[trunk_file.name].startswith(trunk_hash) and hashes[linear_file.name].startswith(facts.linear)
    kind = f"LPIPS v0.1 ({net})" if is_published else f"layers {linear_file.name} on trunk {trunk_file.name}, not LPIPS"
    shift, scale = (torch.tensor(row, device=device).view(3, 1, 1) for row in (SHIFT, SCALE))
    definition = f"{kind}: RGB in [-1, 1], {facts.model} trunk, spatial mean"
    return _metric(trunk, layers, shift, scale, device, definition, hashes)


def stlpips_metric(weights: Path, *, device: torch.device | str = "cpu") -> FrameMetric:
    """ST-LPIPS, the shift-tolerant LPIPS (AlexNet with blur pooling); >= 0, lower is closer. Its scale is its own.

    Args:
        weights: `alex_shift_tolerant.pth` (version ST0.0), trunk and linear layers in one file.
        device: device of the network.

    Raises:
        WeightsError: the file is missing or does not fit.
    """
    how = "the package stlpips_pytorch holds it as weights/vST0.0/alex_shift_tolerant.pth"
    path = require_weights(weights, "ST-LPIPS", how)
    tensors = {name: tensor.to(device) for name, tensor in load_tensors(path).items()}
    needed = ("scaling_layer.shift", "scaling_layer.scale", "net.slice1.0.weight", "net.slice5.13.weight")
    if missing := [name for name in needed if name not in tensors]:
        raise WeightsError(f"{path}: {', '.join(missing)} missing; {how}")

    def trunk(frames: Tensor) -> list[Tensor]:
        return _shift_tolerant(frames, tensors)

    layers = _linear_layers(tensors, 5, path, device)
    shift, scale = (tensors[f"scaling_layer.{name}"] for name in ("shift", "scale"))
    definition = "ST-LPIPS vST0.0 (alex): RGB in [-1, 1], spatial mean; not comparable with LPIPS"
    return _metric(trunk, layers, shift, scale, device, definition, {path.name: file_hash(path)})


def _metric(
    trunk: Trunk,
    layers: list[Tensor],
    shift: Tensor,
    scale: Tensor,
    device: torch.device | str,
    definition: str,
    hashes: dict[str, str],
) -> FrameMetric:
    def function(prediction: ByteClip, target: ByteClip) -> Values:
        check_pair(prediction, target)
        _check_frames(prediction)
        number = max(1, PIXELS_PER_CALL // (prediction.shape[-1] * prediction.shape[-2]))
        values = []
        with torch.inference_mode():
            parts = [frames.flatten(0, -4).split(number) for frames in (prediction[None], target[None])]
            for pair in zip(*parts, strict=True):
                # (n, 3, H, W) uint8 -> normalised floats; LPIPS scales to [-1, 1] first
                normalised = [((part.to(device).float() / 127.5 - 1) - shift) / scale for part in pair]
                values.append(_feature_distance(trunk(normalised[0]), trunk(normalised[1]), layers).double().cpu())
        return torch.cat(values).numpy().reshape(prediction.shape[:-3])

    return FrameMetric(function, definition, "lower", hashes, pooled=False)


def _feature_distance(first: list[Tensor], second: list[Tensor], layers: list[Tensor]) -> Tensor:
    """Sum over layers of the weighted squared difference of unit-length features, averaged over space: (N,).

    Args:
        first, second: feature maps (N, C, h, w) of the two sets of frames.
        layers: weights (1, C, 1, 1) of each feature map.
    """
    total = first[0].new_zeros(len(first[0]))
    for one, other, weight in zip(first, second, layers, strict=True):
        difference = (_unit(one) - _unit(other)).square()
        total = total + (difference * weight).sum(dim=1).mean(dim=(-2, -1))
    return total


def _check_frames(frames: ByteClip) -> None:
    channels, height, width = frames.shape[-3:]
    if channels != 3 or min(height, width) < MIN_SIDE:
        raise ValueError(
            f"a perceptual distance needs RGB frames of at least {MIN_SIDE}x{MIN_SIDE} pixels, got {channels} channels "
            f"of {height}x{width} (HxW)"
        )


def _unit(features: Tensor) -> Tensor:
    return features / (features.square().sum(dim=1, keepdim=True) + 1e-8).sqrt()


def _packaged_linear(net: str) -> Path:
    """Path of torchmetrics' copy of the linear layers; without torchmetrics, a path that does not exist."""
    spec = find_spec("torchmetrics")
    root = Path(spec.origin).parent if spec is not None and spec.origin else Path("torchmetrics")
    return root / "functional" / "image" / "lpips_models" / f"{net}.pth"


def _torchvision_trunk(facts: _Backbone, path: Path, device: torch.device | str) -> Trunk:
    # torchvision is slow to import.
    import torchvision

    tensors = {
        name.removeprefix("features."): tensor
        for name, tensor in load_tensors(path).items()
        if name.startswith("features.")
    }
    with torch.device("meta"):  # shapes only, since the weights are replaced below
        features: nn.Sequential = getattr(torchvision.models, facts.model)(weights=None).features
    features = features[: facts.ends[-1]].eval()
    expected = features.state_dict()
    wrong = [name for name in expected if name not in tensors or tensors[name].shape != expected[name].shape]
    if wrong:
        raise WeightsError(f"{path}: not the weights of {facts.model}: features.{wrong[0]} is missing or misshapen")
    features.load_state_dict({name: tensors[name] for name in expected}, assign=True)
    features.requires_grad_(False).to(device)
    parts = [features[start:end] for start, end in zip((0, *facts.ends), facts.ends, strict=False)]

    def trunk(frames: Tensor) -> list[Tensor]:
        maps = []
        for part in parts:
            frames = part(frames)
            maps.append(frames)
        return maps

    return trunk


def _linear_layers(tensors: dict[str, Tensor], number: int, path: Path, device: torch.device | str) -> list[Tensor]:
    names = [f"lin{index}.model.1.weight" for index in range(number)]
    if missing := [name for name in names if name not in tensors]:
        raise WeightsError(f"{path}: not the linear layers of LPIPS v0.1: {missing[0]} is missing")
    return [tensors[name].to(device) for name in names]  # (1, C, 1, 1) each


def _shift_tolerant(frames: Tensor, tensors: dict[str, Tensor]) -> list[Tensor]:
    """The trunk of ST-LPIPS, AlexNet with blur pooling: (N, 3, H, W) -> five feature maps."""

    def convolve(features: Tensor, name: str, padding: int) -> Tensor:
        return F.conv2d(features, tensors[f"net.{name}.weight"], tensors[f"net.{name}.bias"], padding=padding)

    def blur(features: Tensor, name: str) -> Tensor:
        kernel = tensors[f"net.{name}.filt"]
        return F.conv2d(F.pad(features, (2, 2, 2, 2), mode="reflect"), kernel, stride=2, groups=len(kernel))

    def pool(features: Tensor) -> Tensor:
        return F.max_pool2d(features, 3, stride=1)

    one = blur(convolve(frames, "slice1.0", 2), "slice1.1").relu()
    two = convolve(blur(pool(one), "slice2.4"), "slice2.5", 2).relu()
    three = convolve(blur(pool(two), "slice3.8"), "slice3.9", 1).relu()
    four = convolve(three, "slice4.11", 1).relu()
    five = convolve(four, "slice5.13", 1).relu()
    return [one, two, three, four, five]
