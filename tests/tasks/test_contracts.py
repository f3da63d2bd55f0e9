"""What every task and every kind of every part must satisfy; new entries of a registry are tested automatically."""

import copy
import inspect
import json
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from helpers import SMALL
from small_networks import small_sentence_encoder
from torch import Tensor, nn

from vidgan.config import dump_config, load_config, parse_config, sections_in
from vidgan.hub import Pretrained
from vidgan.nn.frame_networks import FRAME_NETWORKS
from vidgan.pixels import to_byte, to_float
from vidgan.sections import OwnPart, Section
from vidgan.seeding import Draws
from vidgan.tasks import TASKS, find_task, task_of_model
from vidgan.tasks.adversarial_config import FLOW_DISCRIMINATORS, FRAME_DISCRIMINATORS, VIDEO_DISCRIMINATORS
from vidgan.tasks.base import ClipMapper, ClipModel, DataFacts, ForecastModel
from vidgan.tasks.forecasting.flow_estimator import ESTIMATORS
from vidgan.tasks.forecasting.fusion import FUSIONS
from vidgan.tasks.run_config import RunConfig
from vidgan.tasks.synthesis.config import FRAME_GENERATORS, MOTION_NETWORKS
from vidgan.tasks.text import sentence
from vidgan.tasks.text.discriminator import TextDiscriminator
from vidgan.tasks.text.encoders import TEXT_ENCODERS
from vidgan.tasks.text.training import Captioned
from vidgan.tasks.translation.generators import GENERATORS, DirectConfig
from vidgan.tasks.upscaling.networks import NETWORKS as NETWORKS_OF_UPSCALING
from vidgan.types import Judgement, Latents, Prediction

SIZES = ((32, 48), (64, 64))
NETWORKS: dict[type[Section], Any] = {
    **MOTION_NETWORKS,
    **FRAME_GENERATORS,
    **ESTIMATORS,
    **FUSIONS,
    **FRAME_NETWORKS,
    **GENERATORS,
    **FRAME_DISCRIMINATORS,
    **VIDEO_DISCRIMINATORS,
    **FLOW_DISCRIMINATORS,
    **NETWORKS_OF_UPSCALING,
    **TEXT_ENCODERS,
}
# Fields that make a network small, and its windows short.
NARROW = {"width": 4, "max_width": 8, "mapping_width": 8, "widths": [4, 4, 4, 4], "max_receptive_frames": 4}
WORDS = ("disc", "red", "square")
CAPTIONS = torch.tensor([[2, 3], [1, 0]])  # word numbers, 0 behind the last word
VALID = {
    "synthesis": SMALL["mocogan"],
    "forecasting": SMALL["dual_motion"],
    "upscaling": SMALL["upscaling"],
    "translation": SMALL["translation"],
    "unpaired": SMALL["unpaired"],
    "single_clip": SMALL["single_clip"],
}


@pytest.fixture(autouse=True)
def random_sentence_encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = small_sentence_encoder()
    monkeypatch.setattr(sentence, "load_sentence_encoder", lambda: encoder)


class Case(NamedTuple):
    """A kind of a part of a task's config."""

    task: str
    key: str  # such as "model.frame"
    section: type[Section]

    def config(self) -> RunConfig:
        """The task's small config with this kind."""
        values = plain(self.task)
        outer, name = self.key.split(".")
        narrow = {field: value for field, value in NARROW.items() if field in self.section.model_fields}
        values[outer][name] = {"kind": self.section.model_fields["kind"].default} | narrow
        if not narrow and self.key == "model.estimator":
            values["objective"]["weights"].pop("observed_flow")  # there is nothing that it could train
        if self.section in TEXT_ENCODERS:
            values["objective"]["text"] = {}
        if self.section is DirectConfig:  # it carries nothing
            for term in ("raw", "flow"):
                values["objective"]["weights"].pop(term)
            values["objective"] |= {"unroll": None, "unroll_double": None}
        return parse_config(values, "contract")


def plain(task: str) -> dict[str, Any]:
    """The sections of a small valid config."""
    values = copy.deepcopy(VALID[task])
    values["data"]["root"] = "unused"
    return values | {"train": {"steps": 2, "batch_size": 2, "device": "cpu", "precision": "fp32"}}


def kinds() -> list[Case]:
    """Every kind of every part of every task, found by walking the sections."""
    cases = []
    for task in TASKS:
        for outer in ("model", "discriminators"):
            section = type(getattr(parse_config(plain(task), "contract"), outer))
            for name, field in section.model_fields.items():
                inner = sections_in(field.annotation)
                if OwnPart in inner:
                    cases += [Case(task, f"{outer}.{name}", kind) for kind in inner if kind is not OwnPart]
    return cases


