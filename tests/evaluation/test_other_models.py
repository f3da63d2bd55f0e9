"""Models of a task that vidgan does not know are evaluated through the protocols of `vidgan.tasks.base` alone."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from einops import reduce
from torch import Tensor

from vidgan.commands.evaluate import evaluate
from vidgan.data.store.index import load_index
from vidgan.errors import ConfigError
from vidgan.evaluation import nearest_clips
from vidgan.evaluation.models import TrainedModel
from vidgan.evaluation.nearest_clips import add_nearest
from vidgan.evaluation.results import ForecastScores, LongClipScores, SynthesisScores
from vidgan.evaluation.set_scores import score_synthesis
from vidgan.hub import ModelFacts
from vidgan.pixels import to_byte, to_float
from vidgan.types import ByteClip, Forecast, Latents


class LastFrame:
    """Forecasts the last frame, from one part and without flow."""

    image_size = (32, 32)
    forecast_name: ClassVar[str] = "last frame"
    part_names: ClassVar[tuple[str, ...]] = ("inverted",)
    facts: dict[str, Any] = {}  # noqa: RUF012
    can_sample = True

    def forecast(
        self, context: ByteClip, horizon: int, *, seed: int | None = None, rows: Sequence[int] | None = None
    ) -> Forecast:
        frames = to_float(context[:, -1:]).repeat(1, horizon, 1, 1, 1)
        return Forecast(frames=frames, parts={"inverted": -frames}, flow=None)

    def predict(
        self,
        context: ByteClip,
        horizon: int = 10,
        *,
        samples: int = 1,
        seed: int | None = None,
        rows: Sequence[int] | None = None,
    ) -> ByteClip:
        frames = to_byte(self.forecast(context, horizon).frames)
        return torch.stack([frames] * samples) if samples > 1 else frames


class Noise:
    """Generates clips of static noise."""

    image_size = (32, 32)
    num_categories = 0
    needs_first_frame = False
    facts: dict[str, Any] = {}  # noqa: RUF012

    def latents(self, clips: int, frames: int, *, seed: int = 0, category: int | str | None = None) -> Latents:
        random = torch.Generator().manual_seed(seed)
        content = torch.rand(clips, 3 * 32 * 32, generator=random)
        return Latents(content, torch.zeros(clips, frames, 1), torch.zeros(clips, dtype=torch.int64))

    def render(self, latents: Latents, *, first_frame: Tensor | None = None, batch_size: int = 16) -> ByteClip:
        image = (255 * latents.content).to(torch.uint8).reshape(-1, 1, 3, 32, 32)
        return image.repeat(1, latents.motion.shape[1], 1, 1, 1)

    def sample(
        self,
        clips: int,
        *,
        frames: int | None = None,
        seed: int = 0,
        category: int | str | None = None,
        first_frame: Tensor | None = None,
        batch_size: int = 16,
    ) -> ByteClip:
        return self.render(self.latents(clips, frames or 5, seed=seed))


def toy(model: Any, data: Path, **facts: Any) -> TrainedModel:
    """The model as if it had been trained on the data."""
    return TrainedModel(
        name="toy",
        model=model,
        run=None,
        data=data,
        crop=None,
        facts=ModelFacts(frames=5, step=7, fingerprint=load_index(data).fingerprint, **facts),
        weights={},
    )


@pytest.fixture
def use_model(shapes_data: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A function that makes `evaluate` score this model."""

    def use(model: Any, **facts: Any) -> None:
        trained = toy(model, shapes_data, **facts)
        monkeypatch.setattr(
            "vidgan.evaluation.models.load_model", lambda path, data, best: replace(trained, data=data or shapes_data)
        )

    return use


