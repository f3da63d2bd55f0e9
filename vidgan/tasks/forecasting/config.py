"""The config of Dual Motion GAN: what its networks are built from and what is optimised."""

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Discriminator, Tag

from vidgan.sections import OwnPart, Section, kind_of, one_of, option
from vidgan.tasks.adversarial_config import (
    AdversarialObjective,
    AdversarialRunConfig,
    FlowDiscriminatorPart,
    FrameDiscriminatorPart,
)
from vidgan.tasks.forecasting.coarse_to_fine import CoarseToFineConfig
from vidgan.tasks.forecasting.decoding import DecodingConfig
from vidgan.tasks.forecasting.flow_estimator import ESTIMATORS, Channels, LucasKanadeConfig, PyramidConfig
from vidgan.tasks.forecasting.fusion import FUSIONS, BlendFusionConfig, MaskFusionConfig
from vidgan.tasks.run_config import DataConfig

__all__ = ["DualMotionConfig", "DualMotionObjective", "ForecastDataConfig", "ForecastingConfig", "GeneratorConfig"]

FORECAST_TERMS = ("fused", "fused_l2", "fused_log_l2", "fused_dissimilarity", "adversarial_frame")
ESTIMATED_FLOW_TERMS = ("implied_flow", "observed_flow", "adversarial_flow")
LABEL_FLOW_TERMS = ("flow", *ESTIMATED_FLOW_TERMS)


class ForecastDataConfig(DataConfig):
    """What a training window is: context frames and the frames after them, which are forecast."""

    context: int = option(description="Frames that are given; the rest of the clip is forecast.", unit="frames", ge=2)

    def problems(self) -> Iterator[str]:
        """Broken rules between fields."""
        yield from super().problems()
        if self.context >= self.frames:
            yield f"context={self.context} must be below frames={self.frames}"


class DualMotionConfig(Section):
    """The generator: motion encoder, frame and flow generator, flow estimator, fusion."""

    kind: Literal["latent"] = option("latent", "The published structure: both generators decode the motion code.")
    widths: tuple[Channels, Channels, Channels, Channels] = option(
        (64, 128, 256, 512),
        "Channels of the encoder at strides 2, 4, 8 and 16; the decoders mirror them.",
        unit="channels",
    )
    dim_latent: int = option(512, "Channels of the motion code and of the ConvLSTMs.", unit="channels", ge=1)
    probabilistic: bool = option(True, "The motion code is a distribution; false: a point, and one forecast only.")
    skip_connections: bool = option(True, "Both generators read the encoder's features of the last frame.")
    extrapolate_flow: bool = option(
        True, "The flow generator predicts a correction to the last observed flow at constant velocity."
    )
    motion_hints: bool = option(
        False, "Both generators read the acceleration and what the observed flow failed to explain."
    )
    residual_frame: bool = option(True, "The frame generator predicts a correction to the last frame.")
    max_flow: float = option(20.0, "Limit of every flow that a network puts out.", unit="pixels", gt=0)
    estimator: one_of(*ESTIMATORS, default="pyramid") = option(  # type: ignore[valid-type]
        PyramidConfig(), "Flow estimator Q."
    )
    fusion: one_of(*FUSIONS, default="mask") = option(  # type: ignore[valid-type]
        MaskFusionConfig(), "How P is made from A and W."
    )
    decoding: DecodingConfig = option(DecodingConfig(), "What is done to forecasts beyond the network's output.")
    checkpoint_activations: bool = option(False, "Recompute activations in the backward pass to save memory.")

    @property
    def learns_flow(self) -> bool:
        """Whether Q has weights."""
        return not isinstance(self.estimator, LucasKanadeConfig)

    @property
    def reads_earlier_motion(self) -> bool:
        """Whether the flow before the last one is needed."""
        return self.motion_hints or isinstance(self.fusion, BlendFusionConfig | OwnPart)

    def problems(self) -> Iterator[str]:
        """Broken rules between fields."""
        if isinstance(self.fusion, BlendFusionConfig) and not self.extrapolate_flow:
            yield "fusion.kind=blend needs extrapolate_flow: it blends what the observed flow leads to"
        if self.motion_hints and not (self.skip_connections and self.extrapolate_flow):
            yield "motion_hints needs skip_connections and extrapolate_flow, which carry the hints"
        if self.decoding.motion_spread and not (self.probabilistic and self.reads_earlier_motion):
            yield "decoding.motion_spread needs probabilistic, and motion_hints or fusion.kind=blend"


