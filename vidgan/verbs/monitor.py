"""What a run does beside training: previews, evaluations and the saved model, always from the average weights."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

import vidgan
from vidgan.build import model_name
from vidgan.config import RunConfig
from vidgan.data.dataset import ClipDataset
from vidgan.evaluation.synthesis import describe, pairwise_diversity
from vidgan.models import PREDICTORS
from vidgan.models.inference import ClipSampler, Forecaster
from vidgan.training.dual_motion import DualMotionTraining
from vidgan.training.loop import Hooks
from vidgan.training.mocogan import MoCoGANTraining
from vidgan.types import ByteClip
from vidgan.verbs.files import replace_folder
from vidgan.verbs.pictures import forecast_rows, forecast_strip
from vidgan.verbs.scoring import (
    FEWEST_REAL,
    forecast_scores,
    held_out_or_training,
    held_out_windows,
    real_clips,
    synthesis_scores,
)
from vidgan.video.encode import png_bytes, tile, webp_bytes

PREVIEW_CLIPS = 16
PREVIEW_FORECASTS = 3
EVALUATION_CLIPS = 64
EVALUATION_WINDOWS = 32


def build_hooks(config: RunConfig, dataset: ClipDataset, algorithm: MoCoGANTraining | DualMotionTraining) -> Hooks:
    """The hooks for the config's model."""
    saved = _Saver(config, dataset, algorithm)
    watch: _Synthesis | _Forecast
    if model_name(config) in PREDICTORS:
        watch = _Forecast(config, held_out_or_training(config, dataset), algorithm)
    else:
        watch = _Synthesis(config, dataset, algorithm)
    return Hooks(preview=watch.preview, evaluate=watch.evaluate, export=saved)


def saturated_share(clips: ByteClip) -> float:
    """Share of pixel values within 1 % of black or white."""
    return float(((clips <= 1) | (clips >= 254)).float().mean())


