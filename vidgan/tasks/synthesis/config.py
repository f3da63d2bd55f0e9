"""The config of MoCoGAN: what its networks are built from and what is optimised."""

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, field_validator
from torch import nn

from vidgan.losses.adversarial import ADVERSARIAL
from vidgan.nn.augmentation import POLICIES
from vidgan.sections import Section, one_of, option
from vidgan.tasks.adversarial_config import (
    AdversarialObjective,
    AdversarialRunConfig,
    FrameDiscriminatorPart,
    VideoDiscriminatorPart,
)
from vidgan.tasks.run_config import names_in
from vidgan.tasks.synthesis.content_encoder import ContentEncoderConfig
from vidgan.tasks.synthesis.dcgan import DCGANConfig, DCGANFrameGenerator
from vidgan.tasks.synthesis.growing import GrowingConfig
from vidgan.tasks.synthesis.info_codes import InfoCodeConfig, InfoCodes
from vidgan.tasks.synthesis.layers import LayersConfig
from vidgan.tasks.synthesis.modulated import ModulatedConfig, ModulatedFrameGenerator
from vidgan.tasks.synthesis.motion import RecurrentMotion, RecurrentMotionConfig, WalkMotion, WalkMotionConfig
from vidgan.tasks.synthesis.progressive import ProgressiveConfig, ProgressiveFrameGenerator
from vidgan.tasks.synthesis.residual import ResidualConfig, ResidualFrameGenerator
from vidgan.tasks.synthesis.style import StyleConfig, StyleFrameGenerator
from vidgan.tasks.text.config import TextObjective, text_problems
from vidgan.tasks.text.encoders import TEXT_ENCODERS

__all__ = ["FRAME_GENERATORS", "MOTION_NETWORKS", "MoCoGANConfig", "MoCoGANObjective", "SynthesisConfig"]

Share = Annotated[float, Field(ge=0, le=1)]

# Config section -> network. A new kind is one file with both, and one line here.
MOTION_NETWORKS: dict[type[Section], type[nn.Module]] = {
    RecurrentMotionConfig: RecurrentMotion,
    WalkMotionConfig: WalkMotion,
}
FRAME_GENERATORS: dict[type[Section], type[nn.Module]] = {
    DCGANConfig: DCGANFrameGenerator,
    StyleConfig: StyleFrameGenerator,
    ResidualConfig: ResidualFrameGenerator,
    ModulatedConfig: ModulatedFrameGenerator,
    ProgressiveConfig: ProgressiveFrameGenerator,
}


