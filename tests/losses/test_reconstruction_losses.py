"""Frame and flow losses on values small enough to check by hand."""

import math

import pytest
import torch
from skimage.metrics import structural_similarity

from vidgan.losses import crps, dissimilarity, flow_l1, gradient_difference, l1, l2, log_l2
from vidgan.pixels import to_float

PREDICTION = torch.tensor([[1.0, 2.0], [4.0, 8.0]]).reshape(1, 1, 1, 2, 2)
TARGET = torch.tensor([[1.0, 0.0], [0.0, 0.0]]).reshape(1, 1, 1, 2, 2)


def test_l1_and_l2() -> None:
    assert l1(PREDICTION, TARGET).item() == pytest.approx((0 + 2 + 4 + 8) / 4)
    assert l2(PREDICTION, TARGET).item() == pytest.approx((0 + 4 + 16 + 64) / 4)


def test_crps() -> None:
    shape = (1, 1, 1, 1, 2)
    low, high, truth = (torch.tensor(row).reshape(shape) for row in ([0.0, 0.0], [2.0, 6.0], [1.0, 0.0]))
    # errors |0-1|, |0-0| and |2-1|, |6-0| -> 2; the members differ by 2 and 6 -> 4
    assert crps([low, high], truth).item() == pytest.approx(2.0 - 4.0 / 2)
    # with a third member equal to the truth: errors 0.5, 3.5, 0; pairs 4, 0.5, 3.5
    assert crps([low, high, truth], truth).item() == pytest.approx(4.0 / 3 - 8.0 / 3 / 2)
    assert crps([high], truth).item() == pytest.approx(l1(high, truth).item())
    with pytest.raises(ValueError, match="futures"):
        crps([], truth)


def test_crps_is_lowest_for_members_distributed_like_the_truth() -> None:
    generator = torch.Generator().manual_seed(0)
    truth, *unit = torch.randn(4, 20000, generator=generator)
    scores = {spread: crps([spread * draw for draw in unit], truth).item() for spread in (0.0, 0.5, 1.0, 1.5)}
    assert min(scores, key=lambda spread: scores[spread]) == 1.0
    assert scores[1.0] == pytest.approx(1 / math.pi**0.5, abs=0.01)  # sqrt(2/pi) (sqrt(2) - sqrt(2)/2) of N(0, 1)


def test_gradient_difference() -> None:
    # down: |3|,|6| against |-1|,|0| -> 2, 6; across: |1|,|4| against |-1|,|0| -> 0, 4
    assert gradient_difference(PREDICTION, TARGET).item() == pytest.approx(4.0 + 2.0)
    assert gradient_difference(PREDICTION + 5, PREDICTION).item() == 0.0  # ignores a constant offset
    assert gradient_difference(-PREDICTION, PREDICTION).item() == 0.0  # magnitudes only, Eq. 6


@pytest.mark.parametrize("loss", [l1, l2, gradient_difference, flow_l1])
def test_properties_of_a_distance(loss) -> None:  # type: ignore[no-untyped-def]
    a, b = torch.randn(2, 4, 3, 2, 6, 5, generator=torch.Generator().manual_seed(0))
    assert loss(a, a).item() == pytest.approx(0.0, abs=1e-8)
    assert loss(a, b).item() > 0
    assert loss(a, b).item() == pytest.approx(loss(b, a).item())
    halves = torch.stack([loss(x, y) for x, y in zip(a.chunk(2), b.chunk(2), strict=True)]).mean()
    assert halves.item() == pytest.approx(loss(a, b).item(), rel=1e-5)
    assert loss(a.bfloat16(), b.bfloat16()).dtype == torch.float32
    with pytest.raises(ValueError, match="shape"):
        loss(a, b[:1])


def test_log_l2_weights_easy_and_hard_frames_equally() -> None:
    target = torch.zeros(1, 2, 3, 4, 4)
    prediction = target.clone()
    prediction[:, 0], prediction[:, 1] = 0.1, 1.0  # mean squares 0.01 and 1
    assert log_l2(prediction, target).item() == pytest.approx((math.log(0.01001) + math.log(1.00001)) / 4, abs=1e-6)
    better = prediction / math.sqrt(10)  # 10 dB for both
    gain = log_l2(prediction, target) - log_l2(better, target)
    assert gain.item() == pytest.approx(math.log(10) / 2, abs=0.01)
    assert log_l2(target, target).item() == pytest.approx(math.log(1e-5) / 2)


def test_dissimilarity_is_one_minus_ssim() -> None:
    generator = torch.Generator().manual_seed(0)
    bytes_ = torch.randint(0, 256, (2, 3, 24, 20), generator=generator, dtype=torch.uint8)
    noisy = (bytes_.float() + 40 * torch.randn(bytes_.shape, generator=generator)).clamp(0, 255).round().to(torch.uint8)
    expected = [
        structural_similarity(
            a.numpy(), b.numpy(), channel_axis=0, gaussian_weights=True, sigma=1.5, use_sample_covariance=False,
            data_range=255,
        )
        for a, b in zip(noisy, bytes_, strict=True)
    ]  # fmt: skip
    loss = dissimilarity(to_float(noisy), to_float(bytes_))
    assert loss.item() == pytest.approx(1 - sum(expected) / 2, abs=1e-4)
