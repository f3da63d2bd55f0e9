"""What keeps a discriminator smooth: penalties on its input gradient, and weight clipping.

A penalty belongs in the same sum and the same backward as the discriminator's loss; on its own, under data parallelism,
parameters that do not shape the gradient (the last bias) get none and the next step fails.
Under batch norm in the discriminator a sample's gradient contains its neighbours' and these are no longer per sample.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from vidgan.types import Logits


def r1(real_logits: Logits, real_input: Tensor) -> Tensor:
    """R1: mean over samples of the squared norm of the gradient of D at real data (Mescheder et al. 2018, Eq. 9).

    The paper's penalty is gamma/2 times this: give gamma/2 as the weight. Applied to generated samples it is R2.
    A patch discriminator's answer is taken as the mean of its patches, which is what the adversarial loss averages.

    Args:
        real_logits: (B, ...) the answers for ``real_input``.
        real_input: (B, ...) the clips, frames or flows that were judged; must have required grad before that.

    Returns:
        float32 scalar >= 0 that can be differentiated with respect to the discriminator.

    Raises:
        ValueError: ``real_input`` does not require grad, or the batch sizes differ.
    """
    if not real_input.requires_grad:
        raise ValueError("r1 differentiates with respect to its input: call real_input.requires_grad_() before judging")
    return _input_gradient(real_logits, real_input).square().sum(dim=1).mean()


def gradient_penalty(discriminator: Callable[[Tensor], Logits], real: Tensor, fake: Tensor, mix: Tensor) -> Tensor:
    """WGAN-GP: mean over samples of (norm of the gradient of D at a mixture - 1)^2 (Gulrajani et al. 2017, Eq. 3).

    Args:
        discriminator: judges (B, ...) and answers with logits (B, ...); patches are averaged.
        real: (B, ...) real samples.
        fake: (B, ...) generated samples of the same shape; their graph is cut here.
        mix: (B,) uniform in [0, 1), the share of the real sample in each mixture. Passed in, so that the random number
            comes from the caller's keyed stream.

    Returns:
        float32 scalar >= 0 that can be differentiated with respect to the discriminator.

    Raises:
        ValueError: the shapes of ``real`` and ``fake`` differ, or ``mix`` is not one number a sample.
    """
    if real.shape != fake.shape:
        raise ValueError(
            "gradient_penalty mixes real and fake samples of one shape, "
            f"got {tuple(real.shape)} and {tuple(fake.shape)}"
        )
    if mix.shape != (real.shape[0],):
        raise ValueError(f"mix must have shape ({real.shape[0]},), one number a sample, got {tuple(mix.shape)}")
    share = mix.to(real).reshape(-1, *[1] * (real.dim() - 1))  # (B, 1, ...)
    mixed = (share * real.detach() + (1 - share) * fake.detach()).requires_grad_()
    norms = torch.linalg.vector_norm(_input_gradient(discriminator(mixed), mixed), dim=1)  # (B,)
    return (norms - 1).square().mean()


def _input_gradient(logits: Logits, inputs: Tensor) -> Tensor:
    """Gradient of each sample's mean logit with respect to that sample, flattened to (B, numbers) float32."""
    if logits.shape[0] != inputs.shape[0]:
        raise ValueError(f"one row of logits a sample expected: {logits.shape[0]} rows for {inputs.shape[0]} samples")
    scores = logits.float().flatten(1).mean(dim=1) if logits.dim() > 1 else logits.float()  # (B,)
    # Samples do not meet inside the network, so the gradient of the sum holds every sample's own gradient.
    (gradient,) = torch.autograd.grad(scores.sum(), inputs, create_graph=True)
    return gradient.float().flatten(1)


@torch.no_grad()
def clip_weights(module: nn.Module, limit: float) -> None:
    """Clamp every parameter to [-limit, limit], in place, after a critic's step (Arjovsky et al. 2017, Algorithm 1).

    Raises:
        ValueError: ``limit`` is not positive.
    """
    if limit <= 0:
        raise ValueError(f"the weight clip limit must be positive, got {limit}")
    for parameter in module.parameters():
        parameter.clamp_(-limit, limit)