class MoCoGANConfig(Section):
    """The generator: a content code per clip, a motion network, a frame generator."""

    dim_content: int = option(50, "Length of the content code z_C.", ge=1)
    dim_motion: int = option(10, "Length of the motion code z_M(t).", ge=1)
    category_input: Literal["motion", "frame"] = option(
        "motion", "The one-hot category enters the motion network (the paper) or the frame generator (released code)."
    )
    motion: one_of(*MOTION_NETWORKS, default="recurrent") = option(  # type: ignore[valid-type]
        RecurrentMotionConfig(), "Motion network R_M."
    )
    frame: one_of(*FRAME_GENERATORS, default="dcgan") = option(  # type: ignore[valid-type]
        DCGANConfig(), "Frame generator G_I."
    )
    layers: LayersConfig | None = option(
        None, "Layered clips: a background per clip behind what the frame generator draws; null for whole frames."
    )
    encoder: ContentEncoderConfig | None = option(
        None, "Image-to-video: encoder of a given first frame; null for generation from noise alone."
    )
    skips: Literal["none", "all"] = option(
        "none", "Image-to-video: the levels of the frame generator read the encoder's maps (a U-Net), or the code only."
    )
    codes: dict[str, InfoCodeConfig] = option({}, "Information codes (InfoGAN) by name.")
    text: one_of(*TEXT_ENCODERS, default="gru") | None = option(  # type: ignore[valid-type]
        None, "Captions: encoder of the text that a clip is made from; null for a model without text."
    )
    warp_first_frame: bool = option(
        False, "Image-to-video: the generator moves the pixels of the first frame and changes their colours."
    )
    checkpoint_activations: bool = option(False, "Recompute activations in the backward pass to save memory.")

    def info_codes(self) -> InfoCodes:
        """The information codes, behind content and motion of these lengths."""
        return InfoCodes(self.codes, dim_content=self.dim_content, dim_motion=self.dim_motion)

    def problems(self) -> Iterator[str]:
        """Broken rules between fields."""
        motion = self.motion
        if isinstance(motion, RecurrentMotionConfig) and not motion.linear:
            hidden = motion.hidden or self.dim_motion
            if hidden != self.dim_motion:
                yield (
                    f"motion.hidden={hidden} differs from dim_motion={self.dim_motion}, so motion.linear must be"
                    " true: only a linear output can change the length of the code"
                )
        if self.warp_first_frame and self.encoder is None:
            yield "warp_first_frame has no effect without encoder: no first frame is given"
        if self.warp_first_frame and self.layers is not None:
            yield "warp_first_frame and layers exclude each other; set one of them to false or null"
        if self.skips != "none" and self.encoder is None:
            yield f"skips={self.skips} has no effect without encoder"
        if self.skips != "none" and self.warp_first_frame:
            yield f"skips={self.skips} has no effect with warp_first_frame=true, which always reads the maps; remove it"
        if (self.warp_first_frame or self.skips != "none") and not getattr(self.frame, "reads_skips", False):
            key = "warp_first_frame" if self.warp_first_frame else f"skips={self.skips}"
            yield f"{key} needs a frame.kind whose levels read the encoder's maps: style or residual"


class MoCoGANDiscriminators(Section):
    """D_I and D_V; null leaves one out."""

    frame: FrameDiscriminatorPart | None = option(None, "D_I, of single frames.")
    video: VideoDiscriminatorPart | None = option(None, "D_V, of clips; has the category head.")


# a positive logit says that a sample is real
SIGNED_LOSSES = tuple(name for name, loss in ADVERSARIAL.items() if loss.threshold == 0)


class AdaptiveConfig(Section):
    """Adaptive augmentation (ADA): augment more while the discriminator is too sure of its training clips."""

    target: float = option(0.6, "Mean sign of the logits of real samples to aim at.", gt=0, lt=1)
    period: int = option(4, "Steps between two changes of the probability.", unit="steps", ge=1)
    clips: int = option(500_000, "Real clips over which the probability moves from 0 to 1.", unit="clips", ge=1, le=1e9)


