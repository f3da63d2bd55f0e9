"""Configs: strict, located errors, lossless."""

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml
from helpers import SMALL

from vidgan.config import differences, dump_config, find_config, load_config, parse_config, shipped_configs
from vidgan.errors import ConfigError


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """A valid config file."""
    values = SMALL["mocogan"] | {"train": {"steps": 10, "batch_size": 4}}
    values["data"] = {"root": "somewhere", "frames": 16}
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train.stpes=10", r"unknown key 'train.stpes'; did you mean 'steps'\?"),
        ("objective.weight.category=1", r"unknown key 'objective.weight'; did you mean 'weights'\?"),
        ("optimizers.generator.learning_rate=1", r"unknown key 'optimizers.generator.learning_rate'"),
        ("train.steps=many", r"train.steps: .*integer"),
        ("train.steps=0", r"train.steps: .*greater than or equal to 1 \(got 0\)"),
        ("train.precision=fp16", r"train.precision: fp16 needs loss scaling"),
        ("train.precision=fp8", r"train.precision: .*'fp32' or 'bf16' \(got 'fp8'\)"),
        ("objective.adversarial=hing", r"objective.adversarial: .*'hinge'"),
        ("every.keep=1", r"every.keep: .*greater than or equal to 2"),
        ("data.root=", r"data.root: not set; give the folder"),
        ("train.micro_batches=3", r"train.batch_size=4 cannot be divided into train.micro_batches=3"),
        ("train.warmup=10", r"train.warmup=10 must be below train.steps=10"),
        ("optimizers.flow={}", r"optimizers.flow: there is no such network"),
        ("optimizers.frame=null", r"optimizers.frame is not set"),
        ("train.decay_start=0.5", r"train.decay_start has no effect with lr_schedule=constant"),
        ("objective.penalty={kind: r1, weight: {flow: 1}}", r"objective.penalty.weight.flow: no such discriminator"),
        ("optimizers.generator={name: sgd, betas: [0.5, 0.9]}", r"betas has no effect on sgd"),
        ("objective.penalty={kind: r1}", r"penalty.kind=r1 needs penalty.weight"),
        ("objective.penalty={kind: r1, weight: 1, limit: 1}", r"penalty.limit has no effect with r1"),
        ("objective.penalty={kind: weight_clip}", r"needs penalty.limit"),
        ("train.steps", r"override 'train.steps': write it as key.sub=value"),
        ("name=../up", r"name: String should match pattern"),
    ],
)
def test_a_mistake_is_named(written: Path, override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_config(written, [override])


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model.name=mocogon", r"model.name='mocogon' is unknown; did you mean 'mocogan'\?"),
        ("model.widht=8", r"unknown key 'model.widht'; did you mean 'width'\?"),
        ("model.image_size=[64, 64]", r"model.image_size is taken from the data"),
        ("discriminators.video.factorized=true", r"did you mean 'factorised'\?"),
        ("objective.weights.advesarial_video=1", r"did you mean 'adversarial_video'\?"),
        ("objective.kl_warmup=10", r"objective.kl_warmup has no effect on mocogan"),
        ("objective.futures=2", r"objective.futures has no effect on mocogan"),
        ("data.context=4", r"data.context has no effect on mocogan"),
        ("data.frames=2", r"data.frames=2: mocogan needs at least 3 frames"),
        ("objective.weights.first_frame=1", r"needs model.image_to_video=true"),
        ("objective.frames_per_clip=17", r"must not exceed data.frames=16"),
        ("objective.category_source=null", r"set both or neither"),
    ],
)
def test_a_name_that_means_nothing_is_named(written: Path, override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_config(load_config(written, [override]))


def test_a_picture_that_is_moved_needs_no_term_for_the_first_frame(written: Path) -> None:
    options = ["model.generator=style", "model.norm=null", "model.image_to_video=true", "model.move_picture=true"]
    check_config(load_config(written, options))
    with pytest.raises(ConfigError, match="first_frame has no effect with model.move_picture=true"):
        check_config(load_config(written, [*options, "objective.weights.first_frame=1"]))


def test_forecasting_needs_a_context() -> None:
    values = SMALL["dual_motion"] | {"train": {"steps": 1, "batch_size": 1}, "data": {"root": "x", "frames": 5}}
    with pytest.raises(ConfigError, match="data.context is not set"):
        check_config(parse_config(values, "test"))
    values["data"] = {"root": "x", "frames": 5, "context": 5}
    with pytest.raises(ConfigError, match="at least 2 and below data.frames=5"):
        check_config(parse_config(values, "test"))


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"model": {"probabilistic": False}}, "probabilistic=false: there is one future only"),
        ({"objective": {"weights": {"fused_l2": 1.0}}}, "without objective.weights.direct, warped or fused"),
    ],
)
def test_several_futures_need_something_to_differ_in(section: dict[str, Any], message: str) -> None:
    values: dict[str, Any] = copy.deepcopy(SMALL["dual_motion"]) | {"train": {"steps": 1, "batch_size": 1}}
    values["data"] = {"root": "x", "frames": 5, "context": 4}
    values["discriminators"] = {}
    values["optimizers"] = {"generator": values["optimizers"]["generator"]}
    values["objective"] = {"weights": {"fused": 1.0}, "futures": 2} | section.get("objective", {})
    values["objective"]["futures"] = 2
    values["model"] |= section.get("model", {})
    with pytest.raises(ConfigError, match=message):
        check_config(parse_config(values, "test"))


