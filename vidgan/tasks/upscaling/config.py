"""The config of an upscaling run: what its networks are built from and what is optimised."""

from collections.abc import Iterator
from typing import ClassVar, Literal, Self

from vidgan.sections import Section, one_of, option
from vidgan.tasks.adversarial_config import (
    AdversarialObjective,
    AdversarialRunConfig,
    FrameDiscriminatorPart,
    VideoDiscriminatorPart,
)
from vidgan.tasks.run_config import DataConfig
from vidgan.tasks.text.config import TextObjective, text_problems
from vidgan.tasks.text.encoders import TEXT_ENCODERS
from vidgan.tasks.upscaling.networks import NETWORKS, FrameConfig, RecurrentConfig

__all__ = ["CorruptionConfig", "UpscalerConfig", "UpscalingConfig", "UpscalingObjective"]

PIXEL_TERMS = ("l1", "ping_pong", "consistency")


class UpscalingData(DataConfig):
    """What a training clip is; the model reads it reduced by the scale."""

    partners: str = option(
        "",
        "Prepared clips of the low resolution, such as a generator's own (stage II): half of the clips that the"
        " discriminators score are made from them, beside their own captions if the model reads text. Empty for none.",
    )


class UpscalerConfig(Section):
    """The generator."""

    scale: Literal[2, 4] = option(2, "Side of an output frame over that of an input frame.")
    network: one_of(*NETWORKS, default="recurrent") = option(  # type: ignore[valid-type]
        RecurrentConfig(), "Network that draws what the bicubic enlargement lacks."
    )
    text: one_of(*TEXT_ENCODERS, default="gru") | None = option(  # type: ignore[valid-type]
        None, "Captions: encoder of the text that a clip is enlarged by; null for a model without text."
    )
    reduction: int = option(
        1,
        "Each input frame is reduced by this factor and enlarged again before the network reads it, so that outlines"
        " come from the caption instead of the input.",
        ge=1,
        le=16,
    )

    @property
    def may_be_recurrent(self) -> bool:
        """Whether the network may read its previous output."""
        return not isinstance(self.network, FrameConfig)

    def problems(self) -> Iterator[str]:
        """Broken rules between fields."""
        if self.reduction > 1 and self.text is None:
            yield f"reduction={self.reduction} loses detail that nothing but text could bring back; set it to 1"


class UpscalingDiscriminators(Section):
    """D_I and D_V of the large frames; null leaves one out."""

    frame: FrameDiscriminatorPart | None = option(None, "Scores random frames.")
    video: VideoDiscriminatorPart | None = option(None, "Scores clips.")


class CorruptionConfig(Section):
    """Random damage of the input in training, one draw per clip, so that the model also takes inputs that are not a
    clean reduction: generated clips, compressed video."""

    probability: float = option(0.5, "Share of the clips that are damaged.", gt=0, le=1)
    noise: float = option(0.03, "Largest standard deviation of the noise; pixels are in [-1, 1].", ge=0, le=1)
    blur: float = option(0.7, "Sigma of the blur that the input is mixed with.", unit="pixels", ge=0)

    def problems(self) -> Iterator[str]:
        """Broken rules between fields."""
        if not self.noise and not self.blur:
            yield "noise=0 and blur=0 damage nothing; set corruption to null"


class UpscalingObjective(AdversarialObjective):
    """What is optimised."""

    built_in_terms: ClassVar[tuple[str, ...]] = (*PIXEL_TERMS, "text_kl", "adversarial_frame", "adversarial_video")

    frames_per_clip: int | None = option(None, "Random frames of each clip that D_I scores; null for 1.", ge=1)
    pixel_steps: int | None = option(
        None, "Steps of the first stage, without discriminators; null: they play from the start.", unit="steps", ge=1
    )
    corruption: CorruptionConfig | None = option(None, "Random damage of the input; null for none.")
    text: TextObjective | None = option(None, "How captions enter the discriminators; needs model.text.")

    def problems(self) -> Iterator[str]:
        """Broken rules between fields."""
        yield from super().problems()
        if not self.weights.keys() & {"l1", *self.terms}:
            yield "weights needs l1 or an own term: nothing else ties the output to the true frames"
        if self.pixel_steps is not None and not any(name.startswith("adversarial_") for name in self.weights):
            yield "pixel_steps has no effect without an adversarial term; remove it"
        if self.frames_per_clip is not None and "adversarial_frame" not in self.weights:
            yield "frames_per_clip has no effect without weights.adversarial_frame; remove it"


class UpscalingConfig(AdversarialRunConfig):
    """A run that trains a clip upscaler."""

    task: Literal["upscaling"] = option("upscaling", "Super-resolution of clips.")
    data: UpscalingData
    model: UpscalerConfig = UpscalerConfig()
    discriminators: UpscalingDiscriminators = UpscalingDiscriminators()
    objective: UpscalingObjective

    def with_every_turn(self) -> Self:
        """The config of the second stage, in which each network is updated."""
        config = super().with_every_turn()
        return config.model_copy(update={"objective": config.objective.model_copy(update={"pixel_steps": None})})

    def problems(self) -> Iterator[str]:
        """Broken rules between sections."""
        yield from super().problems()
        objective = self.objective
        yield from text_problems(
            encoder=self.model.text,
            text=objective.text,
            weights=objective.weights,
            discriminators={"frame": self.discriminators.frame, "video": self.discriminators.video},
            flip=self.data.flip,
        )
        if "ping_pong" in objective.weights and not self.model.may_be_recurrent:
            yield "objective.weights.ping_pong has no effect on model.network.kind=frame, which has no memory"
        if self.data.partners and not any(name.startswith("adversarial_") for name in objective.weights):
            yield "data.partners has no effect without a discriminator; remove it"
        if objective.frames_per_clip is not None and objective.frames_per_clip > self.data.frames:
            yield f"objective.frames_per_clip={objective.frames_per_clip} exceeds data.frames={self.data.frames}"
