"""Fusion: what P is made of, by hand and at its limits."""

import pytest
import torch
from torch import Tensor

from vidgan.nn.blur import gaussian_blur
from vidgan.nn.warp import carry_flow, warp
from vidgan.tasks.forecasting.fusion import (
    FUSIONS,
    MOST_GAIN,
    NO_HINDSIGHT,
    BlendFusion,
    ConvFusion,
    MaskFusion,
    Parts,
    hindsight,
    restore_detail,
)


def parts(seed: int = 0, size: tuple[int, int] = (16, 24)) -> Parts:
    """Unlike pictures and small flows."""
    generator = torch.Generator().manual_seed(seed)
    frames = [torch.rand(2, 3, *size, generator=generator) * 2 - 1 for _ in range(5)]
    flows = [torch.randn(2, 2, *size, generator=generator) for _ in range(3)]
    direct, warped, last, previous, unexplained = frames
    return Parts(direct, warped, flows[0], last, previous, flows[1], flows[2], unexplained)


def candidates(known: Parts) -> Tensor:
    """What `BlendFusion` blends, (B, 6, C, H, W)."""
    return torch.stack([
        known.warped,
        known.direct,
        warp(known.last, carry_flow(known.flow)),
        warp(known.previous, known.flow + warp(known.observed, known.flow)),
        known.last,
        warp(known.last, known.former),
    ], dim=1)  # fmt: skip


CERTAIN = torch.zeros(1, 1, 1, 1)  # matter is where it was forecast


def test_conv_starts_as_the_mean() -> None:
    known = parts()
    torch.testing.assert_close(ConvFusion(channels=3, max_flow=8.0)(*known), (known.direct + known.warped) / 2)


def test_mask_chooses_between_two() -> None:
    known, fusion = parts(), MaskFusion(channels=3, max_flow=8.0)
    with torch.no_grad():
        fusion.net[-1].bias.fill_(50.0)  # type: ignore[union-attr, operator]
    torch.testing.assert_close(fusion(*known), known.warped)


@pytest.mark.parametrize("chosen", range(BlendFusion.CANDIDATES))
def test_blend_can_choose_each_candidate(chosen: int) -> None:
    known, fusion = parts(), BlendFusion(channels=3, max_flow=8.0)
    with torch.no_grad():
        assert fusion.head.bias is not None
        fusion.head.bias.copy_(torch.eye(BlendFusion.CANDIDATES)[chosen] * 100)
    torch.testing.assert_close(fusion(*known), candidates(known)[:, chosen])


def test_blend_is_convex_and_starts_near_the_warped_frame() -> None:
    known = parts()
    torch.manual_seed(0)
    fused = BlendFusion(channels=3, max_flow=8.0)(*known)
    given = candidates(known)
    assert (fused <= given.amax(dim=1) + 1e-6).all() and (fused >= given.amin(dim=1) - 1e-6).all()
    errors = (fused[:, None] - given).abs().mean(dim=(0, 2, 3, 4))
    assert errors.argmin() == 0


def test_in_a_still_scene_nothing_changes() -> None:
    picture, still = torch.rand(1, 3, 16, 16), torch.zeros(1, 2, 16, 16)
    fused = BlendFusion(channels=3, max_flow=8.0)(picture, picture, still, picture, picture, still, still, 0 * picture)
    torch.testing.assert_close(fused, picture)


@pytest.mark.parametrize("name", FUSIONS)
def test_gradients_reach_both_branches(name: str) -> None:
    known = parts()
    direct, warped = known.direct.requires_grad_(), known.warped.requires_grad_()
    FUSIONS[name](channels=3, max_flow=8.0)(*known).square().sum().backward()
    for branch in (direct, warped):
        assert branch.grad is not None and branch.grad.abs().max() > 0


