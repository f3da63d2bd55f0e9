"""The journal of a run: one JSON object per line, appended during training, truncated to the checkpoint on resume.

This module holds the only reader of journals. Every record has an integer ``step``.
"""

import errno
import json
import logging
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from vidgan.files import open_regular, parse_json

logger = logging.getLogger(__name__)

MAX_STEP, MAX_VALUE = 2**53, 1e300
NUMBERS = ("seconds", "clips_per_second", "data_wait_share", "threads", "ema_distance", "since", "processes")
TEXTS = ("warning", "message", "time")
JOURNAL = "journal.jsonl"  # its name inside the run directory

# Keys, and prefixes of keys, that differ between two identical runs.
VOLATILE = ("seconds", "clips_per_second", "data_wait_share", "threads", "memory/")


class Journal:
    """An append-only JSON Lines file whose steps never decrease.

    Opening it removes a last line that a kill or a power cut left incomplete. To resume from the checkpoint of step s,
    call ``truncate_after(s)``, which drops the records of the abandoned steps. Call ``sync()`` before a checkpoint is
    saved, so that the journal never lags behind the checkpoint.

    Args:
        path: the file; it and its directory are created if missing.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("ab", buffering=0)  # unbuffered: one record, one write
        self._repair()
        self._last_step: int | None = None
        for _, record in _parse(path):
            self._last_step = record["step"]

    def append(self, record: Mapping[str, Any]) -> None:
        """Append one record.

        Raises:
            ValueError: a value is not JSON or not finite (the message names its key), or the step is missing or lower
                than the last one.
            OSError: the record could not be written; the file is unchanged.
        """
        step = record.get("step")
        if not isinstance(step, int) or isinstance(step, bool):
            raise ValueError(f"{self.path}: a record needs an integer 'step', got {step!r}")
        if self._last_step is not None and step < self._last_step:
            raise ValueError(
                f"{self.path}: step {step} cannot follow step {self._last_step}; call truncate_after({step}) first"
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
            self._file.truncate(end)  # a partial line would corrupt the next record
            raise
        self._last_step = step

    def sync(self) -> None:
        """Block until all records are on the disk."""
        os.fsync(self._file.fileno())

    def truncate_after(self, step: int) -> None:
        """Remove all records of steps after `step`."""
        keep_bytes, last = 0, None
        for end, record in _parse(self.path):
            if record["step"] <= step:
                keep_bytes, last = end, record["step"]
        self._file.truncate(keep_bytes)
        self.sync()
        self._last_step = last

    def close(self) -> None:
        """Sync and close the file."""
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
            logger.warning("%s: removed an incomplete last line of %d bytes", self.path, len(tail))
            self._file.truncate(end)
        else:  # a line that parses is complete and only lacks its line break
            self._file.write(b"\n")


def read_journal(run_dir: Path, *, skip_invalid: bool = False) -> list[dict[str, Any]]:
    """Read the journal of a run; see `read_records`."""
    return read_records(run_dir / JOURNAL, skip_invalid=skip_invalid)


def read_records(path: Path, *, skip_invalid: bool = False) -> list[dict[str, Any]]:
    """Read a JSON Lines file whose records have an integer ``step``, oldest first.

    An incomplete last line (of a running or killed process) is ignored. A missing file has no records.

    Args:
        skip_invalid: ignore every invalid line, for reports of damaged runs.

    Raises:
        ValueError: another line is not a record (unless `skip_invalid`); the message names file and line.
    """
    if not path.is_file():
        return []
    return [record for _, record in _parse(path, skip_invalid=skip_invalid)]


def drop_volatile(records: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Copy records without the keys that differ between two identical runs: times, speed, threads and memory."""
    return [{key: value for key, value in record.items() if not key.startswith(VOLATILE)} for record in records]


def _check_record(record: Any) -> None:
    """Raise ValueError unless the values have the types that readers rely on: a journal may come from a stranger."""
    if not isinstance(record, dict) or not _is_step(record.get("step")):
        raise ValueError("no integer 'step'")
    for key, value in record.items():
        if "/" in key or key in NUMBERS:
            if type(value) not in (int, float) or not abs(value) < MAX_VALUE:
                raise ValueError(f"{key} is not a finite number")
        elif key in TEXTS and not isinstance(value, str):
            raise ValueError(f"{key} is not a text")
    if "warning" in record and not isinstance(record.get("holds"), bool):
        raise ValueError("holds is not true or false")
    observed = record.get("observed", [])
    if not (isinstance(observed, list) and all(isinstance(name, str) for name in observed)):
        raise ValueError("observed is not a list of names")
    rollback = record.get("rollback", {"skipped": []})
    if not (isinstance(rollback, dict) and isinstance(rollback.get("skipped"), list)):
        raise ValueError("rollback does not list what was skipped")


def _is_step(value: Any) -> bool:
    return type(value) is int and 0 <= value <= MAX_STEP


def _parse(path: Path, *, skip_invalid: bool = False) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (byte offset of the end of the line, record)."""
    end = 0
    with open_regular(path) as file:
        for number, line in enumerate(file, start=1):
            end += len(line)
            try:
                record = parse_json(line.decode(errors="replace") if skip_invalid else line, "the line")
                _check_record(record)
            except ValueError as error:
                if skip_invalid:
                    continue
                if not line.endswith(b"\n"):
                    return
                raise ValueError(f"{path}, line {number}: not a journal record ({error})") from error
            yield end, record
