"""The moving average: values computed by hand, copied buffers, save and load."""

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from vidgan.errors import CheckpointError
from vidgan.training.ema import ExponentialMovingAverage


def scalar(value: float) -> nn.Linear:
    net = nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        net.weight.fill_(value)
    return net


def averages(ema: ExponentialMovingAverage, values: list[float]) -> list[float]:
    results = []
    for value in values:
        ema.update(scalar(value))
        results.append(float(next(ema.module.parameters())))
    return results


def test_decay_below_the_warm_up_is_constant() -> None:
    ema = ExponentialMovingAverage(scalar(8.0), decay=0.0625)
    # copy 4; 0.0625 * 4 + 0.9375 * 0 = 0.25; 0.0625 * 0.25 + 0.9375 * 1 = 0.953125
    assert averages(ema, [4.0, 0.0, 1.0]) == [4.0, 0.25, 0.953125]
    assert ema.updates == 3


def test_warm_up_by_hand() -> None:
    ema = ExponentialMovingAverage(scalar(8.0), decay=0.2)
    decays = []
    expected = value = 5.0
    for step, weight in enumerate([5.0, 1.0, 3.0, -2.0]):
        decays.append(ema.current_decay())
        ema.update(scalar(weight))
        if step > 0:
            value = decays[-1] * value + (1 - decays[-1]) * weight
            expected = value
        assert float(next(ema.module.parameters())) == pytest.approx(expected, rel=1e-6)
    assert decays == pytest.approx([1 / 10, 2 / 11, 0.2, 0.2])  # 3/12 = 0.25 exceeds the decay


@pytest.mark.parametrize("decay", [-0.1, 1.0, 1.5])
def test_decay_out_of_range_is_refused(decay: float) -> None:
    with pytest.raises(ValueError, match=rf"decay={decay}"):
        ExponentialMovingAverage(scalar(1.0), decay=decay)


def test_buffers_are_copied_and_parameters_averaged() -> None:
    net = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3))
    ema = ExponentialMovingAverage(net, decay=0.5)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    for step in range(3):
        net(torch.randn(4, 2, 6, 6, generator=torch.Generator().manual_seed(step))).square().mean().backward()
        optimizer.step()
        ema.update(net)
    live, average = dict(net.named_buffers()), dict(ema.module.named_buffers())
    assert int(average["1.num_batches_tracked"]) == 3
    for name, buffer in live.items():
        assert torch.equal(average[name], buffer), name
        assert average[name] is not buffer
    assert not torch.equal(ema.module.get_parameter("0.weight"), net.get_parameter("0.weight"))
    assert net.training and not ema.module.training
    assert not any(parameter.requires_grad for parameter in ema.module.parameters())
    assert all(parameter.requires_grad for parameter in net.parameters())


def test_spectral_norm_is_averaged_and_its_vectors_copied() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(spectral_norm(nn.Linear(4, 4)), nn.ReLU(), spectral_norm(nn.Linear(4, 1)))
    ema = ExponentialMovingAverage(net, decay=0.0)  # decay 0: the average is the live net
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    x = torch.randn(5, 4)
    for _ in range(3):
        net(x).sum().backward()
        optimizer.step()
        ema.update(net)
    net.eval()
    assert torch.allclose(ema.module(x), net(x), atol=1e-6)
    assert "0.parametrizations.weight.original" in ema.state_dict()
    for name, buffer in net.named_buffers():
        assert torch.equal(dict(ema.module.named_buffers())[name], buffer)


def test_restored_average_continues_identically() -> None:
    first = ExponentialMovingAverage(scalar(8.0), decay=0.99)
    averages(first, [1.0, 2.0, 3.0])
    tensors = {key: value.clone() for key, value in first.state_dict().items()}
    assert tensors.keys() == scalar(0.0).state_dict().keys()
    second = ExponentialMovingAverage(scalar(-1.0), decay=0.99)
    second.load_state_dict(tensors, first.updates)
    assert second.updates == 3
    assert averages(second, [4.0, 5.0]) == averages(first, [4.0, 5.0])
    with pytest.raises(CheckpointError, match="weight"):
        second.load_state_dict({}, 0)


def test_the_distance_is_relative() -> None:
    ema = ExponentialMovingAverage(scalar(0.0), decay=0.5)
    averages(ema, [3.0])
    assert ema.distance(scalar(3.0)) == 0
    assert ema.distance(scalar(4.0)) == pytest.approx(0.25)
