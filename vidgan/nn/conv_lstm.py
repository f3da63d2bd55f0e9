"""Convolutional LSTM (Shi et al. 2015, "Convolutional LSTM Network", equation 3) without peepholes.

Peephole weights would tie the cell to one frame size; this cell runs on any.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["ConvLSTM", "ConvLSTMCell", "ConvLSTMState"]


class ConvLSTMState(NamedTuple):
    """What a cell hands from one time to the next, both at least float32."""

    hidden: Tensor  # (B, hidden_channels, H, W), in (-1, 1)
    cell: Tensor  # (B, hidden_channels, H, W)


class ConvLSTMCell(nn.Module):
    """One step of a convolutional LSTM.

    The gates follow the order of `torch.nn.LSTMCell` (input, forget, candidate, output), so with ``kernel_size=1`` the
    cell is an LSTMCell on every pixel. The forget gate's bias starts at one: the cell remembers until it learns not to.

    Args:
        in_channels: channels of the input maps.
        hidden_channels: channels of the hidden and of the cell maps.
        kernel_size: odd; the maps keep their size (zero padding).

    Raises:
        ValueError: the kernel size is even.
    """

    def __init__(self, *, in_channels: int, hidden_channels: int, kernel_size: int = 3) -> None:
        super().__init__()
        if kernel_size % 2 == 0:
            raise ValueError(f"ConvLSTMCell: kernel_size must be odd to keep the map size, got {kernel_size}")
        self.hidden_channels = hidden_channels
        padding = kernel_size // 2
        self.input_gates = nn.Conv2d(in_channels, 4 * hidden_channels, kernel_size, padding=padding)
        self.hidden_gates = nn.Conv2d(hidden_channels, 4 * hidden_channels, kernel_size, padding=padding, bias=False)
        bias = self.input_gates.bias
        assert bias is not None
        nn.init.zeros_(bias)
        nn.init.ones_(bias[hidden_channels : 2 * hidden_channels])

    def initial_state(self, inputs: Tensor) -> ConvLSTMState:
        """All-zero state for inputs (B, C, H, W)."""
        # float32 also under autocast: the cell map is a sum over time and would lose small changes in bfloat16.
        dtype = torch.promote_types(inputs.dtype, torch.float32)
        shape = (inputs.shape[0], self.hidden_channels, *inputs.shape[-2:])
        zeros = torch.zeros(shape, dtype=dtype, device=inputs.device)
        return ConvLSTMState(zeros, zeros)

    def forward(self, inputs: Tensor, state: ConvLSTMState | None = None) -> ConvLSTMState:
        """Inputs (B, in_channels, H, W) and the state before them -> the state after; None is the all-zero state."""
        state = self.initial_state(inputs) if state is None else state
        return self.step(self.input_gates(inputs) + self.hidden_gates(state.hidden), state)

    def step(self, gates: Tensor, state: ConvLSTMState) -> ConvLSTMState:
        """One step from the gates before their activation, (B, 4 * hidden_channels, H, W)."""
        input_gate, forget_gate, candidate, output_gate = gates.chunk(4, dim=1)
        cell = forget_gate.sigmoid() * state.cell + input_gate.sigmoid() * candidate.tanh()
        return ConvLSTMState(output_gate.sigmoid() * cell.tanh(), cell)


class ConvLSTM(nn.Module):
    """A `ConvLSTMCell` over time; the arguments are the cell's."""

    def __init__(self, *, in_channels: int, hidden_channels: int, kernel_size: int = 3) -> None:
        super().__init__()
        self.cell = ConvLSTMCell(in_channels=in_channels, hidden_channels=hidden_channels, kernel_size=kernel_size)

    def forward(self, sequence: Tensor, state: ConvLSTMState | None = None) -> tuple[Tensor, ConvLSTMState]:
        """Run over a sequence, from the given state or from zeros.

        Args:
            sequence: (B, T, in_channels, H, W), T >= 1.
            state: the state that an earlier call returned, to continue it.

        Returns:
            The hidden maps of all times, (B, T, hidden_channels, H, W), and the last state.
        """
        times = sequence.shape[1]
        # Before the first time the hidden map is zero and adds nothing. (Alone, it must still reach the weights.)
        fresh = state is None and times > 1
        state = self.cell.initial_state(sequence[:, 0]) if state is None else state
        # The inputs are known for all times, so their convolution is one call; only the hidden maps' share must wait.
        gates = self.cell.input_gates(sequence.flatten(0, 1)).unflatten(0, (-1, times))
        recurrent = self.cell.hidden_gates
        # Cast once: autocast keeps its casts of weights that learn, and casts frozen ones anew at every time.
        weight = recurrent.weight.to(gates.dtype)
        hidden = []
        for t, now in enumerate(gates.unbind(dim=1)):
            if t > 0 or not fresh:
                now = now + F.conv2d(state.hidden, weight, padding=recurrent.padding)
            state = self.cell.step(now, state)
            hidden.append(state.hidden)
        return torch.stack(hidden, dim=1), state
