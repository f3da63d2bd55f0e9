"""The run's journal: one JSON object a line, appended as training goes, cut back to the checkpoint on resume."""

import errno
import json
import logging
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

logger = logging.getLogger(__name__)

# Keys, and starts of keys, that differ between two equal runs.
VOLATILE = ("seconds", "clips_per_second", "data_wait_share", "memory/")


class Journal:
    """An append-only JSON Lines file; every record holds an integer ``step`` that never falls.

    Opening repairs what a kill or a power cut left: a torn last line is removed. To resume from a checkpoint of step s,
    call ``truncate_after(s)``: the records that the abandoned steps wrote go, and none is lost or written twice. Call
    ``sync()`` before a checkpoint is saved, so that the journal never lags behind it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("ab", buffering=0)  # unbuffered: one record, one write
        self._repair()
        self._last_step: int | None = None
        for _, record in _records(path):
            self._last_step = record["step"]

    def append(self, record: Mapping[str, Any], *, sync: bool = False) -> None:
        """Append one record; `sync` waits until the disk has it.

        Raises ValueError naming the key for a value that is not JSON or not finite, and for a step below the last one.
        """
        step = record.get("step")
        if not isinstance(step, int) or isinstance(step, bool):
            raise ValueError(f"{self.path}: a record needs an integer 'step', got {step!r}")
        if self._last_step is not None and step < self._last_step:
            raise ValueError(
                f"{self.path} already holds step {self._last_step}, so step {step} cannot follow; truncate_after first"
            )
        line = (
            "{" + ", ".join(f"{json.dumps(key)}: {self._encode(key, value)}" for key, value in record.items()) + "}\n"
        )
        payload = line.encode()
        end = os.fstat(self._file.fileno()).st_size
        try:
            if self._file.write(payload) != len(payload):
                raise OSError(errno.ENOSPC, "the disk is full", str(self.path))
        except OSError:
            self._file.truncate(end)  # half a line would swallow the next record
            raise
        self._last_step = step
        if sync:
            self.sync()

    def sync(self) -> None:
        """Wait until all records are on the disk."""
        os.fsync(self._file.fileno())

    def truncate_after(self, step: int) -> int:
        """Remove all records of steps after `step`; returns how many were removed."""
        removed, keep_bytes, last = 0, 0, None
        for end, record in _records(self.path):
            if record["step"] <= step:
                keep_bytes, last = end, record["step"]
            else:
                removed += 1
        self._file.truncate(keep_bytes)
        self.sync()
        self._last_step = last
        return removed

    def close(self) -> None:
        """Flush and close; a closed journal takes no more records."""
        if not self._file.closed:
            self.sync()
            self._file.close()

    def __enter__(self) -> "Journal":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _encode(self, key: str, value: object) -> str:
        try:
            return json.dumps(value, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{self.path}: {key} = {value!r} cannot be recorded: {error}") from error

    def _repair(self) -> None:
        content = self.path.read_bytes()
        end = content.rfind(b"\n") + 1
        tail = content[end:]
        if not tail:
            return
        try:
            json.loads(tail)
        except ValueError:
            logger.warning("%s: removed a torn last line of %d bytes", self.path, len(tail))
            self._file.truncate(end)
        else:  # an object that parses is whole, only its line break is missing
            self._file.write(b"\n")


def read(path: Path) -> list[dict[str, Any]]:
    """All records of a journal; a torn last line (a run in progress, or killed) is left out.

    Raises ValueError naming the line when any other line is not a record, FileNotFoundError when there is no journal.
    """
    return [record for _, record in _records(path)]


def measurements(records: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The records without what differs between two equal runs: times, speed and memory."""
    return [{key: value for key, value in record.items() if not key.startswith(VOLATILE)} for record in records]


def _records(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """(offset of the byte after the record, record)."""
    end = 0
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            end += len(line)
            try:
                record = json.loads(line)
                if not isinstance(record, dict) or not isinstance(record["step"], int):
                    raise ValueError("no integer 'step'")
            except (KeyError, ValueError) as error:
                if not line.endswith(b"\n"):
                    return
                raise ValueError(f"{path}, line {number}: not a journal record ({error})") from error
            yield end, record
