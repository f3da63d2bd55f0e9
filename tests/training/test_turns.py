"""The training step of both models: who moves when, by what, and whether micro-batches add up."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import small_config
from torch import Tensor

from vidgan.build import build_algorithm, build_dataset, build_loader, build_networks
from vidgan.losses import ADVERSARIAL, l1
from vidgan.pixels import to_float
from vidgan.seeding import Draws
from vidgan.tasks.forecasting.training import DualMotionTraining
from vidgan.tasks.synthesis.training import MoCoGANTraining
from vidgan.training.accelerator import build_accelerator
from vidgan.types import ClipBatch, Prediction

Algorithm = MoCoGANTraining | DualMotionTraining
MODELS = ("mocogan", "dual_motion")


def build(model: str, data: Path, out: Path, **changes: Any) -> tuple[Algorithm, Callable[[int], Any]]:
    """The algorithm, and a function that runs one step with the loader's batch of that step."""
    config = small_config(model, data, out, **changes)
    accelerator = build_accelerator("cpu")
    dataset = build_dataset(config)
    loader = build_loader(config, dataset, accelerator)
    algorithm = build_algorithm(config, build_networks(config, dataset), accelerator)

    def step(number: int) -> Any:
        batches = next(loader.batches(number))
        micros = [(b, Draws(config.seed, "step", number, rows=loader.rows(i))) for i, b in enumerate(batches)]
        return algorithm.step(number, micros)

    return algorithm, step


def weights(algorithm: Algorithm) -> dict[str, dict[str, Tensor]]:
    return {name: copy.deepcopy(module.state_dict()) for name, module in algorithm.trainees.raw.items()}


def moved(before: dict[str, Tensor], after: dict[str, Tensor]) -> bool:
    return any(not torch.equal(before[k], after[k]) for k in before)


@pytest.mark.parametrize("model", MODELS)
def test_each_turn_moves_its_network_alone(model: str, shapes_data: Path, tmp_path: Path) -> None:
    algorithm, step = build(model, shapes_data, tmp_path)
    turns: list[str] = []
    inner = algorithm.trainees.turn

    def watched(name: str, *args: Any) -> Any:
        before = weights(algorithm)
        result = inner(name, *args)
        after = weights(algorithm)
        for other in before:
            assert moved(before[other], after[other]) == (other == name), f"{other} in the turn of {name}"
        for other, module in algorithm.trainees.raw.items():
            assert all(p.grad is None for p in module.parameters()), f"{other} kept a gradient after the turn of {name}"
        turns.append(name)
        return result

    algorithm.trainees.turn = watched  # type: ignore[method-assign]
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
    results = []
    for micro_batches in (1, 2):
        algorithm, step = build(
            model,
            shapes_data,
            tmp_path,
            train__micro_batches=micro_batches,
            objective__adversarial=adversarial,
            objective__penalty=penalty,
            objective__noise={"start": 0.1, "steps": 10},
            # Adam divides by the gradient's size, which turns rounding of a tiny gradient into a full step.
            optimizers__generator={"name": "sgd", "lr": 0.01},
            optimizers__frame={"name": "sgd", "lr": 0.01},
            **{f"optimizers__{'video' if model == 'mocogan' else 'flow'}": {"name": "sgd", "lr": 0.01}},
        )
        for number in range(2):
            measured = step(number)
        results.append((weights(algorithm), measured))
    (whole, told), (parts, told_parts) = results
    for name in whole:
        for key in whole[name]:
            torch.testing.assert_close(parts[name][key], whole[name][key], rtol=1e-4, atol=2e-6)
    for key in told:
        if key.startswith("loss/"):
            torch.testing.assert_close(told_parts[key], told[key], rtol=1e-3, atol=1e-5)


def test_the_generator_waits_for_its_critics(shapes_data: Path, tmp_path: Path) -> None:
    algorithm, step = build("mocogan", shapes_data, tmp_path, objective__critic_steps=3)
    told = [step(number) for number in range(3)]
    assert ["grad_norm/generator" in record for record in told] == [False, False, True]
    assert algorithm.ema.updates == 1


