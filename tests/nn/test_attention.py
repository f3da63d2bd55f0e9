"""Self-attention against an explicit double loop, its start as the identity, and its second derivative."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from vidgan.losses import r1
from vidgan.nn.attention import ClipAttention, SelfAttention, attention_gammas, require_sides
from vidgan.nn.residual_discriminators import ResidualFrameDiscriminator, ResidualVideoDiscriminator


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def attention(channels: int = 16, gamma: float | None = None, **options: Any) -> SelfAttention:
    torch.manual_seed(0)
    layer = SelfAttention(channels, **options)
    if gamma is not None:
        layer.gamma.data.fill_(gamma)
    return layer


def test_it_starts_as_the_identity_and_only_gamma_has_a_gradient() -> None:
    layer, maps = attention(), normal(2, 16, 4, 6)
    out = layer(maps)
    assert torch.equal(out, maps)
    (out * normal(*out.shape, seed=1)).sum().backward()
    for name, parameter in layer.named_parameters():
        assert parameter.grad is not None
        assert bool(parameter.grad.any()) == (name == "gamma"), name


def test_an_explicit_loop_gives_the_same() -> None:
    layer, maps = attention(gamma=0.7), normal(2, 16, 4, 4)
    expected = maps.clone()
    for n in range(2):
        places = maps[n].flatten(1)  # (C, 16)
        queries = layer.theta.weight[:, :, 0, 0] @ places
        keys = F.max_pool2d((layer.phi.weight[:, :, 0, 0] @ places).unflatten(1, (4, 4)), 2).flatten(1)
        values = F.max_pool2d((layer.g.weight[:, :, 0, 0] @ places).unflatten(1, (4, 4)), 2).flatten(1)
        for place in range(16):
            scores = torch.stack([queries[:, place] @ keys[:, key] for key in range(4)]).exp()
            mixed = sum(scores[key] / scores.sum() * values[:, key] for key in range(4))
            expected[n, :, place // 4, place % 4] += 0.7 * (layer.output.weight[:, :, 0, 0] @ mixed)
    torch.testing.assert_close(layer(maps), expected, rtol=1e-5, atol=1e-5)


def test_without_queries_each_place_reads_the_mean_of_the_pooled_values() -> None:
    layer, maps = attention(gamma=1.0), normal(2, 16, 4, 4)
    torch.nn.init.zeros_(layer.theta.weight)
    mean = F.max_pool2d(layer.g(maps), 2).mean(dim=(2, 3), keepdim=True)
    torch.testing.assert_close(layer(maps), maps + layer.output(mean).expand_as(maps))


def test_a_constant_map_reads_its_own_value() -> None:
    layer, maps = attention(gamma=1.0), normal(1, 16, 1, 1).expand(1, 16, 6, 4)
    torch.testing.assert_close(layer(maps), maps + layer.output(layer.g(maps)))


@pytest.mark.parametrize("axes", ["temporal", "separable"])
def test_time_has_no_direction_and_any_length(axes: str) -> None:
    torch.manual_seed(0)
    layer = ClipAttention(8, axes)
    for name, gamma in layer.named_parameters():
        if name.endswith("gamma"):
            gamma.data.fill_(0.5)
    for frames in (3, 5):
        maps = normal(2, 8, frames, 4, 6)
        torch.testing.assert_close(layer(maps.flip(2)), layer(maps).flip(2))
        assert not torch.allclose(layer(maps), maps)


def test_temporal_attention_mixes_frames_of_a_place_only_and_spatial_places_of_a_frame() -> None:
    maps = normal(1, 8, 4, 4, 4)
    changed = maps.clone()
    changed[:, :, 1, 2, 3] = 5 * normal(1, 8, seed=2)
    for axes, dims in (("temporal", (3, 4)), ("spatial", (2,))):
        torch.manual_seed(0)
        layer = ClipAttention(8, axes)
        next(gamma for name, gamma in layer.named_parameters() if name.endswith("gamma")).data.fill_(1.0)
        differs = (layer(changed) - layer(maps)).abs().amax(dim=1)[0] > 1e-7  # (T, H, W)
        expected = torch.zeros_like(differs)
        if axes == "temporal":
            expected[:, 2, 3] = True
        else:
            expected[1] = True
        assert not bool((differs & ~expected).any()) and int(differs.sum()) > 1, dims


@pytest.mark.parametrize("pooled", [False, True])
def test_it_can_be_differentiated_twice(pooled: bool) -> None:
    layer = attention(8, gamma=0.6, pooled=pooled).double()
    maps = normal(1, 8, 2, 4).double().requires_grad_()
    assert torch.autograd.gradgradcheck(layer, (maps,))


def test_r1_through_an_attending_discriminator_equals_finite_differences(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.Tensor, "float", torch.Tensor.double)
    torch.manual_seed(0)
    network = ResidualFrameDiscriminator(image_size=(32, 32), width=4, max_width=8, attention=(8,)).double()
    for gamma in attention_gammas(network).values():
        gamma.fill_(0.5)
    frames = (0.3 * normal(1, 3, 32, 32).double()).requires_grad_()
    penalty = r1(network(frames).real, frames)
    penalty.backward()
    weight = network.attention["1"].g.weight  # type: ignore[union-attr]
    assert isinstance(weight, torch.nn.Parameter) and weight.grad is not None

    def at(offset: float) -> float:
        with torch.no_grad():
            weight[0, 0] += offset
        value = float(r1(network(frames).real, frames))
        with torch.no_grad():
            weight[0, 0] -= offset
        return value

    assert float(weight.grad[0, 0]) == pytest.approx((at(1e-4) - at(-1e-4)) / 2e-4, rel=1e-4)


def test_gammas_are_reported_by_layer() -> None:
    network = ResidualVideoDiscriminator(
        image_size=(32, 32), width=4, max_width=8, attention=(8,), attention_axes="separable", max_receptive_frames=3
    )
    assert list(attention_gammas(network)) == [f"attention.1.passes.{name}" for name in ("height", "width", "time")]
    assert all(float(gamma) == 0 for gamma in attention_gammas(network).values())


@pytest.mark.parametrize("attention", [(12,), (8, 8)])
def test_resolutions_that_do_not_occur_are_refused(attention: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="attention"):
        require_sides(attention, (4, 8, 16))
