"""Learning frames first and motion second: the walk, frozen parts, reversed clips, returning motion."""

from pathlib import Path
from typing import Any

import torch
from helpers import small_config
from test_turns import build, weights

from vidgan.commands.train import train
from vidgan.metrics.returning import returning_share
from vidgan.seeding import Draws
from vidgan.tasks.synthesis.motion import WalkMotion

FRAME: dict[str, Any] = {
    "kind": "modulated", "width": 4, "max_width": 8, "mapping_width": 8, "motion_enters": "style",
}  # fmt: skip
MODEL: dict[str, Any] = {"model__motion": {"kind": "walk", "hidden": 6}, "model__frame": FRAME}


def test_a_walk_starts_at_zero_and_takes_bounded_steps() -> None:
    torch.manual_seed(0)
    walk = WalkMotion(dim_motion=3, num_conditions=2, hidden=5, step_size=0.2)
    noise, condition = 5 * torch.randn(4, 10, 3), torch.zeros(4, 2)
    path = walk(noise, condition)
    assert path.shape == (4, 9, 3) and not bool(path[:, 0].any())
    assert bool((path.diff(dim=1).abs() <= 0.2 + 1e-6).all()) and bool((path[:, -1].abs() > 0.2).any())
    torch.testing.assert_close(walk(noise[:, :7], condition), path[:, :6])  # a longer path starts as the shorter one
    assert not torch.allclose(walk(noise, condition + 1)[:, -1], path[:, -1])
    torch.nn.init.zeros_(walk.output.weight)
    torch.nn.init.zeros_(walk.output.bias)
    assert not bool(walk(noise, condition).any())


def test_without_a_step_all_frames_show_the_content(shapes_data: Path, tmp_path: Path) -> None:
    algorithm, _ = build("mocogan", shapes_data, tmp_path, **MODEL)
    generator = algorithm.trainees.raw["generator"]
    latents = generator.draw_latents(Draws("walk", rows=range(2)), 5)
    moving = generator(latents)
    assert not torch.allclose(moving[:, 0], moving[:, 4], atol=1e-3)
    with torch.no_grad():
        for parameter in generator.motion.output.parameters():
            parameter.zero_()
    still = generator(latents)
    torch.testing.assert_close(still, moving[:, :1].expand_as(still))


def test_frozen_parts_keep_their_weights(shapes_data: Path, tmp_path: Path) -> None:
    for part, other in (("motion", "frame"), ("frame", "motion")):
        algorithm, step = build("mocogan", shapes_data, tmp_path, objective__frozen=[part], **MODEL)
        before = weights(algorithm)["generator"]
        step(0)
        after = weights(algorithm)["generator"]
        changed = {
            key.split(".")[0] for key in before if "mean_" not in key and not torch.equal(before[key], after[key])
        }
        assert changed == {other}


def test_both_stages(shapes_data: Path, tmp_path: Path) -> None:
    """The second run starts from the frames of the first, keeps them, and moves them."""
    no_category: dict[str, Any] = {"objective__category_source": None, "data__frames": 13, "train__steps": 2} | MODEL
    first = train(
        small_config(
            "mocogan", shapes_data, tmp_path, name="frames", discriminators={"frame": {"width": 4}},
            optimizers={"generator": {}, "frame": {}}, objective__weights={"adversarial_frame": 1.0},
            objective__frozen=["motion"], **no_category,
        ),
        quiet=True,
    ).run_dir  # fmt: skip
    second = train(
        small_config(
            "mocogan", shapes_data, tmp_path, name="clips", discriminators={"video": {"width": 4}},
            optimizers={"generator": {}, "video": {}}, objective__weights={"adversarial_video": 1.0},
            objective__frames_per_clip=None, objective__frozen=["frame"], objective__reversal=0.5,
            train__start=str(first / "model"), **no_category,
        ),
        quiet=True,
    ).run_dir  # fmt: skip
    from vidgan import MoCoGAN

    one, other = (MoCoGAN.from_pretrained(run).state_dict() for run in (first, second))
    for key, value in one.items():
        if "mean_" not in key:
            assert torch.equal(value, other[key]) == key.startswith("frame."), key


def test_clips_are_reversed_with_the_probability(shapes_data: Path, tmp_path: Path) -> None:
    algorithm, step = build("mocogan", shapes_data, tmp_path, objective__reversal=0.25)
    clips = torch.arange(6.0)[None, :, None, None, None].expand(400, 6, 1, 1, 1)
    flipped = algorithm._reversed(clips, Draws("reversal", rows=range(400)))[:, 0, 0, 0, 0]
    assert set(flipped.tolist()) == {0.0, 5.0} and 0.15 < float((flipped == 5).float().mean()) < 0.35
    step(0)


def test_motion_that_turns_back_is_counted() -> None:
    frames = torch.zeros(3, 9, 3, 8, 24, dtype=torch.uint8)
    for t in range(9):
        there_and_back = min(t, 8 - t)
        for clip, place in ((0, t), (1, there_and_back)):  # the third does not move
            frames[clip, t, :, :, 2 * place : 2 * place + 6] = 200
    assert returning_share(frames) == 0.5
    assert (
        returning_share(frames[:1]) == 0.0 and returning_share(frames[1:2]) == 1.0 and returning_share(frames[2:]) == 0
    )