class _Synthesis:
    """MoCoGAN: a grid of the same 16 latents each time, and how diverse and lively it is beside real clips."""

    def __init__(
        self, config: RunConfig, dataset: ClipDataset, algorithm: MoCoGANTraining | DualMotionTraining
    ) -> None:
        self.folder = config.run_dir / "previews"
        self.config, self.algorithm = config, algorithm
        self.compared = held_out_or_training(config, dataset, fewest=FEWEST_REAL)
        real, _ = real_clips(dataset, 2 * PREVIEW_CLIPS)
        self.real = describe(real)
        self.real_saturation = saturated_share(real)
        self.first_frame = real[0, 0]

    def _model(self) -> ClipSampler:
        model = self.algorithm.ema.module
        assert isinstance(model, ClipSampler)
        return model

    def preview(self, step: int) -> Mapping[str, float]:
        model = self._model()
        first = self.first_frame if getattr(model, "image_to_video", False) else None
        latents = model.latents(PREVIEW_CLIPS, self.config.data.frames, seed=self.config.seed)
        clips = model.render(latents, first_frame=first)
        save_preview(self.folder, step, webp_bytes(tile(clips, columns=4), scale=max(1, 96 // clips.shape[-1])), "webp")
        fake = describe(clips)
        return {
            "diversity/fake": pairwise_diversity(fake.pooled),
            "diversity/real": pairwise_diversity(self.real.pooled),
            "motion/fake": float(fake.motion_energy.mean()),
            "motion/real": float(self.real.motion_energy.mean()),
            "saturation/fake": saturated_share(clips),
            "saturation/real": self.real_saturation,
            "ema_distance": self.algorithm.ema.distance(self.algorithm.trainees.raw["generator"]),
        }

    def evaluate(self, step: int) -> Mapping[str, float]:
        if getattr(self._model(), "image_to_video", False) or len(self.real) < FEWEST_REAL:
            return {}
        scores = synthesis_scores(self._model(), self.compared, clips=EVALUATION_CLIPS, seed=self.config.seed)
        distance = scores.scores["generated"]["frechet_inhouse"].mean.mean
        assert distance is not None
        return {"evaluation/frechet_inhouse": distance, "evaluation/score": -distance}


class _Forecast:
    """Dual Motion GAN: strips of held-out forecasts, and their scores beside copy-last."""

    def __init__(
        self, config: RunConfig, held_out: ClipDataset, algorithm: MoCoGANTraining | DualMotionTraining
    ) -> None:
        assert config.data.context is not None
        self.folder = config.run_dir / "previews"
        self.config, self.held_out, self.algorithm = config, held_out, algorithm
        self.context, self.horizon = config.data.context, config.data.frames - config.data.context
        clips, _ = next(held_out_windows(held_out, config.data.frames, limit=PREVIEW_FORECASTS))
        self.clips = clips

    def _model(self) -> Forecaster:
        model = self.algorithm.ema.module
        assert isinstance(model, Forecaster)
        return model

    def preview(self, step: int) -> Mapping[str, float]:
        strips = []
        for clip in self.clips:
            seen, truth = clip[: self.context], clip[self.context :]
            prediction = self._model().forecast(seen[None], self.horizon)
            strips.append(forecast_strip(forecast_rows(seen, truth, prediction)))
        save_preview(self.folder, step, png_bytes(torch.cat(strips, dim=1)), "png")
        return {"ema_distance": self.algorithm.ema.distance(self.algorithm.trainees.raw["generator"])}

    def evaluate(self, step: int) -> Mapping[str, float]:
        scores = forecast_scores(
            self._model(),
            self.held_out,
            context=self.context,
            horizon=self.horizon,
            limit=EVALUATION_WINDOWS,
            brief=True,
        ).scores
        found = {}
        for name, row in (("forecast", "fused P"), ("copy_last", "copy-last")):
            for metric in ("psnr", "ssim"):
                value = scores[row][metric].mean.mean
                if value is not None:
                    found[f"evaluation/{name}/{metric}"] = value
        return found | {"evaluation/score": found["evaluation/forecast/psnr"]}


class _Saver:
    """Writes the average weights to `model/` at each checkpoint, and to `best/` at the best evaluation."""

    def __init__(
        self, config: RunConfig, dataset: ClipDataset, algorithm: MoCoGANTraining | DualMotionTraining
    ) -> None:
        self.config, self.dataset, self.algorithm = config, dataset, algorithm

    def __call__(self, step: int, best: bool) -> None:
        for name in ("model", "best") if best else ("model",):
            save_model(self.algorithm.ema.module, self.config.run_dir / name, self._facts(step))

    def _facts(self, step: int) -> dict[str, Any]:
        config = self.config
        facts: dict[str, Any] = {
            "run": config.name,
            "step": step,
            "frames": config.data.frames,
            "stride": config.data.stride,
            "fps": self.dataset.index.fps,
            "fit": self.dataset.index.settings.get("fit", "crop"),
            "batch_size": config.train.batch_size,
            "seed": config.seed,
            "data": {"fingerprint": self.dataset.index.fingerprint, "split": self.dataset.index.split_hash},
            "vidgan": vidgan.__version__,
        }
        if config.objective.category_source is not None:
            facts["categories"] = list(self.dataset.category_names)
        if config.data.context is not None:
            facts["context"] = config.data.context
        return facts


def save_model(model: Any, folder: Path, facts: dict[str, Any]) -> None:
    """`save_pretrained`, whole or not at all."""
    temporary = folder.with_name(f".{folder.name}.new")
    shutil.rmtree(temporary, ignore_errors=True)  # what a killed run left
    temporary.mkdir(parents=True)
    model.facts = facts
    model.save_pretrained(temporary)
    replace_folder(temporary, folder)


def save_preview(folder: Path, step: int, data: bytes, suffix: str) -> None:
    """Write `step-00001234.<suffix>`; a resumed run may write the same preview again."""
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f".step-{step:08d}.tmp"
    temporary.write_bytes(data)
    temporary.replace(folder / f"step-{step:08d}.{suffix}")
