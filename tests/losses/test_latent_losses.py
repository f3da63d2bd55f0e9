"""KL, category losses and weighted sum on values computed by hand."""

import math

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from vidgan.losses import category_accuracy, category_cross_entropy, kl_standard_normal, weighted_sum
from vidgan.types import UNLABELLED


def test_kl_by_hand_and_against_torch() -> None:
    zero = torch.zeros(2, 3)
    assert kl_standard_normal(zero, zero).item() == 0.0
    assert kl_standard_normal(zero + 2, zero).item() == pytest.approx(2.0)
    assert kl_standard_normal(zero, zero + 1).item() == pytest.approx(0.5 * (math.e - 2))
    mean, logvar = torch.randn(2, 4, 5, 3, 3, generator=torch.Generator().manual_seed(0))
    expected = kl_divergence(Normal(mean, (0.5 * logvar).exp()), Normal(0.0, 1.0)).mean()
    assert kl_standard_normal(mean, logvar).item() == pytest.approx(expected.item(), rel=1e-5)
    halves = [kl_standard_normal(m, v) for m, v in zip(mean.chunk(2), logvar.chunk(2), strict=True)]
    assert torch.stack(halves).mean().item() == pytest.approx(expected.item(), rel=1e-5)
    with pytest.raises(ValueError, match="shape"):
        kl_standard_normal(mean, logvar[:1])


def test_category_cross_entropy_skips_unlabelled_rows() -> None:
    logits = torch.tensor([[0.0, 0.0], [math.log(3.0), 0.0], [5.0, -5.0], [0.0, 0.0]], requires_grad=True)
    category = torch.tensor([0, 0, UNLABELLED, 1])
    loss = category_cross_entropy(logits, category)
    assert loss.item() == pytest.approx((math.log(2) + math.log(4 / 3) + 0 + math.log(2)) / 4)
    loss.backward()
    assert logits.grad is not None and (logits.grad[2] == 0).all() and logits.grad[0, 0] < 0 < logits.grad[0, 1]
    halves = [category_cross_entropy(a, b) for a, b in zip(logits.chunk(2), category.chunk(2), strict=True)]
    assert torch.stack(halves).mean().item() == pytest.approx(loss.item())


def test_category_cross_entropy_without_labels_is_zero_with_a_gradient() -> None:
    logits = torch.randn(3, 4, requires_grad=True)
    loss = category_cross_entropy(logits, torch.full((3,), UNLABELLED))
    loss.backward()
    assert loss.item() == 0.0
    assert logits.grad is not None and (logits.grad == 0).all()


def test_category_accuracy() -> None:
    logits = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0]])
    assert category_accuracy(logits, torch.tensor([0, 0, UNLABELLED, 1])).item() == pytest.approx(2 / 3)
    assert category_accuracy(logits, torch.full((4,), UNLABELLED)).isnan()
    with pytest.raises(ValueError, match=r"\(B, N\)"):
        category_accuracy(logits, torch.tensor([0]))


def test_weighted_sum() -> None:
    terms = {"l1": torch.tensor(2.0), "kl": torch.tensor(3.0, requires_grad=True)}
    total = weighted_sum(terms, {"kl": 0.5, "l1": 10})
    assert total.item() == pytest.approx(21.5)
    total.backward()
    assert terms["kl"].grad is not None and terms["kl"].grad.item() == 0.5


def test_weighted_sum_requires_equal_names_and_finite_scalars() -> None:
    one = torch.tensor(1.0)
    with pytest.raises(ValueError, match="kl.*l1"):
        weighted_sum({"l1": one, "kl": one}, {"l1": 1.0})
    with pytest.raises(ValueError, match="kl.*l1"):
        weighted_sum({"l1": one}, {"l1": 1.0, "kl": 1.0})
    with pytest.raises(ValueError, match="'l1'.*scalar"):
        weighted_sum({"l1": torch.ones(2)}, {"l1": 1.0})
    with pytest.raises(ValueError, match="'l1'.*finite"):
        weighted_sum({"l1": one}, {"l1": float("nan")})
    with pytest.raises(ValueError, match="no loss term"):
        weighted_sum({}, {})
