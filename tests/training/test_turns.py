"""The training step of both tasks: which network is updated when, by what, and whether micro-batches add up."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import small_config
from torch import Tensor

from vidgan.build import build_algorithm, build_dataset, build_loader, build_networks
from vidgan.errors import ConfigError
from vidgan.losses import ADVERSARIAL, l1
from vidgan.pixels import to_float
from vidgan.seeding import Draws
from vidgan.tasks.forecasting.training import DualMotionTraining
from vidgan.tasks.synthesis.training import MoCoGANTraining
from vidgan.training.accelerator import build_accelerator
from vidgan.training.turns import Turn, due_turns
from vidgan.types import ClipBatch, Prediction

Algorithm = MoCoGANTraining | DualMotionTraining
MODELS = ("mocogan", "dual_motion")


def build(
    model: str, data: Path, out: Path, *, num_clips: int = 0, **changes: Any
) -> tuple[Algorithm, Callable[[int], Any]]:
    """The algorithm, and a function that runs one step with the loader's batch of that step."""
    config = small_config(model, data, out, **changes)
    accelerator = build_accelerator("cpu")
    dataset = build_dataset(config)
    loader = build_loader(config, dataset, accelerator)
    algorithm: Any = build_algorithm(config, build_networks(config, dataset), accelerator, num_clips=num_clips)

    def step(number: int) -> Any:
        batches = next(loader.batches(number))
        micros = [(b, Draws(config.seed, "step", number, rows=loader.rows(i))) for i, b in enumerate(batches)]
        return algorithm.step(number, micros)

    return algorithm, step


def weights(algorithm: Algorithm) -> dict[str, dict[str, Tensor]]:
    return {name: copy.deepcopy(module.state_dict()) for name, module in algorithm.trainees.raw.items()}


def differ(before: dict[str, Tensor], after: dict[str, Tensor]) -> bool:
    return any(not torch.equal(before[k], after[k]) for k in before)


def record_updates(algorithm: Algorithm) -> list[str]:
    """The networks that are updated from now on, in order."""
    updates: list[str] = []
    update = algorithm.trainees.update

    def recorded(name: str, *args: Any) -> Any:
        updates.append(name)
        return update(name, *args)

    algorithm.trainees.update = recorded  # type: ignore[method-assign]
    return updates


@pytest.mark.parametrize("model", MODELS)
def test_each_turn_updates_its_network_alone(model: str, shapes_data: Path, tmp_path: Path) -> None:
    algorithm, step = build(model, shapes_data, tmp_path)
    turns: list[str] = []
    update = algorithm.trainees.update

    def checked(name: str, *args: Any) -> Any:
        before = weights(algorithm)
        result = update(name, *args)
        after = weights(algorithm)
        for other in before:
            assert differ(before[other], after[other]) == (other == name), f"{other} in the turn of {name}"
        for other, module in algorithm.trainees.raw.items():
            assert all(p.grad is None for p in module.parameters()), f"{other} kept a gradient after the turn of {name}"
        turns.append(name)
        return result

    algorithm.trainees.update = checked  # type: ignore[method-assign]
    step(0)
    second = "video" if model == "mocogan" else "flow"
    assert turns == ["frame", second, "generator"]


@pytest.mark.parametrize("model", MODELS)
def test_a_gradient_reaches_every_parameter(model: str, shapes_data: Path, tmp_path: Path) -> None:
    algorithm, step = build(model, shapes_data, tmp_path)
    reached: dict[str, set[str]] = {}
    for name, optimizer in algorithm.trainees.optimizers.items():
        names = {id(p): n for n, p in algorithm.trainees.raw[name].named_parameters()}

        def note(optimizer: Any, *_: Any, name: str = name, names: dict[int, str] = names) -> None:
            parameters = [p for group in optimizer.param_groups for p in group["params"]]
            reached[name] = {names[id(p)] for p in parameters if p.grad is not None and bool(p.grad.abs().sum() > 0)}

        optimizer.register_step_pre_hook(note)
    step(0)
    for name, module in algorithm.trainees.raw.items():
        assert reached[name] == {n for n, _ in module.named_parameters()}


