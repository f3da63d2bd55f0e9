"""Convolutional LSTM (Shi et al. 2015, Eq. 3) without peephole weights.

Peephole weights would restrict the cell to one frame size.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

__all__ = ["ConvLSTM", "ConvLSTMCell", "ConvLSTMState"]


class ConvLSTMState(NamedTuple):
    """Recurrent state of a cell, at least float32."""

    hidden: Tensor  # (B, hidden_channels, H, W), in (-1, 1)
    cell: Tensor  # (B, hidden_channels, H, W)


class ConvLSTMCell(nn.Module):
    """One step of a convolutional LSTM.

    The gates have the order of `torch.nn.LSTMCell` (input, forget, candidate, output). The cell is an
    LSTMCell at every pixel if ``kernel_size=1``. The bias of the forget gate is initialised to one, so that the state
    persists at first (Jozefowicz et al. 2015).

    Args:
        in_channels: channels of the input maps.
        hidden_channels: channels of the hidden and the cell maps.
        kernel_size: odd; zero padding keeps the size of the maps.

    Raises:
        ValueError: the kernel size is even.
    """

    def __init__(self, *, in_channels: int, hidden_channels: int, kernel_size: int = 3) -> None:
        super().__init__()
        if kernel_size % 2 == 0:
            raise ValueError(f"ConvLSTMCell: kernel_size must be odd, got {kernel_size}")
        self.hidden_channels = hidden_channels
        padding = kernel_size // 2
        self.input_gates = nn.Conv2d(in_channels, 4 * hidden_channels, kernel_size, padding=padding)
        self.hidden_gates = nn.Conv2d(hidden_channels, 4 * hidden_channels, kernel_size, padding=padding, bias=False)
        bias = self.input_gates.bias
        assert bias is not None
        nn.init.zeros_(bias)
        nn.init.ones_(bias[hidden_channels : 2 * hidden_channels])

    def initial_state(self, inputs: Tensor) -> ConvLSTMState:
        """Zero state for inputs (B, C, H, W)."""
        # float32 even under autocast: the cell map is a sum over time and would lose small updates in bfloat16.
        dtype = torch.promote_types(inputs.dtype, torch.float32)
        shape = (inputs.shape[0], self.hidden_channels, *inputs.shape[-2:])
        zeros = torch.zeros(shape, dtype=dtype, device=inputs.device)
        return ConvLSTMState(zeros, zeros)

    def forward(self, inputs: Tensor, state: ConvLSTMState | None = None) -> ConvLSTMState:
        """Advance by one time step: inputs (B, in_channels, H, W) and the previous state (None: zeros) -> new state."""
        state = self.initial_state(inputs) if state is None else state
        return self.step(self.input_gates(inputs) + self.hidden_gates(state.hidden), state)

    def step(self, gates: Tensor, state: ConvLSTMState) -> ConvLSTMState:
        """Advance by one time step, given the pre-activations of the gates (B, 4 * hidden_channels, H, W)."""
        input_gate, forget_gate, candidate, output_gate = gates.chunk(4, dim=1)
        cell = forget_gate.sigmoid() * state.cell + input_gate.sigmoid() * candidate.tanh()
        return ConvLSTMState(output_gate.sigmoid() * cell.tanh(), cell)


class ConvLSTM(nn.Module):
    """Applies a `ConvLSTMCell` to a sequence; arguments as for the cell."""

    def __init__(self, *, in_channels: int, hidden_channels: int, kernel_size: int = 3) -> None:
        super().__init__()
        self.cell = ConvLSTMCell(in_channels=in_channels, hidden_channels=hidden_channels, kernel_size=kernel_size)

    def forward(self, sequence: Tensor, state: ConvLSTMState | None = None) -> tuple[Tensor, ConvLSTMState]:
        """Run the cell over a sequence.

        Args:
            sequence: (B, T, in_channels, H, W), T >= 1.
            state: final state of an earlier call, to continue its sequence; None starts from zeros.

        Returns:
            Hidden maps of all time steps, (B, T, hidden_channels, H, W), and the final state.
        """
        num_steps = sequence.shape[1]
        # The initial hidden map is zero, so its convolution can be omitted, except in a sequence of length 1, where the
        # recurrent weights would get no gradient.
        skip_first = state is None and num_steps > 1
        state = self.cell.initial_state(sequence[:, 0]) if state is None else state
        # The inputs of all time steps are known, so they are convolved in one call. Only hidden maps are sequential.
        gates = self.cell.input_gates(rearrange(sequence, "b t c h w -> (b t) c h w"))
        gates = rearrange(gates, "(b t) c h w -> b t c h w", t=num_steps)
        recurrent = self.cell.hidden_gates
        # Cast once: autocast caches the casts of trainable weights, but repeats those of frozen ones at every step.
        weight = recurrent.weight.to(gates.dtype)
        hidden = []
        for t, step_gates in enumerate(gates.unbind(dim=1)):
            if t > 0 or not skip_first:
                step_gates = step_gates + F.conv2d(state.hidden, weight, padding=recurrent.padding)
            state = self.cell.step(step_gates, state)
            hidden.append(state.hidden)
        return torch.stack(hidden, dim=1), state