class MoCoGANObjective(AdversarialObjective):
    """What is optimised."""

    built_in_terms: ClassVar[tuple[str, ...]] = (
        "adversarial_frame", "adversarial_video", "category", "codes", "first_frame", "mask_coverage", "mask_binary",
        "path_length", "text_kl",
    )  # fmt: skip

    augment: tuple[str, ...] = option(
        (), f"DiffAugment of real and fake clips, one draw per clip; any of {', '.join(POLICIES)}."
    )
    adaptive: AdaptiveConfig | None = option(
        None, "Adapt the probability of each augmentation to each discriminator (ADA); null: always augment."
    )
    frames_per_clip: int | None = option(
        None, "Random frames of each clip that D_I sees; null for 1.", unit="frames", ge=1
    )
    path_frames: int | None = option(
        None, "Generated clips are windows of clips of this length; null: they start at frame 0.", unit="frames", ge=1
    )
    category_source: Literal["labels", "samples", "both", "projection"] | None = option(
        None,
        "The category head learns from labels of real clips, from samples (InfoGAN) or from both (AC-GAN's paper);"
        " projection: the category is an input of the discriminator; null: none.",
    )

    growing: GrowingConfig | None = option(None, "Progressive growing; needs networks of kind=progressive.")
    text: TextObjective | None = option(None, "How captions enter the discriminators; needs model.text.")
    frozen: tuple[Literal["motion", "frame"], ...] = option(
        (), "Parts of the generator that keep their weights: motion while frames are learned, then frame."
    )
    reversal: float = option(
        0.0,
        "Probability that D_V sees a clip, real or fake, backwards; the direction of time is lost.",
        ge=0,
        le=1,
    )
    style_mixing: float = option(
        0.0,
        "Probability that the finer levels of a generated clip take the style of another content; 0 where path lengths"
        " are measured.",
        ge=0,
        le=1,
    )
    path_length_every: int = option(
        4, "weights.path_length acts on every n-th step with n times the weight.", unit="steps", ge=1
    )
    coverage: tuple[Share, Share] | None = option(
        None, "Lowest and highest mean mask of a clip that mask_coverage leaves free.", unit="share of the frame"
    )
    shift_foreground: float = option(
        0.0,
        "Largest random shift of the foreground before discriminators see it; the mask must then cut objects out.",
        unit="share of the frame's shorter side",
        ge=0,
        lt=0.5,
    )

    @field_validator("augment", mode="before")
    @classmethod
    def _policies(cls, chosen: Any) -> Any:
        return names_in(POLICIES, chosen)

    def problems(self) -> Iterator[str]:
        """Broken rules between fields."""
        yield from super().problems()
        if self.path_frames is not None and "first_frame" in self.weights:
            yield "path_frames cannot be combined with weights.first_frame: few windows begin with the given frame"
        if (self.coverage is None) != ("mask_coverage" not in self.weights):
            yield "coverage and weights.mask_coverage go together: set both or neither"
        if self.coverage is not None and not self.coverage[0] < self.coverage[1]:
            yield f"coverage={list(self.coverage)}: the lowest share must be below the highest"
        if self.category_source == "projection":
            if "category" in self.weights:
                yield "weights.category has no effect with category_source=projection; set it to null"
        elif (self.category_source is None) != ("category" not in self.weights):
            yield "category_source and weights.category go together: set both or neither"
        if self.adaptive is not None and not self.augment:
            yield "adaptive needs augment: there is nothing to adapt"
        if self.adaptive is not None and self.adversarial not in SIGNED_LOSSES:
            yield (
                f"adaptive reads the sign of logits, which adversarial={self.adversarial} gives no meaning; accepted:"
                f" {', '.join(SIGNED_LOSSES)}"
            )


