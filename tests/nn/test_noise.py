"""Instance noise: standard deviation, when it is active, and its random streams."""

import pytest
import torch
from torch import nn

from vidgan.nn.noise import InstanceNoise, set_noise
from vidgan.seeding import Draws


def draws(*rows: int) -> Draws:
    return Draws("noise test", rows=rows)


def test_noise_has_the_requested_standard_deviation() -> None:
    x = torch.full((2, 3, 64, 64), 5.0)
    change = InstanceNoise(0.3)(x, draws(0, 1)) - x
    assert abs(float(change.mean())) < 0.01
    assert float(change.std()) == pytest.approx(0.3, rel=0.02)


def test_noise_is_off_in_eval_mode_and_at_sigma_zero() -> None:
    x = torch.randn(2, 3, 4, 4)
    assert InstanceNoise(0.3).eval()(x, None) is x
    assert InstanceNoise(0.0)(x, None) is x


def test_a_row_gets_the_same_noise_in_any_batch() -> None:
    x = torch.zeros(3, 2, 4, 4)
    whole = InstanceNoise(1.0)(x, draws(4, 7, 9))
    assert torch.equal(InstanceNoise(1.0)(x[:1], draws(7)), whole[1:2])


def test_streams_continue_from_layer_to_layer() -> None:
    stream, x = draws(0), torch.zeros(1, 100)
    layer = InstanceNoise(1.0)
    assert not torch.allclose(layer(x, stream), layer(x, stream))


def test_missing_draws_and_wrong_row_counts_are_rejected() -> None:
    with pytest.raises(ValueError, match=r"sigma=0\.1.*draws"):
        InstanceNoise(0.1)(torch.zeros(2, 3), None)
    with pytest.raises(ValueError, match="2 rows, got 3"):
        InstanceNoise(0.1)(torch.zeros(2, 3), draws(0, 1, 2))


def test_memory_layout_is_preserved_and_does_not_change_values() -> None:
    x = torch.randn(2, 3, 4, 5)
    plain = InstanceNoise(0.5)(x, draws(0, 1))
    last = InstanceNoise(0.5)(x.contiguous(memory_format=torch.channels_last), draws(0, 1))
    assert last.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(plain, last)


def test_the_dtype_is_preserved() -> None:
    assert InstanceNoise(0.5)(torch.zeros(1, 4, dtype=torch.bfloat16), draws(0)).dtype == torch.bfloat16


def test_set_noise_changes_every_layer_and_rejects_negative_values() -> None:
    net = nn.Sequential(InstanceNoise(), nn.ReLU(), nn.Sequential(InstanceNoise(0.2)))
    set_noise(net, 0.05)
    assert [m.sigma for m in net.modules() if isinstance(m, InstanceNoise)] == [0.05, 0.05]
    with pytest.raises(ValueError, match=r"sigma.*got -1"):
        set_noise(net, -1.0)
