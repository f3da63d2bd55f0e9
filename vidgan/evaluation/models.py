"""The model of an evaluation: a training run, one of its checkpoints, or a saved or an outside model with data.

This module is the only one of the package that reads run configs and builds networks. The others ask a model through
the protocols of `vidgan.tasks.base`.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from vidgan.build import build_dataset, build_networks
from vidgan.config import RunConfig
from vidgan.data.dataset import ClipDataset
from vidgan.data.store.index import Index, load_index
from vidgan.errors import ConfigError
from vidgan.evaluation.outside_models import OutsideForecaster, load_outside
from vidgan.evaluation.windows import WindowSet, real_clips
from vidgan.files import file_hash
from vidgan.hub import ModelFacts, find_shipped, model_folder, read_facts
from vidgan.runs import exported_step, model_facts, run_config, run_data
from vidgan.tasks import TASKS, task_of_model
from vidgan.tasks.base import ClipMapper, ClipModel, ForecastModel
from vidgan.training.checkpoint import load_best, load_checkpoint, load_strict

logger = logging.getLogger(__name__)

CHECKPOINTS = "checkpoints"


@dataclass(frozen=True, kw_only=True)
class TrainedModel:
    """A trained model and the data to score it on.

    Attributes:
        name: of the model in notes and messages.
        model: in evaluation mode.
        run: the training run, whose `scores/` receives the result; None for a saved model.
        data: prepared data to score on.
        crop: (h, w), the central region of each frame that is used; None: whole frames.
        facts: how it was trained.
        weights: file -> sha256.
        is_outside: whether vidgan did not train it, so that its training data are unknown.
    """

    name: str
    model: ForecastModel | ClipModel | ClipMapper
    run: Path | None
    data: Path
    crop: tuple[int, int] | None
    facts: ModelFacts
    weights: dict[str, str]
    is_outside: bool = False

    def windows(self, length: int | None = None, **options: Any) -> WindowSet:
        """Windows of its data at the frame rate of its training, by default of the length of its training clips.

        Args:
            options: split, one_each, shifted, crop, seed of `WindowSet`.

        Raises:
            DataError: there is no such window.
        """
        return WindowSet(
            self.data,
            length or self.facts.frames,
            conditions=self.reads_conditions,
            **{"crop": self.crop, "stride": self.facts.stride, "fps": self.facts.sampled_fps, **options},
        )

    def refuse_training_data(self, index: Index) -> None:
        """Raise ConfigError if the model may have been trained on clips of these data, so that not all can be scored.

        Args:
            index: of `data`.
        """
        if not self.is_outside and self.facts.fingerprint in (None, index.fingerprint):
            raise ConfigError(
                f"--split all is for data that the model was not trained on; {self.data} may be its training data"
            )

    @property
    def reads_conditions(self) -> bool:
        """Whether the model reads what `vidgan prepare --conditions` stored beside the clips."""
        return bool(getattr(self.model, "reads_conditions", False))

    @property
    def clip_model(self) -> ClipModel:
        """The model, which must generate clips."""
        assert isinstance(self.model, ClipModel)
        return self.model

    @property
    def clip_mapper(self) -> ClipMapper:
        """The model, which must map clips to clips."""
        assert isinstance(self.model, ClipMapper)
        return self.model

    @property
    def forecast_model(self) -> ForecastModel:
        """The model, which must forecast."""
        assert isinstance(self.model, ForecastModel)
        return self.model


def find_model(
    run: Path | str | None,
    outside: str | Callable[..., Any] | None = None,
    *,
    data: Path | None = None,
    best: bool = False,
) -> TrainedModel:
    """Load `run` as `load_model` does, shipped weights by their name, or the `outside` model.

    Raises:
        ConfigError: both or neither of `run` and `outside`; or, as PretrainedError and CheckpointError, no such model.
    """
    if (run is None) == (outside is None):
        raise ConfigError("give a run (or --pretrained NAME), or --model, one of them")
    if outside is not None:
        if best:
            raise ConfigError("--best has no effect on --model; give the run")
        return load_outside_model(outside, data=data)
    assert run is not None
    shipped = find_shipped(run) if isinstance(run, str) and not Path(run).exists() else None
    return load_model(shipped or Path(run), data=data, best=best)


def load_model(path: Path, *, data: Path | None = None, best: bool = False) -> TrainedModel:
    """Load the model at `path`.

    Args:
        path: a run, `RUN/best`, `RUN/checkpoints/step-...` (or `.../best`), or a folder written by save_pretrained.
        data: prepared data; default: the data of the run.
        best: of a run, the weights of its best evaluation.

    Raises:
        ConfigError, PretrainedError, CheckpointError: there is no model at `path`.
    """
    parent = path.parent
    if parent.name == CHECKPOINTS and (parent.parent / "config.yaml").is_file():
        if best:
            raise ConfigError("--best has no effect on a checkpoint; give the run, or RUN/checkpoints/best")
        return _load_checkpoint(path, data)
    if (path / "config.yaml").is_file():
        if best and not (path / "best").is_dir():
            raise ConfigError(f"{path}: holds no best/; a run with every.evaluate writes it")
        return _load_folder(path / "best" if best else path, run=path, data=data)
    if best:
        raise ConfigError("--best has no effect on a saved model; give the run")
    run = parent if (parent / "config.yaml").is_file() else None
    return _load_folder(path, run=run, data=data)


def load_outside_model(model: str | Callable[..., Any], *, data: Path | None) -> TrainedModel:
    """A model that vidgan did not train, with prepared data; `model` as in `vidgan.evaluation.outside_models`.

    Raises:
        ConfigError: no data, or no model that can be scored.
    """
    if data is None:
        raise ConfigError("--model names no data to score it on; give --data DATA")
    load_index(data)
    loaded, hashes = load_outside(model)
    name = loaded.forecast_name if isinstance(loaded, OutsideForecaster) else loaded.name
    either: Any = loaded  # a protocol's class variable is an attribute of the object here
    return TrainedModel(
        name=name, model=either, run=None, data=data, crop=None, facts=ModelFacts(), weights=hashes, is_outside=True
    )


def _load_folder(path: Path, *, run: Path | None, data: Path | None) -> TrainedModel:
    folder = model_folder(path)
    content = read_facts(folder)
    config = None if run is None else run_config(run)
    if data is None and config is None:
        raise ConfigError(f"{path}: a saved model names no data to score it on; give --data DATA")
    return TrainedModel(
        name=path.name if run is None or path == run else f"{run.name}/{path.name}",
        model=_model_class(content["class"], folder).from_pretrained(folder),
        run=run,
        data=data or run_data(run or path),
        crop=None if data is not None or config is None else config.data.window,
        facts=ModelFacts.from_json(content),
        weights={f"{folder.name}/{file.name}": file_hash(file) for file in sorted(folder.glob("*.safetensors"))},
    )


def _load_checkpoint(path: Path, data: Path | None) -> TrainedModel:
    run = path.parent.parent
    config = run_config(run)
    checkpoint = load_best(path.parent) if path.name == "best" else load_checkpoint(path)
    if checkpoint is None:
        raise ConfigError(f"{path}: the run has no best checkpoint yet; a run with every.evaluate writes it")
    network, trained = _network_of(run, config, checkpoint.step)
    load_strict(network, checkpoint.tensors["ema"])
    network.facts = trained.to_json()
    return TrainedModel(
        name=f"{run.name}/{checkpoint.path.name}",
        model=network,
        run=run,
        data=data or run_data(run),
        crop=config.data.window if data is None else None,
        facts=replace(trained, fingerprint=checkpoint.state.get("data")),  # of the data at the time of training
        weights={f"{checkpoint.path.name}/ema.safetensors": file_hash(checkpoint.path / "ema.safetensors")},
    )


def _network_of(run: Path, config: RunConfig, step: int) -> tuple[Any, ModelFacts]:
    """The generator of a run and the facts of its weights at `step`.

    Both come from the run's saved model, so that its training data are not needed; without one, from config and data.
    """
    saved = run / "model"
    if exported_step(saved) is not None:
        model = _model_class(read_facts(saved)["class"], saved).from_pretrained(saved)
        return model, replace(ModelFacts.from_json(read_facts(saved)), step=step)
    dataset = build_dataset(config)
    return build_networks(config, dataset, start=False)["generator"].eval(), model_facts(config, dataset, step)


def _model_class(name: str, folder: Path) -> Any:
    """The public model class of that name.

    Raises:
        ConfigError: no task has such a model.
    """
    task = task_of_model(name)
    if task is None:
        accepted = ", ".join(task.model.__name__ for task in TASKS.values())
        raise ConfigError(f"{folder}: holds a {name}; accepted are {accepted}")
    return task.model


def held_out_or_training(config: RunConfig, training: ClipDataset, *, fewest: int = 1) -> ClipDataset:
    """The test split of a run's data; `training`, with a warning, if it has fewer than `fewest` clips."""
    try:
        held_out = build_dataset(config, split="test")
    except ValueError as error:
        logger.warning("there are no held-out clips (%s): training clips are scored", error)
        return training
    number = len(real_clips(held_out, fewest)[0])
    if number < fewest:
        logger.warning("%d clips are held out, %d are needed: training clips are scored", number, fewest)
        return training
    return held_out


def data_facts(root: Path) -> dict[str, Any]:
    """The entries of a result that identify its data: name, fingerprint, hash of the split, preparation."""
    index = load_index(root)
    return {
        "root": root.name,
        "fingerprint": index.fingerprint,
        "split_hash": index.split_hash,
        "protocol": getattr(index, "protocol", None),
        "settings": index.settings,
    }
