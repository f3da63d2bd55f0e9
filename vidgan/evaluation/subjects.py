"""What `vidgan evaluate` scores: a training run, one of its checkpoints, or a saved model with data."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vidgan.build import build_dataset, build_networks
from vidgan.config import RunConfig
from vidgan.data.store.index import load_index
from vidgan.errors import ConfigError
from vidgan.evaluation.places import Places
from vidgan.exports import facts
from vidgan.hub import model_folder, read_facts
from vidgan.metrics.weights import file_hash
from vidgan.runs import run_config
from vidgan.tasks import find_task, task_of_model
from vidgan.tasks.base import ClipModel, ForecastModel
from vidgan.training.checkpoint import Checkpoint, load_best, load_checkpoint, load_strict

CHECKPOINTS = "checkpoints"


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A trained model and what is known of it.

    Attributes:
        name: in tables.
        model: in evaluation mode.
        run: the run that it belongs to, whose `scores/` keeps the result; None for a saved model.
        data: prepared data to score on.
        window: (h, w), what is shown of the middle of each frame; None for all of it.
        frames, context, stride, fps: as it was trained; context None for a model that generates.
        seed: of its training.
        trained_on: fingerprint of its training data.
        weights: file -> sha256.
        step: of training.
    """

    name: str
    model: ForecastModel | ClipModel
    run: Path | None
    data: Path
    window: tuple[int, int] | None
    frames: int
    context: int | None
    stride: int
    fps: float | None
    seed: int
    trained_on: str | None
    weights: dict[str, str]
    step: int | None

    @property
    def forecasts(self) -> bool:
        """Whether it continues videos; else it makes clips."""
        return isinstance(self.model, ForecastModel)

    def places(self, length: int | None = None, **choice: Any) -> Places:
        """Windows of its data in the model's sense of time, by default as long as it was trained on.

        Args:
            choice: split, one_each, shifted, seed of `Places`.

        Raises:
            DataError: no such window.
        """
        return Places(self.data, length or self.frames, window=self.window, stride=self.stride, fps=self.fps, **choice)


def find_subject(path: Path, *, data: Path | None = None, best: bool = False) -> Subject:
    """The model that `path` holds.

    Args:
        path: a run, `RUN/best`, `RUN/checkpoints/step-...` (or `.../best`), or a folder written by save_pretrained.
        data: prepared data; default: the run's own.
        best: of a run, the weights of the best evaluation.

    Raises:
        ConfigError, PretrainedError, CheckpointError: no model there, or none of this kind; the message says what is.
    """
    parent = path.parent
    if parent.name == CHECKPOINTS and (parent.parent / "config.yaml").is_file():
        if best:
            raise ConfigError("--best has no effect on one checkpoint; give the run, or RUN/checkpoints/best")
        return _of_checkpoint(path, data)
    if (path / "config.yaml").is_file():
        if best and not (path / "best").is_dir():
            raise ConfigError(f"{path}: holds no best/; it appears with every.evaluate")
        return _of_folder(path / "best" if best else path, run=path, data=data)
    if best:
        raise ConfigError("--best has no effect on a saved model; give the run")
    run = parent if (parent / "config.yaml").is_file() else None
    return _of_folder(path, run=run, data=data)


def _of_folder(path: Path, *, run: Path | None, data: Path | None) -> Subject:
    folder = model_folder(path)
    told = read_facts(folder)
    task = task_of_model(told["class"])
    if task is None:
        raise ConfigError(f"{folder}: holds a {told['class']}, which no task of this vidgan trains")
    config = None if run is None else run_config(run)
    if data is None and config is None:
        raise ConfigError(f"{path}: a saved model names no data to score it on; give --data DATA")
    context = told.get("context")
    return Subject(
        name=path.name if run is None or path == run else f"{run.name}/{path.name}",
        model=task.model.from_pretrained(folder),
        run=run,
        data=data or Path(config.data.root if config else ""),
        window=None if data is not None or config is None else config.data.window,
        frames=int(told.get("frames", 16)),
        context=None if context is None else int(context),
        stride=int(told.get("stride", 1)),
        fps=told.get("sampled_fps"),
        seed=int(told.get("seed", 0)),
        trained_on=told.get("data", {}).get("fingerprint"),
        weights={f"{folder.name}/{file.name}": file_hash(file) for file in sorted(folder.glob("*.safetensors"))},
        step=told.get("step"),
    )


def _of_checkpoint(path: Path, data: Path | None) -> Subject:
    run = path.parent.parent
    config = run_config(run)
    checkpoint = load_best(path.parent) if path.name == "best" else load_checkpoint(path)
    if checkpoint is None:
        raise ConfigError(f"{path}: there is no best checkpoint yet; it appears with every.evaluate")
    return Subject(
        name=f"{run.name}/{checkpoint.path.name}",
        model=_averaged_model(config, checkpoint),
        run=run,
        data=data or Path(config.data.root),
        window=config.data.window if data is None else None,
        frames=config.data.frames,
        context=find_task(config).context(config),
        stride=config.data.stride,
        fps=config.data.fps,
        seed=config.seed,
        trained_on=checkpoint.state.get("data"),
        weights={f"{checkpoint.path.name}/ema.safetensors": file_hash(checkpoint.path / "ema.safetensors")},
        step=checkpoint.step,
    )


def _averaged_model(config: RunConfig, checkpoint: Checkpoint) -> ForecastModel | ClipModel:
    """The generator with the checkpoint's average weights."""
    dataset = build_dataset(config)
    model = build_networks(config, dataset)["generator"].eval()
    load_strict(model, checkpoint.tensors["ema"])
    model.facts = facts(config, dataset, checkpoint.step)
    return model


def data_facts(root: Path) -> dict[str, Any]:
    """What a result keeps of the data: name, fingerprint, split hash, preparation."""
    index = load_index(root)
    return {
        "root": root.name,
        "fingerprint": index.fingerprint,
        "split_hash": index.split_hash,
        "protocol": getattr(index, "protocol", None),
        "settings": index.settings,
    }
