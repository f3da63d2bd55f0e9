"""The modulated generator in MoCoGAN: truncation, style mixing, noise per clip, path length, and exact resuming."""

from pathlib import Path
from typing import Any

import pytest
import torch
from test_turns import build

from vidgan.seeding import Draws
from vidgan.tasks.synthesis.mocogan import Mixing, MoCoGAN, MoCoGANConfig, build_mocogan
from vidgan.tasks.synthesis.modulated import ModulatedFrameGenerator, Truncation
from vidgan.types import Latents

FRAME: dict[str, Any] = {"kind": "modulated", "width": 4, "max_width": 8, "mapping_width": 8}
WEIGHTS = {"adversarial_frame": 1.0, "adversarial_video": 1.0, "category": 1.0, "path_length": 2.0}


def model(**options: Any) -> MoCoGAN:
    torch.manual_seed(0)
    config = MoCoGANConfig.model_validate(
        {"dim_content": 4, "dim_motion": 3, "motion": {"input_scale": 3.0}, "frame": FRAME | options}
    )
    made = build_mocogan(config, image_size=(32, 32), num_categories=0)
    made.facts = {"frames": 5}
    for _ in range(3):
        made(made.draw_latents(Draws("warm up", rows=range(8)), 4))  # the tracked means move away from 0
    return made.eval()


def test_truncation_to_nothing_leaves_one_look_with_different_motions() -> None:
    generator = model()
    latents = generator.latents(3, 5)
    still = latents._replace(motion=latents.motion[:1].expand(3, -1, -1))
    with torch.no_grad():
        whole, same = generator(latents), generator(latents, truncation=Truncation(1.0))
        none, one_motion = generator(latents, truncation=Truncation(0.0)), generator(still, truncation=Truncation(0.0))
        frozen = generator(latents, truncation=Truncation(0.0, motion=True))
    assert torch.equal(whole, same)
    torch.testing.assert_close(one_motion[0], one_motion[1])  # one content
    assert not torch.allclose(none[0], none[1], atol=1e-3)  # different motions
    assert float((none - whole).abs().max()) > 1e-3
    torch.testing.assert_close(frozen, frozen[:1, :1].expand_as(frozen))
    assert not torch.equal(generator.sample(2, truncation=0.3), generator.sample(2))
    with pytest.raises(ValueError, match="truncation"):
        generator.sample(2, truncation=1.5)


def test_mixing_at_either_end_is_one_of_both_contents() -> None:
    generator = model()
    levels = generator.frame.num_levels
    first, second = generator.latents(3, 4, seed=0), generator.latents(3, 4, seed=1)
    with torch.no_grad():
        mixed = generator(first, mixing=Mixing(second.content, torch.tensor([0, levels, 2])))
        one, other = generator(first), generator(first._replace(content=second.content))
        by_number = generator.draw(
            first.content, generator.path(first.motion, first.category), first.category,
            fine_content=second.content, fine_from=2,
        )  # fmt: skip
    torch.testing.assert_close(mixed[0], other[0])
    torch.testing.assert_close(mixed[1], one[1])
    torch.testing.assert_close(mixed[2], by_number[2])
    assert not torch.allclose(mixed[2], one[2], atol=1e-3) and not torch.allclose(mixed[2], other[2], atol=1e-3)


def test_noise_is_drawn_once_per_clip() -> None:
    generator = model(noise_levels=2)
    assert generator.noise_places == 4 * 4 + 8 * 8
    latents = generator.latents(2, 6)
    assert latents.content.shape == (2, 4 + 80)
    with torch.no_grad():
        for name, weight in generator.frame.named_parameters():
            if name.endswith("strength"):
                weight.fill_(0.5)
        path = torch.zeros(2, 6, 3)
        clip = generator.draw(latents.content, path, latents.category)
        torch.testing.assert_close(clip, clip[:, :1].expand_as(clip))  # still motion, equal frames
        other = torch.cat([latents.content[:, :4], generator.latents(2, 6, seed=1).content[:, 4:]], dim=1)
        assert not torch.allclose(generator.draw(other, path, latents.category), clip, atol=1e-3)
    longer = generator.latents(2, 9)
    assert torch.equal(longer.content, latents.content) and torch.equal(longer.motion[:, :7], latents.motion)


def test_motion_levels_keep_motion_out_of_the_fine_levels() -> None:
    generator = model(motion_levels=2)
    widths = [layer.style.weight.shape[1] for layer in generator.frame.layers]
    assert widths == [16, 16, 16, 8, 8, 8, 8]  # one layer at 4x4, then two at each size
    with pytest.raises(ValueError, match="motion_levels=9"):
        model(motion_levels=9)


