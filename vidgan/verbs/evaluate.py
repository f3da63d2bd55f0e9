"""`vidgan evaluate`: scores of a run on held-out data, or of one folder of videos against another."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from vidgan.build import build_dataset, model_name
from vidgan.config import ConfigError, RunConfig
from vidgan.data.dataset import ClipDataset
from vidgan.data.single import list_clips, read_clip
from vidgan.evaluation.evaluator import score_folders
from vidgan.evaluation.protocols import DEFAULT_METRICS, find_protocol
from vidgan.evaluation.results import FolderScores, ForecastScores, Result, SynthesisScores
from vidgan.models import PREDICTORS
from vidgan.models.dual_motion import DualMotionGAN
from vidgan.models.mocogan import MoCoGAN
from vidgan.models.pretrained import read_facts
from vidgan.types import ByteClip
from vidgan.verbs.files import write_text
from vidgan.verbs.runs import run_config, write_scores
from vidgan.verbs.scoring import FEWEST_REAL, forecast_scores, held_out_or_training, synthesis_scores
from vidgan.verbs.tables import score_document, text_table

CLIPS = 256


def evaluate(
    run: Path,
    *,
    data: Path | None = None,
    protocol: str | None = None,
    best: bool = False,
    context: int | None = None,
    horizon: int | None = None,
    clips: int | None = None,
    samples: int = 1,
    seed: int = 0,
) -> ForecastScores | SynthesisScores:
    """Score a training run on the test split of its data (or of `data`); the result is kept in the run's `scores/`.

    Args:
        protocol: name of a published protocol, which fixes context, horizon, samples and metrics.
        best: the weights of the best evaluation while training, not the newest.

    Raises:
        ConfigError: no run, or an option that has no effect on its model.
        DataError: nothing is held out.
    """
    config = run_config(run)
    forecasting = model_name(config) in PREDICTORS
    if not forecasting and (protocol or context or horizon or samples > 1):
        raise ConfigError(
            "--protocol, --context, --horizon and --samples have no effect on a model that generates clips"
        )
    if forecasting and clips is not None:
        raise ConfigError("--clips has no effect on a model that forecasts")
    weights = run / "best" if best else run
    if best and not weights.is_dir():
        raise ConfigError(f"{run}: holds no best/; it appears with every.evaluate")
    if data is not None:
        config = config.model_copy(update={"data": config.data.model_copy(update={"root": str(data)})})
    scores = (
        _score_forecasts(config, weights, protocol, context, horizon, samples, seed)
        if forecasting
        else _score_samples(config, weights, clips or CLIPS, seed)
    )
    trained_on = read_facts(weights).get("data", {})
    if trained_on.get("fingerprint") != scores.fingerprint:
        note = "other data than the model was trained on"
        scores = replace(scores, notes=[*scores.notes, note])
    told = {"data": data and data.name, "best": best or None, "samples": samples if samples > 1 else None}
    told |= {"clips": clips, "seed": seed or None}
    write_scores(run, "-".join([scores.protocol, *(f"{k}-{v}" for k, v in told.items() if v)]), score_document(scores))
    return scores


def _score_forecasts(
    config: RunConfig,
    weights: Path,
    protocol: str | None,
    context: int | None,
    horizon: int | None,
    samples: int,
    seed: int,
) -> ForecastScores:
    assert config.data.context is not None
    seen, ahead = context or config.data.context, horizon or config.data.frames - config.data.context
    name = f"held-out-{seen}to{ahead}"
    metrics: Sequence[str] = DEFAULT_METRICS
    model = DualMotionGAN.from_pretrained(weights)
    if protocol is not None:
        if context or horizon or samples > 1:
            raise ConfigError(f"--context, --horizon and --samples are fixed by --protocol {protocol}; leave them out")
        fixed = find_protocol(protocol)
        seen, ahead, samples = fixed.context, fixed.horizon, fixed.samples
        name, metrics = fixed.name, fixed.metrics
        if fixed.frame_size is not None and model.image_size != fixed.frame_size:
            raise ConfigError(
                f"--protocol {protocol} is for frames of {fixed.frame_size}, not {model.image_size} (H, W)"
            )
    dataset = ClipDataset(
        Path(config.data.root), split="test", frames=seen + ahead, stride=config.data.stride, seed=config.seed
    )
    return forecast_scores(
        model, dataset, context=seen, horizon=ahead, samples=samples, seed=seed, metrics=metrics, protocol=name
    )


def _score_samples(config: RunConfig, weights: Path, clips: int, seed: int) -> SynthesisScores:
    training = build_dataset(config)
    dataset = held_out_or_training(config, training, fewest=FEWEST_REAL)
    model = MoCoGAN.from_pretrained(weights)
    if model.image_to_video:
        raise ConfigError(f"{weights}: an image-to-video model continues given pictures and cannot be scored as a set")
    held_out = dataset is not training
    name = f"{'held-out' if held_out else 'training'}-{config.data.frames}-frames"
    known = training if held_out else None
    return synthesis_scores(model, dataset, training=known, clips=clips, seed=seed, protocol=name)


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
    clips: int | None,
    protocol: str | None,
    best: bool,
    samples: int,
    seed: int,
    strip_frame: tuple[int, int] | None,
    out: Path | None,
    as_json: bool,
) -> str:
    """The text that the command prints: a table, or JSON."""
    if out is not None and out.exists():
        raise FileExistsError(f"{out} exists; choose another --out")
    scores: Result
    if reference is not None:
        if data is not None or protocol or best or context or horizon or clips or samples > 1 or seed:
            raise ConfigError(
                "two folders of videos are compared as they are: only --strip-frame, --out and --json apply"
            )
        scores = evaluate_folders(subject, reference, strip_frame=strip_frame)
    else:
        if strip_frame is not None:
            raise ConfigError("--strip-frame has no effect on a training run")
        scores = evaluate(
            subject,
            data=data,
            protocol=protocol,
            best=best,
            context=context,
            horizon=horizon,
            clips=clips,
            samples=samples,
            seed=seed,
        )
    if out is not None:
        write_text(out, scores.to_json() + "\n")
    return scores.to_json() if as_json else text_table(scores)
