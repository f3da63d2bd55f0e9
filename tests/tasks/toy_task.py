"""A task that vidgan does not know: a one-layer forecaster. docs/add_a_task.md walks through this file."""

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from vidgan.hub import Pretrained
from vidgan.losses.reconstruction import l1
from vidgan.pixels import to_byte, to_float
from vidgan.sections import Section, option
from vidgan.seeding import Draws
from vidgan.tasks import TASKS
from vidgan.tasks.base import DataFacts, Preview, Task, TrainingParts
from vidgan.tasks.inference import device_of, evaluating
from vidgan.tasks.run_config import DataConfig, RunConfig
from vidgan.training.trainees import Micro, TurnResult
from vidgan.types import ByteClip, Clip, ClipBatch, Forecast, Terms
from vidgan.video.encode import contact_sheet, png_bytes


class ToyData(DataConfig):
    """Windows of context frames and frames to forecast."""

    context: int = option(description="Frames that are given.", unit="frames", ge=2)

    def problems(self) -> Iterator[str]:
        """Broken rules between fields."""
        yield from super().problems()
        if self.context >= self.frames:
            yield f"context={self.context} must be below frames={self.frames}"


class ToyModelConfig(Section):
    """The network."""

    kernel: int = option(3, "Side of the convolution.", unit="pixels", ge=1)


class ToyObjective(Section):
    """The loss."""

    weight: float = option(1.0, "Weight of the mean absolute error.", gt=0)


class ToyConfig(RunConfig):
    """A run of the toy."""

    task: Literal["toy"] = option("toy", "One convolution from two frames to the next.")
    data: ToyData
    model: ToyModelConfig = ToyModelConfig()
    objective: ToyObjective = ToyObjective()


class ToyForecaster(nn.Module, Pretrained):
    """next = last + conv(last - previous)."""

    usage = "future = model.predict(context, horizon=10)"
    forecast_name: ClassVar[str] = "toy forecast"
    part_names: ClassVar[tuple[str, ...]] = ()
    can_sample = False

    def __init__(self, kernel: int, image_size: tuple[int, int]) -> None:
        super().__init__()
        self.image_size = image_size
        self.conv = nn.Conv2d(3, 3, kernel, padding=kernel // 2)
        self.architecture = {"kernel": kernel, "image_size": list(image_size)}

    @classmethod
    def from_architecture(cls, architecture: dict[str, Any]) -> "ToyForecaster":
        height, width = architecture["image_size"]
        return cls(architecture["kernel"], (height, width))

    def forward(self, context: Clip, horizon: int) -> Clip:
        previous, last = context[:, -2], context[:, -1]
        frames = []
        for _ in range(horizon):
            previous, last = last, (last + self.conv(last - previous)).clamp(-1, 1)
            frames.append(last)
        return torch.stack(frames, dim=1)

    def forecast(
        self, context: ByteClip, horizon: int, *, seed: int | None = None, rows: Sequence[int] | None = None
    ) -> Forecast:
        with evaluating(self):
            frames = self(to_float(context.to(device_of(self))), horizon)
        return Forecast(frames=frames.cpu(), parts={}, flow=None)

    def predict(
        self,
        context: ByteClip,
        horizon: int = 10,
        *,
        samples: int = 1,
        seed: int | None = None,
        rows: Sequence[int] | None = None,
    ) -> ByteClip:
        return to_byte(self.forecast(context, horizon).frames)


class ToyTraining:
    """Mean absolute error of the frames after the context."""

    def __init__(self, parts: TrainingParts, config: ToyConfig) -> None:
        self.trainees, self.ema = parts.trainees, parts.ema
        self.context, self.weight = config.data.context, config.objective.weight

    def step(self, step: int, micros: Sequence[Micro]) -> Terms:
        measured = self.trainees.update("generator", self.losses, micros, {"l1": self.weight}, step)
        self.ema.update(self.trainees.raw["generator"])
        return measured

    def losses(self, batch: ClipBatch, draws: Draws) -> TurnResult:
        clip = to_float(batch.clip)
        future: Tensor = clip[:, self.context :]
        forecast = self.trainees.prepared["generator"](clip[:, : self.context], future.shape[1])
        return TurnResult({"l1": l1(forecast, future)}, {})


class ToyTask(Task[ToyConfig]):
    """One convolution."""

    name = "toy"
    config = ToyConfig
    model = ToyForecaster
    evaluation = "forecast"
    default_config = "toy"
    preview_clips = 2
    previews_held_out = True

    def build_generator(self, config: ToyConfig, data: DataFacts) -> nn.Module:
        return ToyForecaster(config.model.kernel, data.image_size)

    def build_training(self, config: ToyConfig, parts: TrainingParts) -> ToyTraining:
        return ToyTraining(parts, config)

    def preview(self, model: Any, clips: ByteClip, config: ToyConfig, captions: Sequence[str] = ()) -> Preview:
        forecast = model.predict(clips[:, : config.data.context], clips.shape[1] - config.data.context)
        return Preview(image=png_bytes(contact_sheet(forecast)), suffix=".png")

    def context(self, config: ToyConfig) -> int:
        return config.data.context


def register() -> None:
    """The line that `vidgan/tasks/__init__.py` would hold."""
    TASKS["toy"] = ToyTask()
