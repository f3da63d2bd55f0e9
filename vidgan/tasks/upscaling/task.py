"""The task `upscaling`: super-resolution of clips."""

from pathlib import Path
from typing import Any

import torch
from torch import nn

from vidgan.data.dataset import ClipDataset
from vidgan.errors import ConfigError
from vidgan.tasks.adversarial import build_game, build_section_discriminator, compilable_discriminators
from vidgan.tasks.adversarial_config import FRAME_DISCRIMINATORS, VIDEO_DISCRIMINATORS
from vidgan.tasks.base import DataFacts, Preview, Task, TrainingParts
from vidgan.tasks.mapping_images import mapping_animation, mapping_labels, mapping_sheet
from vidgan.tasks.upscaling.config import UpscalingConfig
from vidgan.tasks.upscaling.training import UpscalingTraining
from vidgan.tasks.upscaling.upscaler import ClipUpscaler, build_upscaler
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
        return build_upscaler(config.model, image_size=data.image_size)

    def build_discriminator(self, name: str, config: UpscalingConfig, data: DataFacts) -> nn.Module:
        """D_I or D_V of the large frames."""
        section = getattr(config.discriminators, name)
        given: dict[str, Any] = {"image_size": data.image_size, "channels": 3}
        if name == "frame":
            return build_section_discriminator(name, section, FRAME_DISCRIMINATORS, given, (2, 3, *data.image_size))
        given["num_categories"] = 0
        sample = (2, config.data.frames, 3, *data.image_size)
        return build_section_discriminator(name, section, VIDEO_DISCRIMINATORS, given, sample)

    def build_training(self, config: UpscalingConfig, parts: TrainingParts) -> UpscalingTraining:
        """Two stages: true frames, then discriminators."""
        generator: Any = parts.trainees.raw["generator"]
        return UpscalingTraining(
            build_game(config, parts, scores_clips=("video",)),
            scale=config.model.scale,
            frames_per_clip=config.objective.frames_per_clip or 1,
            pixel_steps=config.objective.pixel_steps or 0,
            corruption=config.objective.corruption,
            partners=_partners(config, generator.image_size) if config.data.partners else None,
        )

    def preview(self, model: Any, clips: ByteClip, config: UpscalingConfig) -> Preview:
        """Input, bicubic, output and target of held-out clips."""
        given, target = model.pair(clips)
        panels = {"input": given, "bicubic": model.baselines()["bicubic"](given), "output": model.map_clips(given)}
        panels["target"] = target
        sheets, animations, labels = [], {}, Labels()
        for number in range(len(clips)):
            row = {name: clip[number] for name, clip in panels.items()}
            sheets.append(mapping_sheet(row))
            labels = labels.below(mapping_labels(row, number + 1))
            animations[f"upscaled/{number}"] = mapping_animation(row)
        return Preview(image=png_bytes(torch.cat(sheets, dim=1), labels=labels), suffix=".png", clips=animations)

    def compilable_parts(self, name: str, network: Any, config: UpscalingConfig) -> list[nn.Module]:
        """The network that draws; discriminators without noise and gradient penalty."""
        return [network.network] if name == "generator" else compilable_discriminators(config, name, network)


def _partners(config: UpscalingConfig, image_size: tuple[int, int]) -> ClipDataset:
    """The low-resolution clips of stage II.

    Raises:
        ConfigError: their frames have another size than the model's input. DataError: no such data.
    """
    partners = ClipDataset(
        Path(config.data.partners), frames=config.data.frames, stride=config.data.stride, seed=config.seed
    )
    expected = tuple(side // config.model.scale for side in image_size)
    if partners.size != expected:
        raise ConfigError(
            f"data.partners={config.data.partners}: frames of {partners.size[0]}x{partners.size[1]} (HxW); the model"
            f" reads {expected[0]}x{expected[1]}"
        )
    return partners
