"""Local correlation: values by definition, and derivatives."""

import pytest
import torch

from vidgan.nn.correlation import local_correlation, unit_length


def maps(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_each_channel_is_the_product_with_one_displaced_position() -> None:
    current, previous = maps(0, 2, 3, 4, 5), maps(1, 2, 3, 4, 5)
    costs = local_correlation(current, previous, 2)
    assert costs.shape == (2, 25, 4, 5)
    for dy in (-2, 0, 1):
        for dx in (-1, 0, 2):
            for y in range(4):
                for x in range(5):
                    inside = 0 <= y + dy < 4 and 0 <= x + dx < 5
                    value = current[:, :, y, x] * previous[:, :, y + dy, x + dx] if inside else torch.zeros(2, 3)
                    channel = (dy + 2) * 5 + dx + 2
                    torch.testing.assert_close(costs[:, channel, y, x], value.double().sum(dim=1))


def test_derivatives_and_shapes() -> None:
    inputs = (maps(2, 2, 3, 4, 5).requires_grad_(), maps(3, 2, 3, 4, 5).requires_grad_())
    assert torch.autograd.gradcheck(lambda a, b: local_correlation(a, b, 1), inputs)
    with pytest.raises(ValueError, match="same shape"):
        local_correlation(inputs[0], inputs[1][:, :, :3], 1)


def test_unit_length_ignores_contrast_and_keeps_nothing_small() -> None:
    one = maps(4, 1, 3, 4, 5).float()
    torch.testing.assert_close(unit_length(one).square().sum(dim=1), torch.ones(1, 4, 5), atol=1e-4, rtol=0)
    torch.testing.assert_close(unit_length(3 * one), unit_length(one), atol=1e-4, rtol=0)
    assert not bool(unit_length(0 * one).any())