@pytest.mark.parametrize("width", [16, 128])
def test_colours_of_unit_maps_have_unit_variance_at_any_width(width: int) -> None:
    torch.manual_seed(0)
    sizes: dict[str, Any] = {"image_size": (32, 32), "width": width, "max_width": width, "mapping_width": 8}
    frame = ModulatedFrameGenerator(channels=24, dim_content=4, dim_motion=3, **sizes)
    torch.nn.init.zeros_(frame.colour_styles[-1].weight)  # a style of 1
    frame.layers[-1].register_forward_hook(lambda module, inputs, maps: torch.randn_like(maps))
    colours: list[torch.Tensor] = []
    frame.colours[-1].register_forward_hook(lambda module, inputs, made: colours.append(made))
    with torch.no_grad():
        frame(torch.randn(2, 4), torch.randn(2, 3))
    assert float(colours[0].var()) == pytest.approx(1, abs=0.15)


def test_styles_are_those_of_the_clips() -> None:
    generator = model()
    latents = generator.latents(2, 3)
    clips, styles = generator(latents, with_styles=True)
    assert styles.shape == (2, 8)
    torch.testing.assert_close(clips, generator(latents))
    (gradient,) = torch.autograd.grad(clips[0].sum(), styles)
    assert bool(gradient[0].any()) and not bool(gradient[1].any())


def test_only_training_moves_the_tracked_mean() -> None:
    generator = model()
    before = generator.frame.mean_style.clone()
    generator.sample(2)
    assert torch.equal(generator.frame.mean_style, before)
    generator.train()
    styles = generator.frame.styles(torch.randn(4, 4))
    torch.testing.assert_close(generator.frame.mean_style, 0.995 * before + 0.005 * styles.detach().mean(0))


def test_path_length_and_mixing_are_trained_and_resumed_exactly(shapes_data: Path, tmp_path: Path) -> None:
    changes: dict[str, Any] = {
        "model__frame": FRAME | {"noise_levels": 1},
        "objective__weights": WEIGHTS,
        "objective__path_length_every": 2,
        "objective__style_mixing": 0.9,
    }
    algorithm, step = build("mocogan", shapes_data, tmp_path, **changes)
    measured = [step(number) for number in range(2)]
    assert ["loss/generator/path_length" in record for record in measured] == [False, True]
    mean = float(algorithm.trainees.state["path-length"][0])
    assert mean > 0 and float(measured[1]["path_length/mean"]) == pytest.approx(mean)
    # The first penalty is taken from a mean of 0, which then moves by 0.01 of the mean length.
    assert mean < 0.011 * float(measured[1]["loss/generator/path_length"]) ** 0.5
    saved = {n: {k: t.clone() for k, t in g.items()} for n, g in algorithm.trainees.tensors().items()}
    settings = algorithm.trainees.settings()
    expected = [step(number) for number in (2, 3)]
    fresh, resumed = build("mocogan", shapes_data, tmp_path, **changes)
    fresh.trainees.load(saved, settings)
    for number, record in zip((2, 3), expected, strict=True):
        again = resumed(number)
        assert record.keys() == again.keys() and all(torch.equal(record[key], again[key]) for key in record)


def test_mixing_leaves_path_lengths_as_they_are(shapes_data: Path, tmp_path: Path) -> None:
    changes: dict[str, Any] = {"objective__weights": WEIGHTS, "objective__path_length_every": 1}
    lengths = []
    for mixing in (0.0, 0.9):
        _, step = build(
            "mocogan", shapes_data, tmp_path, model__frame=FRAME, objective__style_mixing=mixing, **changes
        )  # fmt: skip
        lengths.append(step(0)["loss/generator/path_length"])
    assert torch.equal(*lengths)


def test_mixed_levels_are_drawn_with_the_probability(shapes_data: Path, tmp_path: Path) -> None:
    algorithm, _ = build(
        "mocogan", shapes_data, tmp_path, model__frame=FRAME, objective__style_mixing=0.5,
    )  # fmt: skip
    mixing = algorithm._mixing(Draws("mixing", rows=range(400)))
    levels = algorithm.trainees.raw["generator"].frame.num_levels
    counts = torch.bincount(mixing.fine_from, minlength=levels + 1).tolist()
    assert counts[0] == 0 and all(counts[1:levels]) and 160 < counts[levels] < 240
    assert isinstance(algorithm.trainees.raw["generator"].draw_latents(Draws(0, rows=[0]), 2), Latents)
