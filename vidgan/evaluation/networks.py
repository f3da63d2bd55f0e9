"""Metrics that need network weights, built from `--weights NAME=PATH` before anything else runs."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from vidgan.errors import ConfigError
from vidgan.evaluation.protocols import LPIPS
from vidgan.metrics.features import FeatureNet, inception_features, script_features
from vidgan.metrics.frame import FrameMetric
from vidgan.metrics.fvd import i3d
from vidgan.metrics.perceptual import lpips_metric, stlpips_metric

FACE = "face"  # an embedding network, for the content distance of generated clips
OTHER_USES = {  # names that are no feature networks of sets of clips
    "c3d": "it is for --protocol gen-ucf-is",
    "c3d-mean": "it is for --protocol gen-ucf-is",
    FACE: "it is for models that generate clips, without --protocol",
    "stlpips": "it is for forecasts",
    **{f"lpips-{net}{part}": "it is for forecasts" for net in LPIPS.values() for part in ("", "-linear")},
}


def perceptual_metrics(
    names: Sequence[str], weights: Mapping[str, Path], device: torch.device
) -> dict[str, FrameMetric]:
    """The perceptual metrics among `names`, and those whose files are in `weights`.

    Args:
        weights: files of `lpips-NET` (the trunk), `lpips-NET-linear` and `stlpips`.

    Raises:
        ConfigError: weights that belong to no frame metric. WeightsError: a file is missing; the message says how to
            get it.
    """
    known = {f"lpips-{net}{part}": name for name, net in LPIPS.items() for part in ("", "-linear")}
    known["stlpips"] = "stlpips"
    if unknown := sorted(weights.keys() - known.keys()):
        raise ConfigError(f"--weights {', '.join(unknown)} has no effect on forecasts; accepted: {', '.join(known)}")
    wanted = dict.fromkeys([*(name for name in names if name in LPIPS), *(known[name] for name in weights)])
    return {name: _perceptual(name, weights, device) for name in wanted}


def _perceptual(name: str, weights: Mapping[str, Path], device: torch.device) -> FrameMetric:
    if name == "stlpips":
        return stlpips_metric(weights[name], device=device)
    key = f"lpips-{LPIPS[name]}"
    return lpips_metric(LPIPS[name], backbone=weights.get(key), linear=weights.get(f"{key}-linear"), device=device)


def set_networks(
    weights: Mapping[str, Path], device: torch.device, *, also: Sequence[str] = ()
) -> dict[str, FeatureNet]:
    """Networks whose Fréchet and kernel distances are measured between sets of clips.

    Args:
        weights: files of `i3d` (FVD), `inception` (frame FID), or any other name with the user's TorchScript file.
        also: names in `OTHER_USES` that the caller handles.

    Raises:
        ConfigError: weights without effect on this evaluation. WeightsError: a file is missing; the message says how to
            get it.
    """
    networks: dict[str, FeatureNet] = {}
    for name, path in weights.items():
        if name in OTHER_USES:
            if name not in also:
                raise ConfigError(f"--weights {name} has no effect on this evaluation: {OTHER_USES[name]}")
        elif name == "i3d":
            networks[name] = i3d(path, device=device)
        elif name == "inception":
            networks[name] = inception_features(path, device=device)
        else:
            networks[name] = script_features(path, device=device)
    return networks
