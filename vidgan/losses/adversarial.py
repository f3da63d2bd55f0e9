"""The adversarial games, as pairs of functions of a discriminator's answers.

Logits are (B, ...): one number a sample, or one a patch; patches are averaged with everything else. ``D`` below is the
raw answer, never squashed by a sigmoid. Logits are taken to float32 first, so that a bf16 network gets a float32 loss.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from vidgan.types import Logits

# Where sigmoid(logit) is 0.99: beyond it the log-loss games have less than 1 % of their gradient left.
CONFIDENT = math.log(99.0)


class AdversarialLoss(NamedTuple):
    """One game: what the discriminator minimises and what the generator minimises, both scalars.

    ``discriminator(real, fake)`` and ``generator(fake, real)`` take logits; ``real`` may be None for the generator
    unless ``needs_real``. ``threshold`` is the logit above which a sample counts as judged real (None: the midpoint
    between the mean answers, for games whose logits have no zero of their own). ``margin`` is how far beyond the
    threshold a logit has next to no gradient left (None: this game's gradient never dies).
    """

    discriminator: Callable[[Logits, Logits], Tensor]
    generator: Callable[[Logits, Logits | None], Tensor]
    needs_real: bool
    threshold: float | None
    margin: float | None


def log_loss_discriminator(real: Logits, fake: Logits) -> Tensor:
    """-log sigmoid(D(x)) - log(1 - sigmoid(D(G(z)))), means over all logits (Goodfellow et al. 2014, Eq. 1)."""
    return F.softplus(-real.float()).mean() + F.softplus(fake.float()).mean()


def minimax_generator(fake: Logits, real: Logits | None = None) -> Tensor:
    """log(1 - sigmoid(D(G(z)))), the game's own, saturating form (Goodfellow et al. 2014, Eq. 1)."""
    return -F.softplus(fake.float()).mean()


def non_saturating_generator(fake: Logits, real: Logits | None = None) -> Tensor:
    """-log sigmoid(D(G(z))): same fixed point, strong gradient while losing (Goodfellow et al. 2014, section 3)."""
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
    """D(G(z)) - D(x), minus the estimated distance (Arjovsky et al. 2017, Eq. 3); the critic must be Lipschitz."""
    return fake.float().mean() - real.float().mean()


def critic_generator(fake: Logits, real: Logits | None = None) -> Tensor:
    """-D(G(z)): the generator of the hinge and Wasserstein games (Miyato et al. 2018, Eq. 17)."""
    return -fake.float().mean()


def relativistic_discriminator(real: Logits, fake: Logits) -> Tensor:
    """softplus(-(D(x_i) - D(G(z_i)))) over pairs i (Jolicoeur-Martineau 2019, RpGAN; Huang et al. 2024, R3GAN, Eq. 2).

    Row i of ``real`` is paired with row i of ``fake`` and patch with patch, never with a batch mean: so the loss is a
    mean over samples, and accumulation and data parallelism leave it unchanged.

    Raises:
        ValueError: the shapes differ, for then there are no pairs.
    """
    return F.softplus(_pairs(fake, real)).mean()


def relativistic_generator(fake: Logits, real: Logits | None = None) -> Tensor:
    """softplus(-(D(G(z_i)) - D(x_i))) over pairs i (as `relativistic_discriminator`, the roles exchanged).

    Raises:
        ValueError: ``real`` is None or its shape differs from ``fake``.
    """
    if real is None:
        raise ValueError("the relativistic generator loss compares with real samples: pass their logits as `real`")
    return F.softplus(_pairs(real, fake)).mean()


def _pairs(minuend: Logits, subtrahend: Logits) -> Tensor:
    if minuend.shape != subtrahend.shape:
        raise ValueError(
            "the relativistic loss pairs real with fake samples one to one, "
            f"got logits of shapes {tuple(minuend.shape)} and {tuple(subtrahend.shape)}"
        )
    return minuend.float() - subtrahend.float()


ADVERSARIAL: dict[str, AdversarialLoss] = {
    "minimax": AdversarialLoss(log_loss_discriminator, minimax_generator, False, 0.0, CONFIDENT),
    "non_saturating": AdversarialLoss(log_loss_discriminator, non_saturating_generator, False, 0.0, CONFIDENT),
    "least_squares": AdversarialLoss(least_squares_discriminator, least_squares_generator, False, 0.5, None),
    "hinge": AdversarialLoss(hinge_discriminator, critic_generator, False, 0.0, 1.0),
    "wasserstein": AdversarialLoss(wasserstein_discriminator, critic_generator, False, None, None),
    # A pair is decided by its difference, so each side of the midpoint holds half of the margin.
    "relativistic": AdversarialLoss(relativistic_discriminator, relativistic_generator, True, None, CONFIDENT / 2),
}


@torch.no_grad()
def accuracy(real: Logits, fake: Logits, threshold: float | None = 0.0) -> tuple[Tensor, Tensor]:
    """How often the discriminator is right: (share of real logits above, share of fake logits below the threshold).

    ``threshold`` None takes the midpoint of the two mean logits. Both results are float32 scalars in [0, 1], without
    gradient and still on the logits' device. Near 0.5 both: it cannot tell; near 1 both: it wins outright.
    """
    real, fake = real.float(), fake.float()
    middle = _middle(real, fake, threshold)
    return (real > middle).float().mean(), (fake < middle).float().mean()


@torch.no_grad()
def saturation(real: Logits, fake: Logits, threshold: float | None = 0.0, margin: float | None = CONFIDENT) -> Tensor:
    """Share of logits so far on the right side that they hardly teach any more, a float32 scalar in [0, 1].

    Real logits above ``threshold + margin`` and fake ones below ``threshold - margin``, averaged over both sides;
    ``threshold`` None takes the midpoint of the means, ``margin`` None (a game that never saturates) gives 0.
    """
    real, fake = real.float(), fake.float()
    if margin is None:
        return real.new_zeros(())
    middle = _middle(real, fake, threshold)
    return 0.5 * ((real > middle + margin).float().mean() + (fake < middle - margin).float().mean())


def _middle(real: Tensor, fake: Tensor, threshold: float | None) -> Tensor:
    return 0.5 * (real.mean() + fake.mean()) if threshold is None else real.new_tensor(threshold)