def test_hindsight_is_where_the_truth_lay_between_the_two() -> None:
    known = parts(size=(32, 32))
    fused, warped = known.direct, known.warped  # far apart, so that there is little doubt
    for share in (0.0, 0.25, 1.0):
        trust = hindsight(fused, warped, warped + share * (fused - warped))
        assert trust.shape == (len(fused), 1, 32, 32)
        torch.testing.assert_close(trust, torch.full_like(trust, share), atol=0.01, rtol=0)
    past = hindsight(fused, warped, warped + 3 * (fused - warped)), hindsight(fused, warped, 2 * warped - fused)
    assert (past[0] == 1).all() and (past[1] == 0).all()  # never beyond either
    usual = hindsight(fused, fused, warped)
    torch.testing.assert_close(usual, torch.full_like(usual, NO_HINDSIGHT))


def test_hindsight_is_local() -> None:
    known = parts(size=(32, 128))
    left = torch.zeros_like(known.direct)
    left[..., :64] = 1
    truth = left * known.direct + (1 - left) * known.warped
    trust = hindsight(known.direct, known.warped, truth)
    assert trust[..., :32].min() > 0.95 and trust[..., 96:].max() < 0.05


def detail(frames: Tensor) -> Tensor:
    return frames - gaussian_blur(frames, 0.7)


def test_restored_detail_is_as_strong_as_that_of_the_last_frame() -> None:
    """A frame whose detail is half of the last one's, everywhere: the gain is 2 for the whole share, 1.5 for half."""
    last = parts(size=(32, 32)).last / 2
    fused = last - detail(last) / 2
    lost = detail(last).square().mean() / detail(fused).square().mean()  # not 4: high passes are not sharp
    whole = fused + (lost.sqrt() - 1) * detail(fused)
    torch.testing.assert_close(restore_detail(fused, last, last, CERTAIN, 1.0), whole, atol=0.05, rtol=0)
    half = restore_detail(fused, last, last, CERTAIN, 0.5)
    torch.testing.assert_close(half, (fused + restore_detail(fused, last, last, CERTAIN, 1.0)) / 2)
    error = (fused - last).square().mean()
    assert (half - last).square().mean() < error / 1.5 < error


def test_detail_is_neither_taken_nor_made_up() -> None:
    last = parts(size=(32, 32)).last / 4
    torch.testing.assert_close(restore_detail(last, last, last, CERTAIN, 1.0), last)  # as sharp as it should be
    torch.testing.assert_close(restore_detail(last, 0 * last, 0 * last, CERTAIN, 1.0), last)  # sharper
    flat = torch.full_like(last, 0.3)
    torch.testing.assert_close(
        restore_detail(flat, last, last, CERTAIN, 1.0), flat
    )  # nothing there to be made stronger
    faint = flat + last / 100
    torch.testing.assert_close(restore_detail(faint, last, last, CERTAIN, 1.0), faint + (MOST_GAIN - 1) * detail(faint))


def test_gradient_of_what_is_shown_is_that_of_a_fixed_gain() -> None:
    """The gain must not be a way to lower the loss by changing how strong the detail is."""
    known = parts(size=(16, 16))
    fused = (gaussian_blur(known.last, 1.0) / 2).requires_grad_()
    shown = restore_detail(fused, known.last, known.last, CERTAIN, 0.5)
    (shown * known.direct).sum().backward()
    with torch.no_grad():
        gain = (shown - fused) / detail(fused)
        rough = detail(gain * known.direct)  # the blur is its own adjoint away from borders
    assert fused.grad is not None
    inside = (..., slice(2, -2), slice(2, -2))
    torch.testing.assert_close(fused.grad[inside], (known.direct + rough)[inside], atol=1e-4, rtol=1e-4)


def test_where_matter_may_have_strayed_detail_is_what_was_fed_back() -> None:
    true = parts(size=(32, 64)).last / 2
    fused = true - detail(true) / 2
    last = true - detail(true) / 3  # a forecast already, with less detail than what was seen
    strayed = torch.zeros(len(true), 1, 32, 64)
    strayed[..., 32:] = 9.0
    shown = restore_detail(fused, last, true, strayed, 0.5)
    torch.testing.assert_close(shown[..., :32], restore_detail(fused, true, true, CERTAIN, 0.5)[..., :32])
    torch.testing.assert_close(shown[..., 32:], restore_detail(fused, last, last, CERTAIN, 0.5)[..., 32:])
    assert (shown - fused)[..., :32].abs().mean() > 1.5 * (shown - fused)[..., 32:].abs().mean()
