"""Fusion and decoding: what P is made of, by hand and at its limits."""

import pytest
import torch
from torch import Tensor

from vidgan.nn.blur import gaussian_blur
from vidgan.nn.warp import carry_flow, warp
from vidgan.sections import Section
from vidgan.tasks.forecasting.decoding import MOST_GAIN, PRIOR_TRUST, agreement, restore_detail
from vidgan.tasks.forecasting.fusion import FUSIONS, BlendFusion, ConvFusion, Evidence, MaskFusion, Parts


def parts(seed: int = 0, size: tuple[int, int] = (16, 24)) -> Parts:
    """Random frames and small flows."""
    generator = torch.Generator().manual_seed(seed)
    frames = [torch.rand(2, 3, *size, generator=generator) * 2 - 1 for _ in range(5)]
    flows = [torch.randn(2, 2, *size, generator=generator) for _ in range(3)]
    direct, warped, last, previous, unexplained = frames
    return Parts(direct, warped, flows[0], Evidence(last, previous, flows[1], flows[2], unexplained))


def candidates(known: Parts) -> Tensor:
    """What `BlendFusion` blends, (B, 6, C, H, W)."""
    evidence = known.evidence
    return torch.stack([
        known.warped,
        known.direct,
        warp(evidence.last, carry_flow(known.flow)),
        warp(evidence.previous, known.flow + warp(evidence.observed, known.flow)),
        evidence.last,
        warp(evidence.last, evidence.former),
    ], dim=1)  # fmt: skip


CERTAIN = torch.zeros(1, 1, 1, 1)  # pixels: objects are where they were forecast


def test_conv_starts_as_the_mean() -> None:
    known = parts()
    torch.testing.assert_close(ConvFusion(channels=3, max_flow=8.0)(known), (known.direct + known.warped) / 2)


def test_mask_chooses_between_two() -> None:
    known, fusion = parts(), MaskFusion(channels=3, max_flow=8.0)
    with torch.no_grad():
        fusion.net[-1].bias.fill_(50.0)  # type: ignore[union-attr, operator]
    torch.testing.assert_close(fusion(known), known.warped)


@pytest.mark.parametrize("chosen", range(BlendFusion.CANDIDATES))
def test_blend_can_choose_each_candidate(chosen: int) -> None:
    known, fusion = parts(), BlendFusion(channels=3, max_flow=8.0)
    with torch.no_grad():
        assert fusion.head.bias is not None
        fusion.head.bias.copy_(torch.eye(BlendFusion.CANDIDATES)[chosen] * 100)
    torch.testing.assert_close(fusion(known), candidates(known)[:, chosen])


def test_blend_is_convex_and_starts_near_the_warped_frame() -> None:
    known = parts()
    torch.manual_seed(0)
    fused = BlendFusion(channels=3, max_flow=8.0)(known)
    mixed = candidates(known)
    assert (fused <= mixed.amax(dim=1) + 1e-6).all() and (fused >= mixed.amin(dim=1) - 1e-6).all()
    errors = (fused[:, None] - mixed).abs().mean(dim=(0, 2, 3, 4))
    assert errors.argmin() == 0


def test_in_a_still_scene_nothing_changes() -> None:
    frame, still = torch.rand(1, 3, 16, 16), torch.zeros(1, 2, 16, 16)
    known = Parts(frame, frame, still, Evidence(frame, frame, still, still, 0 * frame))
    torch.testing.assert_close(BlendFusion(channels=3, max_flow=8.0)(known), frame)


@pytest.mark.parametrize("kind", FUSIONS)
def test_gradients_reach_both_branches(kind: type[Section]) -> None:
    known = parts()
    direct, warped = known.direct.requires_grad_(), known.warped.requires_grad_()
    FUSIONS[kind](channels=3, max_flow=8.0)(known).square().sum().backward()
    for branch in (direct, warped):
        assert branch.grad is not None and branch.grad.abs().max() > 0


