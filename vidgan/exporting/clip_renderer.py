"""MoCoGAN as one function from codes to uint8 clips, of any number of clips and frames."""

import copy
from typing import Any, Final

import torch
from torch import Tensor, nn

from vidgan.errors import ConfigError
from vidgan.exporting.scans import ScannedMotion, ScannedText
from vidgan.nn.text import GRUTextEncoder
from vidgan.pixels import to_byte, to_float
from vidgan.tasks.synthesis.mocogan import MoCoGAN
from vidgan.tasks.synthesis.motion import RecurrentMotion
from vidgan.tasks.text.sentence import SentenceTextEncoder
from vidgan.types import Latents

__all__ = ["ClipRenderer"]

EXAMPLE_WORDS: Final = 7


class ClipRenderer(nn.Module):
    """Codes -> clips.

    Args:
        model: the generator; a copy is made, the model stays as it is.

    Attributes:
        input_names: the inputs that this model needs, in order: content (B, dim_content), motion (B, steps,
            dim_motion), both float32; category (B,) int64; tokens (B, L) int64, the words of captions by number, and
            text (B, dim_text) float32, the noise of their codes; first_frame (B, 3, H, W) uint8.
    """

    def __init__(self, model: MoCoGAN) -> None:
        super().__init__()
        if model.text is not None and isinstance(model.text.encoder, SentenceTextEncoder):
            raise ConfigError(
                "model.text.kind=sentence: the published sentence encoder is no part of the model and is not exported;"
                " accepted: models with kind=gru"
            )
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        if isinstance(self.model.motion, RecurrentMotion):
            self.model.motion = ScannedMotion(self.model.motion)
        if self.model.text is not None and isinstance(self.model.text.encoder, GRUTextEncoder):
            self.model.text.encoder = ScannedText(self.model.text.encoder)
        optional = {
            "category": model.num_categories > 0,
            "tokens": model.text is not None,
            "text": model.text is not None,
            "first_frame": model.encoder is not None,
        }
        self.input_names = ["content", "motion", *(name for name, is_needed in optional.items() if is_needed)]

    def forward(self, *inputs: Tensor) -> Tensor:
        """The inputs named by `input_names` -> (B, T, 3, H, W) uint8."""
        given = dict(zip(self.input_names, inputs, strict=True))
        content = given["content"]
        category = given.get("category", torch.zeros_like(content[:, 0], dtype=torch.int64))
        first_frame = to_float(given["first_frame"]) if "first_frame" in given else None
        latents = Latents(content, given["motion"], category)
        if "tokens" in given:
            latents, _, _ = self.model.with_text(latents._replace(text=given["text"]), given["tokens"])
        clips: Any = self.model(latents, first_frame=first_frame)
        return to_byte(clips)

    def example(self, clips: int, frames: int) -> tuple[Tensor, ...]:
        """Inputs of this size."""
        model = self.model
        shapes: dict[str, Tensor] = {
            "content": torch.zeros(clips, model.dim_content + model.noise_places),
            "motion": torch.zeros(clips, model.warm_up + frames + 1, model.dim_motion + model.codes.motion_width),
            "category": torch.zeros(clips, dtype=torch.int64),
            "tokens": torch.ones(clips, EXAMPLE_WORDS, dtype=torch.int64),
            "text": torch.zeros(clips, 0 if model.text is None else model.text.dim),
            "first_frame": torch.zeros(clips, model.channels, *model.image_size, dtype=torch.uint8),
        }
        return tuple(shapes[name] for name in self.input_names)
