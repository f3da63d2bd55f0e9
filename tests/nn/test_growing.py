"""Networks that grow: what a level adds, and that a whole level is the network without the levels above."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from vidgan.nn.blocks import halved
from vidgan.nn.growing import EqualisedConv2d, Growth, enlarged, faded_clip
from vidgan.nn.norms import PixelNorm
from vidgan.nn.progressive_discriminators import ProgressiveFrameDiscriminator, ProgressiveVideoDiscriminator
from vidgan.tasks.synthesis.progressive import ProgressiveFrameGenerator

CODES = {"dim_content": 5, "dim_motion": 3}


def generator(side: int, width: int) -> ProgressiveFrameGenerator:
    torch.manual_seed(0)
    return ProgressiveFrameGenerator(image_size=(side, side), width=width, max_width=8, **CODES)


def codes() -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(1)
    return torch.randn(4, 5, generator=draw), torch.randn(4, 3, generator=draw)


def samples(kind: str, side: int) -> Tensor:
    shape = (4, 3, side, side) if kind == "frame" else (4, 8, 3, side, side)
    return torch.rand(*shape, generator=torch.Generator().manual_seed(2)) * 2 - 1


def discriminator(kind: str, side: int, width: int) -> Any:
    torch.manual_seed(0)
    if kind == "frame":
        return ProgressiveFrameDiscriminator(image_size=(side, side), width=width, max_width=8)
    options: dict[str, Any] = {"temporal_levels": 2, "temporal_difference": 1.0, "num_categories": 2}
    return ProgressiveVideoDiscriminator(image_size=(side, side), width=width, max_width=8, **options)


def copy_coarse(large: nn.Module, small: nn.Module) -> None:
    """Give a network of four levels the weights of one of five, without its finest level."""
    weights = {key: value for key, value in large.state_dict().items() if ".4." not in key and "growth" not in key}
    loaded = small.load_state_dict(weights, strict=False)
    assert loaded.missing_keys == ["growth.progress"] and not loaded.unexpected_keys


def test_a_whole_level_of_the_generator_is_the_smaller_network() -> None:
    large, small = generator(64, 4), generator(32, 8)
    copy_coarse(large, small)
    large.grow(3.0)
    with torch.no_grad():
        grown = large(*codes(), native_size=True)
        assert grown.shape == (4, 3, 32, 32) and torch.equal(grown, small(*codes()))
        assert torch.equal(large(*codes()), enlarged(grown, (64, 64)))  # what users get
        large.grow(3 + 1e-7)  # a level that only begins to fade in
        torch.testing.assert_close(large(*codes()), enlarged(grown, (64, 64)), atol=1e-5, rtol=0)
        large.grow(3.25)
        between = large(*codes())
        large.grow(4.0)
        whole = large(*codes())
        large.grow(4 - 1e-9)
        torch.testing.assert_close(large(*codes()), whole, atol=1e-5, rtol=0)
    mixed = torch.lerp(enlarged(grown, (64, 64)).atanh(), whole.atanh(), 0.25).tanh()
    torch.testing.assert_close(between, mixed, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("kind", ["frame", "video"])
def test_a_whole_level_of_a_discriminator_is_the_smaller_network(kind: str) -> None:
    large, small = discriminator(kind, 64, 4), discriminator(kind, 32, 8)
    copy_coarse(large, small)
    large.grow(3.0)
    of_half = samples(kind, 32)
    with torch.no_grad():
        old = large(of_half)
        assert torch.equal(old.real, small(of_half).real) and old.real.shape == (4,)
        large.grow(3 + 1e-7)
        doubled = enlarged(of_half.flatten(0, -4), (64, 64)).unflatten(0, of_half.shape[:-3])
        torch.testing.assert_close(large(doubled).real, old.real, atol=1e-4, rtol=0)
    with pytest.raises(ValueError, match="64x64"):
        large(of_half)


def test_idle_modules_get_no_gradient_and_all_others_do() -> None:
    frame, judge = generator(64, 4), discriminator("frame", 64, 4)
    for progress in (2.0, 2.5, 3.0, 4.0):
        for network in (frame, judge):
            network.zero_grad()
            network.grow(progress)
        # The deviation of two equal samples has no gradient, so samples differ.
        judge(frame(*codes(), native_size=True)).real.square().sum().backward()
        for network in (frame, judge):
            idle = {id(p) for module in network.idle_modules() for p in module.parameters()}
            for name, weight in network.named_parameters():
                assert (weight.grad is None) == (id(weight) in idle), (progress, name)


def test_levels_that_read_time_must_work() -> None:
    judge = discriminator("video", 64, 4)
    judge.grow(1.0)
    assert judge.sample_size == (8, 8)
    with pytest.raises(ValueError, match="temporal_levels"):
        judge.grow(0.5)


def test_growth_is_saved_exactly_and_checked() -> None:
    growth, other = Growth(5), Growth(5)
    assert (growth.level, growth.alpha) == (4, 1.0)
    growth.set(2 + 1 / 3)
    other.load_state_dict(growth.state_dict())
    assert (other.level, other.alpha) == (growth.level, growth.alpha) and growth.level == 3
    assert growth.alpha == pytest.approx(1 / 3)
    for wrong in (-0.5, 4.5, float("nan")):
        with pytest.raises(ValueError, match="progress"):
            growth.set(wrong)
        with pytest.raises(ValueError, match="progress"):
            other.load_state_dict({"progress": torch.tensor(wrong)})


def test_real_clips_lose_the_detail_that_has_not_faded_in() -> None:
    clip = samples("video", 32)
    assert torch.equal(faded_clip(clip, (32, 32), 1.0), clip)
    small = faded_clip(clip, (8, 8), 1.0)
    assert small.shape == (4, 8, 3, 8, 8)
    torch.testing.assert_close(small[..., 0, 0], clip[..., :4, :4].mean(dim=(-2, -1)))
    half = faded_clip(clip, (8, 8), 0.25)
    coarse = enlarged(halved(small.flatten(0, 1)), (8, 8)).unflatten(0, (4, 8))
    torch.testing.assert_close(half, 0.75 * coarse + 0.25 * small)


def test_equalised_layers_move_as_plain_ones_of_a_scaled_rate() -> None:
    torch.manual_seed(0)
    layer, maps = EqualisedConv2d(3, 2, (3, 3)), torch.randn(2, 3, 6, 6)
    scale = 1 / 27**0.5
    plain = nn.Conv2d(3, 2, 3, padding=1)
    with torch.no_grad():
        plain.weight.copy_(scale * layer.weight)
        plain.bias.zero_()  # type: ignore[union-attr]
    torch.testing.assert_close(layer(maps), plain(maps))
    optimizers = torch.optim.Adam([layer.weight], lr=0.01), torch.optim.Adam([plain.weight], lr=0.01 * scale)
    for network, optimizer in zip((layer, plain), optimizers, strict=True):
        network(maps).square().sum().backward()
        optimizer.step()
    torch.testing.assert_close(layer(maps), plain(maps))


def test_pixel_norm_of_two_channels() -> None:
    made = PixelNorm()(torch.tensor([3.0, 4.0])[None, :, None, None]).flatten() / 2**0.5
    torch.testing.assert_close(made, torch.tensor([0.6, 0.8]))
