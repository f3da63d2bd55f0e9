"""Configs: strict, every problem reported with its key, lossless."""

import copy
import math
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from helpers import SMALL, small_config
from pydantic import BaseModel

from vidgan.build import build_dataset, build_networks
from vidgan.config import (
    config_keys,
    differences,
    dump_config,
    find_config,
    load_config,
    parse_config,
    sections_in,
    shipped_configs,
)
from vidgan.errors import ConfigError
from vidgan.runs import with_absolute_paths
from vidgan.sections import Section
from vidgan.tasks import TASKS
from vidgan.tasks.forecasting.config import ForecastingConfig
from vidgan.tasks.run_config import RunConfig
from vidgan.tasks.synthesis.config import SynthesisConfig
from vidgan.tasks.synthesis.dcgan import DCGANConfig
from vidgan.tasks.synthesis.style import StyleConfig

MODELS = ("mocogan", "dual_motion")


def plain(model: str) -> dict[str, Any]:
    """The sections of a valid config."""
    values = copy.deepcopy(SMALL[model])
    values["data"]["root"] = "somewhere"
    return values | {"train": {"steps": 10, "batch_size": 4}}


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """A valid config of MoCoGAN in a file."""
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(plain("mocogan")))
    return path


@pytest.fixture
def forecasting(tmp_path: Path) -> Path:
    """A valid config of Dual Motion GAN in a file."""
    path = tmp_path / "forecasting.yaml"
    path.write_text(yaml.safe_dump(plain("dual_motion")))
    return path


