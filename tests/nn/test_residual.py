"""Residual blocks and the discriminators made of them."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vidgan.nn.blocks import halved
from vidgan.nn.residual import ResidualBlock, branch_scale_of
from vidgan.nn.residual_discriminators import ResidualFrameDiscriminator, ResidualVideoDiscriminator
from vidgan.tasks.synthesis.residual import ResidualFrameGenerator
from vidgan.types import UNLABELLED


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def block(*channels: int, **options: Any) -> ResidualBlock:
    torch.manual_seed(0)
    return ResidualBlock(*channels, **options)


def test_a_branch_that_starts_at_zero_leaves_the_input() -> None:
    maps = normal(2, 6, 4, 6)
    assert torch.equal(block(6, 6, zero_start=True)(maps), maps)
    assert torch.equal(block(6, 6, zero_start=True, resample="down")(maps), halved(maps))
    doubled = block(6, 6, zero_start=True, resample="up")(maps)
    assert torch.equal(doubled, F.interpolate(maps, scale_factor=2.0))
    clip = normal(2, 6, 5, 4, 4)
    assert torch.equal(block(6, 6, zero_start=True, clips=True, temporal=True)(clip), clip[:, :, 1:-1])
    assert not torch.equal(block(6, 6)(maps), maps)


def test_the_branch_is_scaled() -> None:
    maps = normal(2, 6, 4, 4)
    whole, tenth = block(6, 6)(maps) - maps, block(6, 6, scale=0.1)(maps) - maps
    torch.testing.assert_close(0.1 * whole, tenth, rtol=1e-4, atol=1e-6)
    assert branch_scale_of(None, normalised=False) == 0.1 and branch_scale_of(None, normalised=True) == 1.0
    assert branch_scale_of(0.5, normalised=False) == 0.5


def test_resampling_and_a_pointwise_convolution_commute() -> None:
    point, maps = nn.Conv2d(5, 3, 1), normal(2, 5, 6, 4)
    torch.testing.assert_close(point(halved(maps)), halved(point(maps)))
    up = F.interpolate(maps, scale_factor=2.0)
    torch.testing.assert_close(point(up), F.interpolate(point(maps), scale_factor=2.0))


def test_the_first_block_reads_pixels_without_an_activation() -> None:
    # On non-negative pixels the activation changes nothing, on negative ones it would.
    first, later, pixels = block(3, 3, first=True), block(3, 3), normal(1, 3, 4, 4)
    assert torch.equal(first(pixels.abs()), later(pixels.abs()))
    assert not torch.allclose(first(-pixels.abs()), later(-pixels.abs()))


@pytest.mark.parametrize("size", [(96, 160), (32, 48), (64, 64)])
@pytest.mark.parametrize("width", [3, 5])
def test_any_size_and_odd_channels(size: tuple[int, int], width: int) -> None:
    generator = ResidualFrameGenerator(
        image_size=size, dim_content=3, dim_motion=2, width=width, max_width=7, norm="none"
    )
    frames = generator(normal(2, 3), normal(2, 2))
    assert frames.shape == (2, 3, *size)
    network = ResidualFrameDiscriminator(image_size=size, width=width, max_width=7, minibatch_std=True)
    assert network(frames).real.shape == (2,)


@pytest.mark.parametrize("norm", ["none", "group", "pixel"])
def test_rows_of_a_batch_are_independent(norm: str) -> None:
    torch.manual_seed(0)
    generator = ResidualFrameGenerator(image_size=(32, 32), dim_content=3, dim_motion=2, width=4, norm=norm)
    content, motion = normal(3, 3), normal(3, 2, seed=1)
    other = torch.cat([content[:1], 5 + content[1:]])
    torch.testing.assert_close(generator(content, motion)[0], generator(other, motion)[0])


def test_motion_levels_keep_motion_out_of_the_fine_blocks() -> None:
    generator = ResidualFrameGenerator(
        image_size=(32, 32), dim_content=3, dim_motion=2, width=4, max_width=8, motion_levels=1
    )
    widths = [b.norms[0].style.in_features for b in generator.blocks]  # type: ignore[union-attr, index]
    assert widths == [5, 3, 3]
    plain = ResidualFrameGenerator(image_size=(32, 32), dim_content=3, dim_motion=2, width=4, modulated=False)
    assert all(b.norms[0].style is None for b in plain.blocks)  # type: ignore[union-attr, index]
    assert plain(normal(1, 3), normal(1, 2)).shape == (1, 3, 32, 32)
    with pytest.raises(ValueError, match="motion_levels=3"):
        ResidualFrameGenerator(image_size=(32, 32), dim_content=3, dim_motion=2, motion_levels=3)


def video(**options: Any) -> ResidualVideoDiscriminator:
    torch.manual_seed(0)
    return ResidualVideoDiscriminator(image_size=(32, 32), width=4, max_width=8, **options)


def test_receptive_fields_and_windows() -> None:
    assert video().receptive_frames == 9  # three halving blocks and one more
    network = video(max_receptive_frames=5, num_categories=3)
    assert network.receptive_frames == 5
    clip = normal(2, 7, 3, 32, 32)
    windows = [network(clip[:, start : start + 5]) for start in range(3)]
    whole = network(clip)
    torch.testing.assert_close(whole.real, torch.stack([w.real for w in windows]).mean(0), rtol=1e-4, atol=1e-4)
    assert whole.category is not None and whole.category.shape == (2, 3)
    with pytest.raises(ValueError, match="max_receptive_frames=4"):
        network(clip[:, :4])
    with pytest.raises(ValueError, match="at least 3"):
        video(max_receptive_frames=2)


def test_projection_adds_the_product_of_embedding_and_features() -> None:
    network = video(max_receptive_frames=3, num_categories=3, projection=True)
    clip = normal(4, 3, 3, 32, 32)
    plain = network(clip, category=torch.full((4,), UNLABELLED))
    shown = network(clip, category=torch.tensor([0, 2, 1, UNLABELLED]))
    assert plain.category is None and torch.equal(shown.real[3], plain.real[3])
    assert not torch.allclose(shown.real[:3], plain.real[:3])
    features = torch.stack([(network(clip, category=torch.full((4,), k)).real - plain.real) for k in range(3)])
    assert network.embedding is not None
    with torch.no_grad():
        network.embedding.weight.mul_(2)
        doubled = torch.stack([(network(clip, category=torch.full((4,), k)).real - plain.real) for k in range(3)])
    torch.testing.assert_close(doubled, 2 * features, rtol=1e-3, atol=1e-3)
    heads = video(max_receptive_frames=3, num_categories=3)
    for wrong in (network, lambda samples: heads(samples, category=torch.zeros(4).long())):
        with pytest.raises(ValueError, match="projection"):
            wrong(clip)
    with pytest.raises(ValueError, match="num_categories"):
        video(projection=True)


def test_spectral_norm_of_every_layer() -> None:
    network = video(max_receptive_frames=3, num_categories=3, projection=True, spectral=True, attention=(8,))
    layers = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.Conv3d | nn.Linear)]
    assert len(layers) > 10 and all(hasattr(layer, "parametrizations") for layer in layers)
