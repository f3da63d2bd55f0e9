"""Metrics that need network weights, built from `--weights` before anything else runs.

`--weights NAME=PATH` gives a file, `--weights NAME` the weights that `vidgan weights fetch NAME` put into the cache.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import Tensor

from vidgan.errors import ConfigError
from vidgan.evaluation.baselines import ConstantVelocityWarp
from vidgan.evaluation.feature_cache import CachedFeatures
from vidgan.evaluation.measure import Predictor
from vidgan.evaluation.protocols import LPIPS
from vidgan.evaluation.settings import ClipSettings, LongClipSettings, SetSettings, Settings
from vidgan.evaluation.share import Share
from vidgan.files import cache_folder, file_hash
from vidgan.metrics import appearance
from vidgan.metrics.content import pairwise_over_time
from vidgan.metrics.features import ClipMeasure, FeatureNet, SetMeasures, inception_features, script_features
from vidgan.metrics.frame import FrameMetric
from vidgan.metrics.fvd import i3d
from vidgan.metrics.perceptual import lpips_metric, stlpips_metric
from vidgan.metrics.values import Values
from vidgan.pretrained.cache import load_network
from vidgan.pretrained.efficientnet_lite import FEATURES, EfficientNetLite2
from vidgan.pretrained.face_embedding import FaceEmbedding
from vidgan.pretrained.rife import RIFE

APPEARANCE: Final = "efficientnet-lite2"
SMOOTHNESS: Final = "rife"
FACES: Final = "dlib-face"
SIDE: Final = 96
"""Pixels per side that frames are resized to for `APPEARANCE`. On frames of 64x64 the features tell clips apart no
worse than at 128 or 192 pixels, at two thirds and a quarter of the time."""

PEERS: Final = {SMOOTHNESS: "constant-velocity warp, RIFE"}
"""Weights of networks that forecast: name -> row."""

FACE = "face"  # an embedding network, for the content distance of generated clips
OTHER_USES = {  # names that are no feature networks of sets of clips
    "c3d": "it is for --protocol gen-ucf-is",
    "c3d-mean": "it is for --protocol gen-ucf-is",
    FACE: "it is for models that generate clips, without --protocol",
    "stlpips": "it is for forecasts",
    "transnetv2": "it is for vidgan prepare --cuts transnet --cut-weights transnetv2",
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
        raise ConfigError(f"--weights {', '.join(unknown)} has no effect here; accepted: {', '.join(known)}")
    wanted = dict.fromkeys([*(name for name in names if name in LPIPS), *(known[name] for name in weights)])
    return {name: _perceptual(name, weights, device) for name in wanted}


def _perceptual(name: str, weights: Mapping[str, Path], device: torch.device) -> FrameMetric:
    if name == "stlpips":
        return stlpips_metric(weights[name], device=device)
    key = f"lpips-{LPIPS[name]}"
    return lpips_metric(LPIPS[name], backbone=weights.get(key), linear=weights.get(f"{key}-linear"), device=device)


def set_networks(
    weights: Mapping[str, Path], device: torch.device, *, also: Sequence[str] = (), share: Share = Share()
) -> dict[str, FeatureNet]:
    """Networks whose Fréchet and kernel distances are measured between sets of clips.

    Args:
        weights: files of `i3d` (FVD), `inception` (frame FID), of the fetched networks in `FETCHED`, or any other name
            with the user's TorchScript file.
        also: names in `OTHER_USES` that the caller handles.
        share: the position of this process among those that share the work of fetched networks.

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
        elif name in FETCHED:
            networks[name] = FETCHED[name](path, device, share)
        else:
            networks[name] = script_features(path, device=device)
    return networks


def appearance_network(path: Path, device: torch.device, share: Share = Share()) -> FeatureNet:
    """ImageNet features of every frame: distances, transitions, coverage and consistency."""
    net = load_network(EfficientNetLite2(SIDE), APPEARANCE, path).to(device)
    definition = f"{FEATURES} pooled features of EfficientNet-Lite2 (ImageNet), frames squashed to {SIDE}x{SIDE}"
    texts = {key: f"{text}; {definition}" for key, text in appearance.DEFINITIONS.items()}
    compared = {"transition_frechet": "lower", "transition_kernel": "lower"}
    compared |= dict.fromkeys(appearance.COVERAGE, "higher")
    return FeatureNet(
        _cached(lambda windows: net(windows[:, 0]), definition, path, device, share),
        definition,
        {APPEARANCE: file_hash(path)},
        ("appearance_frechet", "appearance_kernel"),
        of_clips={"semantic_consistency": ClipMeasure(appearance.consistency, texts["semantic_consistency"])},
        of_pairs={
            "semantic_consistency": ClipMeasure(
                appearance.cosines, f"mean cosine of two frames of a clip; {definition}"
            )
        },
        of_sets=SetMeasures(
            _appearance_measures,
            {key: texts[key] for key in (*compared, "nearest_appearance")},
            compared,
            fewest=appearance.NEIGHBOURS + 1,
        ),
    )


