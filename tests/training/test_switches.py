"""Switches of speed and memory: each takes effect, changes results by rounding at most, is refused without effect."""

import copy
import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import SMALL, small_config
from test_turns import MODELS, build, weights
from torch import Tensor, nn

from vidgan.build import build_dataset, build_networks, compile_networks, set_tf32
from vidgan.config import parse_config
from vidgan.errors import ConfigError


def assert_close(some: dict[str, dict[str, Tensor]], other: dict[str, dict[str, Tensor]]) -> None:
    for name in other:
        for key, value in other[name].items():
            torch.testing.assert_close(some[name][key], value, rtol=1e-3, atol=2e-5)


SGD: dict[str, Any] = {
    "name": "sgd",
    "lr": 0.01,
}  # Adam would turn the rounding error of a tiny gradient into a full step


def with_sgd(model: str) -> dict[str, Any]:
    return {f"optimizers__{name}": SGD for name in SMALL[model]["optimizers"]}


@pytest.mark.parametrize("model", MODELS)
def test_channels_last_changes_only_the_memory_layout(model: str, shapes_data: Path, tmp_path: Path) -> None:
    results = []
    for switched in (False, True):
        algorithm, step = build(model, shapes_data, tmp_path, train__channels_last=switched, **with_sgd(model))
        step(0)
        results.append(weights(algorithm))
    assert_close(results[1], results[0])
    layers = [m for net in algorithm.trainees.raw.values() for m in net.modules() if isinstance(m, nn.Conv2d)]
    assert all(layer.weight.is_contiguous(memory_format=torch.channels_last) for layer in layers)
    volumes = [m for net in algorithm.trainees.raw.values() for m in net.modules() if isinstance(m, nn.Conv3d)]
    assert all(layer.weight.is_contiguous(memory_format=torch.channels_last_3d) for layer in volumes)
    assert layers and (volumes or model == "dual_motion")


def test_a_run_in_channels_last_resumes_exactly(shapes_data: Path, tmp_path: Path) -> None:
    """State read from a file is in row-major order; fused Adam would pair it with the wrong weights."""
    algorithm, step = build("mocogan", shapes_data, tmp_path, train__channels_last=True)
    step(0)
    saved = {n: {k: t.clone().contiguous() for k, t in g.items()} for n, g in algorithm.trainees.tensors().items()}
    settings = algorithm.trainees.settings()
    step(1)
    fresh, resumed_step = build("mocogan", shapes_data, tmp_path, train__channels_last=True)
    fresh.trainees.load(saved, settings)
    resumed_step(1)
    for name, module in weights(algorithm).items():
        for key, value in module.items():
            assert torch.equal(fresh.trainees.raw[name].state_dict()[key], value), f"{name}: {key}"


@pytest.mark.parametrize("model", MODELS)
def test_activation_checkpointing_does_not_change_the_step(model: str, shapes_data: Path, tmp_path: Path) -> None:
    second = "video" if model == "mocogan" else "flow"
    results = []
    for switched in (False, True):
        keys = ("model", "discriminators__frame", f"discriminators__{second}")
        algorithm, step = build(
            model,
            shapes_data,
            tmp_path,
            objective__penalty={"kind": "r1", "weight": 1.0},
            **{f"{key}__checkpoint_activations": switched for key in keys},
            **{f"{key}__noise": 0.1 for key in keys[1:]},
            **with_sgd(model),
        )
        step(0)
        results.append(weights(algorithm))
    assert_close(results[1], results[0])


@pytest.fixture
def traced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Replace the slow last stage of torch.compile: graphs are traced and split, but not compiled."""
    compile_module, names = nn.Module.compile, []

    def compile_quickly(self: nn.Module, **options: Any) -> None:
        names.append(type(self).__name__)
        compile_module(self, backend="aot_eager", **options)

    monkeypatch.setattr(nn.Module, "compile", compile_quickly)
    return names


def test_compiled_networks_make_the_same_step(traced: list[str], shapes_data: Path, tmp_path: Path) -> None:
    results = []
    for switched in (False, True):
        algorithm, step = build("mocogan", shapes_data, tmp_path, train__compile=switched, **with_sgd("mocogan"))
        step(0)
        results.append(weights(algorithm))
    assert traced == ["DCGANFrameGenerator", "FrameDiscriminator", "VideoDiscriminator"]
    assert_close(results[1], results[0])
    assert results[0]["video"].keys() == results[1]["video"].keys()


def test_networks_that_cannot_be_compiled_are_left_as_they_are(
    traced: list[str], shapes_data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = small_config(
        "dual_motion", shapes_data, tmp_path,
        objective__penalty={"kind": "r1", "weight": {"flow": 1.0}}, discriminators__frame__noise=0.1,
    )  # fmt: skip
    with caplog.at_level(logging.INFO):
        assert compile_networks(config, build_networks(config, build_dataset(config))) == ["generator"]
    assert traced == ["_Stages", "PyramidEstimator", "MotionDecoder", "MotionDecoder", "MaskFusion"]
    left_out = [record.getMessage() for record in caplog.records]
    assert len(left_out) == 2 and "frame" in left_out[0] and "flow" in left_out[1]


@pytest.mark.parametrize(
    ("changes", "keys"),
    [
        ({"train": {"tf32": True, "device": "cpu"}}, ("train.tf32", "device=cpu")),
        (
            {"train": {"compile": True}, "model": {"checkpoint_activations": True}},
            ("model.checkpoint_activations", "train.compile"),
        ),
        (
            {"train": {"compile": True}, "discriminators": {"video": {"checkpoint_activations": True}}},
            ("discriminators.video.checkpoint_activations", "train.compile"),
        ),
        ({"model": {"category_input": "frame"}}, ("model.category_input", "objective.category_source")),
    ],
)
def test_a_switch_without_effect_is_refused(changes: dict[str, Any], keys: tuple[str, ...]) -> None:
    values = copy.deepcopy(SMALL["mocogan"]) | {"train": {"steps": 1, "batch_size": 1}}
    values["data"]["root"] = "x"
    values["objective"] = {"weights": {"adversarial_frame": 1.0, "adversarial_video": 1.0}}
    for section, options in changes.items():
        values[section] |= options
    with pytest.raises(ConfigError) as caught:
        parse_config(values, "test")
    assert all(key in str(caught.value) for key in keys)


def test_tf32_is_refused_without_a_gpu() -> None:
    set_tf32(False, torch.device("cpu"))
    with pytest.raises(ConfigError, match="train.tf32"):
        set_tf32(True, torch.device("cpu"))
