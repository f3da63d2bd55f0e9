"""The task `forecasting`: video prediction with Dual Motion GAN."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from vidgan.tasks.adversarial import (
    build_game,
    build_section_discriminator,
    compilable_discriminators,
)
from vidgan.tasks.adversarial_config import FLOW_DISCRIMINATORS, FRAME_DISCRIMINATORS
from vidgan.tasks.base import DataFacts, Preview, Task, TrainingParts
from vidgan.tasks.forecast_images import forecast_animation, forecast_rows, forecast_strip, strip_labels
from vidgan.tasks.forecasting.config import ForecastingConfig
from vidgan.tasks.forecasting.dual_motion import DualMotionGAN, build_generator
from vidgan.tasks.forecasting.training import DualMotionTraining
from vidgan.types import ByteClip
from vidgan.video.encode import png_bytes
from vidgan.video.labels import Labels

__all__ = ["ForecastingTask"]


class ForecastingTask(Task[ForecastingConfig]):
    """Dual Motion GAN (Liang et al., ICCV 2017)."""

    name = "forecasting"
    config = ForecastingConfig
    model = DualMotionGAN
    evaluation = "forecast"
    default_config = "dual_motion/videos"
    preview_clips = 3
    previews_held_out = True

    def build_generator(self, config: ForecastingConfig, data: DataFacts) -> nn.Module:
        """Dual Motion GAN for the data's frames."""
        return build_generator(config.model, image_size=data.image_size)

    def build_discriminator(self, name: str, config: ForecastingConfig, data: DataFacts) -> nn.Module:
        """D_I or D_F."""
        section = getattr(config.discriminators, name)
        kinds = FRAME_DISCRIMINATORS if name == "frame" else FLOW_DISCRIMINATORS
        channels = 3 if name == "frame" else 2
        given = {"image_size": data.image_size}
        return build_section_discriminator(name, section, kinds, given, (2, channels, *data.image_size))

    def build_training(self, config: ForecastingConfig, parts: TrainingParts) -> DualMotionTraining:
        """The paper's algorithm."""
        objective = config.objective
        generator: Any = parts.trainees.raw["generator"]
        return DualMotionTraining(
            build_game(config, parts),
            context=config.data.context,
            decoding=generator.decoding.in_training(),
            fixed_estimator=generator.fixed_estimator,
            kl_warmup=objective.kl_warmup,
            implied=config.needs_implied_flow,
            samples=objective.samples or 1,
        )

    def preview(self, model: Any, clips: ByteClip, config: ForecastingConfig, captions: Sequence[str] = ()) -> Preview:
        """Strips of held-out forecasts beside the truth."""
        context = config.data.context
        strips, animations, labels = [], {}, Labels()
        for number, clip in enumerate(clips):
            given, truth = clip[:context], clip[context:]
            rows = forecast_rows(given, truth, model.forecast(given[None], len(truth)))
            strips.append(forecast_strip(rows))
            labels = labels.below(strip_labels(rows, number + 1))
            animations[f"forecast/{number}"] = forecast_animation(rows)
        return Preview(image=png_bytes(torch.cat(strips, dim=1), labels=labels), suffix=".png", clips=animations)

    def needs_label_flow(self, config: ForecastingConfig) -> bool:
        """Whether a term is taught by stored label flow."""
        return config.needs_label_flow

    def context(self, config: ForecastingConfig) -> int:
        """Frames that are given."""
        return config.data.context

    def compilable_parts(self, name: str, network: Any, config: ForecastingConfig) -> list[nn.Module]:
        """All convolutional parts; discriminators without noise and gradient penalty."""
        if name == "generator":
            parts: list[nn.Module] = network.compilable_parts()
            return parts
        return compilable_discriminators(config, name, network)
