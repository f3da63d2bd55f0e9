"""Recurrent parts whose loop over time is part of the exported program (`Scan` of ONNX), so that the length is free."""

from typing import Any

import torch
from torch import Tensor, nn
from torch._higher_order_ops.scan import scan

from vidgan.nn.text import GRUTextEncoder
from vidgan.tasks.synthesis.motion import RecurrentMotion
from vidgan.tokens import PADDING

__all__ = ["ScannedMotion", "ScannedText"]


class ScannedMotion(nn.Module):
    """`RecurrentMotion` as a scan."""

    def __init__(self, motion: RecurrentMotion) -> None:
        super().__init__()
        self.motion = motion

    def forward(self, noise: Tensor, condition: Tensor) -> Tensor:
        """As `RecurrentMotion.forward`."""
        motion, condition = self.motion, condition.to(noise.dtype)

        def advance(state: Tensor, step_noise: Tensor) -> tuple[Tensor, Tensor]:
            state = motion.cell(torch.cat([step_noise, condition], dim=1), state)
            return state, state.clone()

        start = motion.first(noise[:, 0]).clone(memory_format=torch.contiguous_format)  # laid out as later states are
        _, states = scan(advance, start, (motion.input_scale * noise[:, 1:]).transpose(0, 1))
        path: Tensor = motion.output(states.transpose(0, 1))
        return path


class ScannedText(nn.Module):
    """`GRUTextEncoder` as one scan per direction. Words behind the end leave the state as it is."""

    def __init__(self, encoder: GRUTextEncoder) -> None:
        super().__init__()
        self.hidden = encoder.hidden
        self.words = encoder.words
        self.forth, self.back = _cell(encoder.gru, ""), _cell(encoder.gru, "_reverse")

    def forward(self, tokens: Tensor) -> Tensor:
        """As `GRUTextEncoder.forward`."""
        is_word = (tokens != PADDING).float()  # (N, L)
        words = torch.cat([self.words(tokens), is_word[:, :, None]], dim=2).transpose(0, 1)  # (L, N, E + 1)
        sums = [self._sum(self.forth, words), self._sum(self.back, words.flip(0))]
        return torch.cat(sums, dim=1) / is_word.sum(dim=1, keepdim=True)

    def _sum(self, cell: nn.GRUCell, words: Tensor) -> Tensor:
        """The states at all words (L, N, E + 1), summed: (N, hidden / 2)."""

        def advance(state: Tensor, word: Tensor) -> tuple[Tensor, Tensor]:
            is_word = word[:, -1:]
            state = torch.where(is_word > 0, cell(word[:, :-1], state), state)
            return state, state * is_word

        _, states = scan(advance, words.new_zeros(words.shape[1], cell.hidden_size), words)
        return states.sum(dim=0)


def _cell(gru: nn.GRU, direction: str) -> nn.GRUCell:
    """A cell with the weights of one direction of a layer."""
    cell = nn.GRUCell(gru.input_size, gru.hidden_size)
    named: dict[str, Any] = dict(gru.named_parameters())
    cell.load_state_dict({name: named[f"{name}_l0{direction}"] for name, _ in cell.named_parameters()})
    return cell