def problems_of(path: Path, *overrides: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load_config(path, overrides)
    return str(caught.value)


@pytest.mark.parametrize(
    ("override", "keys"),
    [
        ("train.stpes=10", ("train.stpes", "'steps'")),
        ("objective.weight.category=1", ("objective.weight'", "'weights'")),
        ("optimizers.generator.learning_rate=1", ("optimizers.generator.learning_rate",)),
        ("train.steps=many", ("train.steps", "integer", "'many'")),
        ("train.steps=0", ("train.steps", "got 0")),
        ("train.precision=fp16", ("train.precision", "bf16")),
        ("train.precision=fp8", ("train.precision", "'bf16'", "'fp8'")),
        ("train.compile=perhaps", ("train.compile", "'perhaps'")),
        ("objective.adversarial=hing", ("objective.adversarial", "'hinge'")),
        ("every.keep=1", ("every.keep", "got 1")),
        ("data.root=", ("data.root",)),
        ("data.fps=5.0 data.stride=2", ("data.stride=2", "fps=5")),
        ("data.augment=[camera,camra]", ("data.augment", "'camra'", "'camera'")),
        ("data.augment=[camera,camera]", ("data.augment", "camera")),
        ("train.micro_batches=3", ("train.batch_size=4", "micro_batches=3")),
        ("train.warmup=10", ("train.warmup=10", "steps=10")),
        ("optimizers.flow={}", ("optimizers.flow",)),
        ("optimizers.frame=null", ("optimizers.frame",)),
        ("train.decay_start=0.5", ("train.decay_start", "lr_schedule=constant")),
        ("guards.rollbacks=2", ("guards.rollbacks", "on_nonfinite")),
        ("guards.stop=[colapse]", ("guards.stop", "'colapse'")),
        ("track=wandbb", ("track", "'wandb'")),
        ("objective.penalty={kind: r1, weight: {flow: 1}}", ("objective.penalty.weight.flow",)),
        ("optimizers.generator={name: sgd, betas: [0.5, 0.9]}", ("optimizers.generator.betas", "sgd")),
        ("objective.penalty={kind: r1}", ("objective.penalty.kind=r1", "weight")),
        ("objective.penalty={kind: r1, weight: 1, limit: 1}", ("objective.penalty.limit", "r1")),
        ("objective.penalty={kind: weight_clip}", ("objective.penalty.kind=weight_clip", "limit")),
        ("objective.penalty={kind: r3, weight: 1}", ("objective.penalty.kind", "'r1_r2'", "'r3'")),
        ("objective.weights.category=-1", ("objective.weights.category", "greater than 0")),
        ("train.steps", ("override 'train.steps'",)),
        ("name=../up", ("name", "'../up'")),
        ("task=synthesys", ("task", "'synthesys'", "'synthesis'")),
        ("model.name=mocogan", ("model.name",)),
        ("model.dim_contnet=8", ("model.dim_contnet", "'dim_content'")),
        ("model.image_size=[64, 64]", ("model.image_size",)),
        ("model.frame.widht=8", ("model.frame.widht", "'width'")),
        ("model.frame.kind=dcgn", ("model.frame", "dcgan", "style")),
        ("model.frame.mapping_width=8", ("model.frame.mapping_width",)),
        ("model.frame.width=1024", ("model.frame.max_width=512", "width=1024")),
        ("model.motion.hidden=12", ("model.motion.hidden=12", "dim_motion=4", "linear")),
        ("model.motion.warm_up=-1", ("model.motion.warm_up", "got -1")),
        ("model.warp_first_frame=true", ("model.warp_first_frame", "encoder")),
        ("discriminators.video.factorized=true", ("discriminators.video.factorized", "'factorised'")),
        ("discriminators.video.max_receptive_frames=3", ("discriminators.video.max_receptive_frames", "got 3")),
        ("discriminators.flow={}", ("discriminators.flow",)),
        ("objective.weights.advesarial_video=1", ("objective.weights.advesarial_video", "'adversarial_video'")),
        ("objective.kl_warmup=10", ("objective.kl_warmup",)),
        ("objective.samples=2", ("objective.samples",)),
        ("data.context=4", ("data.context",)),
        ("data.frames=2", ("data.frames=2",)),
        ("objective.weights.first_frame=1", ("objective.weights.first_frame", "model.encoder")),
        ("objective.frames_per_clip=17", ("objective.frames_per_clip=17", "data.frames=13")),
        ("objective.path_frames=13", ("objective.path_frames=13", "data.frames=13")),
        ("objective.category_source=null", ("category_source", "weights.category")),
        ("objective.weights.adversarial_frame=null", ("discriminators.frame", "adversarial_frame")),
    ],
)
def test_a_problem_is_reported_with_its_key(written: Path, override: str, keys: tuple[str, ...]) -> None:
    overrides = override.split(" ") if override.startswith("data.fps") else [override]
    message = problems_of(written, *overrides)
    assert all(key in message for key in keys), message
    assert str(written) in message or "override" in message


@pytest.mark.parametrize(
    ("overrides", "keys"),
    [
        (["data.context=null"], ("data.context",)),
        (["data.context=5"], ("data.context=5", "frames=5")),
        (["data.context=1"], ("data.context", "got 1")),
        (["objective.path_frames=13"], ("objective.path_frames",)),
        (["model.widths=[8,8]"], ("model.widths",)),
        (["model.max_flow=0.0"], ("model.max_flow", "got 0")),
        (["model.fusion.kind=sum"], ("model.fusion", "conv", "mask", "blend")),
        (["model.estimator.kind=raft"], ("model.estimator", "hourglass", "pyramid", "lucas_kanade")),
        (["model.estimator.kind=lucas_kanade"], ("model.estimator.widths",)),
        (
            ["model.estimator.kind=lucas_kanade", "model.estimator.widths=null"],
            ("objective.weights.observed_flow", "lucas_kanade"),
        ),
        (["model.fusion.kind=blend", "model.extrapolate_flow=false"], ("model.fusion.kind=blend", "extrapolate_flow")),
        (["model.motion_hints=true", "model.skip_connections=false"], ("model.motion_hints", "skip_connections")),
        (["model.motion_hints=true", "model.extrapolate_flow=false"], ("model.motion_hints", "extrapolate_flow")),
        (["model.decoding.restore_detail=1.5"], ("model.decoding.restore_detail", "got 1.5")),
        (["model.decoding.motion_spread=1.0"], ("model.decoding.motion_spread", "motion_hints", "blend")),
        (["model.decoding.motion_spread=-1.0"], ("model.decoding.motion_spread", "got -1")),
        (
            ["model.decoding.motion_spread=1.0", "model.motion_hints=true", "model.probabilistic=false"],
            ("model.decoding.motion_spread", "probabilistic"),
        ),
        (["model.probabilistic=false"], ("objective.weights.kl", "model.probabilistic=false")),
        (["model.probabilistic=false", "objective.samples=2"], ("objective.samples", "model.probabilistic=false")),
        (["objective.kl_warmup=5", "objective.weights.kl=null"], ("objective.kl_warmup", "kl")),
    ],
)
def test_a_problem_of_a_forecaster_is_reported_with_its_key(
    forecasting: Path, overrides: list[str], keys: tuple[str, ...]
) -> None:
    message = problems_of(forecasting, *overrides)
    assert all(key in message for key in keys), message


def test_terms_that_train_nothing_are_refused() -> None:
    values = plain("dual_motion") | {"discriminators": {}, "optimizers": {"generator": {}}}
    for weights, keys in (
        ({"direct": 1.0}, ("objective.weights", "fused")),
        ({"fused_l2": 1.0}, ("objective.samples", "direct")),
    ):
        values["objective"] = {"weights": weights, "samples": 2}
        with pytest.raises(ConfigError) as caught:
            parse_config(values, "test")
        assert all(key in str(caught.value) for key in keys)
    values["objective"] = {"weights": {"fused": 1.0}}
    values["model"] |= {"extrapolate_flow": False}
    with pytest.raises(ConfigError, match=r"implied_flow.*extrapolate_flow=false"):
        parse_config(values, "test")
    values["objective"] = {"weights": {"fused": 1.0}, "adversarial": "hinge", "penalty": {"kind": "r1", "weight": 1}}
    with pytest.raises(ConfigError) as caught:
        parse_config(values, "test")
    assert all(key in str(caught.value) for key in ("objective.penalty", "objective.adversarial"))


def test_all_problems_are_reported_at_once(written: Path) -> None:
    """Unknown keys in two sections, a bad kind, a bad value and broken rules of two sections in one message."""
    message = problems_of(
        written,
        "train.stpes=5",
        "discriminators.frame.widht=3",
        "model.frame.kind=dcgn",
        "every.keep=one",
        "optimizers.video={name: sgd, betas: [0.5, 0.9]}",
        "objective.penalty={kind: weight_clip}",
        "data.root=null",
    )
    for key in (
        "'train.stpes'",
        "'discriminators.frame.widht'",
        "model.frame",
        "every.keep",
        "optimizers.video.betas",
        "objective.penalty.kind=weight_clip",
        "data.root",
    ):
        assert key in message, key
    assert message.count("; ") >= 6


def test_all_broken_rules_of_one_section_are_reported_at_once(written: Path) -> None:
    message = problems_of(written, "train.decay_start=0.5", "train.tf32=true", "train.device=cpu", "train.warmup=99")
    assert all(key in message for key in ("train.decay_start", "train.tf32", "train.warmup=99"))


def test_all_broken_rules_between_sections_are_reported_at_once(written: Path) -> None:
    message = problems_of(written, "data.frames=2", "optimizers.flow={}", "objective.turns=[frame, generator]")
    assert all(key in message for key in ("data.frames=2", "optimizers.flow", "objective.turns"))


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
@pytest.mark.parametrize(
    "key",
    [
        "optimizers.generator.lr",
        "objective.weights.category",
        "model.motion.inertia",
        "discriminators.frame.noise",
        "train.clip_grad_norm",
        "data.fps",
    ],
)
def test_numbers_are_finite(written: Path, key: str, value: float) -> None:
    literal = {"inf": ".inf", "-inf": "-.inf", "nan": ".nan"}[str(value)]
    assert key in problems_of(written, f"{key}={literal}")


def test_null_resets_a_key_to_its_default(written: Path) -> None:
    changed = ["train.ema_decay=0.5", "model.dim_motion=7", "discriminators.video.width=8", "every.log=3"]
    reset = [f"{change.split('=')[0]}=null" for change in changed]
    config = load_config(written, reset)
    assert isinstance(config, SynthesisConfig)
    assert config.train.ema_decay == 0.999 and config.every.log == 10
    assert config.model.dim_motion == 10 and config.discriminators.video.width == 64
    assert load_config(written, changed) != config == load_config(written, [*changed, *reset])


def test_null_removes_an_optional_part(written: Path) -> None:
    encoder = "model.encoder={width: 4, norm: none}"
    with_encoder, without = load_config(written, [encoder]), load_config(written, [encoder, "model.encoder=null"])
    assert isinstance(with_encoder, SynthesisConfig) and with_encoder.model.encoder is not None
    assert without == load_config(written)


def test_null_removes_a_discriminator_with_its_dependent_settings(written: Path, forecasting: Path) -> None:
    penalty = "objective.penalty={kind: r1, weight: {frame: 1, video: 2}}"
    config = load_config(written, ["discriminators.frame=null", penalty])
    assert isinstance(config, SynthesisConfig)
    assert config.network_names() == ("generator", "video") and set(config.optimizers) == {"generator", "video"}
    assert set(config.objective.weights) == {"adversarial_video", "category"}
    assert config.objective.frames_per_clip is None
    assert config.objective.penalty is not None and config.objective.penalty.weight == {"video": 2}
    assert [turn.network for turn in config.turns()] == ["video", "generator"]

    without = load_config(written, ["discriminators.video=null", "objective.penalty={kind: r1, weight: {video: 1}}"])
    assert isinstance(without, SynthesisConfig)
    assert without.objective.category_source is None and set(without.objective.weights) == {"adversarial_frame"}
    assert without.objective.penalty is None and without.objective.frames_per_clip == 2

    alone = load_config(forecasting, ["discriminators.frame=null", "discriminators.flow=null"])
    assert isinstance(alone, ForecastingConfig)
    assert alone.network_names() == ("generator",) and set(alone.optimizers) == {"generator"}
    assert not any(term.startswith("adversarial") for term in alone.objective.weights)


def test_a_removed_discriminator_keeps_its_explicit_turn_an_error(written: Path) -> None:
    message = problems_of(written, "discriminators.frame=null", "objective.turns=[frame, video, generator]")
    assert "objective.turns" in message and "'frame'" in message


def test_a_kind_can_be_replaced(written: Path) -> None:
    config = load_config(written, ["model.frame.kind=style", "model.frame.norm=null"])
    assert isinstance(config, SynthesisConfig)
    assert config.model.frame == StyleConfig(width=4)
    assert isinstance(load_config(written, ["model.frame.kind=null"]).model, type(config.model))
    reset = load_config(written, ["model.frame=null"])
    assert isinstance(reset, SynthesisConfig) and reset.model.frame == DCGANConfig()


def test_a_warped_first_frame_needs_no_term_for_it(written: Path) -> None:
    overrides = [
        "model.frame={kind: style, norm: null}", "model.encoder={width: 4}", "model.warp_first_frame=true",
    ]  # fmt: skip
    load_config(written, overrides)
    message = problems_of(written, *overrides, "objective.weights.first_frame=1")
    assert "objective.weights.first_frame" in message and "model.warp_first_frame" in message
    assert "frame.kind" in (message := problems_of(written, *overrides[1:])) and "style or residual" in message


def test_path_frames_and_the_first_frame_exclude_each_other(written: Path) -> None:
    overrides = ["model.encoder={width: 4}", "objective.path_frames=14"]
    load_config(written, overrides)
    assert "weights.first_frame" in problems_of(written, *overrides, "objective.weights.first_frame=1.0")


@pytest.mark.parametrize("model", MODELS)
def test_a_dumped_config_loads_as_an_equal_one(model: str, tmp_path: Path) -> None:
    config = parse_config(plain(model), "test")
    path = tmp_path / "dumped.yaml"
    path.write_text(dump_config(config))
    assert load_config(path) == config
    assert dump_config(load_config(path)) == dump_config(config)


def test_numbers_survive_a_dump(written: Path, tmp_path: Path) -> None:
    config = load_config(written, ["train.clip_grad_norm=0.5", "optimizers.generator.lr=2e-4"])
    path = tmp_path / "dumped.yaml"
    path.write_text(dump_config(config))
    assert load_config(path) == config
    assert config.optimizers["generator"].lr == 2e-4


def fields_of(section: BaseModel, prefix: str = "") -> Iterator[str]:
    """Keys of all fields of a config, nested sections and mappings of sections included."""
    for name in type(section).model_fields:
        value = getattr(section, name)
        yield f"{prefix}{name}"
        if isinstance(value, BaseModel):
            yield from fields_of(value, f"{prefix}{name}.")
        elif isinstance(value, dict):
            for key, inner in value.items():
                if isinstance(inner, BaseModel):
                    yield from fields_of(inner, f"{prefix}{name}.{key}.")


@pytest.mark.parametrize("model", MODELS)
def test_a_dumped_config_is_complete(model: str) -> None:
    config = parse_config(plain(model), "test")
    dumped = yaml.safe_load(dump_config(config))
    keys = list(fields_of(config))
    assert len(keys) > 80
    for key in keys:
        value = dumped
        for part in key.split("."):
            assert part in value, key
            value = value[part]


def schemas(section: type[BaseModel]) -> Iterator[type[BaseModel]]:
    """A section's type and all that its fields can hold."""
    yield section
    for field in section.model_fields.values():
        for inner in sections_in(field.annotation):
            if inner is not section:
                yield from schemas(inner)


@pytest.mark.parametrize("task", TASKS)
def test_every_field_and_section_is_described(task: str) -> None:
    sections = dict.fromkeys(schemas(TASKS[task].config))
    assert len(sections) > 8
    containers = {section for section in sections for f in section.model_fields.values() if sections_in(f.annotation)}
    for section in sections:
        assert section.__doc__, section
        for name, field in section.model_fields.items():
            holds_sections = [s for s in sections_in(field.annotation) if s.__doc__] and section in containers
            assert field.description or holds_sections, f"{section.__name__}.{name}"


@pytest.mark.parametrize("task", TASKS)
def test_the_reference_lists_every_key(task: str) -> None:
    rows = list(config_keys(task))
    listed = {key for key, *_ in rows}
    model = {"synthesis": "mocogan", "forecasting": "dual_motion"}.get(task, task)
    for key in fields_of(parse_config(plain(model), "test")):
        key = key.replace("optimizers.generator", "optimizers.NAME")
        key = re.sub(r"optimizers\.(frame|video|flow|critic)(_[ab])?\b", "optimizers.NAME", key)
        assert key in listed, key
    for key, kind, default, description in rows:
        assert key and kind and description, key
        assert kind.startswith("section") or kind == "text" or default, key
    by_key = {key: (kind, default) for key, kind, default, _ in rows}
    assert by_key["train.steps"] == ("int", "required")
    assert by_key["train.ema_decay"] == ("float", "0.999")
    assert by_key["train.precision"] == ("auto | fp32 | bf16", "auto")
    assert by_key["train.tf32"] == ("true | false", "false")
    assert by_key["data.fps"][1] == "null"
    kinds = {kind for key, kind, *_ in rows if key in ("model.frame", "model.fusion", "model.network")}
    assert (
        kinds
        == {
            "synthesis": {
                f"section, kind {kind}" for kind in ("dcgan", "style", "residual", "modulated", "progressive")
            },
            "forecasting": {"section, kind conv", "section, kind mask", "section, kind blend"},
            "translation": {"section, kind unet", "section, kind resnet"},
            "unpaired": {"section, kind unet", "section, kind resnet"},
            "upscaling": {"section, kind frame", "section, kind recurrent"},
            "single_clip": set(),
        }[task]
    )
    described = {key: description for key, _, _, description in rows}
    assert "Unit: frames" in described["data.frames"]


def test_the_reference_of_an_unknown_task_is_refused() -> None:
    with pytest.raises(ConfigError, match="'synthesis'"):
        list(config_keys("synthesiss"))


def test_a_config_is_immutable(written: Path) -> None:
    config: Any = load_config(written)
    with pytest.raises(ValueError, match="frozen"):
        config.train.steps = 5
    assert isinstance(config, RunConfig) and isinstance(config.train, Section)


def test_differences_name_the_leaves(written: Path) -> None:
    old, new = load_config(written), load_config(written, ["train.steps=20", "model.frame.width=8"])
    assert differences(old, new) == ["model.frame.width: 4 -> 8", "train.steps: 10 -> 20"]
    assert differences(old, old) == []


def test_differences_name_a_removed_part(written: Path) -> None:
    lines = differences(load_config(written), load_config(written, ["discriminators.frame=null"]))
    keys = {line.partition(":")[0] for line in lines}
    assert {"discriminators.frame.width", "optimizers.frame.lr", "objective.weights.adversarial_frame"} <= keys


@pytest.mark.parametrize("values", [[], "text", None, {}, {"task": None}, {"task": 3}, {"task": ["synthesis"]}])
def test_what_is_no_config_is_refused(values: Any) -> None:
    with pytest.raises(ConfigError, match=r"test: "):
        parse_config(values, "test")


@pytest.mark.parametrize("section", ["data", "model", "train", "objective", "optimizers", "every", "discriminators"])
def test_a_section_that_is_no_mapping_is_refused(section: str) -> None:
    for value in (3, "text", [1]):
        with pytest.raises(ConfigError, match=section):
            parse_config(plain("mocogan") | {section: value}, "test")


def test_a_template_needs_no_data() -> None:
    values = plain("mocogan")
    values["data"]["root"] = ""
    assert parse_config(values, "test", template=True).data.root == ""
    with pytest.raises(ConfigError, match=r"data\.root"):
        parse_config(values, "test")


def test_yaml_cannot_run_code(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    path = tmp_path / "evil.yaml"
    path.write_text(f"name: !!python/object/apply:os.system ['touch {marker}']\n")
    with pytest.raises(ConfigError, match=r"evil\.yaml"):
        load_config(path)
    assert not marker.exists()


def test_unreadable_files_are_named(tmp_path: Path) -> None:
    broken = tmp_path / "broken.yaml"
    for text in ("a: [1,\n", "- a\n- b\n"):
        broken.write_text(text)
        with pytest.raises(ConfigError, match=r"broken\.yaml"):
            load_config(broken)
    with pytest.raises(ConfigError, match=r"mocogan/papr.*'mocogan/paper'"):
        find_config("mocogan/papr")


@pytest.mark.parametrize("name", sorted(shipped_configs()))
def test_shipped_configs_are_valid_and_dump_without_loss(name: str, tmp_path: Path) -> None:
    config = load_config(shipped_configs()[name], ["data.root=somewhere"])
    assert shipped_configs()[name].read_text().startswith("#"), "a config begins with its command and its results"
    path = tmp_path / "dumped.yaml"
    path.write_text(dump_config(config))
    assert load_config(path) == config


def test_a_section_of_another_kind_replaces_the_old_one_and_one_of_the_same_kind_is_merged() -> None:
    demo = find_config("mocogan/demo")

    replaced = load_config(demo, ["model.frame={kind: dcgan, width: 8}", "model.frame.norm=none"], template=True)
    assert replaced.model.frame.model_dump() == {
        "kind": "dcgan", "width": 8, "max_width": 512, "norm": "none", "bias": True,
    }  # fmt: skip

    merged = load_config(demo, ["model.frame={kind: style, width: 8}"], template=True)
    assert merged.model == load_config(demo, ["model.frame.width=8"], template=True).model


@pytest.mark.parametrize(
    ("override", "value"),
    [
        ("data.root=set #1", "set #1"), ("data.root='set #1'", "set #1"), ("data.root=a: b", "a: b"),
        ("data.root=[x]", "[x]"), ("data.root=%40", "%40"), ("name=001", "001"), ("name=yes", "yes"),
        ("name=1e3", "1e3"), ("name=2024-01-01", "2024-01-01"), ("out=no", "no"), ("train.steps=0100", 100),
        ("train.steps=1e3", 1000), ("data.root=a=b", "a=b"), ("objective.weights.category=1e-2", 0.01),
        ("model.dim_content=012", 12), ("data.flip=yes", True),
    ],
)  # fmt: skip
def test_an_override_of_a_text_is_text_and_of_a_number_is_decimal(override: str, value: object) -> None:
    config = load_config(shipped_configs()["mocogan/demo"], ["data.root=d", "train.warmup=0", override])
    section: object = config
    for key in override.split("=")[0].split("."):
        section = section[key] if isinstance(section, dict) else getattr(section, key)
    assert section == value and type(section) is type(value)


@pytest.mark.parametrize(
    "override",
    [
        "optimizers.generator.lr=inf", "optimizers.generator.lr=1e9", "train.clip_grad_norm=inf", "train.ema_decay=nan",
        "model.frame.width=1000000", "model.motion.input_scale=nan", "data.workers=100000", "train.steps=1e12",
        "train.batch_size=1e12", "data.frames=1e9", "data.fps=inf", "every.checkpoint=1e20", "seed=1e30",
        "train.steps=1:30", "data.window=[64,1e9]", "optimizers.generator.betas=[0.5,1.5]", "name=???",
        "objective.weights.category=1e300", "train.micro_batches=1e9", "guards.rollbacks=1e9",
    ],
)  # fmt: skip
def test_a_number_beyond_its_limit_is_refused_by_key(override: str) -> None:
    with pytest.raises(ConfigError, match=override.split("=")[0].replace(".", r"\.")):
        load_config(shipped_configs()["mocogan/demo"], ["data.root=d", override])


def test_a_config_that_is_no_ordinary_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    (tmp_path / "zero.yaml").symlink_to("/dev/zero")
    for name in ("pipe.yaml", "zero.yaml"):
        with pytest.raises(ConfigError, match=name):
            load_config(tmp_path / name)


def test_training_starts_from_weights(shapes_data: Path, tmp_path: Path) -> None:
    first = small_config("dual_motion", shapes_data, tmp_path, train__steps=1)
    dataset = build_dataset(first)
    network: Any = build_networks(first, dataset)["generator"]
    network.facts = {}
    network.save_pretrained(tmp_path / "model")
    second = small_config("dual_motion", shapes_data, tmp_path, seed=5, train__start=str(tmp_path / "model"))
    begun = build_networks(second, dataset)["generator"].state_dict()
    assert all(torch.equal(value, begun[name]) for name, value in network.state_dict().items())
    drawn = build_networks(small_config("dual_motion", shapes_data, tmp_path, seed=5), dataset)["generator"]
    assert not all(torch.equal(value, begun[name]) for name, value in drawn.state_dict().items())
    # Where trained weights are loaded afterwards, those of the start are not needed any more.
    (tmp_path / "model").rename(tmp_path / "moved")
    unstarted = build_networks(second, dataset, start=False)["generator"].state_dict()
    assert all(torch.equal(value, unstarted[name]) for name, value in drawn.state_dict().items())
    (tmp_path / "moved").rename(tmp_path / "model")
    other = small_config(
        "dual_motion", shapes_data, tmp_path, model__dim_latent=4, train__start=str(tmp_path / "model")
    )
    with pytest.raises(ConfigError, match=r"train\.start: .*another structure"):
        build_networks(other, dataset)


def test_recorded_paths_do_not_depend_on_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "weights").mkdir()
    typed = small_config("unpaired", Path("a"), Path("runs"), data__other="b", train__start="weights")
    recorded = with_absolute_paths(typed)
    folders = (recorded.data.root, getattr(recorded.data, "other", None), recorded.train.start, recorded.out)
    assert folders == tuple(str(tmp_path / name) for name in ("a", "b", "weights", "runs"))
    shipped = small_config("unpaired", Path("a"), Path("runs"), train__start="dual_motion/shapes")
    assert with_absolute_paths(shipped).train.start == "dual_motion/shapes"
    upscaling = small_config("upscaling", Path("a"), Path("runs"), data__partners="small")
    assert getattr(with_absolute_paths(upscaling).data, "partners", None) == str(tmp_path / "small")
    plain = with_absolute_paths(small_config("upscaling", Path("a"), Path("runs")))
    assert getattr(plain.data, "partners", None) == "" and plain.train.start is None