PENALTIES: list[dict[str, Any] | None] = [
    None,
    {"kind": "r1", "weight": 1.0},
    {"kind": "gradient_penalty", "weight": 1.0},
    {"kind": "weight_clip", "limit": 0.01},
]


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("adversarial", sorted(ADVERSARIAL))
def test_accumulation_equals_the_big_batch(model: str, adversarial: str, shapes_data: Path, tmp_path: Path) -> None:
    penalty = PENALTIES[sorted(ADVERSARIAL).index(adversarial) % len(PENALTIES)]
    second = "video" if model == "mocogan" else "flow"
    results = []
    for micro_batches in (1, 2):
        algorithm, step = build(
            model,
            shapes_data,
            tmp_path,
            train__micro_batches=micro_batches,
            objective__adversarial=adversarial,
            objective__penalty=penalty,
            discriminators__frame__noise=0.1,
            **{f"discriminators__{second}__noise": 0.1},
            # Adam divides by the gradient's size, which turns rounding of a tiny gradient into a full step.
            optimizers__generator={"name": "sgd", "lr": 0.01},
            optimizers__frame={"name": "sgd", "lr": 0.01},
            **{f"optimizers__{second}": {"name": "sgd", "lr": 0.01}},
        )
        for number in range(2):
            measured = step(number)
        results.append((weights(algorithm), measured))
    (whole, measured), (parts, measured_parts) = results
    for name in whole:
        for key in whole[name]:
            torch.testing.assert_close(parts[name][key], whole[name][key], rtol=1e-4, atol=2e-6)
    for key in measured:
        if key.startswith("loss/"):
            torch.testing.assert_close(measured_parts[key], measured[key], rtol=1e-3, atol=1e-5)


def test_a_generator_that_is_updated_every_third_step(shapes_data: Path, tmp_path: Path) -> None:
    turns = ["frame", "video", {"network": "generator", "every": 3}]
    algorithm, step = build("mocogan", shapes_data, tmp_path, objective__turns=turns)
    measured = [step(number) for number in range(6)]
    assert ["grad_norm/generator" in record for record in measured] == [False, False, True] * 2
    assert all({"grad_norm/frame", "grad_norm/video"} <= record.keys() for record in measured)
    assert algorithm.ema.updates == 2


@pytest.mark.parametrize("model", MODELS)
def test_repeated_updates_have_fresh_fakes(model: str, shapes_data: Path, tmp_path: Path) -> None:
    second = "video" if model == "mocogan" else "flow"
    algorithm, step = build(model, shapes_data, tmp_path, objective__turns=["frame", second, ["generator", 3]])
    updates = record_updates(algorithm)
    fakes: list[Tensor] = []
    real: list[Tensor] = []
    compute = algorithm.generator_losses
    generator = algorithm.trainees.raw["generator"]

    def recorded(batch: ClipBatch, draws: Draws) -> Any:
        real.append(batch.clip)
        fakes.append(draws.fork("generator").normal(4))
        return compute(batch, draws)

    algorithm.generator_losses = recorded  # type: ignore[method-assign]
    rendered: list[Tensor] = []
    generator.register_forward_hook(
        lambda _, inputs, output: rendered.append((output if isinstance(output, Tensor) else output.frames).detach())
    )
    step(0)
    assert updates == ["frame", second, "generator", "generator", "generator"]
    assert algorithm.ema.updates == 3
    assert len(real) == 3 and all(torch.equal(real[0], other) for other in real[1:]), "the batch stays"
    for values in (fakes, rendered[-3:]):
        assert not torch.equal(values[0], values[1]) and not torch.equal(values[1], values[2])


def test_the_first_of_several_updates_equals_a_single_one(shapes_data: Path, tmp_path: Path) -> None:
    """More repeats at the end of a step leave the draws of what comes before them as they are."""
    measured = []
    for turns in (["frame", "video", "generator"], ["frame", "video", "generator", ["frame", 2]]):
        _, step = build("mocogan", shapes_data, tmp_path, objective__turns=turns)
        measured.append(step(0))
    for key in ("loss/video/adversarial", "loss/generator/adversarial_frame", "grad_norm/generator"):
        assert torch.equal(measured[0][key], measured[1][key]), key


def test_networks_alternate_by_epochs(shapes_data: Path, tmp_path: Path) -> None:
    turns = [
        {"network": "frame", "cycle": 3, "active": [0]},
        {"network": "video", "cycle": 3, "active": [1]},
        {"network": "generator", "cycle": 3, "active": [1, 2]},
    ]
    algorithm, step = build("mocogan", shapes_data, tmp_path, num_clips=6, objective__turns=turns)
    assert algorithm.game.steps_per_epoch == 2  # batches of 4
    updates = record_updates(algorithm)
    by_step = []
    for number in range(8):
        updates.clear()
        step(number)
        by_step.append(list(updates))
    epochs = [["frame"], ["video", "generator"], ["generator"], ["frame"]]
    assert by_step == [epoch for epoch in epochs for _ in range(2)]


