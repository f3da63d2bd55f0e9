"""The config of a run that trains a pyramid of generators on one clip."""

from collections.abc import Iterator
from typing import ClassVar, Literal

from vidgan.sections import Section, option
from vidgan.tasks.adversarial_config import AdversarialObjective, AdversarialRunConfig
from vidgan.tasks.run_config import DataConfig

__all__ = ["CriticConfig", "PyramidConfig", "PyramidModelConfig", "PyramidObjective"]


class PyramidData(DataConfig):
    """The clip: the data hold one."""

    def problems(self) -> Iterator[str]:
        """Broken rules between fields."""
        yield from super().problems()
        for key, is_set in (("flip", self.flip), ("augment", bool(self.augment)), ("window", self.window is not None)):
            if is_set:
                yield f"{key} would change the clip, which every step must see as it is; remove it"


class PyramidModelConfig(Section):
    """A pyramid of generators, one per scale, each the size of the clip at that scale."""

    width: int = option(16, "Channels of all layers.", unit="channels", ge=1)
    factor: float = option(0.75, "Side of a scale over that of the next finer one.", gt=0.3, lt=1)
    time_factor: float = option(0.9, "Frames of a scale over those of the next finer one.", gt=0.3, le=1)
    shortest: int = option(16, "Short side of the coarsest scale.", unit="pixels", ge=12)
    noise: float = option(0.1, "Noise of a finer scale over the error of the reconstruction there.", ge=0, le=10)


class CriticConfig(Section):
    """The critics, one per scale, with the layers of the generators."""

    width: int = option(16, "Channels of all layers.", unit="channels", ge=1)


class PyramidDiscriminators(Section):
    """One critic of clips per scale; null trains on the reconstruction alone."""

    critic: CriticConfig | None = option(None, "Scores the patches of clips.")


class PyramidObjective(AdversarialObjective):
    """What is optimised on each scale."""

    built_in_terms: ClassVar[tuple[str, ...]] = ("reconstruction", "adversarial_critic")

    scale_steps: int = option(400, "Steps of a scale; the coarsest is trained first.", unit="steps", ge=1)

    def problems(self) -> Iterator[str]:
        """Broken rules between fields."""
        yield from super().problems()
        if "reconstruction" not in self.weights:
            yield "weights needs reconstruction: noise of the finer scales is measured by its error"


class PyramidConfig(AdversarialRunConfig):
    """A run that trains on one clip."""

    task: Literal["single_clip"] = option("single_clip", "A generator from one clip.")
    data: PyramidData
    model: PyramidModelConfig = PyramidModelConfig()
    discriminators: PyramidDiscriminators = PyramidDiscriminators()
    objective: PyramidObjective

    def problems(self) -> Iterator[str]:
        """Broken rules between sections."""
        yield from super().problems()
        if self.train.lr_schedule != "constant" or self.train.warmup:
            yield "train.lr_schedule and train.warmup span the whole run, not a scale; remove them"