def test_rows_of_a_forecast_are_those_that_the_model_names(use_model: Any) -> None:
    use_model(LastFrame(), context=3)
    scores = evaluate("toy", metrics=("mse", "mae"))
    assert isinstance(scores, ForecastScores) and (scores.context, scores.horizon) == (3, 2)
    assert scores.subject == "last frame" and scores.provenance["step"] == 7
    assert scores.scores.keys() == {
        "last frame", "inverted", "copy-last", "context mean", "linear extrapolation",
        "constant-velocity warp", "constant-velocity, carried",
    }  # fmt: skip
    assert scores.scores["last frame"]["mse"] == scores.scores["copy-last"]["mse"]
    sampled = evaluate("toy", metrics=("mse",), samples=2)
    assert isinstance(sampled, ForecastScores) and sampled.subject == "sampled frame/mean"
    assert sampled.scores["sampled frame/best"]["mse"] == scores.scores["copy-last"]["mse"]


def test_samples_need_a_model_that_can_sample(use_model: Any) -> None:
    model = LastFrame()
    model.can_sample = False
    use_model(model, context=3)
    with pytest.raises(ConfigError, match="--samples 2"):
        evaluate("toy", samples=2)
    with pytest.raises(ConfigError, match="--clips"):
        evaluate("toy", clips=8)


class Copies(Noise):
    """Generates mirrored training clips, in turn."""

    def __init__(self, clips: ByteClip) -> None:
        self.clips = clips.flip(-1)

    def sample(self, clips: int, **options: Any) -> ByteClip:
        return self.clips[[row % len(self.clips) for row in range(clips)]]


def quadrants(clips: ByteClip) -> np.ndarray:
    """Mean colour of the quadrants of every frame: (N, T, 12)."""
    return reduce(clips.double(), "n t c (y h) (x w) -> n t (c y x)", "mean", y=2, x=2).numpy()


def test_distance_to_the_nearest_training_clip_in_features(shapes_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained = toy(Noise(), shapes_data)
    scores = score_synthesis(*(Noise().sample(4, seed=seed) for seed in (5, 6)), splits=1)
    measured = add_nearest(scores, trained, 3, quadrants)
    windows = trained.windows(split="train")
    unit = [
        rows / np.linalg.norm(rows, axis=-1, keepdims=True)
        for clips in (Noise().sample(64, seed=3), windows.read_all(windows.windows))
        for rows in (quadrants(clips), quadrants(clips.flip(-1)))
    ]
    distances = [
        min(float(np.sqrt(np.square(clip - other).sum(axis=-1).mean())) for clip in both for other in unit[2])
        for both in zip(unit[0], unit[1], strict=True)
    ]
    generated, real = (measured.scores[row]["nearest_training_appearance"].mean.mean for row in ("generated", "real"))
    assert generated == pytest.approx(np.mean(distances)) and real is not None and 0 < real < generated
    assert measured.scores["generated"]["copy_ratio_appearance"].mean.mean == pytest.approx(generated / real)
    copies = add_nearest(scores, toy(Copies(windows.read_all(windows.windows)), shapes_data), 3, quadrants)
    assert copies.scores["generated"]["nearest_training_appearance"].mean.mean == pytest.approx(0, abs=1e-6)
    assert copies.scores["generated"]["copy_ratio_appearance"].mean.mean == pytest.approx(0, abs=1e-6)
    monkeypatch.setattr(nearest_clips, "MOST_BY_FEATURES", 2)
    few = add_nearest(scores, trained, 3, quadrants)
    assert any(f"2 of {len(windows)} training windows" in note for note in few.notes)


def test_clips_of_another_model_are_compared_with_real_ones(use_model: Any) -> None:
    use_model(Noise())
    scores = evaluate("toy", clips=4)
    assert isinstance(scores, SynthesisScores) and scores.frames == 5
    assert scores.scores["generated"]["motion_energy"].mean.mean == 0
    assert "copy_ratio" in scores.scores["generated"]
    longer = evaluate("toy", clips=4, frames=10)
    assert isinstance(longer, LongClipScores) and longer.frames == 10
    with pytest.raises(ConfigError, match="--mcs"):
        evaluate("toy", mcs=True)
    with pytest.raises(ConfigError, match="--horizon"):
        evaluate("toy", horizon=2)
