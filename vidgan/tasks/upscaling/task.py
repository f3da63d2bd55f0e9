"""The task `upscaling`: super-resolution of clips."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from vidgan.tasks.adversarial import build_game, compilable_discriminators
from vidgan.tasks.base import DataFacts, Preview, Task, TrainingParts
from vidgan.tasks.mapping_images import mapping_animation, mapping_labels, mapping_sheet
from vidgan.tasks.text.discriminator import build_text_discriminator
from vidgan.tasks.upscaling.config import UpscalingConfig
from vidgan.tasks.upscaling.partners import Partners
from vidgan.tasks.upscaling.training import UpscalingTraining
from vidgan.tasks.upscaling.upscaler import ClipUpscaler, build_upscaler
from vidgan.tokens import WordTokeniser
from vidgan.types import ByteClip
from vidgan.video.encode import png_bytes
from vidgan.video.labels import Labels

__all__ = ["UpscalingTask"]


class UpscalingTask(Task[UpscalingConfig]):
    """Recurrent or frame-wise super-resolution."""

    name = "upscaling"
    config = UpscalingConfig
    model = ClipUpscaler
    evaluation = "mapping"
    default_config = "upscaling/videos"
    preview_clips = 3
    previews_held_out = True

    def build_generator(self, config: UpscalingConfig, data: DataFacts) -> nn.Module:
        """The upscaler for outputs of the data's frame size."""
        return build_upscaler(config.model, image_size=data.image_size, vocabulary=data.vocabulary)

    def build_discriminator(self, name: str, config: UpscalingConfig, data: DataFacts) -> nn.Module:
        """D_I or D_V of the large frames."""
        options = {"num_categories": 0} if name == "video" else {}
        return build_text_discriminator(name, config, data, **options)

    def build_training(self, config: UpscalingConfig, parts: TrainingParts) -> UpscalingTraining:
        """Two stages: true frames, then discriminators."""
        generator: Any = parts.trainees.raw["generator"]
        text = config.objective.text
        return UpscalingTraining(
            build_game(config, parts, scores_clips=("video",), wrong_share=0.5 if text is None else text.wrong),
            scale=config.model.scale,
            frames_per_clip=config.objective.frames_per_clip or 1,
            pixel_steps=config.objective.pixel_steps or 0,
            corruption=config.objective.corruption,
            partners=_partners(config, generator) if config.data.partners else None,
        )

    def preview(self, model: Any, clips: ByteClip, config: UpscalingConfig, captions: Sequence[str] = ()) -> Preview:
        """Input, bicubic, output and target of held-out clips."""
        given, target = model.pair(clips)
        output = model.map_clips(given, captions if model.reads_captions else None)
        panels = {"input": given, "bicubic": model.baselines()["bicubic"](given), "output": output, "target": target}
        sheets, animations, labels = [], {}, Labels()
        for number in range(len(clips)):
            row = {name: clip[number] for name, clip in panels.items()}
            sheets.append(mapping_sheet(row))
            labels = labels.below(mapping_labels(row, number + 1))
            animations[f"upscaled/{number}"] = mapping_animation(row)
        return Preview(image=png_bytes(torch.cat(sheets, dim=1), labels=labels), suffix=".png", clips=animations)

    def wrong_captions(self, config: UpscalingConfig) -> int | None:
        """As many as the objective says, if the model reads text."""
        return None if config.objective.text is None else config.objective.text.negatives

    def compilable_parts(self, name: str, network: Any, config: UpscalingConfig) -> list[nn.Module]:
        """The network that draws; discriminators without noise and gradient penalty."""
        return [network.network] if name == "generator" else compilable_discriminators(config, name, network)


def _partners(config: UpscalingConfig, model: ClipUpscaler) -> Partners:
    """The low-resolution clips of stage II; captions of theirs need the words of the training captions.

    Raises:
        ConfigError, DataError: as `Partners`.
    """
    height, width = model.image_size
    return Partners(
        Path(config.data.partners),
        size=(height // model.scale, width // model.scale),
        frames=config.data.frames,
        stride=config.data.stride,
        seed=config.seed,
        tokeniser=WordTokeniser(model.tokeniser.words) if model.reads_captions else None,
    )
