"""Size arithmetic, norms, coordinates, minibatch standard deviation and spectral norm."""

import copy

import pytest
import torch
from torch import nn

from vidgan.nn.blocks import MinibatchStd
from vidgan.nn.norms import PixelNorm, norm_layer, norm_shifts
from vidgan.nn.pyramid import channel_plan, pyramid
from vidgan.nn.spectral_norm import spectral_normalise


@pytest.mark.parametrize(
    ("size", "depth", "grid"),
    [
        ((32, 32), 3, (4, 4)),
        ((64, 64), 4, (4, 4)),
        ((96, 96), 4, (6, 6)),
        ((128, 160), 5, (4, 5)),
        ((96, 32), 3, (12, 4)),
        ((48, 48), 3, (6, 6)),
        ((112, 112), 4, (7, 7)),
        ((256, 256), 6, (4, 4)),
    ],
)
def test_pyramid_halves_while_sides_stay_at_least_four(
    size: tuple[int, int], depth: int, grid: tuple[int, int]
) -> None:
    assert pyramid(size) == (depth, grid)
    assert (grid[0] * 2**depth, grid[1] * 2**depth) == size


@pytest.mark.parametrize("size", [(16, 32), (50, 64), (64, 40), (0, 64)])
def test_pyramid_rejects_other_sizes(size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=f"image_size={size[0]}x{size[1]}.*16"):
        pyramid(size)


def test_channel_plan_doubles_up_to_the_cap() -> None:
    assert channel_plan(64, 5, 512) == [64, 128, 256, 512, 512]
    with pytest.raises(ValueError, match="max_width=8"):
        channel_plan(16, 2, 8)


@pytest.mark.parametrize("norm", ["none", "instance", "group", "pixel"])
@pytest.mark.parametrize("shape", [(3, 16, 6, 6), (3, 16, 4, 6, 6)])
def test_all_norms_except_batch_keep_rows_independent(norm: str, shape: tuple[int, ...]) -> None:
    layer = norm_layer(norm, 16, dims=len(shape) - 2)
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(layer(x)[1:2], layer(x[1:2]))


def test_batch_norm_mixes_rows() -> None:
    layer = norm_layer("batch", 16)
    x = torch.randn(3, 16, 6, 6, generator=torch.Generator().manual_seed(0))
    assert not torch.allclose(layer(x)[1:2], layer(x[1:2]), atol=1e-3)


@pytest.mark.parametrize(("channels", "groups"), [(4, 1), (16, 2), (24, 3), (64, 8), (512, 32)])
def test_group_norm_has_groups_of_at_least_eight_where_possible(channels: int, groups: int) -> None:
    layer = norm_layer("group", channels)
    assert isinstance(layer, nn.GroupNorm) and layer.num_groups == groups


@pytest.mark.parametrize("norm", ["batch", "instance", "group"])
def test_norms_with_an_offset_make_a_bias_redundant(norm: str) -> None:
    layer = norm_layer(norm, 8)
    assert norm_shifts(norm) and layer.bias is not None
    x = torch.randn(4, 8, 5, 5, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(layer(x + 3), layer(x), atol=1e-4, rtol=1e-4)


def test_pixel_norm_makes_unit_mean_square_everywhere() -> None:
    x = 5 * torch.randn(2, 8, 3, 4, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(PixelNorm()(x).square().mean(1), torch.ones(2, 3, 4))
    assert not norm_shifts("pixel")


def test_unknown_names_are_rejected_with_the_accepted_ones() -> None:
    with pytest.raises(ValueError, match="norm.*'layer'.*'none', 'batch'"):
        norm_layer("layer", 8)


def test_minibatch_std_by_hand() -> None:
    # Four rows form one group: the values 0, 0, 2, 2 have standard deviation 1 at every position.
    x = torch.tensor([0.0, 0.0, 2.0, 2.0]).reshape(4, 1, 1, 1).expand(4, 2, 3, 3)
    y = MinibatchStd()(x)
    assert y.shape == (4, 3, 3, 3)
    torch.testing.assert_close(y[:, 2], torch.ones(4, 3, 3))


def test_minibatch_std_accepts_any_batch_and_is_zero_for_equal_samples() -> None:
    for batch in (1, 2, 5, 6, 8):
        y = MinibatchStd()(torch.ones(batch, 2, 2, 3, 3))
        assert y.shape == (batch, 3, 2, 3, 3)
        assert float(y[:, 2].abs().max()) < 1e-3


@pytest.mark.parametrize(
    ("kind", "arguments"),
    [(nn.Conv2d, (3, 8, 4)), (nn.ConvTranspose2d, (8, 3, 4)), (nn.Conv3d, (2, 4, 3)), (nn.Linear, (6, 5))],
)
def test_spectral_norm_divides_by_the_largest_singular_value(kind: type[nn.Module], arguments: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    layer = kind(*arguments)
    raw = layer.get_parameter("weight").detach().clone()
    rows = raw.transpose(0, 1) if isinstance(layer, nn.ConvTranspose2d) else raw
    largest = torch.linalg.matrix_norm(rows.flatten(1), 2)
    spectral_normalise(layer)
    for _ in range(200):
        normalised = layer.weight  # each access in training mode is one power iteration
    torch.testing.assert_close(normalised, raw / largest, rtol=1e-3, atol=1e-5)


def test_spectral_norm_stays_in_float32_under_autocast() -> None:
    autocast_on: list[bool] = []
    layer = nn.Conv2d(3, 8, 4).eval()
    spectral_normalise(layer)
    norm = next(m for m in layer.modules() if type(m).__name__ == "_SpectralNorm")
    norm.register_forward_hook(lambda *_: autocast_on.append(torch.is_autocast_enabled("cpu")))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert layer(torch.zeros(1, 3, 8, 8)).dtype == torch.bfloat16
    assert autocast_on == [False]


def test_a_spectral_module_can_be_copied_and_reloaded() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 2, 3))
    spectral_normalise(net)
    duplicate = copy.deepcopy(net)
    duplicate.load_state_dict(net.state_dict())
    x = torch.randn(1, 3, 8, 8)
    assert torch.equal(net.eval()(x), duplicate.eval()(x))
    assert sum(p.numel() for p in net.parameters()) == 3 * 4 * 9 + 4 + 4 * 2 * 9 + 2
