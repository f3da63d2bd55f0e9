"""Adversarial losses against values computed by hand, and the properties that all of them share."""

import math

import pytest
import torch

from vidgan.losses import ADVERSARIAL, accuracy, saturation
from vidgan.losses.adversarial import with_half, with_smoothing

NAMES = sorted(ADVERSARIAL)
REAL = torch.tensor([2.0, -1.0, 0.5, 3.0])
FAKE = torch.tensor([-2.0, 1.0, 0.0, -0.5])


def softplus(x: float) -> float:
    return math.log1p(math.exp(x))


def mean(*values: float) -> float:
    return sum(values) / len(values)


LOG_D = mean(*(softplus(-x) for x in (2, -1, 0.5, 3))) + mean(*(softplus(x) for x in (-2, 1, 0, -0.5)))
# name -> (discriminator, generator) on the four logits above
EXPECTED = {
    "minimax": (LOG_D, -mean(*(softplus(x) for x in (-2, 1, 0, -0.5)))),
    "non_saturating": (LOG_D, mean(*(softplus(x) for x in (2, -1, 0, 0.5)))),
    # (1 + 4 + 0.25 + 4)/8 + (4 + 1 + 0 + 0.25)/8; (9 + 0 + 1 + 2.25)/8
    "least_squares": (1.15625 + 0.65625, 1.53125),
    # (0 + 2 + 0.5 + 0)/4 + (0 + 2 + 1 + 0.5)/4
    "hinge": (0.625 + 0.875, 0.375),
    "wasserstein": (-0.375 - 1.125, 0.375),
    # differences real - fake: 4, -2, 0.5, 3.5
    "relativistic": (
        mean(*(softplus(-x) for x in (4, -2, 0.5, 3.5))),
        mean(*(softplus(x) for x in (4, -2, 0.5, 3.5))),
    ),
}


def test_every_loss_has_an_expected_value() -> None:
    assert sorted(EXPECTED) == NAMES


@pytest.mark.parametrize("name", NAMES)
class TestEveryLoss:
    def test_value(self, name: str) -> None:
        loss = ADVERSARIAL[name]
        assert loss.discriminator(REAL, FAKE).item() == pytest.approx(EXPECTED[name][0], abs=1e-6)
        assert loss.generator(FAKE, REAL).item() == pytest.approx(EXPECTED[name][1], abs=1e-6)

    def test_real_logits_are_required_only_if_declared(self, name: str) -> None:
        loss = ADVERSARIAL[name]
        if loss.needs_real:
            with pytest.raises(ValueError, match="real"):
                loss.generator(FAKE, None)
        else:
            assert torch.equal(loss.generator(FAKE, None), loss.generator(FAKE, REAL))

    def test_patches_equal_their_flattening(self, name: str) -> None:
        loss = ADVERSARIAL[name]
        real, fake = REAL.reshape(1, 1, 2, 2), FAKE.reshape(1, 1, 2, 2)
        assert torch.equal(loss.discriminator(real, fake), loss.discriminator(REAL, FAKE))
        assert torch.equal(loss.generator(fake, real), loss.generator(FAKE, REAL))

    def test_signs_of_gradients(self, name: str) -> None:
        loss = ADVERSARIAL[name]
        real, fake = torch.zeros(4, requires_grad=True), torch.zeros(4, requires_grad=True)
        for_real, for_fake = torch.autograd.grad(loss.discriminator(real, fake), (real, fake), allow_unused=True)
        assert (for_real < 0).all(), "gradient descent must raise real logits"
        assert (for_fake > 0).all() or name == "least_squares", "gradient descent must lower fake logits"
        (for_generator,) = torch.autograd.grad(loss.generator(fake, real.detach()), fake)
        assert (for_generator < 0).all(), "gradient descent must raise the logits of generated samples"

    def test_micro_batches_accumulate_to_the_whole_batch(self, name: str) -> None:
        loss = ADVERSARIAL[name]
        real, fake = torch.randn(2, 8, 3, 2, 2, generator=torch.Generator().manual_seed(0))
        pairs = list(zip(real.chunk(2), fake.chunk(2), strict=True))
        halves = torch.stack([loss.discriminator(r, f) for r, f in pairs]).mean()
        assert halves.item() == pytest.approx(loss.discriminator(real, fake).item(), abs=1e-6)
        halves = torch.stack([loss.generator(f, r) for r, f in pairs]).mean()
        assert halves.item() == pytest.approx(loss.generator(fake, real).item(), abs=1e-6)

    def test_half_precision_logits_give_a_float32_loss(self, name: str) -> None:
        loss = ADVERSARIAL[name]
        real, fake = REAL.bfloat16(), FAKE.bfloat16()  # all of these values are exact in bf16
        assert loss.discriminator(real, fake).dtype == torch.float32
        assert torch.equal(loss.discriminator(real, fake), loss.discriminator(REAL, FAKE))
        assert torch.equal(loss.generator(fake, real), loss.generator(FAKE, REAL))

    def test_extreme_logits_stay_finite(self, name: str) -> None:
        loss = ADVERSARIAL[name]
        real, fake = torch.full((2,), -1e4), torch.full((2,), 1e4)
        assert loss.discriminator(real, fake).isfinite()
        assert loss.generator(-fake, real).isfinite()


