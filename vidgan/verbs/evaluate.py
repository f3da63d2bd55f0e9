"""`vidgan evaluate`: scores of a run on held-out data, or of one folder of videos against another."""

from functools import partial
from pathlib import Path

import torch

from vidgan.build import build_dataset, model_name
from vidgan.config import ConfigError
from vidgan.data.dataset import ClipDataset
from vidgan.data.single import list_clips, read_clip
from vidgan.evaluation.evaluator import score_folders
from vidgan.evaluation.results import FolderScores, ForecastScores, Result, SynthesisScores
from vidgan.models import PREDICTORS
from vidgan.models.dual_motion import DualMotionGAN
from vidgan.models.mocogan import MoCoGAN
from vidgan.types import ByteClip
from vidgan.verbs.files import claim, write_text
from vidgan.verbs.scoring import FEWEST_REAL, forecast_scores, held_out_or_training, synthesis_scores
from vidgan.verbs.tables import score_document, text_table
from vidgan.verbs.train import run_config, write_scores


def evaluate(
    run: Path,
    *,
    data: Path | None = None,
    context: int | None = None,
    horizon: int | None = None,
    clips: int = 256,
    samples: int = 1,
    seed: int = 0,
) -> ForecastScores | SynthesisScores:
    """Score a training run on the test split of its data (or of `data`).

    Raises:
        ConfigError: no run, or an option that has no effect on its model.
        DataError: nothing is held out.
    """
    config = run_config(run)
    forecasting = model_name(config) in PREDICTORS
    if not forecasting and (context or horizon or samples > 1):
        raise ConfigError("--context, --horizon and --samples have no effect on a model that generates clips")
    if data is not None:
        config = config.model_copy(update={"data": config.data.model_copy(update={"root": str(data)})})
    if forecasting:
        assert config.data.context is not None
        seen = context or config.data.context
        ahead = horizon or config.data.frames - config.data.context
        dataset = _split(Path(config.data.root), "test", seen + ahead, config.data.stride, config.seed)
        forecaster = DualMotionGAN.from_pretrained(run)
        name = f"held-out-{seen}to{ahead}"
        scores: ForecastScores | SynthesisScores = forecast_scores(
            forecaster, dataset, context=seen, horizon=ahead, samples=samples, seed=seed, protocol=name
        )
    else:
        training = build_dataset(config)
        dataset = held_out_or_training(config, training, fewest=FEWEST_REAL)
        model = MoCoGAN.from_pretrained(run)
        if model.image_to_video:
            raise ConfigError(f"{run}: an image-to-video model continues given pictures and cannot be scored as a set")
        name = f"{'held-out' if dataset is not training else 'training'}-{config.data.frames}-frames"
        known = training if dataset is not training else None
        scores = synthesis_scores(model, dataset, training=known, clips=clips, seed=seed, protocol=name)
    write_scores(run, name, score_document(scores))
    return scores


def _split(root: Path, split: str, frames: int, stride: int, seed: int) -> ClipDataset:
    return ClipDataset(root, split=split, frames=frames, stride=stride, seed=seed)


def evaluate_folders(predicted: Path, true: Path, *, strip_frame: tuple[int, int] | None = None) -> FolderScores:
    """Score videos against the true ones of the same name, frame by frame; no model is needed.

    Raises:
        DataError: a folder holds no clips. ValueError: they do not pair up in name, length or frame size.
    """
    return score_folders(
        _readers(predicted, strip_frame),
        _readers(true, strip_frame),
        fingerprint=f"{predicted.name} against {true.name}",
    )


def _readers(folder: Path, strip_frame: tuple[int, int] | None) -> dict[str, partial[ByteClip]]:
    root, sources = list_clips(folder, strip_frame=strip_frame)

    def read(index: int) -> ByteClip:
        frames = read_clip(root, sources[index], strip_frame=strip_frame)
        return torch.from_numpy(frames).permute(0, 3, 1, 2).contiguous()  # (T, 3, H, W)

    names = [Path(source.name).with_suffix("").as_posix() for source in sources]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ConfigError(f"{folder}: two videos are named {twice}; videos are paired by name")
    return {name: partial(read, i) for i, name in enumerate(names)}


def evaluate_command(
    subject: Path,
    reference: Path | None,
    *,
    data: Path | None,
    context: int | None,
    horizon: int | None,
    clips: int,
    samples: int,
    seed: int,
    strip_frame: tuple[int, int] | None,
    out: Path | None,
    as_json: bool,
) -> str:
    """The text that the command prints: a table, or JSON."""
    if out is not None and out.exists():
        claim(out, overwrite=False)
    scores: Result
    if reference is not None:
        if data is not None or context or horizon or samples > 1:
            raise ConfigError("--data, --context, --horizon and --samples have no effect on two folders of videos")
        scores = evaluate_folders(subject, reference, strip_frame=strip_frame)
    else:
        if strip_frame is not None:
            raise ConfigError("--strip-frame has no effect on a training run")
        scores = evaluate(subject, data=data, context=context, horizon=horizon, clips=clips, samples=samples, seed=seed)
    if out is not None:
        write_text(out, scores.to_json() + "\n")
    return scores.to_json() if as_json else text_table(scores)
