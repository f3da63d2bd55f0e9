"""Modulated convolutions against explicit weights per sample, and the equalised learning rate."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from vidgan.losses import path_lengths
from vidgan.nn.modulated import EqualisedLinear, ModulatedConv2d, ModulatedLayer, doubled, unit_moment


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("demodulate", [False, True])
def test_an_explicit_weight_for_each_sample_gives_the_same(demodulate: bool) -> None:
    conv = ModulatedConv2d(5, 4, 3, demodulate=demodulate)
    maps, styles = normal(3, 5, 6, 8), 1 + normal(3, 5, seed=1)
    rows = []
    for image, style in zip(maps, styles, strict=True):
        weight = conv.weight / 45**0.5 * style[None, :, None, None]
        if demodulate:
            weight = weight / weight.square().sum(dim=(1, 2, 3), keepdim=True).sqrt()
        rows.append(F.conv2d(image[None], weight, padding=1)[0])
    torch.testing.assert_close(conv(maps, styles), torch.stack(rows), rtol=1e-4, atol=1e-5)


def test_a_hand_computed_value() -> None:
    conv = ModulatedConv2d(2, 1, 1)
    with torch.no_grad():
        conv.weight.copy_(torch.tensor([3.0, 4.0])[None, :, None, None])
    out = conv(torch.ones(1, 2, 1, 1), torch.tensor([[1.0, 2.0]]))
    assert float(out.detach()) == pytest.approx(1.28745, abs=1e-5)  # (3 + 8) / sqrt(9 + 64)


def test_the_size_of_a_style_does_not_matter_behind_demodulation() -> None:
    maps, styles = normal(2, 5, 4, 4), 1 + normal(2, 5, seed=1)
    conv, plain = ModulatedConv2d(5, 4, 3), ModulatedConv2d(5, 4, 3, demodulate=False)
    torch.testing.assert_close(conv(maps, 7 * styles), conv(maps, styles), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(plain(maps, 7 * styles), 7 * plain(maps, styles), rtol=1e-4, atol=1e-4)


def test_doubling_filters_with_1_3_3_1() -> None:
    line = torch.tensor([0.0, 0, 4, 0, 0]).expand(1, 1, 4, 5)
    assert doubled(line)[0, 0, 3].tolist() == [0, 0, 0, 1, 3, 3, 1, 0, 0, 0]


def test_an_equalised_layer_learns_as_a_plain_one_with_scaled_weights() -> None:
    layer, x, target = EqualisedLinear(16, 3), normal(8, 16), normal(8, 3, seed=1)
    scale = 1 / 4
    plain = torch.nn.Linear(16, 3)
    with torch.no_grad():
        plain.weight.copy_(layer.weight * scale)
        plain.bias.copy_(layer.bias)
    ours = torch.optim.Adam(layer.parameters(), lr=0.1, eps=1e-12)
    # Adam's step has the size of the learning rate: scaled weights take scaled steps.
    theirs = torch.optim.Adam([{"params": [plain.weight], "lr": 0.1 * scale}, {"params": [plain.bias], "lr": 0.1}],
                              eps=1e-12)  # fmt: skip
    for module, optimizer in ((layer, ours), (plain, theirs)):
        (module(x) - target).square().mean().backward()
        optimizer.step()
    torch.testing.assert_close(layer.weight * scale, plain.weight, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(layer(x), plain(x), rtol=1e-4, atol=1e-5)


def test_the_rate_changes_the_speed_and_not_the_output() -> None:
    torch.manual_seed(0)
    fast = EqualisedLinear(4, 3, bias=1.0)
    torch.manual_seed(0)
    slow = EqualisedLinear(4, 3, bias=1.0, rate=0.01)
    x = normal(2, 4)
    torch.testing.assert_close(fast(x), slow(x))
    torch.testing.assert_close(slow.weight, 100 * fast.weight)


def test_a_layer_starts_without_noise_and_learns_its_strength() -> None:
    layer = ModulatedLayer(4, 6, dim_style=3, up=True, noisy=True)
    maps, style, noise = normal(2, 4, 3, 3), normal(2, 3), normal(2, 1, 6, 6, seed=2)
    out = layer(maps, style, noise)
    assert out.shape == (2, 6, 6, 6) and torch.equal(out, layer(maps, style, 0 * noise))
    (out * normal(2, 6, 6, 6, seed=3)).sum().backward()
    assert layer.strength is not None and layer.strength.grad is not None and float(layer.strength.grad) != 0


def test_unit_moment() -> None:
    torch.testing.assert_close(
        unit_moment(torch.tensor([[3.0, 4.0]])), torch.tensor([[0.8485, 1.1314]]), atol=1e-4, rtol=0
    )


def test_path_lengths_of_a_linear_map() -> None:
    matrix = normal(4, 50, seed=5)
    codes = normal(2000, 4).requires_grad_()
    outputs = (codes @ matrix).unflatten(1, (2, 5, 5))
    lengths = path_lengths(outputs, codes, normal(2000, 2, 5, 5, seed=1))
    expected = float(matrix.square().sum()) / 50
    assert float(lengths.square().mean().detach()) == pytest.approx(expected, rel=0.05)
    one = path_lengths(outputs, codes, torch.ones(2000, 2, 5, 5))
    torch.testing.assert_close(one, (matrix.sum(dim=1).norm() / 50**0.5).expand(2000))