KINDS = kinds()


def case_name(case: Any) -> str | None:
    return f"{case.key}-{case.section.model_fields['kind'].default}" if isinstance(case, Case) else None


def draws(rows: int = 2) -> Draws:
    return Draws("contract", rows=range(rows))


def uniform(*shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0)) * 2 - 1


def reads_text(config: RunConfig) -> bool:
    return getattr(config.model, "text", None) is not None


def build(config: RunConfig, size: tuple[int, int], num_categories: int = 3) -> dict[str, nn.Module]:
    """All networks of a config, seeded."""
    task = find_task(config)
    data = DataFacts(image_size=size, num_categories=num_categories, vocabulary=WORDS if reads_text(config) else ())
    torch.manual_seed(0)
    generator, *discriminators = config.network_names()
    networks = {generator: task.build_generator(config, data)}
    return networks | {name: task.build_discriminator(name, config, data) for name in discriminators}


def generate(config: RunConfig, model: Any, size: tuple[int, int]) -> list[Tensor]:
    """What the generator puts out: frames in [-1, 1] first, then all else that losses read."""
    if find_task(config).evaluation == "clips":
        latents = model.draw_latents(draws(), config.data.frames)
        return [model(model.with_text(latents, CAPTIONS)[0] if reads_text(config) else latents)]
    if config.task == "translation":
        clip = to_byte(uniform(2, config.data.frames, 3, *size))
        drawn = model(to_float(model.pair_of(clip, draws())[0]))
        return [part for part in drawn if part is not None]
    if config.task == "unpaired":
        clip = uniform(2, config.data.frames, 3, *size)
        translated = [model(clip, domain) for domain in "ba"]
        return [*translated, *(model(clip, domain, predict=True) for domain in "ab")]
    if config.task == "upscaling":
        clip = uniform(2, config.data.frames, 3, size[0] // model.scale, size[1] // model.scale)
        if not reads_text(config):
            return [model(clip)]
        made: Captioned = model(clip, CAPTIONS, uniform(2, model.text.dim))
        return [*made]
    context: int = config.data.context  # type: ignore[attr-defined]
    horizon = config.data.frames - context
    prediction: Prediction = model(uniform(2, context, 3, *size), horizon=horizon, draws=draws())
    return [prediction.frames, *prediction]


def score(name: str, network: Any, size: tuple[int, int]) -> Judgement:
    """What a discriminator of this name answers to two samples."""
    captioned = isinstance(network, TextDiscriminator)
    samples = scored(name, network.network if captioned else network, size)
    judgement: Judgement = network(samples, draws(), **({"right": CAPTIONS} if captioned else {}))
    return judgement


def scored(name: str, network: Any, size: tuple[int, int]) -> Tensor:
    """Two samples that a discriminator of this name scores."""
    return uniform(2, *((16,) if name.startswith("video") else ()), network.channels, *size)


def test_the_walk_finds_every_registered_kind() -> None:
    assert {case.section for case in KINDS} == set(NETWORKS)
    for task in TASKS:
        assert {case.key for case in KINDS if case.task == task and case.key.startswith("discriminators.")} == {
            f"discriminators.{name}"
            for name in parse_config(plain(task), "contract").network_names()[1:]
            if name != "critic"  # the critics of a pyramid follow its scales and come in one kind
        }


def arguments_of(network: Any) -> dict[str, inspect.Parameter]:
    """Parameters of a constructor, with those of its base class instead of `**options`."""
    parameters = dict(inspect.signature(network).parameters)
    if any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values()):
        inherited = arguments_of(network.__base__)
        parameters = inherited | {k: p for k, p in parameters.items() if p.kind is not inspect.Parameter.VAR_KEYWORD}
    return parameters


@pytest.mark.parametrize("network", NETWORKS.values())
def test_constructors_are_keyword_only_and_typed(network: Any) -> None:
    for name, parameter in arguments_of(network).items():
        assert parameter.kind is inspect.Parameter.KEYWORD_ONLY, name
        assert parameter.annotation is not inspect.Parameter.empty, name


