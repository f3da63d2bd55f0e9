"""The exceptions that vidgan raises. A subclass of ValueError is a user error (exit code 2)."""

from pathlib import Path


class ConfigError(ValueError):
    """The configuration is unusable; the message names the key and what is accepted."""


class DataError(ValueError):
    """A source or a prepared data set cannot be used; the message names the file, the fault, and what is accepted."""


class SourceError(DataError):
    """A source that must be left out: the reason to count it by, and the details."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class LoaderError(RuntimeError):
    """A loader process died or hangs; the message names what it was reading."""


class VideoError(ValueError):
    """A file cannot be read as a video.

    Attributes:
        path: the file.
        reason: one of `REASONS`, short and stable, for counting.
        detail: what was found and what is accepted.
    """

    def __init__(self, path: Path | str, reason: str, detail: str) -> None:
        # All arguments go to the base class, so that the error survives the way out of a worker process.
        super().__init__(path, reason, detail)
        self.path = Path(path)
        self.reason = reason
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.path}: {self.detail} ({self.reason})"


class PretrainedError(ValueError):
    """A folder or name does not hold weights for this model; the message says what it holds."""


class CheckpointError(ValueError):
    """A checkpoint cannot be written, read, or fitted to the objects at hand; the message says which and why."""


class DamagedError(CheckpointError):
    """The files are not what was written: an older checkpoint may still serve."""


class RunLockedError(ValueError):
    """Another process trains in this directory, or it cannot be written; the message says which."""


class RunFailedError(RuntimeError):
    """The run cannot go on, and the same command again would meet the same end; the message says what to change."""


class NonFiniteError(RunFailedError):
    """A loss term, a gradient or a weight became NaN or infinite; the message names network, term and step."""


class CollapseError(RunFailedError):
    """A guard stopped the training; the message names the fault and what to do about it."""


class WeightsError(ValueError):
    """A weight file that is missing or is not what it should be; the message says how to get the right one."""


class FlowFileError(ValueError):
    """A flow file that cannot be read; the message names the file and the reason."""


class ComparisonError(ValueError):
    """Results that do not belong in one table; the message says what differs."""
