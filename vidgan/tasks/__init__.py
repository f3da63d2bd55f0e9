"""The capabilities that train a model, one package each. A new task is one package and one line in `TASKS`."""

from pathlib import Path
from typing import Any

from vidgan.errors import PretrainedError
from vidgan.hub import model_class_in
from vidgan.tasks.base import EvaluationKind, Task
from vidgan.tasks.forecasting.task import ForecastingTask
from vidgan.tasks.single_clip.task import SingleClipTask
from vidgan.tasks.synthesis.task import SynthesisTask
from vidgan.tasks.translation.task import TranslationTask
from vidgan.tasks.translation.unpaired_task import UnpairedTask
from vidgan.tasks.upscaling.task import UpscalingTask

__all__ = ["TASKS", "find_task", "load_model", "task_of_model"]

TASKS: dict[str, Task[Any]] = {
    "synthesis": SynthesisTask(),
    "forecasting": ForecastingTask(),
    "translation": TranslationTask(),
    "unpaired": UnpairedTask(),
    "upscaling": UpscalingTask(),
    "single_clip": SingleClipTask(),
}
_DOES: dict[EvaluationKind, str] = {
    "forecast": "continues clips",
    "clips": "synthesises clips",
    "mapping": "maps clips to clips",
}


def find_task(config: Any) -> Task[Any]:
    """The task of a run's config."""
    return TASKS[config.task]


def task_of_model(class_name: str) -> Task[Any] | None:
    """The task whose model class has this name (as saved in `vidgan.json`); None for an unknown one."""
    return next((task for task in TASKS.values() if task.model.__name__ == class_name), None)


def load_model(path: str | Path, kind: EvaluationKind, *, task: str | None = None) -> Any:
    """The trained model that `path` holds, whatever task it is of.

    Args:
        path: a run, a model folder, the name of shipped weights, or `owner/name` on the hub.
        kind: "forecast" for a `ForecastModel`, "clips" for a `ClipModel`, "mapping" for a `ClipMapper`.
        task: name of the only accepted task. None: any of that kind; a name alone means its first one.

    Raises:
        PretrainedError: no model there, or one of another kind.
        ConfigError: own parts, without `vidgan.own_code.own_code(allowed=True)`.
    """
    class_name = model_class_in(path)
    accepted = next(one for name, one in TASKS.items() if one.evaluation == kind and task in (None, name))
    if class_name is not None:
        known = task_of_model(class_name)
        if known is None:
            raise PretrainedError(f"{path}: holds a {class_name}, which no task of this vidgan trains")
        if known.evaluation != kind:
            raise PretrainedError(f"{path}: holds a {class_name}, which {_DOES[known.evaluation]}")
        if task not in (None, known.name):
            raise PretrainedError(
                f"{path}: holds a {class_name} of the task {known.name}; a model of the task {task} is needed"
            )
        accepted = known
    return accepted.model.from_pretrained(path)
