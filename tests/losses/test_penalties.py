"""Penalties on a linear critic, with the same gradient everywhere, and on a quadratic one, with different gradients."""

import pytest
import torch
from torch import Tensor, nn

from vidgan.losses import clip_weights, drift, gradient_penalty, r1

SLOPE = torch.tensor([[3.0, 0.0], [0.0, 4.0]])  # norm 5


def linear(x: Tensor) -> Tensor:
    return (x * SLOPE).sum(dim=(1, 2)) + 2.0


def test_r1_of_a_linear_critic_is_its_squared_slope() -> None:
    x = torch.randn(6, 2, 2, generator=torch.Generator().manual_seed(0)).requires_grad_()
    assert r1(linear(x), x).item() == pytest.approx(25.0)


def test_r1_is_per_sample() -> None:
    # D(x) = |x|^2 / 2 has gradient x: the mean of the squared norms, not the squared norm of a mean gradient.
    x = torch.tensor([[3.0, 4.0], [-3.0, -4.0], [0.0, 1.0]], requires_grad=True)
    assert r1(0.5 * x.square().sum(dim=1), x).item() == pytest.approx((25 + 25 + 1) / 3)


def test_r1_averages_patches() -> None:
    x = torch.ones(4, 2, 2, requires_grad=True)
    patches = x * SLOPE  # (4, 2, 2): every patch depends on one pixel; the mean has slope SLOPE / 4
    assert r1(patches, x).item() == pytest.approx(25 / 16)


def test_r1_accumulates() -> None:
    x = torch.randn(8, 5, generator=torch.Generator().manual_seed(1)).requires_grad_()
    whole = r1(x.pow(3).sum(dim=1), x)
    halves = [r1(half.pow(3).sum(dim=1), half) for half in (part.clone() for part in x.chunk(2))]
    assert torch.stack(halves).mean().item() == pytest.approx(whole.item(), rel=1e-6)


def test_r1_trains_the_discriminator() -> None:
    slope = torch.tensor([3.0, 4.0], requires_grad=True)
    x = torch.ones(2, 2, requires_grad=True)
    r1((x * slope).sum(dim=1), x).backward()
    torch.testing.assert_close(slope.grad, torch.tensor([6.0, 8.0]))  # d/dw |w|^2 = 2 w


def test_r1_rejects_inputs_without_grad_and_wrong_batch_sizes() -> None:
    x = torch.ones(2, 2, 2)
    with pytest.raises(ValueError, match="requires_grad_"):
        r1(linear(x), x)
    x.requires_grad_()
    with pytest.raises(ValueError, match="1 rows.*2 samples"):
        r1(linear(x)[:1], x)


def test_gradient_penalty_of_a_linear_critic() -> None:
    real, fake = torch.randn(2, 5, 2, 2, generator=torch.Generator().manual_seed(2))
    penalty = gradient_penalty(linear, real, fake, torch.rand(5, generator=torch.Generator().manual_seed(3)))
    assert penalty.item() == pytest.approx((5 - 1) ** 2)


def test_gradient_penalty_mixes_each_row_by_its_own_weight() -> None:
    # D(x) = |x|^2 / 2 has gradient x, so the penalty is (|mixture| - 1)^2 row by row.
    real, fake = torch.full((3, 1), 4.0), torch.zeros(3, 1)
    mix = torch.tensor([0.0, 0.5, 1.0])  # mixtures 0, 2, 4
    penalty = gradient_penalty(lambda x: 0.5 * x.square().sum(dim=1), real, fake, mix)
    assert penalty.item() == pytest.approx((1 + 1 + 9) / 3)


def test_gradient_penalty_of_a_constant_critic_has_finite_gradients() -> None:
    slope = torch.zeros(2, requires_grad=True)
    penalty = gradient_penalty(lambda x: (x * slope).sum(dim=1), torch.ones(3, 2), torch.zeros(3, 2), torch.rand(3))
    penalty.backward()
    assert penalty.item() == pytest.approx(1.0)
    assert slope.grad is not None and slope.grad.isfinite().all()


def test_gradient_penalty_does_not_reach_the_generator() -> None:
    slope, fake = torch.ones(2, requires_grad=True), torch.zeros(3, 2, requires_grad=True)
    gradient_penalty(lambda x: (x.square() * slope).sum(dim=1), torch.ones(3, 2), fake, torch.ones(3)).backward()
    assert fake.grad is None and slope.grad is not None


def test_gradient_penalty_rejects_broadcasting() -> None:
    with pytest.raises(ValueError, match="shape"):
        gradient_penalty(linear, torch.ones(2, 2, 2), torch.ones(1, 2, 2), torch.ones(2))
    with pytest.raises(ValueError, match="mix"):
        gradient_penalty(linear, torch.ones(2, 2, 2), torch.ones(2, 2, 2), torch.ones(1))


def test_clip_weights() -> None:
    layer = nn.Linear(2, 1)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[0.5, -0.005]]))
        layer.bias.fill_(-3.0)
    clip_weights(layer, 0.01)
    torch.testing.assert_close(layer.weight.detach(), torch.tensor([[0.01, -0.005]]))
    assert layer.bias.item() == pytest.approx(-0.01)
    with pytest.raises(ValueError, match="positive"):
        clip_weights(layer, 0.0)


def test_drift_is_the_mean_squared_logit() -> None:
    assert float(0.001 * drift(torch.full((3,), 2.0))) == pytest.approx(0.004)
    assert float(drift(torch.tensor([[1.0, -3.0]]))) == pytest.approx(5.0)
