"""The call that made a result, as the result records it, so that it can be shown and repeated."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from vidgan.errors import ConfigError
from vidgan.evaluation.models import TrainedModel, find_model
from vidgan.evaluation.outside_models import describe
from vidgan.evaluation.results import AnyResult
from vidgan.files import digest_of, file_hash

KEY = "request"  # of `Result.provenance`


@dataclass(frozen=True, kw_only=True)
class EvaluationRequest:
    """A call of `vidgan.evaluate`.

    Attributes:
        run: a run, checkpoint or saved model; None for an outside model.
        model: name of an outside model; None for `run`.
        data: prepared data; None: those of the run.
        best: the weights of the best evaluation of the run.
        options: the other keyword arguments, as JSON.
    """

    run: str | None
    model: str | None
    data: str | None
    best: bool
    options: Mapping[str, Any]

    @classmethod
    def of_call(
        cls,
        run: Path | str | None,
        model: str | Callable[..., Any] | None,
        data: Path | None,
        best: bool,
        options: Mapping[str, Any],
    ) -> Self:
        """The request of a call, with absolute paths."""
        place = str(Path(run).absolute()) if run is not None and Path(run).exists() else run
        if isinstance(model, str):
            file, colon, name = model.rpartition(":")
            path = Path(file if colon else model)
            model = f"{path.absolute()}{colon}{name if colon else ''}" if path.is_file() else model
        weights = {name: str(path.absolute()) for name, path in options["weights"].items()}
        return cls(
            run=None if place is None else str(place),
            model=None if model is None else describe(model),
            data=None if data is None else str(data.absolute()),
            best=best,
            options={
                **options,
                "metrics": list(options["metrics"]),
                "truncation": list(options["truncation"]),
                "labels": None if options["labels"] is None else str(options["labels"].absolute()),
                "weights": weights,
            },
        )

    @classmethod
    def of_result(cls, result: AnyResult, file: Path) -> Self:
        """The request that a result records.

        Raises:
            ConfigError: it records none, or a damaged one.
        """
        content = read_request(result, file)
        try:
            return cls(**{key: value for key, value in content.items() if key != "command"})
        except TypeError as error:
            raise ConfigError(f"{file}: provenance.{KEY}: {error}") from error

    def to_json(self) -> dict[str, Any]:
        """The entry of the result."""
        return {"command": "evaluate", **self.__dict__}

    def moved(self, *, run: Path | None = None, model: str | None = None, data: Path | None = None) -> Self:
        """The same request, with other places of what was moved."""
        return replace(
            self,
            run=self.run if run is None else str(run.absolute()),
            model=model or self.model,
            data=self.data if data is None else str(data.absolute()),
        )

    @property
    def arguments(self) -> dict[str, Any]:
        """The keyword arguments of `vidgan.evaluate`, besides run, model, data and best."""
        weights = {name: Path(path) for name, path in self.options["weights"].items()}
        labels = self.options.get("labels")
        return {
            **self.options,
            "metrics": tuple(self.options["metrics"]),
            "truncation": tuple(self.options.get("truncation", ())),  # results of earlier versions have none
            "labels": None if labels is None else Path(labels),
            "weights": weights,
        }

    def load(self) -> TrainedModel:
        """The model and its data, where they are now.

        Raises:
            ConfigError, PretrainedError, CheckpointError: they are not there.
        """
        for place, option in ((self.run, "--run"), (self.data, "--data")):
            if place is not None and Path(place).is_absolute() and not Path(place).exists():
                raise ConfigError(f"{place} was moved or deleted since the result was made; give it with {option}")
        data = None if self.data is None else Path(self.data)
        run = None if self.model is not None else self.run
        return find_model(run, self.model, data=data, best=self.best)


def read_request(result: AnyResult, file: Path) -> dict[str, Any]:
    """The entry of a result that records its call.

    Raises:
        ConfigError: there is none, as in results of earlier versions and of Python functions below the commands.
    """
    content = result.provenance.get(KEY)
    if not isinstance(content, dict) or content.get("command") not in ("evaluate", "compare"):
        raise ConfigError(
            f"{file}: does not record the call that made it, as results of earlier versions; evaluate again with"
            " `vidgan evaluate` or `vidgan compare`"
        )
    return content


def videos_hash(path: Path) -> str:
    """A hash of the names and contents of all files that `path` (a file, folder or pattern with `*`) stands for."""
    if path.is_file():
        return file_hash(path)
    root, pattern = (path, "**/*") if path.is_dir() else (path.parent, path.name)
    files = [file for file in root.glob(pattern) if file.is_file()]
    return digest_of(sorted((file.relative_to(root).as_posix(), file_hash(file)) for file in files))
