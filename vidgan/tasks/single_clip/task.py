"""The task `single_clip`: a pyramid of generators from one clip."""

import logging
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from vidgan.tasks.adversarial import build_game
from vidgan.tasks.base import DataFacts, Preview, Task, TrainingParts
from vidgan.tasks.single_clip.config import PyramidConfig
from vidgan.tasks.single_clip.pyramid import PyramidCritic, PyramidGAN, build_pyramid, pyramid_sizes
from vidgan.tasks.single_clip.scaling import ClipSize
from vidgan.tasks.single_clip.training import PyramidTraining
from vidgan.types import ByteClip
from vidgan.video.encode import tile, webp_bytes

logger = logging.getLogger(__name__)

__all__ = ["SingleClipTask"]

PREVIEW_SAMPLES = 3


class SingleClipTask(Task[PyramidConfig]):
    """SinGAN in space and time."""

    name = "single_clip"
    config = PyramidConfig
    model = PyramidGAN
    evaluation = "clips"
    default_config = "single_clip/pyramid"
    preview_clips = 1
    previews_held_out = False
    one_process = "each step trains on one clip, which several cannot share"

    def build_generator(self, config: PyramidConfig, data: DataFacts) -> nn.Module:
        """The pyramid for the clip's length and size."""
        return build_pyramid(config.model, ClipSize(config.data.frames, *data.image_size))

    def build_discriminator(self, name: str, config: PyramidConfig, data: DataFacts) -> nn.Module:
        """The critics of all scales."""
        assert config.discriminators.critic is not None
        sizes = pyramid_sizes(config.model, ClipSize(config.data.frames, *data.image_size))
        return PyramidCritic(config.discriminators.critic.width, len(sizes))

    def build_training(self, config: PyramidConfig, parts: TrainingParts) -> PyramidTraining:
        """One scale after the other; a run too short to reach the finest ones logs a warning."""
        generator: Any = parts.trainees.raw["generator"]
        scale_steps, scales = config.objective.scale_steps, len(generator.sizes)
        if config.train.steps < scales * scale_steps:
            logger.warning(
                "train.steps=%d: the %d scales of this clip need %d steps (objective.scale_steps=%d each); the finest"
                " ones are trained less or not at all", config.train.steps, scales, scales * scale_steps, scale_steps
            )  # fmt: skip
        return PyramidTraining(build_game(config, parts, scores_clips=("critic",)), scale_steps=scale_steps)

    def preview(self, model: Any, clips: ByteClip, config: PyramidConfig, captions: Sequence[str] = ()) -> Preview:
        """The clip, its reconstruction and new clips, side by side."""
        panels = torch.stack([clips[0], model.reconstruct(), *model.sample(PREVIEW_SAMPLES, frames=clips.shape[1])])
        together = tile(panels, columns=len(panels))
        return Preview(image=webp_bytes(together, fps=8.0, scale=2), suffix=".webp", clips={"single clip": together})
