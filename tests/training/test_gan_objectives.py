"""Objectives around the adversarial loss: R2, categories, information codes, adaptive augmentation."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from test_turns import build, weights

from vidgan.config import parse_config
from vidgan.errors import ConfigError
from vidgan.nn.augmentation import DiffAugment
from vidgan.seeding import Draws
from vidgan.tasks.synthesis.info_codes import InfoCodeConfig, InfoCodes
from vidgan.training.adaptive import AdaptiveProbability
from vidgan.training.adversary import Categories

RESIDUAL: dict[str, Any] = {"kind": "residual", "width": 4, "max_width": 8}
CODES: dict[str, Any] = {
    "style": {"kind": "categorical", "size": 10, "enters": "content"},
    "speed": {"kind": "uniform"},
    "path": {"kind": "categorical", "size": 2},
}


def draws(rows: int = 2) -> Draws:
    return Draws("objectives", rows=range(rows))


@pytest.mark.parametrize("kind", ["r1", "r2", "r1_r2"])
def test_both_penalties_of_a_linear_discriminator_are_its_squared_slope(
    kind: str, shapes_data: Path, tmp_path: Path
) -> None:
    algorithm, _ = build("mocogan", shapes_data, tmp_path, objective__penalty={"kind": kind, "weight": 0.5})
    adversary = algorithm.game.adversaries["frame"]

    class Linear(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.slope = torch.nn.Parameter(torch.tensor([3.0, 4.0]))

        def forward(self, frames: torch.Tensor, draws: Draws) -> torch.Tensor:
            return frames[:, 0, 0, :2] @ self.slope

    algorithm.trainees.prepared["frame"] = Linear()
    clips = torch.zeros(2, 1, 3, 32, 32)
    result = adversary.discriminator_losses(clips, clips, draws(), 0)
    terms = {"r1": 25.0, "r2": 25.0}
    assert {k: float(v.detach()) for k, v in result.losses.items() if k != "adversarial"} == {
        term: pytest.approx(terms[term]) for term in kind.split("_")
    }
    assert adversary.weights(0) == {"adversarial": 1.0} | dict.fromkeys(kind.split("_"), 0.5)


@pytest.mark.parametrize("source", ["labels", "samples", "both", "projection"])
def test_sources_of_the_category(source: str, shapes_data: Path, tmp_path: Path) -> None:
    changes: dict[str, Any] = {"objective__category_source": source, "discriminators__video": RESIDUAL}
    if source == "projection":
        changes["objective__weights"] = {"adversarial_frame": 1.0, "adversarial_video": 1.0}
    algorithm, step = build("mocogan", shapes_data, tmp_path, **changes)
    measured = step(0)
    network = algorithm.trainees.raw["video"]
    assert ("loss/video/category" in measured) == ("loss/generator/category" in measured) == (source != "projection")
    assert ("accuracy/video/category_of_fakes" in measured) == (source == "both")
    assert network.projects_category == (source == "projection")
    # What each source trains with: changing the labels of one side changes the loss of exactly these sources.
    real, fake = (torch.rand(2, 13, 3, 32, 32, generator=torch.Generator().manual_seed(n)) for n in range(2))
    adversary = algorithm.game.adversaries["video"]

    def total(of_real: list[int], of_fake: list[int]) -> float:
        categories = Categories(torch.tensor(of_real), torch.tensor(of_fake))
        with torch.no_grad():
            return float(sum(adversary.discriminator_losses(real, fake, draws(), 0, categories).losses.values()))

    plain = total([0, 1], [0, 1])
    assert (total([1, 2], [0, 1]) != plain) == (source != "samples")
    assert (total([0, 1], [1, 2]) != plain) == (source != "labels")


def test_information_codes_stand_behind_the_codes_of_clips(shapes_data: Path, tmp_path: Path) -> None:
    changes: dict[str, Any] = {
        "model__codes": CODES,
        "objective__weights": {"adversarial_frame": 1.0, "adversarial_video": 1.0, "category": 1.0, "codes": 0.5},
    }
    algorithm, step = build("mocogan", shapes_data, tmp_path, **changes)
    generator = algorithm.trainees.raw["generator"]
    latents = generator.draw_latents(draws(3), 5)
    assert latents.content.shape == (3, 4 + 10) and latents.motion.shape == (3, 6, 4 + 3)
    assert torch.equal(latents.motion[:, :1, 4:].expand(-1, 6, -1), latents.motion[:, :, 4:])
    values = generator.codes.values(latents)
    assert values["style"].sum(dim=1).tolist() == [1, 1, 1] and values["path"].shape == (3, 2)
    assert values["speed"].abs().max() <= 1
    assert generator(latents).shape == (3, 5, 3, 32, 32)
    before = weights(algorithm)
    measured = step(0)
    assert {f"codes/{name}/{net}" for name in CODES for net in ("video", "generator")} <= measured.keys()
    assert algorithm.game.adversaries["video"].weights(0)["codes"] == 0.5
    head = before["video"]["head.weight"]
    assert head.shape[0] == 1 + 3 + 14 and not torch.equal(head, weights(algorithm)["video"]["head.weight"])


def test_bounds_of_information_codes() -> None:
    sections = {name: InfoCodeConfig.model_validate(section) for name, section in CODES.items()}
    codes = InfoCodes(sections, dim_content=0, dim_motion=0)
    assert (codes.content_width, codes.motion_width, codes.num_outputs) == (10, 3, 14)
    content, motion = codes.draw(draws(4))
    from vidgan.types import Latents

    latents = Latents(content, motion[:, None], torch.zeros(4).long())
    values = codes.values(latents)

    def read(style: torch.Tensor, mean: torch.Tensor, log_std: float) -> dict[str, float]:
        outputs = torch.cat([style, mean, torch.full((4, 1), log_std), torch.zeros(4, 2)], dim=1).requires_grad_()
        loss, bounds = codes.read(outputs, latents)
        loss.backward()
        assert outputs.grad is not None and bool(outputs.grad[:, 12:].any())
        return {name: float(bound) for name, bound in bounds.items()}

    knows_nothing = read(torch.zeros(4, 10), torch.zeros(4, 1), 0.0)
    assert knows_nothing["codes/style"] == pytest.approx(0, abs=1e-6)
    assert knows_nothing["codes/path"] == pytest.approx(0, abs=1e-6)
    knows_all = read(100 * values["style"], values["speed"], 0.0)
    assert knows_all["codes/style"] == pytest.approx(math.log(10))
    # ln 2 - ln(2 pi) / 2: with a standard deviation of 1, no bound of a uniform code is positive.
    assert knows_all["codes/speed"] == pytest.approx(-0.22579, abs=1e-5)
    assert read(values["style"], values["speed"], -2.0)["codes/speed"] == pytest.approx(-0.22579 + 2, abs=1e-5)


def test_a_code_reaches_the_gradient_of_the_generator_and_traversals_change_it_alone(
    shapes_data: Path, tmp_path: Path
) -> None:
    algorithm, _ = build(
        "mocogan", shapes_data, tmp_path, model__codes=CODES,
        objective__weights={"adversarial_frame": 1.0, "adversarial_video": 1.0, "category": 1.0, "codes": 1.0},
    )  # fmt: skip
    generator = algorithm.trainees.raw["generator"]
    latents = generator.draw_latents(draws(2), 4)
    content = latents.content.clone().requires_grad_()
    motion = latents.motion.clone().requires_grad_()
    generator(latents._replace(content=content, motion=motion)).square().sum().backward()
    assert content.grad is not None and bool(content.grad[:, 4:].any())
    assert motion.grad is not None and bool(motion.grad[:, 0, 4:].any())
    rows = generator.codes.traversals(latents, 5)
    assert rows.content.shape == (15, 14) and rows.text.shape == (15, 0)
    values = generator.codes.values(rows)
    assert values["style"][:5].argmax(dim=1).tolist() == [0, 1, 2, 3, 4]
    assert values["speed"][5:10, 0].tolist() == [-1, -0.5, 0, 0.5, 1]
    assert values["path"][10:].argmax(dim=1).tolist() == [0, 1, 0, 1, 0]
    assert bool((rows.content[5:] == latents.content[0]).all()) and bool((rows.motion[:5] == latents.motion[0]).all())


def test_codes_are_found_beside_the_noise_of_a_modulated_generator(shapes_data: Path, tmp_path: Path) -> None:
    algorithm, step = build(
        "mocogan", shapes_data, tmp_path, model__codes=CODES,
        model__frame={"kind": "modulated", "width": 4, "max_width": 8, "mapping_width": 8, "noise_levels": 1},
        objective__weights={"adversarial_frame": 1.0, "adversarial_video": 1.0, "category": 1.0, "codes": 1.0},
    )  # fmt: skip
    generator = algorithm.trainees.raw["generator"]
    latents = generator.draw_latents(draws(3), 4)
    assert latents.content.shape == (3, 4 + 10 + 4 * 4)
    values = generator.codes.values(latents)
    assert torch.equal(values["style"], latents.content[:, 4:14])
    assert values["style"].sum(dim=1).tolist() == [1, 1, 1] and values["style"].max(dim=1).values.tolist() == [1, 1, 1]
    rows = generator.codes.traversals(latents, 5)
    assert generator.codes.values(rows)["style"][:5].argmax(dim=1).tolist() == [0, 1, 2, 3, 4]
    assert bool((rows.content[:, 14:] == latents.content[0, 14:]).all()), "a traversal changes the noise"
    bounds = step(0)["codes/style/video"]
    assert float(bounds) <= math.log(10)


def test_the_probability_of_augmentation_follows_the_sign_of_real_logits() -> None:
    accelerator = Accelerator(cpu=True)
    state = torch.zeros(4, dtype=torch.float64)
    adaptive = AdaptiveProbability(state, target=0.6, period=4, clips=500_000, clips_per_update=64)
    for number in range(8):
        adaptive.observe(torch.tensor([1.0, 2.0, 3.0, -1.0]) if number < 4 else torch.ones(4))
        adaptive.update(accelerator)
        expected = 0.0 if number < 7 else 64 * 4 / 500_000  # a mean sign of 0.5 lowers it, which 0 stops; 1 raises it
        assert float(adaptive.probability) == expected
    adaptive.observe(-torch.ones(4))
    adaptive.update(accelerator)
    assert state.tolist()[1:] == [-4, 4, 1]


def test_a_checkpoint_between_two_changes_holds_the_signs_of_all_processes() -> None:
    class TwoProcesses:  # the other one sees four negative logits in each update
        def reduce(self, own: torch.Tensor, reduction: str) -> torch.Tensor:
            assert reduction == "sum"
            return own + torch.tensor([-4.0, 4.0])

    state = torch.zeros(4, dtype=torch.float64)
    processes: Any = TwoProcesses()
    settings: dict[str, Any] = {"target": 0.1, "period": 2, "clips": 100, "clips_per_update": 8}
    adaptive = AdaptiveProbability(state, **settings)
    adaptive.observe(torch.ones(4))
    adaptive.update(processes)
    assert state.tolist() == [0, 0, 8, 1]
    state[0] = 0.5
    resumed = AdaptiveProbability(state.clone(), **settings)
    for one in (adaptive, resumed):
        one.observe(torch.ones(4))
        one.update(processes)
        assert one.state.tolist() == [0.5 - 2 * 8 / 100, 0, 0, 0]  # a mean sign of 0 is below the target


def test_each_transformation_is_applied_with_the_probability() -> None:
    augment, clips = DiffAugment(("brightness", "cutout")), torch.rand(400, 1, 3, 16, 16) * 2 - 1
    rows = Draws("adaptive", rows=range(400))
    whole = augment(clips, rows)
    assert torch.equal(augment(clips, rows, torch.tensor(1.0)), whole)
    assert torch.equal(augment(clips, rows, torch.tensor(0.0)), clips)
    some = augment(clips, rows, torch.tensor(0.3))
    brighter = (some - clips)[:, 0, 0].flatten(1).median(dim=1).values != 0
    same = (some == clips).flatten(1).all(dim=1)
    assert 0.2 < float(brighter.float().mean()) < 0.4 and 0.4 < float(same.float().mean()) < 0.6  # 0.3 and 0.49


def test_adaptive_augmentation_is_resumed_exactly(shapes_data: Path, tmp_path: Path) -> None:
    changes: dict[str, Any] = {
        "objective__augment": ["translation"],
        "objective__adaptive": {"target": 0.1, "period": 2, "clips": 40},
    }
    algorithm, step = build("mocogan", shapes_data, tmp_path, **changes)
    for number in range(3):
        step(number)
    saved = {n: {k: t.clone() for k, t in g.items()} for n, g in algorithm.trainees.tensors().items()}
    assert set(saved["state"]) == {"adaptive-frame", "adaptive-video"}
    assert any(float(state[0]) for state in saved["state"].values()) and all(s[3] == 1 for s in saved["state"].values())
    settings = algorithm.trainees.settings()
    first = step(3)
    fresh, resumed = build("mocogan", shapes_data, tmp_path, **changes)
    fresh.trainees.load(saved, settings)
    again = resumed(3)
    assert first.keys() == again.keys() and all(torch.equal(first[key], again[key]) for key in first)
    for name, held in algorithm.trainees.state.items():
        assert torch.equal(held, fresh.trainees.state[name])


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"label_smoothing": 0.1, "adversarial": "hinge"}, "label_smoothing"),
        ({"half_loss": True, "adversarial": "relativistic"}, "half_loss"),
        ({"adaptive": {}}, "adaptive"),
        ({"adaptive": {}, "augment": ["cutout"], "adversarial": "relativistic"}, "adaptive reads the sign"),
        ({"adaptive": {}, "augment": ["cutout"], "adversarial": "least_squares"}, "adaptive reads the sign"),
        ({"category_source": "projection"}, "weights.category"),
    ],
)
def test_options_that_would_have_no_effect_are_refused(changes: dict[str, Any], key: str) -> None:
    import copy

    from helpers import SMALL

    values = copy.deepcopy(SMALL["mocogan"]) | {"train": {"steps": 1, "batch_size": 2}}
    values["data"]["root"] = "unused"
    values["objective"] |= changes
    with pytest.raises(ConfigError, match=key):
        parse_config(values, "test")


def test_frames_are_drawn_from_the_maps_of_the_given_one(shapes_data: Path, tmp_path: Path) -> None:
    """A U-Net whose skips are cut is the encoder-decoder."""
    options: dict[str, Any] = {"model__frame": RESIDUAL, "model__encoder": {"width": 4}}
    plain, _ = build("mocogan", shapes_data, tmp_path, **options)
    unet, step = build("mocogan", shapes_data, tmp_path, model__skips="all", **options)
    one, other = (algorithm.trainees.raw["generator"] for algorithm in (plain, unet))
    one.load_state_dict({k: v for k, v in other.state_dict().items() if ".skips." not in k})
    latents = other.draw_latents(draws(2), 3)
    first_frame = torch.rand(2, 3, 32, 32) * 2 - 1
    assert not torch.allclose(one(latents, first_frame=first_frame), other(latents, first_frame=first_frame))
    with torch.no_grad():
        for name, weight in other.named_parameters():
            if ".skips." in name:
                weight.zero_()
    assert torch.equal(one(latents, first_frame=first_frame), other(latents, first_frame=first_frame))
    step(0)
