"""The capabilities that train a model, one package each. A new task is one package and one line in `TASKS`."""

from typing import Any

from vidgan.tasks.base import Task
from vidgan.tasks.forecasting.task import ForecastingTask
from vidgan.tasks.synthesis.task import SynthesisTask

__all__ = ["TASKS", "find_task", "task_of_model"]

TASKS: dict[str, Task[Any]] = {
    "synthesis": SynthesisTask(),
    "forecasting": ForecastingTask(),
}


def find_task(config: Any) -> Task[Any]:
    """The task of a run's config."""
    return TASKS[config.task]


def task_of_model(class_name: str) -> Task[Any] | None:
    """The task whose model class has this name (as saved in `vidgan.json`); None for an unknown one."""
    return next((task for task in TASKS.values() if task.model.__name__ == class_name), None)