def test_weights_are_clipped_after_each_critic_step(shapes_data: Path, tmp_path: Path) -> None:
    algorithm, step = build(
        "mocogan", shapes_data, tmp_path, objective__adversarial="wasserstein",
        objective__penalty={"kind": "weight_clip", "limit": 0.01},
    )  # fmt: skip
    step(0)
    for name in ("frame", "video"):
        assert max(float(p.abs().max()) for p in algorithm.trainees.raw[name].parameters()) <= 0.01
    assert max(float(p.detach().abs().max()) for p in algorithm.trainees.raw["generator"].parameters()) > 0.01


def test_noise_is_annealed(shapes_data: Path, tmp_path: Path) -> None:
    algorithm, step = build("mocogan", shapes_data, tmp_path, objective__noise={"start": 0.4, "end": 0.2, "steps": 2})
    assert [algorithm.noise(number) for number in range(4)] == pytest.approx([0.4, 0.3, 0.2, 0.2])
    step(1)
    sigmas = [m.sigma for m in algorithm.trainees.raw["video"].modules() if hasattr(m, "sigma")]
    assert sigmas and sigmas == pytest.approx([0.3] * len(sigmas))


def test_a_lazy_penalty_comes_when_due_with_its_full_share(shapes_data: Path, tmp_path: Path) -> None:
    algorithm, step = build(
        "mocogan", shapes_data, tmp_path, objective__penalty={"kind": "r1", "weight": 2.0, "every": 3}
    )
    told = [step(number) for number in range(4)]
    assert ["loss/video/r1" in record for record in told] == [False, False, True, False]
    assert algorithm.adversaries["video"].weights(2) == {"adversarial": 1.0, "category": 1.0, "r1": 6.0}
    assert algorithm.adversaries["video"].weights(1) == {"adversarial": 1.0, "category": 1.0}


def test_kl_warms_up(shapes_data: Path, tmp_path: Path) -> None:
    algorithm, _ = build("dual_motion", shapes_data, tmp_path, objective__kl_warmup=4)
    assert isinstance(algorithm, DualMotionTraining)
    assert [algorithm._weights_at(step)["kl"] for step in (0, 1, 3, 9)] == pytest.approx(
        [0.00025, 0.0005, 0.001, 0.001]
    )


def test_several_futures_are_scored_by_their_spread_too(shapes_data: Path, tmp_path: Path) -> None:
    algorithm, step = build("dual_motion", shapes_data, tmp_path, objective__futures=2)
    assert isinstance(algorithm, DualMotionTraining)
    forecasts: list[Prediction] = []
    truth: list[Tensor] = []
    inner = algorithm._forecast

    def watched(batch: ClipBatch, draws: Draws) -> Prediction:
        prediction = inner(batch, draws)
        if prediction.frames.requires_grad:
            forecasts.append(Prediction(*(part.detach() for part in prediction)))
            truth.append(to_float(batch.clip)[:, algorithm.context :])
        return prediction

    algorithm._forecast = watched  # type: ignore[method-assign]
    told = step(0)
    assert len(forecasts) == 2 and not torch.equal(forecasts[0].frames, forecasts[1].frames)
    for name, field in (("direct", "direct"), ("warped", "warped"), ("fused", "frames")):
        one, other = (getattr(forecast, field) for forecast in forecasts)
        by_hand = (l1(one, truth[0]) + l1(other, truth[0]) - l1(one, other)) / 2
        assert float(told[f"loss/generator/{name}"]) == pytest.approx(float(by_hand), rel=1e-5)


def test_the_same_seed_gives_the_same_run(shapes_data: Path, tmp_path: Path) -> None:
    runs = []
    for _ in range(2):
        torch.rand(3)  # the global state must not matter
        algorithm, step = build("mocogan", shapes_data, tmp_path, objective__augment=["translation", "brightness"])
        step(0)
        runs.append(weights(algorithm))
    assert all(torch.equal(runs[0][n][k], runs[1][n][k]) for n in runs[0] for k in runs[0][n])
