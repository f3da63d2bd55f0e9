"""MoCoGAN as one function from codes to uint8 clips, of any number of clips and frames."""

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch._higher_order_ops.scan import scan

from vidgan.pixels import to_byte, to_float
from vidgan.tasks.synthesis.mocogan import MoCoGAN
from vidgan.tasks.synthesis.motion import RecurrentMotion
from vidgan.types import Latents

__all__ = ["ClipRenderer"]


class ScannedMotion(nn.Module):
    """`RecurrentMotion` whose loop over time is part of the program (`Scan` of ONNX), so that the length is free."""

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


class ClipRenderer(nn.Module):
    """Codes -> clips.

    Args:
        model: the generator; a copy is made, the model stays as it is.

    Attributes:
        input_names: the inputs that this model needs, in order: content (B, dim_content), motion (B, steps,
            dim_motion), both float32; category (B,) int64; first_frame (B, 3, H, W) uint8.
    """

    def __init__(self, model: MoCoGAN) -> None:
        super().__init__()
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        if isinstance(self.model.motion, RecurrentMotion):
            self.model.motion = ScannedMotion(self.model.motion)
        optional = {"category": model.num_categories > 0, "first_frame": model.encoder is not None}
        self.input_names = ["content", "motion", *(name for name, is_needed in optional.items() if is_needed)]

    def forward(self, *inputs: Tensor) -> Tensor:
        """The inputs named by `input_names` -> (B, T, 3, H, W) uint8."""
        given = dict(zip(self.input_names, inputs, strict=True))
        content = given["content"]
        category = given.get("category", torch.zeros_like(content[:, 0], dtype=torch.int64))
        first_frame = to_float(given["first_frame"]) if "first_frame" in given else None
        clips: Any = self.model(Latents(content, given["motion"], category), first_frame=first_frame)
        return to_byte(clips)

    def example(self, clips: int, frames: int) -> tuple[Tensor, ...]:
        """Inputs of this size."""
        model = self.model
        shapes: dict[str, Tensor] = {
            "content": torch.zeros(clips, model.dim_content),
            "motion": torch.zeros(clips, model.warm_up + frames + 1, model.dim_motion),
            "category": torch.zeros(clips, dtype=torch.int64),
            "first_frame": torch.zeros(clips, model.channels, *model.image_size, dtype=torch.uint8),
        }
        return tuple(shapes[name] for name in self.input_names)
