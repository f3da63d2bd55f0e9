"""The task `unpaired`: translation between two data sets that are no pairs."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from vidgan.errors import ConfigError
from vidgan.tasks.adversarial import build_game, build_section_discriminator, compilable_discriminators
from vidgan.tasks.adversarial_config import FRAME_DISCRIMINATORS, VIDEO_DISCRIMINATORS
from vidgan.tasks.base import DataFacts, Preview, Task, TrainingParts
from vidgan.tasks.translation.conditions import RGB
from vidgan.tasks.translation.fake_pool import FakePool
from vidgan.tasks.translation.unpaired_config import UnpairedConfig
from vidgan.tasks.translation.unpaired_training import UnpairedTraining
from vidgan.tasks.translation.unpaired_translator import UnpairedTranslator, build_unpaired
from vidgan.types import ByteClip
from vidgan.video.encode import contact_sheet, png_bytes
from vidgan.video.labels import Labels
from vidgan.video.montage import sheet_frames

__all__ = ["UnpairedTask"]


class UnpairedTask(Task[UnpairedConfig]):
    """Unpaired translation (CycleGAN, DiscoGAN, Recycle-GAN and kin)."""

    name = "unpaired"
    config = UnpairedConfig
    model = UnpairedTranslator
    evaluation = "mapping"
    default_config = "unpaired/cyclegan"
    preview_clips = 3
    previews_held_out = True

    def build_generator(self, config: UnpairedConfig, data: DataFacts) -> nn.Module:
        """Both generators, and the predictors."""
        return build_unpaired(config.model, image_size=data.image_size)

    def build_discriminator(self, name: str, config: UnpairedConfig, data: DataFacts) -> nn.Module:
        """Of frames or clips of one domain."""
        section = getattr(config.discriminators, name)
        given: dict[str, Any] = {"image_size": data.image_size, "channels": RGB}
        if name.startswith("frame"):
            sample = (2, RGB, *data.image_size)
            network = build_section_discriminator(name, section, FRAME_DISCRIMINATORS, given, sample)
            if config.objective.pool:
                network.add_module("old_fakes", FakePool(config.objective.pool, sample[1:]))
            return network
        given["num_categories"] = 0
        clip = (2, config.data.frames, RGB, *data.image_size)
        return build_section_discriminator(name, section, VIDEO_DISCRIMINATORS, given, clip)

    def build_training(self, config: UnpairedConfig, parts: TrainingParts) -> UnpairedTraining:
        """The training step."""
        networks: dict[str, Any] = parts.trainees.raw
        if config.objective.pool and parts.trainees.accelerator.num_processes > 1:
            raise ConfigError(
                f"objective.pool={config.objective.pool}: each of several processes would keep other fakes, and"
                " only those of the first are saved; set it to 0, or use one process"
            )
        return UnpairedTraining(
            build_game(config, parts, scores_clips=("video_a", "video_b")),
            corruption=config.objective.corruption,
            pools={name: network.old_fakes for name, network in networks.items() if hasattr(network, "old_fakes")},
        )

    def preview(self, model: Any, clips: ByteClip, config: UnpairedConfig, captions: Sequence[str] = ()) -> Preview:
        """Held-out clips of A, their translation and its return."""
        given = clips[:, :, :RGB]
        there = model.map_clips(given)
        rows = (given, there, model.map_clips(there, to="a"))
        strips = [contact_sheet(torch.stack([row[clip] for row in rows]), columns=1) for clip in range(len(given))]
        labels = Labels(
            tuple(f"{number}: {name}" for number in range(1, 1 + len(given)) for name in ("A", "A to B", "back to A")),
            tuple(f"frame {frame + 1}" for frame in sheet_frames(given.shape[1])),
        )
        return Preview(
            image=png_bytes(torch.cat(strips, dim=1), labels=labels),
            suffix=".png",
            clips={f"unpaired/{clip}": torch.cat([row[clip] for row in rows], dim=-1) for clip in range(len(given))},
        )

    def other_data(self, config: UnpairedConfig) -> str | None:
        """Domain B."""
        return config.data.other

    def compilable_parts(self, name: str, network: Any, config: UnpairedConfig) -> list[nn.Module]:
        """Discriminators without noise and gradient penalty."""
        return [] if name == "generator" else compilable_discriminators(config, name, network)
