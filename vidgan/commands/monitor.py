"""What a run does beside training: previews and evaluations, always from the average weights."""

from collections.abc import Callable, Mapping, Sequence

import torch

from vidgan.checks import model_name
from vidgan.config import RunConfig
from vidgan.data.dataset import ClipDataset
from vidgan.evaluation.clips import synthesis_scores
from vidgan.evaluation.forecasts import forecast_scores
from vidgan.evaluation.models import held_out_or_training
from vidgan.evaluation.set_scores import FEWEST_REAL
from vidgan.evaluation.windows import held_out_windows, real_clips
from vidgan.files import write_bytes
from vidgan.metrics.clip_statistics import describe, pairwise_diversity
from vidgan.tasks.forecasting.prediction import Forecaster
from vidgan.tasks.forecasting.training import DualMotionTraining
from vidgan.tasks.pictures import forecast_animation, forecast_rows, forecast_strip
from vidgan.tasks.registry import PREDICTORS
from vidgan.tasks.synthesis.sampling import ClipSampler
from vidgan.tasks.synthesis.training import MoCoGANTraining
from vidgan.training.trackers import Tracker, Trackers
from vidgan.training.watch import Hooks
from vidgan.types import ByteClip
from vidgan.video.encode import png_bytes, tile, webp_bytes

PREVIEW_CLIPS = 16
PREVIEW_FORECASTS = 3
PREVIEW_FPS = 8.0
EVALUATION_CLIPS = 64
EVALUATION_WINDOWS = 32


def build_hooks(
    config: RunConfig,
    dataset: ClipDataset,
    algorithm: MoCoGANTraining | DualMotionTraining,
    *,
    export: Callable[[int, bool], None],
    trackers: Sequence[Tracker] = (),
) -> Hooks:
    """The hooks for the config's model; measurements and preview clips also go to the trackers."""
    told = Trackers(trackers)
    watch: _Synthesis | _Forecast
    if model_name(config) in PREDICTORS:
        watch = _Forecast(config, held_out_or_training(config, dataset), algorithm, told)
    else:
        watch = _Synthesis(config, dataset, algorithm, told)
    return Hooks(preview=watch.preview, evaluate=watch.evaluate, export=export, log=told.log, close=told.close)


def saturated_share(clips: ByteClip) -> float:
    """Share of pixel values within 1 % of black or white."""
    return float(((clips <= 1) | (clips >= 254)).float().mean())


class _Synthesis:
    """MoCoGAN: a grid of the same 16 latents each time, and how diverse and lively it is beside real clips.

    An image-to-video model goes on from four pictures of training clips, four times from each.
    """

    def __init__(
        self,
        config: RunConfig,
        dataset: ClipDataset,
        algorithm: MoCoGANTraining | DualMotionTraining,
        trackers: Trackers,
    ) -> None:
        self.folder = config.run_dir / "previews"
        self.config, self.algorithm, self.trackers = config, algorithm, trackers
        self.compared = held_out_or_training(config, dataset, fewest=FEWEST_REAL)
        real, _ = real_clips(dataset, 2 * PREVIEW_CLIPS)
        self.real = describe(real)
        self.real_saturation = saturated_share(real)
        self.pictures = torch.stack([real[row // 4 % len(real), 0] for row in range(PREVIEW_CLIPS)])

    def _model(self) -> ClipSampler:
        model = self.algorithm.ema.module
        assert isinstance(model, ClipSampler)
        return model

    def preview(self, step: int) -> Mapping[str, float]:
        model = self._model()
        latents = model.latents(PREVIEW_CLIPS, self.config.data.frames, seed=self.config.seed)
        clips = model.render(latents, first_frame=self.pictures if model.needs_first_frame else None)
        grid = tile(clips, columns=4)
        picture = webp_bytes(grid, scale=max(1, 96 // clips.shape[-1]))
        write_bytes(self.folder / f"step-{step:08d}.webp", picture)
        self.trackers.media(step, "samples", grid, PREVIEW_FPS)
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
        if len(self.real) < FEWEST_REAL:
            return {}
        scores = synthesis_scores(self._model(), self.compared, clips=EVALUATION_CLIPS, seed=self.config.seed)
        distance = scores.scores["generated"]["frechet_inhouse"].mean.mean
        assert distance is not None
        return {"evaluation/frechet_inhouse": distance, "evaluation/score": -distance}


class _Forecast:
    """Dual Motion GAN: strips of held-out forecasts, and their scores beside copy-last."""

    def __init__(
        self,
        config: RunConfig,
        held_out: ClipDataset,
        algorithm: MoCoGANTraining | DualMotionTraining,
        trackers: Trackers,
    ) -> None:
        assert config.data.context is not None
        self.folder = config.run_dir / "previews"
        self.config, self.held_out, self.algorithm, self.trackers = config, held_out, algorithm, trackers
        self.context, self.horizon = config.data.context, config.data.frames - config.data.context
        clips, _ = next(held_out_windows(held_out, config.data.frames, limit=PREVIEW_FORECASTS))
        self.clips = clips

    def _model(self) -> Forecaster:
        model = self.algorithm.ema.module
        assert isinstance(model, Forecaster)
        return model

    def preview(self, step: int) -> Mapping[str, float]:
        strips = []
        for number, clip in enumerate(self.clips):
            seen, truth = clip[: self.context], clip[self.context :]
            rows = forecast_rows(seen, truth, self._model().forecast(seen[None], self.horizon))
            strips.append(forecast_strip(rows))
            self.trackers.media(step, f"forecast/{number}", forecast_animation(rows), PREVIEW_FPS)
        write_bytes(self.folder / f"step-{step:08d}.png", png_bytes(torch.cat(strips, dim=1)))
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
