"""R_M, MoCoGAN's motion network: from fresh noise at each step to a path of motion codes."""

from typing import Literal

import torch
from torch import Tensor, nn

from vidgan.nn.modes import without_autocast
from vidgan.sections import Section, option

__all__ = ["RecurrentMotion", "RecurrentMotionConfig", "WalkMotion", "WalkMotionConfig"]


class RecurrentMotionConfig(Section):
    """R_M: one GRU cell that turns per-step noise into a path of motion codes."""

    kind: Literal["recurrent"] = option("recurrent", "A GRU, as in the paper.")
    hidden: int | None = option(None, "Size of the GRU's state; null for the length of the motion code.", ge=1)
    linear: bool = option(False, "Codes are a linear map of the state instead of the state itself.")
    input_scale: float = option(1.0, "Standard deviation of the noise that enters at each step.", gt=0)
    inertia: float = option(0.0, "Initial bias of the update gate; above 0 the path starts out slow and smooth.")
    warm_up: int = option(
        0, "GRU steps discarded before frame 0, so that the random initial state has decayed.", unit="steps", ge=0
    )


class RecurrentMotion(nn.Module):
    """One GRU cell (Tulyakov et al. 2018, section 3.1).

    Any motion network has this protocol: `forward(noise, condition) -> path` with noise (B, T+1, dim_motion), condition
    (B, num_conditions) and path (B, T, dim_motion), and, if it needs steps before frame 0, an attribute `warm_up`.

    Args:
        dim_motion: length of the codes and of the noise.
        num_conditions: length of the constant input beside the noise (one-hot category), 0 for none.
        hidden: size of the GRU's state. If it differs from `dim_motion`, a linear layer maps the initial state to it.
        linear: codes are a linear map of the state; otherwise they are the state, each value within (-1, 1) once the
            initial state has decayed (the paper's).
        input_scale: standard deviation of the per-step noise.
        inertia: added to the initial bias of the update gate; above 0 the path starts out slow and smooth.
        warm_up: steps before frame 0 that the caller discards.
    """

    def __init__(
        self,
        *,
        dim_motion: int,
        num_conditions: int = 0,
        hidden: int | None = None,
        linear: bool = False,
        input_scale: float = 1.0,
        inertia: float = 0.0,
        warm_up: int = 0,
    ) -> None:
        super().__init__()
        hidden = hidden or dim_motion
        if hidden != dim_motion and not linear:
            raise ValueError(f"hidden={hidden} differs from dim_motion={dim_motion}: linear must be true")
        self.input_scale = input_scale
        self.warm_up = warm_up
        self.cell = nn.GRUCell(dim_motion + num_conditions, hidden)
        with torch.no_grad():
            self.cell.bias_ih[hidden : 2 * hidden] += inertia  # gates in the order reset, update, new
        self.first = nn.Linear(dim_motion, hidden) if hidden != dim_motion else nn.Identity()
        self.output = nn.Linear(hidden, dim_motion) if linear else nn.Identity()

    def forward(self, noise: Tensor, condition: Tensor) -> Tensor:
        """Generate a path.

        Args:
            noise: (B, T+1, dim_motion) standard normal; row 0 is the initial state, rows 1..T the inputs.
            condition: (B, num_conditions), the same at every step.

        Returns:
            Codes of steps 1..T, (B, T, dim_motion) float32; the initial state is no frame's code.
        """
        # The state is a sum over time: in bfloat16 the path of a long clip would drift.
        with without_autocast(noise.device.type):
            noise, condition = noise.float(), condition.float()
            state = self.first(noise[:, 0])  # (B, hidden)
            states = []
            for step_noise in (self.input_scale * noise[:, 1:]).unbind(dim=1):
                state = self.cell(torch.cat([step_noise, condition], dim=1), state)
                states.append(state)
            return self.output(torch.stack(states, dim=1))


class WalkMotionConfig(Section):
    """R_M: a walk whose steps an LSTM cell chooses, from a standstill (MoCoGAN-HD, Tian et al. 2021)."""

    kind: Literal["walk"] = option("walk", "A walk that starts at 0; each step depends on a recurrent state.")
    hidden: int = option(64, "Size of the state.", ge=1)
    step_size: float = option(0.2, "Largest change of each value of the code between two frames.", gt=0)


class WalkMotion(nn.Module):
    """m(t) = m(t - 1) + step_size * tanh(W h(t) + b), with m of frame 0 equal to 0.

    Frame 0 shows the content alone, so a frame generator that was trained on single frames can be moved from there.
    With `frame.kind=modulated` and `motion_enters=style` the walk is one in the space of styles.

    Args:
        dim_motion: length of the codes and of the noise.
        num_conditions: length of the constant input beside the noise, 0 for none.
        hidden: size of the state.
        step_size: largest change of each value of the code between two frames.
    """

    def __init__(self, *, dim_motion: int, num_conditions: int = 0, hidden: int = 64, step_size: float = 0.2) -> None:
        super().__init__()
        self.step_size = step_size
        self.cell = nn.LSTMCell(dim_motion + num_conditions, hidden)
        self.first = nn.Linear(dim_motion, hidden)
        self.output = nn.Linear(hidden, dim_motion)

    def forward(self, noise: Tensor, condition: Tensor) -> Tensor:
        """Generate a path; noise (B, T+1, dim_motion) and condition (B, num_conditions) as in `RecurrentMotion`.

        Returns:
            (B, T, dim_motion) float32; row 0 is 0. The noise of frame 0 is not used.
        """
        with without_autocast(noise.device.type):
            noise, condition = noise.float(), condition.float()
            state = torch.tanh(self.first(noise[:, 0]))  # (B, hidden)
            memory = torch.zeros_like(state)
            steps = [noise.new_zeros(len(noise), noise.shape[2])]
            for step_noise in noise[:, 2:].unbind(dim=1):
                state, memory = self.cell(torch.cat([step_noise, condition], dim=1), (state, memory))
                steps.append(self.step_size * torch.tanh(self.output(state)))
            return torch.stack(steps, dim=1).cumsum(dim=1)
