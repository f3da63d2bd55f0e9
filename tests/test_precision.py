"""`train.precision=auto` is the faster precision, measured once per machine and kept by the run."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from helpers import small_config

from vidgan import precision
from vidgan.build import build_dataset, build_networks
from vidgan.commands.train import train
from vidgan.config import load_config
from vidgan.precision import faster_precision, resolve_precision, step_seconds, with_precision
from vidgan.training.accelerator import build_accelerator


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, float]:
    """Seconds per step that the measurement finds on a processor with bf16; "calls" counts the measurements."""
    seconds = {"fp32": 1.0, "bf16": 0.5, "calls": 0}

    def measure(*arguments: Any) -> dict[str, float]:
        seconds["calls"] += 1
        return seconds

    monkeypatch.setenv("VIDGAN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)
    monkeypatch.setattr(precision, "step_seconds", measure)
    return seconds


def auto_config(data: Path, out: Path, **changes: Any) -> Any:
    return small_config("mocogan", data, out, train__precision="auto", **changes)


def test_bf16_has_to_be_five_per_cent_faster() -> None:
    assert faster_precision({"fp32": 1.06, "bf16": 1.0}) == "bf16"
    assert faster_precision({"fp32": 1.04, "bf16": 1.0}) == "fp32"
    assert faster_precision({"fp32": 9.0, "bf16": 12.7}) == "fp32"


def test_a_choice_is_measured_once_per_networks_and_size(
    shapes_data: Path, tmp_path: Path, measured: dict[str, float]
) -> None:
    config, accelerator = auto_config(shapes_data, tmp_path), build_accelerator("cpu")
    dataset = build_dataset(config)
    assert resolve_precision(config, dataset, accelerator) == "bf16"
    measured["fp32"] = 0.1
    assert resolve_precision(config, dataset, accelerator) == "bf16"  # from the cache
    assert measured["calls"] == 1
    assert list(json.loads((tmp_path / "cache" / "precision.json").read_text()).values()) == ["bf16"]
    wider = auto_config(shapes_data, tmp_path, model__frame__width=12)
    assert resolve_precision(wider, dataset, accelerator) == "fp32"
    assert measured["calls"] == 2


def test_a_damaged_cache_is_measured_again(shapes_data: Path, tmp_path: Path, measured: dict[str, float]) -> None:
    config, accelerator = auto_config(shapes_data, tmp_path), build_accelerator("cpu")
    (tmp_path / "cache").mkdir()
    for content in ("{", "[]", '{"a": {"b": 1}}'):
        (tmp_path / "cache" / "precision.json").write_text(content)
        assert resolve_precision(config, build_dataset(config), accelerator) == "bf16"
    assert measured["calls"] == 3


def test_nothing_is_measured_where_nothing_is_to_choose(
    shapes_data: Path, tmp_path: Path, measured: dict[str, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    config, accelerator = auto_config(shapes_data, tmp_path), build_accelerator("cpu")
    dataset = build_dataset(config)
    assert resolve_precision(with_precision(config, "fp32"), dataset, accelerator, recorded="bf16") == "fp32"
    assert resolve_precision(config, dataset, accelerator, recorded="fp32") == "fp32"
    gpu: Any = SimpleNamespace(device=torch.device("cuda"))
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: False)
    assert resolve_precision(config, dataset, gpu) == "fp32"
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    assert resolve_precision(config, dataset, accelerator) == "fp32"
    assert measured["calls"] == 0


def test_a_resumed_run_keeps_its_precision(shapes_data: Path, tmp_path: Path, measured: dict[str, float]) -> None:
    config = auto_config(shapes_data, tmp_path / "runs", train__steps=1)
    run = train(config, quiet=True).run_dir
    assert load_config(run / "config.yaml").train.precision == "bf16"
    (tmp_path / "cache" / "precision.json").unlink()
    measured["fp32"] = 0.1  # now the other one would be chosen
    longer = auto_config(shapes_data, tmp_path / "runs", train__steps=2)
    assert train(longer, quiet=True).steps == 2
    assert measured["calls"] == 1


def test_the_measurement_leaves_no_trace(shapes_data: Path, tmp_path: Path) -> None:
    config = auto_config(shapes_data, tmp_path)
    dataset, accelerator = build_dataset(config), build_accelerator("cpu")
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    seconds = step_seconds(config, dataset, accelerator)
    assert set(seconds) == {"fp32", "bf16"} and min(seconds.values()) > 0
    assert torch.equal(torch.rand(4), expected)
    one, other = (build_networks(config, dataset)["generator"].state_dict() for _ in range(2))
    assert all(torch.equal(one[name], other[name]) for name in one)
