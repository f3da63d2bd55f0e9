"""The config of paired translation: what its networks are built from and what is optimised."""

from collections.abc import Iterator
from typing import ClassVar, Literal

from vidgan.nn.frame_networks import FRAME_NETWORKS, UNetConfig
from vidgan.sections import Section, one_of, option
from vidgan.tasks.adversarial_config import (
    AdversarialObjective,
    AdversarialRunConfig,
    FrameDiscriminatorPart,
    VideoDiscriminatorPart,
)
from vidgan.tasks.run_config import DataConfig
from vidgan.tasks.translation.conditions import ConditionPart, DroppedCondition, GreyCondition
from vidgan.tasks.translation.generators import GENERATORS, CarriedConfig, DirectConfig

__all__ = ["TranslationConfig", "TranslationModelConfig", "TranslationObjective"]

FIDELITY_TERMS = ("l1", "adversarial_frame", "adversarial_video")


class TranslationModelConfig(Section):
    """The generator: what it reads, and how it draws."""

    condition: ConditionPart = option(GreyCondition(), "What the model reads instead of the clip.")
    generator: one_of(*GENERATORS, default="carried") = option(  # type: ignore[valid-type]
        CarriedConfig(), "How a frame depends on the frames before."
    )
    network: one_of(*FRAME_NETWORKS, default="unet") = option(  # type: ignore[valid-type]
        UNetConfig(), "The network that draws."
    )
    residual: bool = option(False, "The network draws a correction to the condition's frame.")

    def problems(self) -> Iterator[str]:
        """Broken rules between fields."""
        if self.residual and not self.condition.is_frame:
            yield f"residual needs a condition that is a frame; condition.kind={self.condition.kind} is none"


class TranslationDiscriminators(Section):
    """D_I and D_V, which see the condition beside the frames; null leaves one out."""

    frame: FrameDiscriminatorPart | None = option(None, "Scores (condition, frame).")
    video: VideoDiscriminatorPart | None = option(None, "Scores (condition clip, clip).")


class TranslationObjective(AdversarialObjective):
    """What is optimised."""

    built_in_terms: ClassVar[tuple[str, ...]] = (
        "l1",
        "raw",
        "feature_matching",
        "flow",
        "temporal",
        "gradient_difference",
        "adversarial_frame",
        "adversarial_video",
    )

    unroll: int | None = option(
        None, "Frames that are drawn in a row at first; null: all of a training clip.", unit="frames", ge=1
    )
    unroll_double: int | None = option(
        None, "Steps after which that number doubles, again and again, up to all of a clip.", unit="steps", ge=1
    )
    gradient_frames: int | None = option(
        None, "Frames back that the gradient of a frame runs through earlier outputs; null: all.", unit="frames", ge=0
    )

    def problems(self) -> Iterator[str]:
        """Broken rules between fields."""
        yield from super().problems()
        if not self.weights.keys() & {*FIDELITY_TERMS, *self.terms}:
            yield f"weights needs one of {', '.join(FIDELITY_TERMS)}: nothing trains the frames"
        if (self.unroll is None) != (self.unroll_double is None):
            yield "unroll and unroll_double go together: set both or neither"


class TranslationConfig(AdversarialRunConfig):
    """A run that trains a paired translation from conditions to clips."""

    task: Literal["translation"] = option("translation", "Paired clip-to-clip translation (pix2pix, vid2vid).")
    data: DataConfig
    model: TranslationModelConfig = TranslationModelConfig()
    discriminators: TranslationDiscriminators = TranslationDiscriminators()
    objective: TranslationObjective

    @classmethod
    def dependent_terms(cls, removed: set[str]) -> set[str]:
        """Feature matching needs a discriminator."""
        return {"feature_matching"} if {"frame", "video"} <= removed else set()

    def problems(self) -> Iterator[str]:
        """Broken rules between sections."""
        yield from super().problems()
        objective, model, frames = self.objective, self.model, self.data.frames
        is_direct = isinstance(model.generator, DirectConfig)
        for term in ("flow", "raw"):
            if is_direct and term in objective.weights:
                yield f"objective.weights.{term} has no effect with model.generator.kind=direct; set it to null"
        if is_direct and (objective.unroll is not None or objective.gradient_frames is not None):
            yield "objective.unroll and gradient_frames have no effect with model.generator.kind=direct; remove them"
        if "feature_matching" in objective.weights and not (self.discriminators.frame or self.discriminators.video):
            yield "objective.weights.feature_matching needs a discriminator"
        first = objective.unroll or frames
        if first > frames:
            yield f"objective.unroll={first} must not exceed data.frames={frames}"
        reach = getattr(self.discriminators.video, "max_receptive_frames", 0)
        if self.discriminators.video is not None and reach > first:
            yield (
                f"discriminators.video.max_receptive_frames={reach} must not exceed the frames that are drawn in a row,"
                f" {first} (objective.unroll, data.frames)"
            )
        if isinstance(model.condition, DroppedCondition) and (frames - 1) % model.condition.factor:
            yield (
                f"data.frames={frames} must be one more than a multiple of model.condition.factor="
                f"{model.condition.factor}: first and last frame are kept"
            )
        if model.condition.is_stored and self.data.augment:
            yield "data.augment cannot be combined with model.condition.kind=stored, whose clips it would not change"
