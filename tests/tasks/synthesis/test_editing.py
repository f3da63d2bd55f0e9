"""Edits of codes: their ends, inverses and invariants, bit for bit where frames are only moved in time."""

from dataclasses import replace

import pytest
import torch
from small_mocogan import small_mocogan

from vidgan.errors import ConfigError
from vidgan.tasks.synthesis.codes import Codes, path_of, render_codes
from vidgan.tasks.synthesis.editing import (
    add_difference,
    continue_clip,
    exaggerate,
    loop,
    mix_styles,
    morph,
    paste,
    retime,
    reverse,
    slerp,
    slow,
    swap_content,
    transfer_motion,
    truncate,
    with_category,
)
from vidgan.tasks.synthesis.mocogan import MoCoGAN

FRAMES = 8


@pytest.fixture(scope="module")
def model() -> MoCoGAN:
    return small_mocogan(categories=3)


@pytest.fixture(scope="module")
def codes(model: MoCoGAN) -> list[Codes]:
    latents = model.latents(3, FRAMES, seed=0, category=1)
    return [Codes.from_latents(latents, row, model) for row in range(3)]


def same(first: Codes, second: Codes) -> bool:
    return torch.equal(first.content, second.content) and torch.equal(first.motion, second.motion)


def test_exchange(model: MoCoGAN, codes: list[Codes]) -> None:
    a, b, _ = codes
    swapped = swap_content(a, b)
    assert torch.equal(swapped.content, b.content) and torch.equal(swapped.motion, a.motion)
    assert same(transfer_motion(b, a), swapped)
    assert same(swap_content(swapped, a), a), "exchanging twice gives the clip back"


def test_morph_ends_and_middle(model: MoCoGAN, codes: list[Codes]) -> None:
    a, b, _ = codes
    assert morph(model, a, b, 0) is a and morph(model, a, b, 1) is b
    half = morph(model, a, b, 0.5)
    assert torch.allclose(half.motion, (path_of(model, a) + path_of(model, b)) / 2)
    assert half.content.norm() == pytest.approx(float((a.content.norm() + b.content.norm()) / 2), rel=1e-5)
    assert torch.equal(morph(model, a, b, 0.5, "content").motion, a.motion)
    assert torch.equal(morph(model, a, b, 0.5, "motion").content, a.content)


def test_slerp_by_hand() -> None:
    x, y = torch.tensor([2.0, 0.0]), torch.tensor([0.0, 4.0])
    assert torch.allclose(slerp(x, y, 0.5), torch.tensor([3.0, 3.0]) / 2**0.5)
    assert slerp(x, y, 0) is x and slerp(x, y, 1) is y
    assert torch.allclose(slerp(x, 2 * x, 0.25), 1.25 * x)
    assert torch.allclose(slerp(x, -x, 0.5), torch.zeros(2))


def test_arithmetic(model: MoCoGAN, codes: list[Codes]) -> None:
    a, b, c = codes
    same_again = add_difference(model, a, b, c, 0.0)
    assert torch.equal(same_again.content, a.content) and torch.equal(same_again.motion, path_of(model, a))
    whole = add_difference(model, a, a, c)
    assert torch.allclose(whole.content, c.content, atol=1e-6)
    assert torch.allclose(whole.motion, path_of(model, c), atol=1e-6)
    assert torch.equal(add_difference(model, a, b, c, part="content").motion, a.motion)
    assert torch.equal(add_difference(model, a, b, c, part="motion").content, a.content)


def test_time(model: MoCoGAN, codes: list[Codes]) -> None:
    a = codes[0]
    clip = render_codes(model, a)
    assert torch.equal(render_codes(model, reverse(model, a)), clip.flip(0))
    assert torch.equal(render_codes(model, reverse(model, reverse(model, a))), clip)
    slowed = render_codes(model, slow(model, a, 2))
    assert len(slowed) == 2 * (FRAMES - 1) + 1 and torch.equal(slowed[::2], clip)
    assert len(render_codes(model, slow(model, a, 0.5))) == 5
    times = torch.tensor([3.0, 0.0, 7.0])
    assert torch.equal(render_codes(model, retime(model, a, times)), clip[[3, 0, 7]])
    halfway = retime(model, a, torch.tensor([0.25])).motion[0]
    assert torch.allclose(halfway, 0.75 * path_of(model, a)[0] + 0.25 * path_of(model, a)[1])
    still = render_codes(model, retime(model, a, torch.zeros(3)))
    assert torch.equal(still[0], still[2]), "a constant path gives equal frames"
    for wrong in (torch.tensor([7.5]), torch.tensor([-1.0]), torch.zeros(0)):
        with pytest.raises(ValueError, match="from 0 to 7"):
            retime(model, a, wrong)
    with pytest.raises(ValueError, match="above 0"):
        slow(model, a, 0)


