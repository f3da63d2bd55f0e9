"""Adversarial losses as pairs of functions of a discriminator's logits.

Logits are (B, ...), one per sample or one per patch; a loss is the mean over all of them. In the formulas, ``D`` is the
logit, without a sigmoid, x a real sample and G(z) a generated one. Logits are converted to float32 first, so that a
bf16 network gets a float32 loss. All losses are float32 scalars.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from vidgan.types import Logits

# sigmoid(CONFIDENT) = 0.99: beyond it, log losses have less than 1 % of their gradient left.
CONFIDENT = math.log(99.0)


class AdversarialLoss(NamedTuple):
    """The losses of both players, and how to read the logits.

    Attributes:
        discriminator: (real logits, fake logits) -> the discriminator's loss.
        generator: (fake logits, real logits) -> the generator's loss. The real logits may be None unless `needs_real`.
        needs_real: the generator's loss depends on the real logits.
        threshold: logit above which a sample counts as classified real. None: the midpoint of the mean real and the
            mean fake logit, for losses that ignore a common offset.
        margin: distance beyond the threshold at which the gradient has almost vanished. None: it never vanishes.
    """

    discriminator: Callable[[Logits, Logits], Tensor]
    generator: Callable[[Logits, Logits | None], Tensor]
    needs_real: bool
    threshold: float | None
    margin: float | None


def log_loss_discriminator(real: Logits, fake: Logits) -> Tensor:
    """-log sigmoid(D(x)) - log(1 - sigmoid(D(G(z)))) (Goodfellow et al. 2014, Eq. 1)."""
    return F.softplus(-real.float()).mean() + F.softplus(fake.float()).mean()


def minimax_generator(fake: Logits, real: Logits | None = None) -> Tensor:
    """log(1 - sigmoid(D(G(z)))), the saturating loss (Goodfellow et al. 2014, Eq. 1)."""
    return -F.softplus(fake.float()).mean()


def non_saturating_generator(fake: Logits, real: Logits | None = None) -> Tensor:
    """-log sigmoid(D(G(z))) (Goodfellow et al. 2014, section 3).

    It has the fixed point of `minimax_generator`, and a strong gradient where the discriminator rejects a sample.
    """
    return F.softplus(-fake.float()).mean()


def least_squares_discriminator(real: Logits, fake: Logits) -> Tensor:
    """1/2 (D(x) - 1)^2 + 1/2 D(G(z))^2 (Mao et al. 2017, Eq. 9: a = 0, b = c = 1)."""
    return 0.5 * ((real.float() - 1).square().mean() + fake.float().square().mean())


def least_squares_generator(fake: Logits, real: Logits | None = None) -> Tensor:
    """1/2 (D(G(z)) - 1)^2 (Mao et al. 2017, Eq. 9)."""
    return 0.5 * (fake.float() - 1).square().mean()


def hinge_discriminator(real: Logits, fake: Logits) -> Tensor:
    """max(0, 1 - D(x)) + max(0, 1 + D(G(z))) (Lim and Ye 2017; Miyato et al. 2018, Eq. 16)."""
    return F.relu(1 - real.float()).mean() + F.relu(1 + fake.float()).mean()


def wasserstein_discriminator(real: Logits, fake: Logits) -> Tensor:
    """D(G(z)) - D(x), the negative Wasserstein estimate (Arjovsky et al. 2017, Eq. 3), for a Lipschitz critic D."""
    return fake.float().mean() - real.float().mean()


def critic_generator(fake: Logits, real: Logits | None = None) -> Tensor:
    """-D(G(z)), the generator's part of the hinge and the Wasserstein loss (Miyato et al. 2018, Eq. 17)."""
    return -fake.float().mean()


def relativistic_discriminator(real: Logits, fake: Logits) -> Tensor:
    """softplus(-(D(x_i) - D(G(z_i)))) over pairs i (Jolicoeur-Martineau 2019, RpGAN; Huang et al. 2024, R3GAN, Eq. 2).

    Row i of ``real`` is paired with row i of ``fake``, and each patch with the same patch. No batch mean is involved,
    so gradient accumulation and data parallelism do not change the loss.

    Args:
        real: (B, ...) logits.
        fake: (B, ...) logits of the same shape.

    Raises:
        ValueError: the shapes differ.
    """
    return F.softplus(_pairs(fake, real)).mean()


def relativistic_generator(fake: Logits, real: Logits | None = None) -> Tensor:
    """softplus(-(D(G(z_i)) - D(x_i))) over pairs i: `relativistic_discriminator` with exchanged roles.

    Raises:
        ValueError: ``real`` is None or differs from ``fake`` in shape.
    """
    if real is None:
        raise ValueError("the relativistic generator loss needs the logits of real samples, got real=None")
    return F.softplus(_pairs(real, fake)).mean()


