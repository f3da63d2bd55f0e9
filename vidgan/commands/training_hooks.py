"""What a run does beside training: previews and evaluations, always with the average weights."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from vidgan.config import RunConfig
from vidgan.data.dataset import ClipDataset
from vidgan.evaluation.clips import synthesis_scores
from vidgan.evaluation.forecasts import forecast_scores
from vidgan.evaluation.mapping import short_mapping_scores
from vidgan.evaluation.models import held_out_or_training
from vidgan.evaluation.set_scores import FEWEST_REAL
from vidgan.evaluation.windows import dataset_windows, real_clips
from vidgan.files import write_bytes
from vidgan.tasks import find_task
from vidgan.training.recorder import Hooks
from vidgan.training.run_state import Algorithm
from vidgan.training.trackers import Trackers
from vidgan.types import ByteClip

__all__ = ["build_hooks"]

PREVIEW_FPS = 8.0
EVALUATION_CLIPS = 64
PERFECT_SCORE = 1000.0  # dB; above any PSNR, where every forecast frame is exact and none has a finite one
EVALUATION_WINDOWS = 32


def build_hooks(
    config: RunConfig,
    dataset: ClipDataset,
    algorithm: Algorithm,
    *,
    export: Callable[[int, bool], None],
    trackers: Trackers,
) -> Hooks:
    """The hooks for the config's task.

    Args:
        config: of the run.
        dataset: the training split.
        algorithm: whose average weights are rendered and scored.
        export: writes the model.
        trackers: also get measurements and preview clips.
    """
    observer = _Observer(config, dataset, algorithm, trackers)
    return Hooks(
        preview=observer.preview, evaluate=observer.evaluate, export=export, log=trackers.log, close=trackers.close
    )


class _Observer:
    def __init__(self, config: RunConfig, dataset: ClipDataset, algorithm: Algorithm, trackers: Trackers) -> None:
        self.config, self.algorithm, self.trackers = config, algorithm, trackers
        self.task = find_task(config)
        fewest = FEWEST_REAL if self.task.evaluation == "clips" else 1
        self.scored = held_out_or_training(config, dataset, fewest=fewest)
        self.scorable = fewest == 1 or len(real_clips(self.scored, fewest)[0]) >= fewest
        self.clips: ByteClip
        self.captions: Sequence[str] = ()
        if self.task.previews_held_out:
            windows = dataset_windows(self.scored, config.data.frames)
            batch = next(windows.batches(limit=self.task.preview_clips))
            self.clips, self.captions = batch.clips, batch.captions
        else:
            self.clips, _ = real_clips(dataset, self.task.preview_clips)

    def preview(self, step: int) -> Mapping[str, float]:
        preview = self.task.preview(self.algorithm.ema.module, self.clips, self.config, self.captions)
        write_bytes(self.config.run_dir / "previews" / f"step-{step:08d}{preview.suffix}", preview.image)
        for name, clip in preview.clips.items():
            self.trackers.media(step, name, clip, PREVIEW_FPS)
        distance = self.algorithm.ema.distance(self.algorithm.trainees.raw["generator"])
        return {**preview.metrics, "ema_distance": distance}

    def evaluate(self, step: int) -> Mapping[str, float]:
        model: Any = self.algorithm.ema.module
        if self.task.evaluation == "clips":
            return self._score_clips(model)
        if self.task.evaluation == "mapping":
            return self._score_mapping(model)
        return self._score_forecasts(model)

    def _score_clips(self, model: Any) -> Mapping[str, float]:
        if not self.scorable:
            return {}
        scores = synthesis_scores(model, self.scored, clips=EVALUATION_CLIPS, seed=self.config.seed)
        distance = scores.scores["generated"]["frechet_inhouse"].mean.mean
        return {} if distance is None else {"evaluation/frechet_inhouse": distance, "evaluation/score": -distance}

    def _score_mapping(self, model: Any) -> Mapping[str, float]:
        result = short_mapping_scores(model, self.scored, limit=EVALUATION_WINDOWS)
        measured = {}
        for key, row in (("output", result.subject), (result.reference, result.reference)):
            for metric, score in result.scores[row].items():
                if score.mean.mean is not None:
                    measured[f"evaluation/{key}/{metric}"] = score.mean.mean
        if "evaluation/output/psnr" in measured:
            measured["evaluation/score"] = measured["evaluation/output/psnr"]
        return measured

    def _score_forecasts(self, model: Any) -> Mapping[str, float]:
        context = self.task.context(self.config)
        assert context is not None, "a task that forecasts has a context"
        horizon = self.config.data.frames - context
        scores = forecast_scores(
            model, self.scored, context=context, horizon=horizon, limit=EVALUATION_WINDOWS, brief=True
        ).scores
        measured: dict[str, float] = {}
        for key, row in (("forecast", model.forecast_name), ("copy_last", "copy-last")):
            for metric in ("psnr", "ssim"):
                value = scores[row][metric].mean.mean
                if value is not None:  # None: every frame is exact
                    measured[f"evaluation/{key}/{metric}"] = value
            if num_exact := scores[row]["psnr"].exact:
                measured[f"evaluation/{key}/exact_frames"] = num_exact
        if "evaluation/forecast/psnr" in measured:
            measured["evaluation/score"] = measured["evaluation/forecast/psnr"]
        elif "evaluation/forecast/exact_frames" in measured:
            measured["evaluation/score"] = PERFECT_SCORE
        return measured
