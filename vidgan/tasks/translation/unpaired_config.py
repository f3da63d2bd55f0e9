"""The config of unpaired translation: two generators, discriminators of both domains, and terms that are off at 0."""

from collections.abc import Iterator
from typing import Any, ClassVar, Literal

from pydantic import field_validator

from vidgan.nn.frame_networks import FRAME_NETWORKS, ResNetConfig
from vidgan.sections import Section, one_of, option
from vidgan.tasks.adversarial_config import (
    AdversarialObjective,
    AdversarialRunConfig,
    FrameDiscriminatorPart,
    VideoDiscriminatorPart,
)
from vidgan.tasks.run_config import DataConfig, names_in
from vidgan.tasks.translation.corruption import CORRUPTIONS

__all__ = ["UnpairedConfig", "UnpairedModelConfig"]

PREDICTED = 3  # frames that the predictor terms read: two, and the one after them


class UnpairedData(DataConfig):
    """Clips of two domains; `root` is the first, A."""

    other: str = option("", "Folder of the other domain, B, written by `vidgan prepare`.")


class UnpairedModelConfig(Section):
    """Two generators of equal structure, A to B and B to A, that draw frame by frame."""

    network: one_of(*FRAME_NETWORKS, default="resnet") = option(  # type: ignore[valid-type]
        ResNetConfig(norm="instance"), "Each of the two generators."
    )
    residual: bool = option(False, "A generator draws a correction to its input frame.")
    predictor: one_of(*FRAME_NETWORKS, default="unet") | None = option(  # type: ignore[valid-type]
        None, "The next frame from two, one for each domain; null: none."
    )


class UnpairedDiscriminators(Section):
    """Frames and clips of both domains; null leaves one out."""

    frame_a: FrameDiscriminatorPart | None = option(None, "Scores frames of A.")
    frame_b: FrameDiscriminatorPart | None = option(None, "Scores frames of B.")
    video_a: VideoDiscriminatorPart | None = option(None, "Scores clips of A.")
    video_b: VideoDiscriminatorPart | None = option(None, "Scores clips of B.")


class UnpairedObjective(AdversarialObjective):
    """What is optimised. Every term is the sum of both directions."""

    built_in_terms: ClassVar[tuple[str, ...]] = (
        "cycle",
        "cycle_l2",
        "identity",
        "predictor",
        "recycle",
        "equivariance",
        "motion_cycle",
        "feature_means",
        "adversarial_frame_a",
        "adversarial_frame_b",
        "adversarial_video_a",
        "adversarial_video_b",
    )

    pool: int = option(0, "Old fakes, which frame discriminators are shown half of the time.", unit="frames", ge=0)
    corruption: tuple[str, ...] = option(
        (),
        f"Applied to a translation before its return, so that nothing is hidden: of {', '.join(CORRUPTIONS)}.",
    )

    @field_validator("corruption", mode="before")
    @classmethod
    def _corruptions(cls, chosen: Any) -> Any:
        return names_in(tuple(CORRUPTIONS), chosen)

    def problems(self) -> Iterator[str]:
        """Broken rules between fields."""
        yield from super().problems()
        if self.corruption and not self.weights.keys() & {"cycle", "cycle_l2", "recycle"}:
            yield "corruption has no effect without weights.cycle, cycle_l2 or recycle: nothing returns"


class UnpairedConfig(AdversarialRunConfig):
    """A run that trains an unpaired translation between two domains."""

    task: Literal["unpaired"] = option("unpaired", "Unpaired translation between two data sets (CycleGAN and kin).")
    data: UnpairedData
    model: UnpairedModelConfig = UnpairedModelConfig()
    discriminators: UnpairedDiscriminators = UnpairedDiscriminators()
    objective: UnpairedObjective

    @classmethod
    def dependent_options(cls, removed: set[str]) -> tuple[str, ...]:
        """The pool belongs to the frame discriminators."""
        return ("pool",) if {"frame_a", "frame_b"} <= removed else ()

    def problems(self) -> Iterator[str]:
        """Broken rules between sections."""
        yield from super().problems()
        weights, discriminators, frames = self.objective.weights, self.discriminators, self.data.frames
        for side in "ab":
            names = f"adversarial_frame_{side}", f"adversarial_video_{side}"
            if not weights.keys() & set(names):
                yield f"objective.weights needs {' or '.join(names)}: nothing shows what domain {side.upper()} is"
        uses_predictor = sorted({"predictor", "recycle"} & weights.keys())
        if uses_predictor and self.model.predictor is None:
            yield f"objective.weights.{uses_predictor[0]} needs model.predictor"
        if self.model.predictor is not None and "predictor" not in weights:
            yield "model.predictor has no effect without objective.weights.predictor, which trains it"
        if uses_predictor and frames < PREDICTED:
            yield f"data.frames={frames}: weights.{uses_predictor[0]} needs {PREDICTED} frames"
        if "feature_means" in weights and not (discriminators.frame_a or discriminators.frame_b):
            yield "objective.weights.feature_means needs discriminators.frame_a or frame_b"
        if self.objective.pool and not (discriminators.frame_a or discriminators.frame_b):
            yield "objective.pool has no effect without discriminators.frame_a or frame_b"
        for side in "ab":
            section = getattr(discriminators, f"video_{side}")
            reach = getattr(section, "max_receptive_frames", 0)
            if section is not None and reach > frames:
                yield f"discriminators.video_{side}.max_receptive_frames={reach} must not exceed data.frames={frames}"