@pytest.mark.parametrize(
    ("turns", "keys"),
    [
        (["frame", "video", "generator", "critic"], ("objective.turns", "critic")),
        (["frame", "generator"], ("objective.turns", "video")),
        (["frame", "video"], ("objective.turns", "generator")),
        ([], ("objective.turns", "frame", "video", "generator")),
        (["frame", "video", ["generator", 0]], ("objective.turns.2.repeat",)),
        (["frame", "video", {"network": "generator", "every": 0}], ("objective.turns.2.every",)),
        (["frame", "video", {"network": "generator", "cycle": 2, "active": [2]}], ("objective.turns.2.active",)),
        (["frame", "video", {"network": "generator", "active": []}], ("objective.turns.2.active",)),
        (["frame", "video", {"network": "generator", "evry": 2}], ("objective.turns.2.evry", "every")),
        (["frame", "video", {"repeat": 2}], ("objective.turns.2.network",)),
    ],
)
def test_turns_that_cannot_be_taken_are_refused(
    turns: list[Any], keys: tuple[str, ...], shapes_data: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError) as caught:
        small_config("mocogan", shapes_data, tmp_path, objective__turns=turns)
    assert all(key in str(caught.value) for key in keys)


def test_due_turns() -> None:
    turns = [Turn(network="a", repeat=2), Turn(network="b", every=2), Turn(network="c", cycle=2, active=(1,))]
    due = [[f"{network}{repeat}" for network, repeat in due_turns(turns, step, 3)] for step in range(7)]
    assert due == [
        ["a0", "a1"],
        ["a0", "a1", "b0"],
        ["a0", "a1"],
        ["a0", "a1", "b0", "c0"],
        ["a0", "a1", "c0"],
        ["a0", "a1", "b0", "c0"],
        ["a0", "a1"],
    ]


def test_weights_are_clipped_after_each_update_of_a_discriminator(shapes_data: Path, tmp_path: Path) -> None:
    algorithm, step = build(
        "mocogan", shapes_data, tmp_path, objective__adversarial="wasserstein",
        objective__penalty={"kind": "weight_clip", "limit": 0.01},
    )  # fmt: skip
    step(0)
    for name in ("frame", "video"):
        assert max(float(p.abs().max()) for p in algorithm.trainees.raw[name].parameters()) <= 0.01
    assert max(float(p.detach().abs().max()) for p in algorithm.trainees.raw["generator"].parameters()) > 0.01


def test_a_lazy_penalty_is_taken_when_due_with_its_full_weight(shapes_data: Path, tmp_path: Path) -> None:
    algorithm, step = build(
        "mocogan", shapes_data, tmp_path, objective__penalty={"kind": "r1", "weight": 2.0, "every": 3}
    )
    measured = [step(number) for number in range(4)]
    assert ["loss/video/r1" in record for record in measured] == [False, False, True, False]
    assert algorithm.game.adversaries["video"].weights(2) == {"adversarial": 1.0, "category": 1.0, "r1": 6.0}
    assert algorithm.game.adversaries["video"].weights(1) == {"adversarial": 1.0, "category": 1.0}


def test_kl_warms_up(shapes_data: Path, tmp_path: Path) -> None:
    algorithm, _ = build("dual_motion", shapes_data, tmp_path, objective__kl_warmup=4)
    assert isinstance(algorithm, DualMotionTraining)
    assert [algorithm._weights_at(step)["kl"] for step in (0, 1, 3, 9)] == pytest.approx(
        [0.00025, 0.0005, 0.001, 0.001]
    )


def test_several_samples_are_scored_by_their_spread_too(shapes_data: Path, tmp_path: Path) -> None:
    algorithm, step = build("dual_motion", shapes_data, tmp_path, objective__samples=2)
    assert isinstance(algorithm, DualMotionTraining)
    forecasts: list[Prediction] = []
    truth: list[Tensor] = []
    forecast = algorithm._forecast

    def recorded(batch: ClipBatch, draws: Draws) -> Prediction:
        prediction = forecast(batch, draws)
        if prediction.frames.requires_grad:
            forecasts.append(Prediction(*(part.detach() for part in prediction)))
            truth.append(to_float(batch.clip)[:, algorithm.context :])
        return prediction

    algorithm._forecast = recorded  # type: ignore[method-assign]
    measured = step(0)
    assert len(forecasts) == 2 and not torch.equal(forecasts[0].frames, forecasts[1].frames)
    for name, field in (("direct", "direct"), ("warped", "warped"), ("fused", "frames")):
        one, other = (getattr(forecast, field) for forecast in forecasts)
        by_hand = (l1(one, truth[0]) + l1(other, truth[0]) - l1(one, other)) / 2
        assert float(measured[f"loss/generator/{name}"]) == pytest.approx(float(by_hand), rel=1e-5)


def test_the_same_seed_gives_the_same_run(shapes_data: Path, tmp_path: Path) -> None:
    runs = []
    for _ in range(2):
        torch.rand(3)  # the global state must not matter
        algorithm, step = build("mocogan", shapes_data, tmp_path, objective__augment=["translation", "brightness"])
        step(0)
        runs.append(weights(algorithm))
    assert all(torch.equal(runs[0][n][k], runs[1][n][k]) for n in runs[0] for k in runs[0][n])
