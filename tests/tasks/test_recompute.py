"""Activation checkpointing saves memory and changes nothing else: gradients, noise and buffers stay equal."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from small_networks import small_dual_motion, small_mocogan, style_mocogan
from torch import Tensor, nn

from vidgan.losses.penalties import r1
from vidgan.nn.discriminators import FlowDiscriminator, FrameDiscriminator, VideoDiscriminator
from vidgan.seeding import Draws
from vidgan.tasks.synthesis.mocogan import Mixing
from vidgan.tasks.synthesis.modulated import Truncation
from vidgan.training.cost import Meter

SIZE = (32, 32)


def pair(build: Callable[..., nn.Module], **options: Any) -> list[nn.Module]:
    """The same network with and without checkpointing."""
    networks = []
    for checkpointed in (False, True):
        torch.manual_seed(0)
        networks.append(build(checkpoint_activations=checkpointed, **options))
    return networks


def gradients(network: nn.Module) -> dict[str, Tensor]:
    return {name: p.grad.clone() for name, p in network.named_parameters() if p.grad is not None}


def clips(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def draws(*keys: str) -> Draws:
    return Draws(0, *keys, rows=range(2))


@pytest.mark.parametrize(
    ("build", "shape"),
    [(FrameDiscriminator, (2, 3, *SIZE)), (FlowDiscriminator, (2, 2, *SIZE)), (VideoDiscriminator, (2, 13, 3, *SIZE))],
)
@pytest.mark.parametrize("options", [{"norm": "batch"}, {"spectral": True}, {"norm": "group", "minibatch_std": True}])
def test_a_discriminator_has_the_same_gradients_noise_and_buffers(
    build: Callable[..., nn.Module], shape: tuple[int, ...], options: dict[str, Any]
) -> None:
    """Real and fake pass before one backward, as in training; noise and spectral norm move at each pass."""
    results = []
    for network in pair(build, image_size=SIZE, width=8, noise=0.2, **options):
        real = clips(*shape).requires_grad_()
        streams = draws("real")
        loss = network(real, streams).real.mean() - network(clips(*shape, seed=1), draws("fake")).real.square().mean()
        loss.backward()
        after = streams.normal(3)  # the streams have advanced as far
        results.append((loss, real.grad, after, gradients(network), dict(network.named_buffers())))
    kept, again = results
    for one, other in zip(kept[:3], again[:3], strict=True):
        assert torch.equal(one, other)
    assert kept[3] and kept[3].keys() == again[3].keys()
    for one, other in ((kept[3], again[3]), (kept[4], again[4])):
        for name in one:
            assert torch.equal(one[name], other[name]), name


@pytest.mark.parametrize("spectral", [False, True])
def test_r1_differentiates_twice_through_it(spectral: bool) -> None:
    results = []
    for network in pair(VideoDiscriminator, image_size=SIZE, width=8, noise=0.1, spectral=spectral):
        real = clips(2, 13, 3, *SIZE).requires_grad_()
        logits = network(real, draws()).real
        (logits.mean() + 10 * r1(logits, real)).backward()
        results.append(gradients(network))
    assert results[0].keys() == results[1].keys() and len(results[0]) > 4
    for name, gradient in results[0].items():
        torch.testing.assert_close(results[1][name], gradient, rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize(
    ("build_model", "options"),
    [
        (small_mocogan, {"frame": {"norm": "batch"}}),
        (small_mocogan, {"frame": {"norm": "group"}, "encoder": {"width": 4}}),
        (style_mocogan, {}),
    ],
)
def test_mocogan_has_the_same_gradients_and_statistics(
    build_model: Callable[..., nn.Module], options: dict[str, Any]
) -> None:
    results = []
    for model in pair(build_model, **options):
        network: Any = model
        first_frame = clips(2, 3, *SIZE) if network.needs_first_frame else None
        clip = network(network.draw_latents(draws(), 4), first_frame=first_frame)
        clip.square().mean().backward()
        results.append((clip, gradients(network), dict(network.named_buffers())))
    assert torch.equal(results[0][0], results[1][0])
    for part in (1, 2):
        for name, value in results[0][part].items():
            assert torch.equal(results[1][part][name], value), name


def test_a_modulated_generator_recomputes_noise_mixing_and_truncation_too() -> None:
    """With the style codes given, and through second derivatives, as the path-length term needs them."""
    results = []
    for network in pair(style_mocogan, frame={"kind": "modulated", "noise_levels": 2, "convolutions": 0}):
        model: Any = network
        calls: list[int] = []
        model.frame.register_forward_pre_hook(lambda *_, calls=calls: calls.append(1))
        latents, other = model.draw_latents(draws(), 3), model.draw_latents(draws("other"), 3)
        mixed = model(latents, mixing=Mixing(other.content, torch.tensor([1, 2])), truncation=Truncation(0.7))
        clips_with_styles, styles = model(latents, with_styles=True)
        (first,) = torch.autograd.grad(clips_with_styles.square().sum(), styles, create_graph=True)
        (mixed.square().mean() + first.square().mean()).backward()
        results.append((mixed, gradients(model), dict(model.named_buffers())))
        assert (len(calls) > 2) == model.checkpoint_activations
    assert torch.equal(results[0][0], results[1][0])
    for part in (1, 2):
        assert results[0][part].keys() == results[1][part].keys()
        for name, value in results[0][part].items():
            torch.testing.assert_close(results[1][part][name], value, rtol=1e-4, atol=1e-7, msg=name)


def test_dual_motion_has_the_same_forecast_and_gradients() -> None:
    results = []
    for network in pair(small_dual_motion, widths=(4, 4, 8, 8), estimator={"widths": (4, 4)}, motion_hints=True):
        prediction = network(clips(2, 4, 3, *SIZE), horizon=2, draws=draws())
        sum(part.square().mean() for part in prediction).backward()
        results.append((prediction, gradients(network)))
    for one, other in zip(results[0][0], results[1][0], strict=True):
        torch.testing.assert_close(other, one, rtol=1e-5, atol=1e-6)
    assert len(results[0][1]) == len(results[1][1]) == len(list(network.parameters()))
    for name, gradient in results[0][1].items():
        torch.testing.assert_close(results[1][1][name], gradient, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("build", "options", "inputs"),
    [
        (FrameDiscriminator, {"width": 16, "norm": "group"}, (8, 3, 64, 64)),
        (VideoDiscriminator, {"width": 8, "norm": "group"}, (2, 16, 3, 64, 64)),
        (
            small_dual_motion,
            {"widths": (8, 16, 16, 16), "dim_latent": 16, "estimator": {"widths": (8, 8)}},
            (2, 6, 3, 64, 64),
        ),
    ],
)
def test_less_memory_is_used_at_once(
    build: Callable[..., nn.Module], options: dict[str, Any], inputs: tuple[int, ...]
) -> None:
    peaks = []
    for network in pair(build, image_size=(64, 64), **options):
        with Meter() as meter:
            real, fake = (network(clips(*inputs, seed=seed))[0] for seed in (0, 1))  # both pass before one backward
            (real - fake).square().mean().backward()
        peaks.append(max(meter.history))
    assert peaks[1] < 0.8 * peaks[0]
