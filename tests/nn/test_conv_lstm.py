"""ConvLSTM against PyTorch's LSTMCell, and properties of a recurrent network."""

import pytest
import torch
from einops import rearrange
from torch import nn

from vidgan.nn.conv_lstm import ConvLSTM, ConvLSTMCell, ConvLSTMState


def test_with_a_1x1_kernel_it_is_an_lstm_cell_on_every_pixel() -> None:
    torch.manual_seed(0)
    reference = nn.LSTMCell(3, 4)
    cell = ConvLSTMCell(in_channels=3, hidden_channels=4, kernel_size=1)
    with torch.no_grad():
        cell.input_gates.weight.copy_(reference.weight_ih[:, :, None, None])
        cell.hidden_gates.weight.copy_(reference.weight_hh[:, :, None, None])
        cell.input_gates.bias.copy_(reference.bias_ih + reference.bias_hh)
    inputs = torch.randn(5, 2, 3, 4, 6)  # (time, B, C, H, W)
    state = None
    expected: tuple[torch.Tensor, torch.Tensor] | None = None
    for frame in inputs:
        state = cell(frame, state)
        expected = reference(rearrange(frame, "b c h w -> (b h w) c"), expected)
    assert state is not None and expected is not None
    for maps, rows in zip(state, expected, strict=True):
        torch.testing.assert_close(rearrange(maps, "b c h w -> (b h w) c"), rows, atol=1e-6, rtol=1e-5)


def test_a_sequence_equals_the_cell_step_by_step() -> None:
    torch.manual_seed(1)
    net = ConvLSTM(in_channels=2, hidden_channels=3)
    sequence = torch.randn(2, 4, 2, 5, 7)
    outputs, last = net(sequence)
    state: ConvLSTMState | None = None
    for t in range(4):
        state = net.cell(sequence[:, t], state)
        torch.testing.assert_close(outputs[:, t], state.hidden)
    assert state is not None
    torch.testing.assert_close(last.cell, state.cell)


def test_a_sequence_can_be_continued_from_its_state() -> None:
    torch.manual_seed(2)
    net = ConvLSTM(in_channels=2, hidden_channels=3)
    sequence = torch.randn(1, 5, 2, 4, 4)
    whole, _ = net(sequence)
    first, state = net(sequence[:, :2])
    second, _ = net(sequence[:, 2:], state)
    torch.testing.assert_close(torch.cat([first, second], dim=1), whole)


def test_receptive_field_in_space_and_time() -> None:
    torch.manual_seed(3)
    net = ConvLSTM(in_channels=1, hidden_channels=2)
    sequence = torch.zeros(1, 2, 1, 7, 7, requires_grad=True)
    net(sequence)[0][0, -1, :, 3, 3].sum().backward()
    assert sequence.grad is not None
    reached = (sequence.grad[0, :, 0] != 0).float()
    assert reached[1].nonzero().tolist() == [[y, x] for y in (2, 3, 4) for x in (2, 3, 4)]
    assert reached[0].sum() == 25  # the recurrent convolution extends 3x3 to 5x5


def test_the_forget_gate_starts_open() -> None:
    cell = ConvLSTMCell(in_channels=1, hidden_channels=2)
    assert cell.input_gates.bias is not None
    assert cell.input_gates.bias.tolist() == [0, 0, 1, 1, 0, 0, 0, 0]


def test_the_state_stays_float32_under_autocast() -> None:
    net = ConvLSTM(in_channels=2, hidden_channels=3)
    with torch.autocast("cpu", torch.bfloat16):
        _, state = net(torch.randn(1, 3, 2, 4, 4))
    assert state.cell.dtype == torch.float32


def test_an_even_kernel_is_rejected() -> None:
    with pytest.raises(ValueError, match="kernel_size"):
        ConvLSTMCell(in_channels=1, hidden_channels=1, kernel_size=4)
