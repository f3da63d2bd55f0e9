"""Losses of clip-to-clip models, against values computed by hand."""

import pytest
import torch

from vidgan.losses.matching import feature_matching, masked_l1, warp_confidence


def test_confidence_of_two_pixels() -> None:
    """Differences (.1, .12, 0) and (.1, .05, 0): squares sum to .0244 and .0125, the threshold is .02."""
    frame = torch.zeros(1, 3, 1, 2)
    warped = torch.tensor([[0.1, 0.1], [0.12, 0.05], [0.0, 0.0]]).view(1, 3, 1, 2)
    assert warp_confidence(frame, warped).flatten().tolist() == [0.0, 1.0]


def test_feature_matching_is_the_mean_over_layers() -> None:
    fake = [torch.ones(2, 3, requires_grad=True), torch.full((2, 5), 3.0)]
    real = [torch.zeros(2, 3, requires_grad=True), torch.zeros(2, 5)]
    loss = feature_matching(fake, real)
    assert loss.item() == pytest.approx((1 + 3) / 2)
    loss.backward()
    assert fake[0].grad is not None and real[0].grad is None
    with pytest.raises(ValueError, match="same layers"):
        feature_matching([], [])


def test_masked_l1_reads_the_mask_alone() -> None:
    prediction, target = torch.zeros(2, 3, 2, 2), torch.zeros(2, 3, 2, 2)
    prediction[0, :, 0, 0], prediction[0, :, 1, 1] = 1.0, 100.0
    mask = torch.ones(2, 1, 2, 2)
    mask[0, 0, 1, 1] = 0
    assert masked_l1(prediction, target, mask).item() == pytest.approx((1 / 3 + 0) / 2)
    assert masked_l1(prediction, target, torch.zeros(2, 1, 2, 2)).item() == 0
    halves = [masked_l1(prediction[i : i + 1], target[i : i + 1], mask[i : i + 1]).item() for i in range(2)]
    assert sum(halves) / 2 == pytest.approx(masked_l1(prediction, target, mask).item())
    with pytest.raises(ValueError, match="shape"):
        masked_l1(prediction, target[:1], mask)