class SynthesisConfig(AdversarialRunConfig):
    """A run that trains a MoCoGAN."""

    task: Literal["synthesis"] = option("synthesis", "Clip synthesis with MoCoGAN.")
    model: MoCoGANConfig = MoCoGANConfig()
    discriminators: MoCoGANDiscriminators = MoCoGANDiscriminators()
    objective: MoCoGANObjective

    @classmethod
    def dependent_terms(cls, removed: set[str]) -> set[str]:
        """Categories and information codes need the video discriminator's head."""
        return {"category", "codes"} if "video" in removed else set()

    @classmethod
    def dependent_options(cls, removed: set[str]) -> tuple[str, ...]:
        """Keys of `objective` that belong to one discriminator."""
        owned = (("frame", "frames_per_clip"), ("video", "category_source"))
        return tuple(key for owner, key in owned if owner in removed)

    def with_every_turn(self) -> Self:
        """The config with the usual sequence of turns, at full size from the first step."""
        config = super().with_every_turn()
        return config.model_copy(update={"objective": config.objective.model_copy(update={"growing": None})})

    def problems(self) -> Iterator[str]:
        """Broken rules between sections."""
        yield from super().problems()
        if self.objective.growing is not None:
            yield from self._growing_problems()
        objective, frames = self.objective, self.data.frames
        if frames < 3:
            yield f"data.frames={frames}: MoCoGAN needs at least 3 frames, or there is no motion"
        yield from text_problems(
            encoder=self.model.text,
            text=objective.text,
            weights=objective.weights,
            discriminators={"frame": self.discriminators.frame, "video": self.discriminators.video},
            flip=self.data.flip,
        )
        if "first_frame" in objective.weights and self.model.encoder is None:
            yield "objective.weights.first_frame needs model.encoder"
        if "first_frame" in objective.weights and self.model.warp_first_frame:
            yield (
                "objective.weights.first_frame has no effect with model.warp_first_frame=true, whose first frame is the"
                " given one; set it to null"
            )
        if self.model.layers is None:
            masks = [f"weights.{name}" for name in ("mask_coverage", "mask_binary") if name in objective.weights]
            masks += ["shift_foreground"] if objective.shift_foreground else []
            yield from (f"objective.{key} needs model.layers" for key in masks)
        if not getattr(self.model.frame, "has_styles", False):
            styled = ["weights.path_length"] if "path_length" in objective.weights else []
            styled += ["style_mixing"] if objective.style_mixing else []
            yield from (f"objective.{key} needs model.frame.kind=modulated, which has styles" for key in styled)
        elif "path_length" in objective.weights:
            others = [key for key in ("layers", "encoder", "text") if getattr(self.model, key) is not None]
            yield from (
                f"objective.weights.path_length cannot be combined with model.{key}; remove one" for key in others
            )
        if "path_length" not in objective.weights and objective.path_length_every != 4:
            yield "objective.path_length_every has no effect without objective.weights.path_length; remove it"
        if set(objective.frozen) >= {"motion", "frame"}:
            yield "objective.frozen names both parts of the generator; leave one to train"
        if objective.reversal and self.model.text is not None:
            yield "objective.reversal with model.text: captions of a direction are wrong for clips that run backwards"
        if objective.reversal and self.discriminators.video is None:
            yield "objective.reversal has no effect without discriminators.video; remove it"
        if objective.frames_per_clip is not None and self.discriminators.frame is None:
            yield "objective.frames_per_clip has no effect without discriminators.frame"
        if (objective.frames_per_clip or 1) > frames:
            yield f"objective.frames_per_clip={objective.frames_per_clip} must not exceed data.frames={frames}"
        if objective.path_frames is not None and objective.path_frames <= frames:
            yield f"objective.path_frames={objective.path_frames} must exceed data.frames={frames}"
        if objective.category_source is not None and self.discriminators.video is None:
            yield "objective.category_source needs discriminators.video: its category head classifies the clips"
        video = self.discriminators.video
        if objective.category_source == "projection" and not getattr(video, "projects_category", False):
            yield "objective.category_source=projection needs discriminators.video.kind=residual"
        if bool(self.model.codes) != ("codes" in objective.weights):
            yield "model.codes and objective.weights.codes go together: set both or neither"
        if self.model.codes and video is None:
            yield "model.codes needs discriminators.video, which predicts them from the clips"
        if self.model.codes and objective.category_source == "projection":
            yield "model.codes needs class logits; choose another objective.category_source than projection"
        if objective.category_source is None and self.model.category_input != "motion":
            yield "model.category_input has no effect without objective.category_source; remove it"
        if objective.augment and not (self.discriminators.frame or self.discriminators.video):
            yield "objective.augment has no effect without discriminators; remove it"

    def _growing_problems(self) -> Iterator[str]:
        """Broken rules of progressive growing."""
        parts = {"model.frame": self.model.frame}
        parts |= {f"discriminators.{name}": getattr(self.discriminators, name) for name in ("frame", "video")}
        for key, part in parts.items():
            if part is not None and part.kind != "progressive":
                yield f"objective.growing needs {key}.kind=progressive, not {part.kind}"
        if self.model.layers is not None:
            yield "objective.growing cannot be combined with model.layers, whose background does not grow; remove one"
        if self.train.compile:
            yield "objective.growing cannot be combined with train.compile: networks change in every step of a fade"