def _kind_of_model(value: Any) -> Any:
    """The kind of the section `model`; configs written before there were two have none."""
    return kind_of(value) or DualMotionConfig.model_fields["kind"].default


GeneratorConfig = Annotated[
    Annotated[DualMotionConfig, Tag("latent")] | Annotated[CoarseToFineConfig, Tag("coarse_to_fine")],
    Discriminator(
        _kind_of_model,
        custom_error_type="unknown_kind",
        custom_error_message="unknown kind (accepted: latent, coarse_to_fine)",
    ),
]


class DualMotionDiscriminators(Section):
    """D_I and D_F; null leaves one out."""

    frame: FrameDiscriminatorPart | None = option(None, "Scores A, W and P against the true frame.")
    flow: FlowDiscriminatorPart | None = option(None, "Scores f and f' against the label flow.")


class DualMotionObjective(AdversarialObjective):
    """What is optimised."""

    built_in_terms: ClassVar[tuple[str, ...]] = (
        "direct",
        "warped",
        "fused",
        "direct_l2",
        "fused_l2",
        "direct_log_l2",
        "warped_log_l2",
        "fused_log_l2",
        "fused_dissimilarity",
        "flow",
        "implied_flow",
        "observed_flow",
        "kl",
        "gradient_difference",
        "adversarial_frame",
        "adversarial_flow",
    )

    kl_warmup: int | None = option(
        None, "Steps until the KL term has its full weight; null: at once.", unit="steps", ge=1
    )
    samples: int | None = option(
        None, "Draws per clip scored by the continuous ranked probability score; null: one draw.", ge=2
    )

    def problems(self) -> Iterator[str]:
        """Broken rules between fields."""
        yield from super().problems()
        if not self.weights.keys() & {*FORECAST_TERMS, *self.terms}:
            yield f"weights needs one of {', '.join(FORECAST_TERMS)}: nothing trains the forecast"
        if self.samples is not None and not self.weights.keys() & {"direct", "warped", "fused"}:
            yield "samples has no effect without weights.direct, warped or fused"
        if self.kl_warmup is not None and "kl" not in self.weights:
            yield "kl_warmup has no effect without weights.kl"


class ForecastingConfig(AdversarialRunConfig):
    """A run that trains a Dual Motion GAN."""

    task: Literal["forecasting"] = option("forecasting", "Video prediction with Dual Motion GAN.")
    data: ForecastDataConfig
    model: GeneratorConfig = DualMotionConfig()
    discriminators: DualMotionDiscriminators = DualMotionDiscriminators()
    objective: DualMotionObjective

    @property
    def needs_implied_flow(self) -> bool:
        """Whether a term reads the flow that A implies."""
        return bool(self.objective.weights.keys() & {"implied_flow", "adversarial_flow"})

    @property
    def needs_label_flow(self) -> bool:
        """Whether a term is taught by stored label flow; a Q without weights makes its own."""
        return self.model.learns_flow and bool(self.objective.weights.keys() & set(LABEL_FLOW_TERMS))

    def problems(self) -> Iterator[str]:
        """Broken rules between sections."""
        yield from super().problems()
        weights, model = self.objective.weights, self.model
        if not model.learns_flow and "observed_flow" in weights:
            yield "objective.weights.observed_flow has no effect: model.estimator.kind=lucas_kanade has no weights"
        if "kl" in weights and not model.probabilistic:
            yield "objective.weights.kl has no effect with model.probabilistic=false; set it to null"
        if self.objective.samples is not None and not model.probabilistic:
            yield "objective.samples has no effect with model.probabilistic=false: there is one forecast only"
        if model.learns_flow and not model.extrapolate_flow and not weights.keys() & set(ESTIMATED_FLOW_TERMS):
            yield (
                f"objective.weights needs one of {', '.join(ESTIMATED_FLOW_TERMS)} with model.extrapolate_flow=false:"
                " nothing trains the flow estimator"
            )