def test_dump_and_load_agree(written: Path, tmp_path: Path) -> None:
    config = load_config(written, ["train.clip_grad_norm=0.5", "optimizers.generator.lr=2e-4"])
    copy = tmp_path / "copy.yaml"
    copy.write_text(dump_config(config))
    assert load_config(copy) == config
    assert config.optimizers["generator"].lr == 2e-4


def test_differences_name_the_leaves(written: Path) -> None:
    old, new = load_config(written), load_config(written, ["train.steps=20", "model.width=8"])
    assert differences(old, new) == ["model.width: 4 -> 8", "train.steps: 10 -> 20"]


def test_null_takes_an_entry_out(written: Path) -> None:
    penalty = "objective.penalty={kind: r1, weight: {frame: 1, video: 2}}"
    config = load_config(written, ["discriminators.frame=null", penalty])
    assert set(config.discriminators) == {"video"} and set(config.optimizers) == {"generator", "video"}
    assert set(config.objective.weights) == {"adversarial_video", "category"}
    assert config.objective.penalty is not None and config.objective.penalty.weight == {"video": 2}
    without = load_config(written, ["discriminators.video=null"])
    check_config(without)
    assert without.objective.category_source is None and set(without.objective.weights) == {"adversarial_frame"}


def test_yaml_cannot_run_code(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    path = tmp_path / "evil.yaml"
    path.write_text(f"name: !!python/object/apply:os.system ['touch {marker}']\n")
    with pytest.raises(ConfigError, match="not valid YAML"):
        load_config(path)
    assert not marker.exists()


def test_unreadable_files_are_named(tmp_path: Path) -> None:
    broken = tmp_path / "broken.yaml"
    broken.write_text("a: [1,\n")
    with pytest.raises(ConfigError, match="broken.yaml: not valid YAML"):
        load_config(broken)
    broken.write_text("- a\n- b\n")
    with pytest.raises(ConfigError, match="broken.yaml"):
        load_config(broken)
    with pytest.raises(ConfigError, match=r"mocogan/papr: no such config file.*did you mean 'mocogan/paper'\?"):
        find_config("mocogan/papr")


@pytest.mark.parametrize("name", sorted(shipped_configs()))
def test_shipped_configs_are_valid(name: str) -> None:
    config = load_config(shipped_configs()[name], ["data.root=somewhere"])
    assert shipped_configs()[name].read_text().startswith("#"), "a config is headed by its command and what to expect"
