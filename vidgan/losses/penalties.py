"""Smoothness of the discriminator: penalties on its input gradient, and weight clipping.

Add a penalty to the discriminator's loss and call backward once on the sum. A separate backward leaves parameters that
do not influence the gradient (the last bias) without one, which fails under data parallelism.
A penalty is a mean over samples only without batch norm: with it, each sample's logit depends on the whole batch.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from vidgan.types import Logits


def r1(real_logits: Logits, real_input: Tensor) -> Tensor:
    """R1 penalty: mean over samples of ||grad D(x)||^2 at real samples x (Mescheder et al. 2018, Eq. 9).

    The paper multiplies by gamma/2: pass gamma/2 as the weight. The same function on generated samples is R2. For a
    patch discriminator, D is the mean over patches, as in the adversarial loss.

    Args:
        real_logits: (B, ...) logits of ``real_input``.
        real_input: (B, ...) clips, frames or flows; must require grad before the discriminator is called.

    Returns:
        float32 scalar >= 0, differentiable with respect to the discriminator's weights.

    Raises:
        ValueError: ``real_input`` does not require grad, or the batch sizes differ.
    """
    if not real_input.requires_grad:
        raise ValueError("r1: real_input must require grad; call real_input.requires_grad_() before the discriminator")
    return _input_gradient(real_logits, real_input).square().sum(dim=1).mean()


def gradient_penalty(discriminator: Callable[[Tensor], Logits], real: Tensor, fake: Tensor, mix: Tensor) -> Tensor:
    """Gradient penalty of WGAN-GP: mean over samples of (||grad D(m)|| - 1)^2 (Gulrajani et al. 2017, Eq. 3).

    m = mix * real + (1 - mix) * fake. For a patch discriminator, D is the mean over patches.

    Args:
        discriminator: maps samples (B, ...) to logits (B, ...).
        real: (B, ...) real samples.
        fake: (B, ...) generated samples of the same shape; detached here.
        mix: (B,) uniform in [0, 1), the weight of the real sample. The caller draws it from a keyed random stream.

    Returns:
        float32 scalar >= 0, differentiable with respect to the discriminator's weights.

    Raises:
        ValueError: ``real`` and ``fake`` differ in shape, or ``mix`` is not (B,).
    """
    if real.shape != fake.shape:
        raise ValueError(
            f"gradient_penalty: real and fake must have the same shape, got {tuple(real.shape)} and {tuple(fake.shape)}"
        )
    if mix.shape != (real.shape[0],):
        raise ValueError(f"mix must have shape ({real.shape[0]},), one number per sample, got {tuple(mix.shape)}")
    share = mix.to(real).reshape(-1, *[1] * (real.dim() - 1))  # (B, 1, ...)
    mixed = (share * real.detach() + (1 - share) * fake.detach()).requires_grad_()
    norms = torch.linalg.vector_norm(_input_gradient(discriminator(mixed), mixed), dim=1)  # (B,)
    return (norms - 1).square().mean()


def path_lengths(outputs: Tensor, codes: Tensor, noise: Tensor) -> Tensor:
    """Length of each sample's |J^T y| for random images y (StyleGAN2, Karras et al. 2020, Eq. 4).

    It is the size of the change of the output for a small step of the code; the penalty is its squared distance from
    its mean over training. For outputs of N numbers with standard normal y / sqrt(N), E|J^T y|^2 = |J|_F^2 / N.

    Args:
        outputs: (B, ...), computed from `codes`.
        codes: (B, D), part of the graph of `outputs`.
        noise: standard normal numbers of the shape of `outputs`.

    Returns:
        (B,) float32, differentiable with respect to the generator's weights.
    """
    weighted = (outputs.float() * noise).sum() / outputs[0].numel() ** 0.5
    (gradient,) = torch.autograd.grad(weighted, codes, create_graph=True)
    return (gradient.float().square().sum(dim=1) + 1e-12).sqrt()


def drift(real_logits: Logits) -> Tensor:
    """Mean squared logit of real samples, E[D(x)^2] (Karras et al. 2018, appendix A.1, with weight 0.001).

    It keeps the logits of a critic without a scale of its own near 0. For patches, each logit counts.

    Args:
        real_logits: (B, ...).

    Returns:
        float32 scalar >= 0.
    """
    return real_logits.float().square().mean()


def _input_gradient(logits: Logits, inputs: Tensor) -> Tensor:
    """Gradient of each sample's mean logit with respect to that sample, as (B, N) float32."""
    if logits.shape[0] != inputs.shape[0]:
        raise ValueError(f"expected one row of logits per sample: {logits.shape[0]} rows for {inputs.shape[0]} samples")
    scores = logits.float().flatten(1).mean(dim=1) if logits.dim() > 1 else logits.float()  # (B,)
    # Each logit depends on its own sample only, so the gradient of the sum holds the gradient of every sample.
    (gradient,) = torch.autograd.grad(scores.sum(), inputs, create_graph=True)
    return gradient.float().flatten(1)


@torch.no_grad()
def clip_weights(module: nn.Module, limit: float) -> None:
    """Clamp every parameter to [-limit, limit] in place, after a critic step (Arjovsky et al. 2017, Algorithm 1).

    Raises:
        ValueError: ``limit`` is not positive.
    """
    if limit <= 0:
        raise ValueError(f"limit of weight clipping must be positive, got {limit}")
    for parameter in module.parameters():
        parameter.clamp_(-limit, limit)