def _pairs(minuend: Logits, subtrahend: Logits) -> Tensor:
    if minuend.shape != subtrahend.shape:
        raise ValueError(
            "the relativistic loss needs real and fake logits of one shape, "
            f"got {tuple(minuend.shape)} and {tuple(subtrahend.shape)}"
        )
    return minuend.float() - subtrahend.float()


def matching_aware_discriminator(
    loss: AdversarialLoss, real: Logits, fake: Logits, wrong: Logits, share: float = 0.5
) -> Tensor:
    """The discriminator's loss where real samples with wrong captions are negatives too (Reed et al. 2016, Alg. 1).

    With a loss that is a sum over real and fake samples: real + `share` * wrong + (1 - `share`) * fake.

    Args:
        loss: of the game.
        real: (B, ...) logits of real samples with their captions.
        fake: logits of generated samples with the captions that they were generated from.
        wrong: (B, K, ...) logits of the real samples with K captions of other clips each.
        share: c of the paper, 0 to 1.
    """
    right = real[:, None].expand_as(wrong)
    return (1 - share) * loss.discriminator(real, fake) + share * loss.discriminator(right, wrong)


ADVERSARIAL: dict[str, AdversarialLoss] = {
    "minimax": AdversarialLoss(log_loss_discriminator, minimax_generator, False, 0.0, CONFIDENT),
    "non_saturating": AdversarialLoss(log_loss_discriminator, non_saturating_generator, False, 0.0, CONFIDENT),
    "least_squares": AdversarialLoss(least_squares_discriminator, least_squares_generator, False, 0.5, None),
    "hinge": AdversarialLoss(hinge_discriminator, critic_generator, False, 0.0, 1.0),
    "wasserstein": AdversarialLoss(wasserstein_discriminator, critic_generator, False, None, None),
    # The loss depends on the difference of a pair, so half of the margin applies on each side of the midpoint.
    "relativistic": AdversarialLoss(relativistic_discriminator, relativistic_generator, True, None, CONFIDENT / 2),
}


def with_smoothing(loss: AdversarialLoss, share: float) -> AdversarialLoss:
    """A log loss whose discriminator aims at 1 - share for real samples (Salimans et al. 2016, one-sided smoothing).

    The cross-entropy with this target is the loss plus share * mean D(x). Fakes keep the target 0.
    """

    def discriminator(real: Logits, fake: Logits) -> Tensor:
        return loss.discriminator(real, fake) + share * real.float().mean()

    return loss._replace(discriminator=discriminator)


def with_half(loss: AdversarialLoss) -> AdversarialLoss:
    """A loss whose discriminator minimises half of it: the mean over real and fake samples instead of their sum.

    This is J_D of Goodfellow's tutorial (2016, Eq. 8); the paper of 2014 has no factor. A constant discriminator then
    has a log loss of ln 2 instead of 2 ln 2, and a penalty of the same weight counts twice as much.
    """

    def discriminator(real: Logits, fake: Logits) -> Tensor:
        return 0.5 * loss.discriminator(real, fake)

    return loss._replace(discriminator=discriminator)


@torch.no_grad()
def accuracy(real: Logits, fake: Logits, threshold: float | None = 0.0) -> tuple[Tensor, Tensor]:
    """Accuracy of the discriminator: shares of real logits above and of fake logits below the threshold.

    Both near 0.5: the discriminator cannot separate the samples; both near 1: it separates them completely.

    Args:
        real: (B, ...) logits.
        fake: (B, ...) logits.
        threshold: see `AdversarialLoss`.

    Returns:
        Two float32 scalars in [0, 1] on the logits' device, without gradient.
    """
    real, fake = real.float(), fake.float()
    middle = _middle(real, fake, threshold)
    return (real > middle).float().mean(), (fake < middle).float().mean()


@torch.no_grad()
def saturation(real: Logits, fake: Logits, threshold: float | None = 0.0, margin: float | None = CONFIDENT) -> Tensor:
    """Share of logits that are classified correctly with an almost vanished gradient.

    The mean of two shares: real logits above ``threshold + margin``, and fake logits below ``threshold - margin``.

    Args:
        real: (B, ...) logits.
        fake: (B, ...) logits.
        threshold: see `AdversarialLoss`.
        margin: see `AdversarialLoss`; None gives 0.

    Returns:
        float32 scalar in [0, 1] on the logits' device, without gradient.
    """
    real, fake = real.float(), fake.float()
    if margin is None:
        return real.new_zeros(())
    middle = _middle(real, fake, threshold)
    return 0.5 * ((real > middle + margin).float().mean() + (fake < middle - margin).float().mean())


def _middle(real: Tensor, fake: Tensor, threshold: float | None) -> Tensor:
    return 0.5 * (real.mean() + fake.mean()) if threshold is None else real.new_tensor(threshold)
