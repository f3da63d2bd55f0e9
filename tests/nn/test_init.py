"""Weight initialisation under each scheme."""

import copy

import pytest
import torch
from torch import nn

from vidgan.nn.conv_lstm import ConvLSTM
from vidgan.nn.init import initialise
from vidgan.nn.spectral_norm import spectral_normalise


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(8, 64, 4), nn.BatchNorm2d(64), nn.ConvTranspose2d(64, 32, 4), nn.Linear(32, 16))


def test_default_changes_nothing() -> None:
    net = network()
    before = copy.deepcopy(net.state_dict())
    initialise(net, "default")
    assert all(torch.equal(before[k], v) for k, v in net.state_dict().items())


def test_normal_is_the_scheme_of_dcgan() -> None:
    net = network()
    initialise(net, "normal")
    for layer, mean in ((net[0], 0.0), (net[1], 1.0), (net[2], 0.0)):
        weight = layer.weight.detach()
        assert float(weight.mean()) == pytest.approx(mean, abs=0.008)
        assert float(weight.std()) == pytest.approx(0.02, rel=0.25)
        assert float(layer.bias.detach().abs().max()) == 0


def test_orthogonal_rows_are_orthonormal() -> None:
    net = network()
    initialise(net, "orthogonal")
    rows = net[0].weight.detach().flatten(1)  # (64, 128)
    torch.testing.assert_close(rows @ rows.T, torch.eye(64), atol=1e-5, rtol=0)
    assert torch.equal(net[1].weight.detach(), torch.ones(64))


def test_recurrent_cells_keep_their_initialisation() -> None:
    cells = nn.ModuleList([nn.GRUCell(3, 4), ConvLSTM(in_channels=3, hidden_channels=4)])
    before = copy.deepcopy(cells.state_dict())
    initialise(cells, "normal")
    assert all(torch.equal(before[k], v) for k, v in cells.state_dict().items())


def test_a_spectrally_normalised_weight_is_reinitialised_and_stays_normalised() -> None:
    net = network()
    spectral_normalise(net)
    initialise(net, "normal")
    assert float(net[0].parametrizations.weight.original.detach().std()) == pytest.approx(0.02, rel=0.1)
    # A power iteration that continued from the old weight would be inaccurate in the first steps.
    assert float(torch.linalg.matrix_norm(net.eval()[0].weight.detach().flatten(1), 2)) == pytest.approx(1.0, rel=0.05)


def test_the_same_seed_gives_the_same_weights() -> None:
    first, second = network(), network()
    for net in (first, second):
        torch.manual_seed(3)
        initialise(net, "orthogonal")
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


def test_an_unknown_scheme_is_rejected() -> None:
    with pytest.raises(ValueError, match="init.*'xavier'.*'default', 'normal', 'orthogonal'"):
        initialise(network(), "xavier")
