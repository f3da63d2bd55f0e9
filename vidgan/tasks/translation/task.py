"""The task `translation`: clips from conditions."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from vidgan.tasks.adversarial import build_game, build_section_discriminator, compilable_discriminators
from vidgan.tasks.adversarial_config import FRAME_DISCRIMINATORS, VIDEO_DISCRIMINATORS
from vidgan.tasks.base import DataFacts, Preview, Task, TrainingParts
from vidgan.tasks.translation.conditions import RGB
from vidgan.tasks.translation.config import TranslationConfig
from vidgan.tasks.translation.training import PairedTraining
from vidgan.tasks.translation.translator import Translator, build_translator
from vidgan.types import ByteClip
from vidgan.video.encode import contact_sheet, png_bytes
from vidgan.video.labels import Labels
from vidgan.video.montage import sheet_frames

__all__ = ["TranslationTask"]

PREVIEW_FRAMES = 8
PREVIEW_ROWS = ("condition", "output", "target")


class TranslationTask(Task[TranslationConfig]):
    """Paired translation with carried frames (pix2pix, vid2vid)."""

    name = "translation"
    config = TranslationConfig
    model = Translator
    evaluation = "mapping"
    default_config = "translation/colourise"
    preview_clips = 3
    previews_held_out = True

    def build_generator(self, config: TranslationConfig, data: DataFacts) -> nn.Module:
        """A translator for the data's frames."""
        return build_translator(config.model, image_size=data.image_size)

    def build_discriminator(self, name: str, config: TranslationConfig, data: DataFacts) -> nn.Module:
        """D_I or D_V, which read the condition's channels too."""
        section = getattr(config.discriminators, name)
        channels = config.model.condition.channels + RGB
        given: dict[str, Any] = {"image_size": data.image_size, "channels": channels}
        if name == "frame":
            return build_section_discriminator(
                name, section, FRAME_DISCRIMINATORS, given, (2, channels, *data.image_size)
            )
        given["num_categories"] = 0
        sample = (2, config.objective.unroll or config.data.frames, channels, *data.image_size)
        return build_section_discriminator(name, section, VIDEO_DISCRIMINATORS, given, sample)

    def build_training(self, config: TranslationConfig, parts: TrainingParts) -> PairedTraining:
        """The training step."""
        objective = config.objective
        return PairedTraining(
            build_game(config, parts, scores_clips=("video",)),
            unroll=objective.unroll,
            unroll_double=objective.unroll_double,
            gradient_frames=objective.gradient_frames,
        )

    def preview(self, model: Any, clips: ByteClip, config: TranslationConfig, captions: Sequence[str] = ()) -> Preview:
        """Condition, output and truth of held-out clips, one row each."""
        condition, target = model.pair(clips, seed=config.seed)
        assert target is not None
        rows = [model.shown(condition), model.map_clips(condition), target]
        strips = [
            contact_sheet(torch.stack([row[clip, :PREVIEW_FRAMES] for row in rows]), columns=1)
            for clip in range(len(clips))
        ]
        frames = sheet_frames(min(PREVIEW_FRAMES, clips.shape[1]))
        labels = Labels(
            tuple(f"{number}: {name}" for number in range(1, 1 + len(clips)) for name in PREVIEW_ROWS),
            tuple(f"frame {frame + 1}" for frame in frames),
        )
        return Preview(
            image=png_bytes(torch.cat(strips, dim=1), labels=labels),
            suffix=".png",
            clips={f"translation/{clip}": torch.cat([row[clip] for row in rows], dim=-1) for clip in range(len(clips))},
        )

    def reads_conditions(self, config: TranslationConfig) -> bool:
        """Whether the condition is stored."""
        return config.model.condition.is_stored

    def compilable_parts(self, name: str, network: Any, config: TranslationConfig) -> list[nn.Module]:
        """Discriminators without noise and gradient penalty."""
        return [] if name == "generator" else compilable_discriminators(config, name, network)