def test_agreement_is_the_share_at_which_the_truth_was() -> None:
    known = parts(size=(32, 32))
    fused, warped = known.direct, known.warped  # far apart, so that the prior has little weight
    for share in (0.0, 0.25, 1.0):
        trust = agreement(fused, warped, warped + share * (fused - warped))
        assert trust.shape == (len(fused), 1, 32, 32)
        torch.testing.assert_close(trust, torch.full_like(trust, share), atol=0.01, rtol=0)
    beyond = agreement(fused, warped, warped + 3 * (fused - warped)), agreement(fused, warped, 2 * warped - fused)
    assert (beyond[0] == 1).all() and (beyond[1] == 0).all()
    prior = agreement(fused, fused, warped)
    torch.testing.assert_close(prior, torch.full_like(prior, PRIOR_TRUST))


def test_agreement_is_local() -> None:
    known = parts(size=(32, 128))
    left = torch.zeros_like(known.direct)
    left[..., :64] = 1
    truth = left * known.direct + (1 - left) * known.warped
    trust = agreement(known.direct, known.warped, truth)
    assert trust[..., :32].min() > 0.95 and trust[..., 96:].max() < 0.05


def detail(frames: Tensor) -> Tensor:
    return frames - gaussian_blur(frames, 0.7)


def test_restored_detail_is_as_strong_as_that_of_the_last_frame() -> None:
    """A frame whose detail is half of the last one's, everywhere: the gain is 2 for the whole share, 1.5 for half."""
    last = parts(size=(32, 32)).evidence.last / 2
    fused = last - detail(last) / 2
    lost = detail(last).square().mean() / detail(fused).square().mean()  # not 4: high passes are not sharp
    whole = fused + (lost.sqrt() - 1) * detail(fused)
    torch.testing.assert_close(restore_detail(fused, last, last, CERTAIN, 1.0), whole, atol=0.05, rtol=0)
    half = restore_detail(fused, last, last, CERTAIN, 0.5)
    torch.testing.assert_close(half, (fused + restore_detail(fused, last, last, CERTAIN, 1.0)) / 2)
    error = (fused - last).square().mean()
    assert (half - last).square().mean() < error / 1.5 < error


def test_detail_is_neither_removed_nor_invented() -> None:
    last = parts(size=(32, 32)).evidence.last / 4
    torch.testing.assert_close(restore_detail(last, last, last, CERTAIN, 1.0), last)  # as sharp as expected
    torch.testing.assert_close(restore_detail(last, 0 * last, 0 * last, CERTAIN, 1.0), last)  # sharper
    flat = torch.full_like(last, 0.3)
    torch.testing.assert_close(restore_detail(flat, last, last, CERTAIN, 1.0), flat)  # there is no detail to amplify
    faint = flat + last / 100
    torch.testing.assert_close(restore_detail(faint, last, last, CERTAIN, 1.0), faint + (MOST_GAIN - 1) * detail(faint))


def test_gradient_of_restored_detail_is_that_of_a_fixed_gain() -> None:
    """Changing the strength of the detail must not change the gain, or training would use it to lower the loss."""
    known = parts(size=(16, 16))
    fused = (gaussian_blur(known.evidence.last, 1.0) / 2).requires_grad_()
    restored = restore_detail(fused, known.evidence.last, known.evidence.last, CERTAIN, 0.5)
    (restored * known.direct).sum().backward()
    with torch.no_grad():
        gain = (restored - fused) / detail(fused)
        rough = detail(gain * known.direct)  # the blur is its own adjoint away from borders
    assert fused.grad is not None
    inside = (..., slice(2, -2), slice(2, -2))
    torch.testing.assert_close(fused.grad[inside], (known.direct + rough)[inside], atol=1e-4, rtol=1e-4)


def test_where_objects_may_be_displaced_detail_is_that_of_the_last_forecast() -> None:
    true = parts(size=(32, 64)).evidence.last / 2
    fused = true - detail(true) / 2
    last = true - detail(true) / 3  # a forecast already, with less detail than the truth
    deviation = torch.zeros(len(true), 1, 32, 64)
    deviation[..., 32:] = 9.0
    restored = restore_detail(fused, last, true, deviation, 0.5)
    torch.testing.assert_close(restored[..., :32], restore_detail(fused, true, true, CERTAIN, 0.5)[..., :32])
    torch.testing.assert_close(restored[..., 32:], restore_detail(fused, last, last, CERTAIN, 0.5)[..., 32:])
    assert (restored - fused)[..., :32].abs().mean() > 1.5 * (restored - fused)[..., 32:].abs().mean()
