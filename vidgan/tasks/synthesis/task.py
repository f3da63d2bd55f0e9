"""The task `synthesis`: clips from MoCoGAN."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from vidgan.metrics.clip_statistics import describe, pairwise_diversity
from vidgan.metrics.returning import returning_share
from vidgan.nn.augmentation import DiffAugment
from vidgan.tasks.adversarial import build_game, compilable_discriminators
from vidgan.tasks.base import DataFacts, Preview, Task, TrainingParts
from vidgan.tasks.synthesis.config import SynthesisConfig
from vidgan.tasks.synthesis.growing import Growing
from vidgan.tasks.synthesis.layers import PANELS, layer_panels
from vidgan.tasks.synthesis.mocogan import MoCoGAN, build_mocogan
from vidgan.tasks.synthesis.training import MoCoGANTraining
from vidgan.tasks.text.discriminator import build_text_discriminator
from vidgan.training.adaptive import AdaptiveProbability, RunningMean
from vidgan.types import ByteClip, Latents
from vidgan.video.encode import tile, webp_bytes
from vidgan.video.labels import Labels

__all__ = ["SynthesisTask"]

logger = logging.getLogger(__name__)

PREVIEW_CLIPS = 16
PATH_LENGTH_RATE = 0.01  # of the running mean of path lengths, as in StyleGAN2
TRAVERSED = 5  # clips in which an information code changes
LAYERED_CLIPS = 8  # of a layered model, each with its layers
PREVIEW_WIDTH = 96  # pixels, to which smaller clips are enlarged


class SynthesisTask(Task[SynthesisConfig]):
    """MoCoGAN (Tulyakov et al., CVPR 2018)."""

    name = "synthesis"
    config = SynthesisConfig
    model = MoCoGAN
    evaluation = "clips"
    default_config = "mocogan/videos"
    preview_clips = 2 * PREVIEW_CLIPS
    previews_held_out = False

    def build_generator(self, config: SynthesisConfig, data: DataFacts) -> nn.Module:
        """MoCoGAN for the data's frames and categories."""
        return build_mocogan(
            config.model,
            image_size=data.image_size,
            num_categories=data.num_categories,
            vocabulary=data.vocabulary,
        )

    def build_discriminator(self, name: str, config: SynthesisConfig, data: DataFacts) -> nn.Module:
        """D_I or D_V."""
        options: dict[str, Any] = {}
        if name == "video":
            options["num_categories"] = data.num_categories + config.model.info_codes().num_outputs
            if config.objective.category_source == "projection":
                options["projection"] = True
        return build_text_discriminator(name, config, data, **options)

    def build_training(self, config: SynthesisConfig, parts: TrainingParts) -> MoCoGANTraining:
        """The paper's algorithm."""
        objective = config.objective
        generator: Any = parts.trainees.raw["generator"]
        source, names = objective.category_source, config.network_names()[1:]
        codes = config.model.info_codes()
        adaptive: dict[str, AdaptiveProbability] = {}
        if objective.adaptive is not None:
            for name in names:
                state = torch.zeros(4, dtype=torch.float64, device=parts.trainees.accelerator.device)
                parts.trainees.state[f"adaptive-{name}"] = state
                adaptive[name] = AdaptiveProbability(
                    state, **objective.adaptive.model_dump(), clips_per_update=config.train.batch_size
                )
        path_length = None
        if "path_length" in objective.weights:
            state = torch.zeros(3, dtype=torch.float64, device=parts.trainees.accelerator.device)
            parts.trainees.state["path-length"] = state
            path_length = RunningMean(state, rate=PATH_LENGTH_RATE)
        growing = None
        if objective.growing is not None:
            growing = Growing(objective.growing, trainees=parts.trainees, ema=parts.ema)
            if objective.growing.whole_from > config.train.steps:
                logger.warning(
                    "objective.growing: all levels work from step %d on, but train.steps=%d; the model will draw frames"
                    " of a smaller size, enlarged",
                    objective.growing.whole_from,
                    config.train.steps,
                )
        return MoCoGANTraining(
            build_game(
                config,
                parts,
                scores_clips=("video",),
                augment=DiffAugment(objective.augment) if objective.augment else None,
                adaptive=adaptive,
                category_source={} if source is None else {"video": source},
                codes={"video": (objective.weights["codes"], codes.num_outputs)} if codes.num_outputs else {},
                **({} if objective.text is None else {"wrong_share": objective.text.wrong}),
            ),
            frames_per_clip=objective.frames_per_clip or 1,
            path_frames=objective.path_frames,
            reversal=objective.reversal,
            style_mixing=objective.style_mixing,
            path_length=path_length,
            path_length_every=objective.path_length_every,
            growing=growing,
            coverage=objective.coverage or (0.0, 1.0),
            largest_shift=round(objective.shift_foreground * min(generator.image_size)),
        )

    def preview(self, model: Any, clips: ByteClip, config: SynthesisConfig, captions: Sequence[str] = ()) -> Preview:
        """A grid of the same 16 latents each time, and how diverse and lively the clips are beside real ones.

        An image-to-video model continues four training clips, four times each. Of a layered model the grid shows eight
        clips with their layers: clip, foreground, mask, background. Of a model with information codes it shows a row
        per code, in which only this code changes.
        """
        first_frames = torch.stack([clips[row // 4 % len(clips), 0] for row in range(PREVIEW_CLIPS)])
        latents = model.latents(PREVIEW_CLIPS, config.data.frames, seed=config.seed)
        samples = model.render(latents, first_frame=first_frames if model.needs_first_frame else None)
        if model.is_layered:
            layers = model.render_layers(
                Latents(*(part[:LAYERED_CLIPS] for part in latents)),
                first_frame=first_frames[:LAYERED_CLIPS] if model.needs_first_frame else None,
            )
            grid = tile(layer_panels(layers), columns=2 * len(PANELS))
            pairs = range(1, LAYERED_CLIPS, 2)
            labels = Labels(tuple(f"clips {number}, {number + 1}" for number in pairs), 2 * PANELS)
        elif config.model.codes:
            # One row per information code, in which only this code changes.
            traversed = model.codes.traversals(latents, TRAVERSED)
            first = first_frames[:1].repeat(len(traversed.content), 1, 1, 1) if model.needs_first_frame else None
            grid = tile(model.render(traversed, first_frame=first), columns=TRAVERSED)
            labels = Labels(tuple(config.model.codes), tuple(map(str, range(1, TRAVERSED + 1))))
        else:
            grid = tile(samples, columns=4)
            row = "first frame {}" if model.needs_first_frame else "row {}"
            numbers = range(1, 5)
            labels = Labels(tuple(map(row.format, numbers)), tuple(map(str, numbers)))
        fake, real = describe(samples), describe(clips)
        return Preview(
            image=webp_bytes(grid, scale=max(1, PREVIEW_WIDTH // samples.shape[-1]), labels=labels),
            suffix=".webp",
            clips={"samples": grid},
            metrics={
                "diversity/fake": pairwise_diversity(fake.pooled),
                "diversity/real": pairwise_diversity(real.pooled),
                "motion/fake": float(fake.motion_energy.mean()),
                "motion/real": float(real.motion_energy.mean()),
                "returning/fake": returning_share(samples),
                "returning/real": returning_share(clips),
                "saturation/fake": saturated_share(samples),
                "saturation/real": saturated_share(clips),
            },
        )

    def uses_categories(self, config: SynthesisConfig) -> bool:
        """Whether a category term is trained."""
        return config.objective.category_source is not None

    def wrong_captions(self, config: SynthesisConfig) -> int | None:
        """As many as the objective says, if the generator reads text."""
        return None if config.objective.text is None else config.objective.text.negatives

    def frozen(self, config: SynthesisConfig) -> Mapping[str, Sequence[str]]:
        """The motion network while frames are learned, or the frame generator while motion is."""
        if "frame" in config.objective.frozen and config.train.start is None:
            logger.warning("objective.frozen=[frame] without train.start: the frame generator keeps its random weights")
        return {"generator": config.objective.frozen}

    def compilable_parts(self, name: str, network: Any, config: SynthesisConfig) -> list[nn.Module]:
        """Frame generator and encoder; discriminators without noise and gradient penalty."""
        if name == "generator":
            parts: list[nn.Module] = network.compilable_parts()
            return parts
        return compilable_discriminators(config, name, network)


def saturated_share(clips: ByteClip) -> float:
    """Share of pixel values within 1 % of black or white."""
    return float(((clips <= 1) | (clips >= 254)).float().mean())
