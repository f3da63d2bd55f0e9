"""The exceptions of vidgan and the exit code of the command line that each one leads to.

    UserError (ValueError)            exit 2: the user can correct it
        ConfigError                   configuration, command-line options
        DataError                     sources, prepared data sets
            SourceError               one source, excluded while a data set is prepared
        VideoError                    one file that cannot be read as a video
        PretrainedError               saved models
        CheckpointError               checkpoints
            DamagedError              damaged files of a checkpoint
        RunLockedError                run folder in use
        WeightsError                  weight files of feature networks
        FlowFileError                 optical-flow files
        JsonError                     JSON files
        ComparisonError               results that do not belong in one table
    RunFailedError (RuntimeError)     exit 1: the run failed, and would fail again
        NonFiniteError                NaN or infinity
        CollapseError                 a guard stopped the training
    LoaderError (RuntimeError)        exit 1: the run failed, and may succeed if it is repeated

Python's own exceptions follow the same rule: ValueError and OSError lead to 2, RuntimeError, MemoryError and an OSError
of a full disk to 1. Any other exception is a bug in vidgan; it shows its traceback and leads to 1. `vidgan.__main__`
implements this.
"""

from pathlib import Path


class UserError(ValueError):
    """Base of errors that the user can correct. The message names the file or key, the fault and what is accepted."""


class ConfigError(UserError):
    """A config key or a command-line option is invalid."""


class DataError(UserError):
    """A source or a prepared data set cannot be used."""


class SourceError(DataError):
    """A source that has to be excluded.

    Attributes:
        reason: short, stable name of the fault, used for counting.
        detail: the fault in words.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class VideoError(UserError):
    """A file cannot be read as a video.

    Attributes:
        path: the file.
        reason: short, stable name of the fault, a key of `vidgan.video.REASONS`.
        detail: the fault in words, and what is accepted.
    """

    def __init__(self, path: Path | str, reason: str, detail: str) -> None:
        # Pickling calls the constructor with `args`, so all arguments go to the base class.
        super().__init__(path, reason, detail)
        self.path = Path(path)
        self.reason = reason
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.path}: {self.detail} ({self.reason})"


class PretrainedError(UserError):
    """A folder or name does not hold a saved model of the requested class."""


class CheckpointError(UserError):
    """A checkpoint cannot be written, read, or loaded into the present networks."""


class DamagedError(CheckpointError):
    """The files of a checkpoint differ from what was written; an older checkpoint may be intact."""


class RunLockedError(UserError):
    """The run folder is in use by another process, or cannot be written."""


class WeightsError(UserError):
    """A weight file of a feature network is missing, or is not the expected file."""


class FlowFileError(UserError):
    """An optical-flow file cannot be read."""


class JsonError(UserError):
    """A file is not readable as JSON, or not within the limits for JSON. The message names the file."""


class ComparisonError(UserError):
    """Results that do not belong in one table, for example with different protocols."""


class RunFailedError(RuntimeError):
    """The run cannot continue, and the same command would fail again. The message says what to change."""


class NonFiniteError(RunFailedError):
    """A loss term, a gradient or a weight became NaN or infinite. The message names network, term and step."""


class CollapseError(RunFailedError):
    """A guard stopped the training. The message names the fault and its remedy."""


class LoaderError(RuntimeError):
    """A loader worker died or stopped responding. The message names the item that it was reading."""