def test_least_squares_drives_fake_logits_to_zero_from_both_sides() -> None:
    for value, sign in ((0.5, 1), (-0.5, -1)):
        fake = torch.full((2,), value, requires_grad=True)
        (gradient,) = torch.autograd.grad(ADVERSARIAL["least_squares"].discriminator(REAL, fake), fake)
        assert (gradient.sign() == sign).all()


def test_minimax_saturates_where_non_saturating_does_not() -> None:
    losing = torch.full((1,), -10.0, requires_grad=True)
    (weak,) = torch.autograd.grad(ADVERSARIAL["minimax"].generator(losing, None), losing)
    (strong,) = torch.autograd.grad(ADVERSARIAL["non_saturating"].generator(losing, None), losing)
    assert weak.item() == pytest.approx(-math.exp(-10), rel=1e-3)
    assert strong.item() == pytest.approx(-1.0, abs=1e-4)


def test_relativistic_is_symmetric_and_ignores_a_common_offset() -> None:
    loss = ADVERSARIAL["relativistic"]
    assert torch.equal(loss.discriminator(REAL, FAKE), loss.generator(REAL, FAKE))
    assert loss.discriminator(REAL + 7, FAKE + 7).item() == pytest.approx(loss.discriminator(REAL, FAKE).item())


def test_relativistic_rejects_broadcasting() -> None:
    with pytest.raises(ValueError, match=r"\(1,\) and \(4,\)|\(4,\) and \(1,\)"):
        ADVERSARIAL["relativistic"].discriminator(REAL, FAKE[:1])


def test_accuracy() -> None:
    on_real, on_fake = accuracy(REAL, FAKE)
    assert (on_real.item(), on_fake.item()) == (0.75, 0.5)
    # With an offset of 10 every logit is positive; the midpoint of the means separates them as before.
    on_real, on_fake = accuracy(REAL + 10, FAKE + 10)
    assert (on_real.item(), on_fake.item()) == (1.0, 0.0)
    on_real, on_fake = accuracy(REAL + 10, FAKE + 10, threshold=None)  # midpoint 10.375
    assert (on_real.item(), on_fake.item()) == (0.75, 0.75)
    assert not accuracy(REAL.clone().requires_grad_(), FAKE)[0].requires_grad


def test_saturation() -> None:
    confident = torch.tensor([5.0, 4.0, -9.0, 6.0])
    assert saturation(confident, -confident).item() == 0.5  # 5 and 6 of four on each side; -9 is confidently wrong
    assert saturation(REAL, FAKE, margin=1.0).item() == pytest.approx((2 + 1) / 8)
    assert saturation(confident, -confident, margin=None).item() == 0.0


# Logits of TF-GAN's own tests, and the losses on them by hand.
GOLDEN_REAL = torch.tensor([-5.0, 1.4, 12.5, 2.7])
GOLDEN_FAKE = torch.tensor([10.0, 4.4, -5.5, 3.6])
GOLDEN = {
    "non_saturating": (5.83387, 1.38582),
    "minimax": (5.83387, -4.51082),
    "hinge": (6.75, -3.125),
    "wasserstein": (0.225, -3.125),
    "least_squares": (41.73375, 17.69625),
    "relativistic": (4.82244, 4.59744),
}


@pytest.mark.parametrize("name", NAMES)
def test_golden_values(name: str) -> None:
    loss, (discriminator, generator) = ADVERSARIAL[name], GOLDEN[name]
    assert float(loss.discriminator(GOLDEN_REAL, GOLDEN_FAKE)) == pytest.approx(discriminator, abs=1e-5)
    assert float(loss.generator(GOLDEN_FAKE, GOLDEN_REAL)) == pytest.approx(generator, abs=1e-5)


def test_one_sided_smoothing_is_the_cross_entropy_with_a_softer_target() -> None:
    smooth = with_smoothing(ADVERSARIAL["non_saturating"], 0.125)
    assert float(smooth.discriminator(GOLDEN_REAL, GOLDEN_FAKE)) == pytest.approx(6.19637, abs=1e-5)  # TF-GAN's value
    bce = torch.nn.functional.binary_cross_entropy_with_logits
    expected = bce(REAL, torch.full((4,), 0.875)) + bce(FAKE, torch.zeros(4))
    assert float(smooth.discriminator(REAL, FAKE)) == pytest.approx(float(expected))
    assert smooth.generator is ADVERSARIAL["non_saturating"].generator


def test_half_the_loss_of_a_constant_discriminator_is_ln_2() -> None:
    half = with_half(ADVERSARIAL["minimax"])
    assert float(half.discriminator(torch.zeros(3), torch.zeros(3))) == pytest.approx(math.log(2))
    assert half.generator is ADVERSARIAL["minimax"].generator
