"""Fetched networks as measures and forecasters, with weights made here."""

from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest
import torch
from torch import nn

from vidgan.errors import ConfigError, WeightsError
from vidgan.evaluation import networks
from vidgan.evaluation.networks import PEERS, peer_predictors, perceptual_metrics, set_networks, shares_features
from vidgan.evaluation.set_scores import score_synthesis
from vidgan.evaluation.settings import ClipSettings, LongClipSettings

CPU = torch.device("cpu")
Network = TypeVar("Network", bound=nn.Module)


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that stands for fetched weights: RIFE with zeros, which has no flow; the others with random numbers."""

    def load(network: Network, name: str, path: Path) -> Network:
        torch.manual_seed(0)
        for parameter in network.parameters():
            nn.init.zeros_(parameter) if name == "rife" else nn.init.normal_(parameter, std=0.1)
        return network.eval().requires_grad_(False)

    monkeypatch.setattr(networks, "load_network", load)
    path = tmp_path / "weights.safetensors"
    path.write_bytes(b"stand-in")
    return path


def clips(number: int, frames: int = 4, seed: int = 0) -> torch.Tensor:
    random = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (number, frames, 3, 32, 32), generator=random).to(torch.uint8)


def test_networks_bring_their_measures(file: Path) -> None:
    nets = set_networks({"efficientnet-lite2": file, "rife": file, "dlib-face": file}, CPU)
    result = score_synthesis(clips(12), clips(6, seed=1), features=nets, splits=1)
    measures = {
        "appearance_frechet", "appearance_kernel", "transition_frechet", "transition_kernel", "precision", "recall",
        "density", "coverage", "nearest_appearance", "semantic_consistency", "interpolation_error", "acd_face",
        "identity_drift",
    }  # fmt: skip
    assert measures <= result.scores["generated"].keys() and measures <= result.definitions.keys()
    assert result.provenance["metric_weights"].keys() == {"efficientnet-lite2", "rife", "dlib-face"}
    frozen = result.scores["frozen"]
    assert frozen["semantic_consistency"].mean.mean == pytest.approx(1)
    assert frozen["acd_face"].mean.mean == frozen["identity_drift"].mean.mean == 0
    assert len(frozen["identity_drift"].horizon) == len(frozen["semantic_consistency"].horizon) == 3
    # Without flow, the interpolated frame is the mean of both neighbours.
    real = clips(12)[:, :3].double()
    error = ((real[:, 0] + real[:, 2]) / 2 - real[:, 1]).abs().mean() / 255
    assert result.scores["real"]["interpolation_error"].mean.mean == pytest.approx(float(error), rel=1e-3)


def test_only_fetched_networks_are_shared_by_processes(file: Path) -> None:
    assert shares_features(ClipSettings(weights={"rife": file}))
    assert not shares_features(ClipSettings(weights={"own": file}))
    assert not shares_features(LongClipSettings(frames=32))


def test_a_peer_forecasts_and_is_no_metric(file: Path) -> None:
    (predictor,) = peer_predictors({"rife": file}, CPU).values()
    context = clips(2, frames=3)
    assert torch.equal(predictor(context, 2), context[:, -1:].repeat(1, 2, 1, 1, 1)), "no flow: the last frame stays"
    with pytest.raises(ConfigError, match="rife has no effect here"):
        perceptual_metrics([], {"rife": file}, CPU)
    assert PEERS.keys() == {"rife"}


def test_networks_of_another_use_are_refused(file: Path) -> None:
    for name, use in (("transnetv2", "vidgan prepare"), ("stlpips", "forecasts")):
        with pytest.raises(ConfigError, match=f"--weights {name}.*{use}"):
            set_networks({name: file}, CPU)


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    path.write_bytes(np.zeros(8).tobytes())
    with pytest.raises(WeightsError, match=r"weights\.safetensors"):
        set_networks({"rife": path}, CPU)
