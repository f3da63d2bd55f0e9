"""DiffAugment for clips: one transformation per clip, its ranges, and gradients of first and second order."""

import pytest
import torch
from torch import Tensor

from vidgan.nn.augmentation import POLICIES, DiffAugment
from vidgan.seeding import Draws


def draws(*rows: int) -> Draws:
    return Draws("augment test", rows=rows)


def clips(batch: int = 4, frames: int = 5, height: int = 32, width: int = 48) -> Tensor:
    return torch.rand(batch, frames, 3, height, width, generator=torch.Generator().manual_seed(0)) * 2 - 1


@pytest.mark.parametrize("policy", [[p] for p in POLICIES] + [list(POLICIES)], ids=lambda p: "+".join(p))
def test_a_static_clip_stays_static_and_clips_differ(policy: list[str]) -> None:
    still = clips()[:1, :1].expand(4, 5, -1, -1, -1)
    out = DiffAugment(policy)(still, draws(0, 1, 2, 3))
    assert out.shape == still.shape
    assert torch.equal(out, out[:, :1].expand_as(out))
    assert not torch.allclose(out[0], out[1])
    assert not torch.allclose(out[0], still[0])


def test_frames_and_clips_with_the_same_draws_are_transformed_alike() -> None:
    augment, x = DiffAugment(list(POLICIES)), clips()
    whole = augment(x, draws(0, 1, 2, 3))
    assert torch.equal(augment(x[:, 2], draws(0, 1, 2, 3)), whole[:, 2])
    assert torch.equal(augment(x[1:2], draws(1)), whole[1:2])


def test_the_transformation_depends_on_the_keys_only() -> None:
    augment, x, stream = DiffAugment(list(POLICIES)), clips(), draws(0, 1, 2, 3)
    first = augment(x, stream)
    stream.normal(7)
    assert torch.equal(augment(x, stream), first)
    assert not torch.allclose(augment(x, stream.fork("another step")), first)


def test_brightness_adds_one_number_per_clip() -> None:
    x = clips()
    change = DiffAugment(["brightness"])(x, draws(0, 1, 2, 3)) - x
    per_clip = change.flatten(1)
    assert float(per_clip.std(dim=1).max()) < 1e-6
    assert float(per_clip.abs().max()) <= 0.5


def test_saturation_preserves_grey_and_contrast_preserves_mid_grey() -> None:
    grey = clips()[:, :, :1].expand(-1, -1, 3, -1, -1)
    torch.testing.assert_close(DiffAugment(["saturation"])(grey, draws(0, 1, 2, 3)), grey)
    x = clips()
    ratio = DiffAugment(["contrast"])(x, draws(0, 1, 2, 3)) / x
    assert float(ratio.flatten(1).std(dim=1).max()) < 1e-5
    assert float(ratio.min()) >= 0.5 and float(ratio.max()) <= 1.5


def test_translation_moves_by_whole_pixels_within_an_eighth() -> None:
    x = clips(batch=64, frames=1, height=32, width=48)
    out = DiffAugment(["translation"])(x, draws(*range(64)))
    shifts = set()
    for before, after in zip(x[:, 0], out[:, 0], strict=True):
        matches = []
        for dy in range(-4, 5):
            for dx in range(-6, 7):
                expected = torch.zeros_like(before)
                rows, columns = slice(max(dy, 0), 32 + min(dy, 0)), slice(max(dx, 0), 48 + min(dx, 0))
                sources = slice(max(-dy, 0), 32 + min(-dy, 0)), slice(max(-dx, 0), 48 + min(-dx, 0))
                expected[:, rows, columns] = before[:, sources[0], sources[1]]
                if torch.equal(expected, after):
                    matches.append((dy, dx))
        assert len(matches) == 1
        shifts.add(matches[0])
    assert {dy for dy, _ in shifts} == set(range(-4, 5))
    assert min(dx for _, dx in shifts) == -6 and max(dx for _, dx in shifts) == 6


def test_cutout_zeroes_one_box_of_up_to_half_the_side() -> None:
    x = torch.ones(32, 2, 3, 32, 48)
    out = DiffAugment(["cutout"])(x, draws(*range(32)))
    hole = out[:, 0, 0] == 0
    rows, columns = hole.any(dim=2).sum(dim=1), hole.any(dim=1).sum(dim=1)
    assert torch.equal(hole.sum(dim=(1, 2)), rows * columns)  # a full rectangle
    assert int(rows.max()) == 16 and int(columns.max()) == 24
    assert int(rows.min()) >= 8 and int(columns.min()) >= 12  # at least half of the box is inside the frame
    assert bool((out[~hole[:, None, None].expand_as(out)] == 1).all())


def test_adding_a_transformation_does_not_change_the_others() -> None:
    x = clips()
    alone = DiffAugment(["translation"])(x, draws(0, 1, 2, 3))
    both = DiffAugment(["translation", "brightness"])(x, draws(0, 1, 2, 3))
    shift = DiffAugment(["brightness"])(x, draws(0, 1, 2, 3)) - x
    moved = alone != 0
    torch.testing.assert_close(both[moved], (alone + shift)[moved])


def test_gradients_of_first_and_second_order() -> None:
    x = clips(batch=2, frames=2).requires_grad_()
    out = DiffAugment(list(POLICIES))(x, draws(0, 1))
    (gradient,) = torch.autograd.grad(out.pow(3).sum(), x, create_graph=True)
    (second,) = torch.autograd.grad(gradient.square().sum(), x)
    assert bool(gradient.any()) and bool(second.any())
    assert torch.isfinite(second).all()


def test_invalid_policies_and_row_counts_are_rejected() -> None:
    with pytest.raises(ValueError, match="augment.*'color'.*'brightness'"):
        DiffAugment(["color"])
    with pytest.raises(ValueError, match="augment.*brightness"):
        DiffAugment("cutout")
    with pytest.raises(ValueError, match="augment.*brightness"):
        DiffAugment([])
    with pytest.raises(ValueError, match="augment.*cutout.*cutout"):
        DiffAugment(["cutout", "cutout"])
    with pytest.raises(ValueError, match="4 rows, got 2"):
        DiffAugment(["cutout"])(clips(), draws(0, 1))