def smoothness_network(path: Path, device: torch.device, share: Share = Share()) -> FeatureNet:
    """Error of every second frame against the one that RIFE interpolates between its neighbours."""
    net = load_network(RIFE(), SMOOTHNESS, path).to(device)

    def error(windows: Tensor) -> Tensor:
        middle = net(windows[:, 0], windows[:, 2])
        return (middle - windows[:, 1].float() / 255).abs().flatten(1).mean(dim=1, keepdim=True)

    definition = (
        "mean absolute difference, RGB in [0, 1], between every second frame and the one that RIFE interpolates from"
        " its neighbours; low for smooth motion, 0 for a frozen clip: read it beside the real clips"
    )
    return FeatureNet(
        _cached(error, definition, path, device, share, length=3, step=2),
        definition,
        {SMOOTHNESS: file_hash(path)},
        (),
        of_clips={"interpolation_error": ClipMeasure(lambda rows: rows[..., 0].mean(axis=1), definition)},
    )


def face_network(path: Path, device: torch.device, share: Share = Share()) -> FeatureNet:
    """Identity of the face in every frame, for clips of one centred face."""
    net = load_network(FaceEmbedding(), FACES, path).to(device)
    definition = "dlib's face embedding of whole frames, squashed to 150x150, so clips must show one centred face"
    return FeatureNet(
        _cached(lambda windows: net(windows[:, 0]), definition, path, device, share),
        definition,
        {FACES: file_hash(path)},
        (),
        of_clips={
            "acd_face": ClipMeasure(
                pairwise_over_time,
                f"mean pairwise L2 distance over the frames of a clip; {definition}. Not OpenFace, so not the paper's"
                " ACD; a frozen clip scores 0",
            ),
            "identity_drift": ClipMeasure(
                _identity_drift,
                "mean L2 distance of the embeddings of two frames of a clip, over the lags of the curve (1, 2, 4, ..."
                f" frames and the whole clip); {definition}; two pictures of one person are less than 0.6 apart",
            ),
        },
        of_pairs={"identity_drift": ClipMeasure(_distances, f"mean L2 distance of two frames of a clip; {definition}")},
    )


FETCHED: Final[Mapping[str, Callable[[Path, torch.device, Share], FeatureNet]]] = {
    APPEARANCE: appearance_network,
    SMOOTHNESS: smoothness_network,
    FACES: face_network,
}


def shares_features(settings: Settings) -> bool:
    """Whether several processes can share the work of an evaluation of clips: fetched networks describe them."""
    weights: Mapping[str, Path] = getattr(settings, "weights", {})
    kinds = ClipSettings | SetSettings | LongClipSettings
    own_measures = isinstance(settings, kinds) and getattr(settings, "protocol", None) is None
    return own_measures and bool(weights.keys() & FETCHED)


def peer_predictors(weights: Mapping[str, Path], device: torch.device) -> dict[str, Predictor]:
    """Forecasters made of published networks, by row name; `weights` are files of networks in `PEERS`."""
    return {PEERS[name]: _interpolator(path, device) for name, path in weights.items()}


def _interpolator(path: Path, device: torch.device) -> Predictor:
    """Extrapolation by an interpolator: the flow that RIFE finds between the last two frames continues."""
    net = load_network(RIFE(), SMOOTHNESS, path).to(device)

    def flow(current: np.ndarray, previous: np.ndarray) -> np.ndarray:
        pair = [torch.from_numpy(frame).permute(2, 0, 1)[None].to(device) for frame in (current, previous)]
        with torch.inference_mode():
            return net.flow(*pair)[0].cpu().numpy()

    return ConstantVelocityWarp(flow)


def _cached(
    describe: Callable[[Tensor], Tensor],
    definition: str,
    path: Path,
    device: torch.device,
    share: Share,
    *,
    length: int = 1,
    step: int = 1,
) -> CachedFeatures:
    key = f"{definition} {file_hash(path)}"
    folder = cache_folder() / "features"
    return CachedFeatures(describe, key, length=length, step=step, device=device, folder=folder, share=share)


def _appearance_measures(features: Values, reference: Values) -> dict[str, float]:
    frechet, kernel = appearance.transition_distances(features, reference)
    points = [appearance.clip_points(rows) for rows in (features, reference)]
    return {
        "transition_frechet": frechet,
        "transition_kernel": kernel,
        **appearance.coverage_scores(points[0], points[1]),
        "nearest_appearance": float(appearance.nearest_points(features, reference)[0].mean()),
    }


def _distances(features: Values) -> Values:
    """Distance of every two frames of a clip: (N, T, D) -> (N, T, T)."""
    return np.stack([np.linalg.norm(rows[:, None] - rows, axis=-1) for rows in features])


def _identity_drift(features: Values) -> Values:
    """(N, T, D) -> (N, L): mean distance of frames `lag` apart."""
    columns = [
        np.linalg.norm(features[:, lag:] - features[:, :-lag], axis=-1).mean(axis=1)
        for lag in appearance.lags(features.shape[1])
    ]
    return np.stack(columns, axis=1)