def test_exaggerated_motion_keeps_its_mean(model: MoCoGAN, codes: list[Codes]) -> None:
    path, doubled = path_of(model, codes[0]), path_of(model, exaggerate(model, codes[0], 2.0))
    assert torch.allclose(doubled.mean(dim=0), path.mean(dim=0), atol=1e-5)
    assert torch.allclose(doubled.diff(dim=0), 2 * path.diff(dim=0), atol=1e-5)
    assert torch.equal(exaggerate(model, codes[0], 1.0).motion, path), "1 changes nothing"
    assert float(exaggerate(model, codes[0], 0.0).motion.diff(dim=0).abs().max()) == 0, "0 is a still clip"


def test_a_loop_closes(model: MoCoGAN, codes: list[Codes]) -> None:
    path, looped = path_of(model, codes[0]), path_of(model, loop(model, codes[0]))
    assert len(looped) == 6
    assert torch.equal(looped[0], path[6]) and torch.equal(looped[-1], path[5]), "its end continues in its start"
    assert torch.allclose(looped[1], (path[7] + path[1]) / 2)


def test_continuing_keeps_the_clip(model: MoCoGAN, codes: list[Codes]) -> None:
    longer = continue_clip(model, codes[0], 5)
    assert torch.equal(render_codes(model, longer)[:FRAMES], render_codes(model, codes[0]))
    assert len(path_of(model, longer)) == FRAMES + 5
    assert not torch.equal(continue_clip(model, codes[0], 5, seed=1).motion, longer.motion)
    with pytest.raises(ConfigError, match="--motion inputs"):
        continue_clip(model, reverse(model, codes[0]), 5)


def test_category(model: MoCoGAN, codes: list[Codes]) -> None:
    other = with_category(model, codes[0], 2)
    assert other.category == 2 and same(other, codes[0])
    assert not torch.equal(path_of(model, other), path_of(model, codes[0]))
    with pytest.raises(ConfigError, match="--motion inputs"):
        with_category(model, reverse(model, codes[0]), 2)
    with pytest.raises(ValueError, match="category 'jump'"):
        with_category(model, codes[0], "jump")


def test_truncation(codes: list[Codes]) -> None:
    assert torch.equal(truncate(codes[0], 0).content, torch.zeros(6))
    assert torch.equal(truncate(codes[0], 1).content, codes[0].content)
    with pytest.raises(ValueError, match="amount"):
        truncate(codes[0], -1)


@pytest.mark.parametrize("motion_levels", [None, 1])
def test_style_mixing(codes: list[Codes], motion_levels: int | None) -> None:
    """Equal contents change nothing; the level divides the layers; a later level changes less."""
    model = small_mocogan(categories=3)
    if motion_levels is not None:
        frame = dict(model.architecture["model"]["frame"], motion_moves_origin=False, motion_levels=motion_levels)
        architecture = dict(model.architecture, model=dict(model.architecture["model"], frame=frame))
        with torch.random.fork_rng():
            torch.manual_seed(0)
            model = MoCoGAN.from_architecture(architecture).eval()
    a, b, _ = codes
    clip = render_codes(model, a)
    assert torch.equal(render_codes(model, mix_styles(model, a, a, 1)), clip)
    coarse, fine = (
        (render_codes(model, mix_styles(model, a, b, level)).float() - clip.float()).abs().mean() for level in (1, 3)
    )
    assert 0 < fine < coarse
    mixed = mix_styles(model, a, b, 2)
    assert torch.equal(path_of(model, mixed), path_of(model, a)) and mixed.fine_content is b.content
    for level in (0, model.frame.num_levels):
        with pytest.raises(ConfigError, match="--level"):
            mix_styles(model, a, b, level)


def test_mixing_needs_a_generator_with_levels(codes: list[Codes]) -> None:
    model = small_mocogan(kind="dcgan")
    with pytest.raises(ConfigError, match="style"):
        mix_styles(model, codes[0], codes[1], 1)
    with pytest.raises(ValueError, match="levels"):
        render_codes(model, replace(codes[0], fine_content=codes[1].content, fine_from=1, category=0))


def test_paste_by_hand() -> None:
    black, white = (torch.full((2, 3, 8, 8), value, dtype=torch.uint8) for value in (0, 255))
    mask = torch.zeros(8, 8)
    mask[:, 4:] = 1
    hard = paste(white, black, mask, feather=0)
    assert torch.equal(hard[..., :4], black[..., :4]) and torch.equal(hard[..., 4:], white[..., 4:])
    half = paste(white, black, torch.full((8, 8), 0.5), feather=0)
    assert set(half.unique().tolist()) == {128}
    soft = paste(white, black, mask, feather=1.0)[0, 0, 0].tolist()
    assert soft == sorted(soft) and soft[0] == 0 and soft[-1] == 255 and 0 < soft[3] < 128 < soft[4] < 255
    moving = torch.stack([mask, 1 - mask])
    assert torch.equal(paste(white, black, moving, feather=0)[1, 0], 255 - hard[1, 0])
    with pytest.raises(ValueError, match="fit together"):
        paste(white, black, mask[:4])