@pytest.mark.parametrize("case", KINDS, ids=case_name)
def test_every_option_of_a_kind_is_an_argument_of_its_network(case: Case) -> None:
    arguments = arguments_of(NETWORKS[case.section])
    elsewhere = {"kind", "init"} | ({"dim"} if case.section in TEXT_ENCODERS else set())  # dim is an option of TextCode
    for name, field in case.section.model_fields.items():
        assert name in arguments or name in elsewhere, name
        assert field.description, name


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("case", KINDS, ids=case_name)
def test_a_kind_renders_scores_and_learns(case: Case, size: tuple[int, int]) -> None:
    config = case.config()
    networks = build(config, size)
    outputs = generate(config, networks["generator"], size)
    num_frames = 2 if find_task(config).evaluation == "forecast" else config.data.frames
    assert outputs[0].shape == (2, num_frames, 3, *size) and outputs[0].dtype == torch.float32
    assert float(outputs[0].detach().abs().max()) <= 1 and float(outputs[0].detach().std()) > 0
    assert all(bool(output.isfinite().all()) for output in outputs)
    # Weighted, so that no gradient cancels by symmetry.
    sum(((output - 0.1) * uniform(*output.shape)).square().sum() for output in outputs).backward()  # type: ignore[union-attr]
    for name, network in networks.items():
        if name == "generator":
            continue
        judgement = score(name, network, size)
        assert isinstance(judgement, Judgement)
        assert judgement.real.shape[0] == 2 and judgement.real.dtype == torch.float32
        answers = judgement.real.flatten(1) if judgement.real.dim() > 1 else judgement.real[:, None]
        loss = (answers - 0.5).square().sum()
        if judgement.category is not None:
            assert config.task == "synthesis" and judgement.category.shape == (2, 3)
            loss = loss + judgement.category.square().sum()
        loss.backward()
    for name, network in networks.items():
        growing = [part for part in network.modules() if hasattr(part, "idle_modules")]
        idle = {id(p) for part in growing for module in part.idle_modules() for p in module.parameters()}
        for key, parameter in network.named_parameters():
            assert (parameter.grad is None) == (id(parameter) in idle), f"{name}: {key}"
            if parameter.grad is not None:
                assert bool(parameter.grad.isfinite().all()) and bool(parameter.grad.any()), f"{name}: {key}"


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("case", [case for case in KINDS if case.key.startswith("model.")], ids=case_name)
def test_a_model_of_each_kind_is_saved_and_loaded_exactly(case: Case, size: tuple[int, int], tmp_path: Path) -> None:
    config = case.config()
    model: Any = build(config, size)["generator"]
    task = find_task(config)
    assert isinstance(model, task.model)
    model.facts = {"frames": 5, "step": 7}
    model.save_pretrained(tmp_path)
    architecture = json.loads((tmp_path / "config.json").read_text())
    assert architecture["model"] == config.model.model_dump(mode="json") and architecture["image_size"] == list(size)
    torch.manual_seed(99)
    loaded: Any = task.model.from_pretrained(tmp_path)
    assert not loaded.training and loaded.facts == model.facts
    assert model.state_dict().keys() == loaded.state_dict().keys()
    for key, value in model.state_dict().items():
        assert torch.equal(value, loaded.state_dict()[key]), key
    with torch.no_grad():
        ours, theirs = (generate(config, network.eval(), size) for network in (model, loaded))
    assert all(torch.equal(one, other) for one, other in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("case", KINDS, ids=case_name)
def test_a_complete_config_of_each_kind_survives_a_dump(case: Case, tmp_path: Path) -> None:
    config = case.config()
    path = tmp_path / "config.yaml"
    path.write_text(dump_config(config))
    assert load_config(path) == config


@pytest.mark.parametrize("case", KINDS, ids=case_name)
def test_networks_are_functions_of_weights_and_draws(case: Case) -> None:
    """No network reads the global random state, and a copy with loaded weights computes the same."""
    config, size = case.config(), SIZES[0]
    networks = build(config, size)
    twins = copy.deepcopy(networks)
    for name, network in networks.items():
        with torch.no_grad():
            for parameter in twins[name].parameters():
                parameter.add_(1)
        twins[name].load_state_dict(network.state_dict())
    results = []
    for seed, group in enumerate((networks, twins)):
        torch.manual_seed(seed)
        before = torch.get_rng_state()
        with torch.no_grad():
            outputs = generate(config, group["generator"], size)
            outputs += [score(name, group[name], size).real for name in group if name != "generator"]
        assert torch.equal(before, torch.get_rng_state())
        results.append(outputs)
    assert all(torch.equal(one, other) for one, other in zip(*results, strict=True))


@pytest.mark.parametrize("frame", FRAME_GENERATORS)
@pytest.mark.parametrize("num_categories", [0, 3])
def test_clips_of_any_length_and_single_frames(frame: type[Section], num_categories: int) -> None:
    config = Case("synthesis", "model.frame", frame).config()
    model: Any = build(config, SIZES[0], num_categories)["generator"]
    for frames in (2, 16):
        latents = model.draw_latents(draws(), frames)
        assert isinstance(latents, Latents)
        assert latents.content.shape[0] == 2 and latents.motion.shape[:2] == (2, frames + 1)
        assert latents.category.shape == (2,) and latents.category.dtype == torch.int64
        assert model(latents).shape == (2, frames, 3, *SIZES[0])
    assert model(latents, times=torch.tensor([[1], [0]])).shape == (2, 1, 3, *SIZES[0])


@pytest.mark.parametrize("frame", FRAME_GENERATORS)
def test_image_to_video_needs_an_encoder(frame: type[Section]) -> None:
    values = plain("synthesis")
    case = Case("synthesis", "model.frame", frame)
    values["model"]["frame"] = case.config().model.frame.model_dump()  # type: ignore[attr-defined]
    without: Any = build(parse_config(values, "contract"), SIZES[0])["generator"]
    values["model"]["encoder"] = {"width": 4}
    model: Any = build(parse_config(values, "contract"), SIZES[0])["generator"]
    latents, first_frame = model.draw_latents(draws(), 3), uniform(2, 3, *SIZES[0])
    assert model.needs_first_frame and not without.needs_first_frame
    assert model(latents, first_frame=first_frame).shape == (2, 3, 3, *SIZES[0])
    with pytest.raises(ValueError, match="encoder"):
        without(latents, first_frame=first_frame)


@pytest.mark.parametrize("patch", [False, True])
@pytest.mark.parametrize("spectral", [False, True])
@pytest.mark.parametrize("case", [case for case in KINDS if case.key.startswith("discriminators.")], ids=case_name)
def test_discriminators_answer_each_row_with_logits(case: Case, patch: bool, spectral: bool) -> None:
    values = plain(case.task)
    name = case.key.split(".")[1]
    values["discriminators"][name] = {"width": 4, "patch": patch, "spectral": spectral}
    if name.startswith("video"):
        values["discriminators"][name]["max_receptive_frames"] = 4
    model = build(parse_config(values, "contract"), SIZES[0])[name]
    samples = scored(name, model, SIZES[0])
    clean = model(samples).real
    assert clean.dim() > 1 if patch else clean.shape == (2,)
    model.eval()
    clean = model(samples).real
    model.set_noise(0.1)  # type: ignore[operator]
    assert torch.equal(model(samples).real, clean)
    assert not torch.allclose(model.train()(samples, draws()).real, clean)


@pytest.mark.parametrize("name", TASKS)
def test_a_task_is_complete(name: str) -> None:
    task = TASKS[name]
    assert task.name == name and task.config.model_fields["task"].default == name
    assert issubclass(task.model, Pretrained) and task_of_model(task.model.__name__) is task
    config = parse_config(plain(name), "contract")
    assert isinstance(config, task.config) and find_task(config) is task
    protocol: Any = {"clips": ClipModel, "forecast": ForecastModel, "mapping": ClipMapper}[task.evaluation]
    model: Any = build(config, SIZES[0])["generator"]
    model.facts = {}
    assert isinstance(model, protocol)
    assert task.preview_clips > 0
    assert (task.context(config) is None) == (task.evaluation != "forecast")
    with pytest.raises(LookupError):
        task_class: Any = super(type(task), task)
        task_class.build_discriminator("none", config, DataFacts(SIZES[0], 0))


def test_models_of_no_task() -> None:
    assert task_of_model("Linear") is None


@pytest.mark.parametrize("name", TASKS)
def test_previews_are_files_with_metrics(name: str) -> None:
    config = parse_config(plain(name), "contract")
    task = TASKS[name]
    model: Any = build(config, (32, 32))["generator"].eval()
    clips = torch.randint(
        0, 256, (task.preview_clips, config.data.frames, 3, 32, 32), dtype=torch.uint8,
        generator=torch.Generator().manual_seed(0),
    )  # fmt: skip
    first, again = (task.preview(model, clips, config) for _ in range(2))
    assert first.suffix in (".png", ".webp") and len(first.image) > 100
    assert first.image == again.image and first.metrics == again.metrics
    assert all(clip.dtype == torch.uint8 and clip.dim() == 4 and clip.shape[1] == 3 for clip in first.clips.values())
