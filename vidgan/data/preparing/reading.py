"""READ: read the clips of a source, in a worker process. Also the order in which sources are sent to the processes.

A file that cannot be used costs only that file: every error while reading becomes a refusal.
"""

import errno
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from vidgan.data.preparing.shots import ShotSettings
from vidgan.data.sources.archives import ARCHIVE_ERRORS, Archive
from vidgan.data.sources.blobs import Blob, source_blobs
from vidgan.data.sources.readers import ReadClip, ReadSettings, read_source
from vidgan.data.sources.source import Refusal, Source
from vidgan.errors import SourceError, VideoError

T = TypeVar("T")


@dataclass(frozen=True)
class Plan:
    """What READ and CUT do with every source.

    Attributes:
        root: folder that the sources' files are relative to.
        out: folder of the data set; receives the arrays, unless `store` is ``"video"``.
        reading: size, frame rate and so on.
        shots: shot detection.
        flow: optical-flow method, None for no flow.
        min_frames: shorter clips are refused.
        store: one of `vidgan.data.store.index.STORES`.
    """

    root: Path
    out: Path
    reading: ReadSettings
    shots: ShotSettings
    flow: str | None
    min_frames: int
    store: str


@dataclass(frozen=True)
class ReadTask:
    """One source for a worker process.

    Attributes:
        source: what to read.
        plan: how.
        blobs: contents of members of a compressed archive; None if the worker opens the files itself.
        failure: why the members could not be read, if so.
    """

    source: Source
    plan: Plan
    blobs: tuple[bytes, ...] | None = None
    failure: Refusal | None = None

    def contents(self) -> Sequence[Blob]:
        """The files of the source, in order."""
        return source_blobs(self.plan.root, self.source) if self.blobs is None else self.blobs


def read_tasks(sources: Sequence[Source], plan: Plan) -> Iterator[ReadTask]:
    """A task for each source: files first, then archive by archive in storage order.

    Members of compressed archives are read here, because random access would decompress from the start every time.
    """
    by_archive: dict[str | None, list[Source]] = {None: []}
    for source in sources:
        by_archive.setdefault(source.archive, []).append(source)
    for name, members in by_archive.items():
        if name is None:
            yield from (ReadTask(source, plan) for source in members)
            continue
        try:
            archive = Archive(plan.root / name)
        except ARCHIVE_ERRORS as error:  # it has changed since it was listed
            yield from (ReadTask(source, plan, failure=_unreadable(source, error)) for source in members)
            continue
        with archive:
            first = {source.name: min(archive.positions.get(file, 0) for file in source.files) for source in members}
            for source in sorted(members, key=lambda source: first[source.name]):
                if archive.random_access:
                    yield ReadTask(source, plan)
                    continue
                try:
                    content = dict(archive.stream(source.files))
                    task = ReadTask(source, plan, tuple(content[file] for file in source.files))
                except (*ARCHIVE_ERRORS, KeyError) as error:
                    task = ReadTask(source, plan, failure=_unreadable(source, error))
                yield task


def _unreadable(source: Source, error: Exception) -> Refusal:
    return Refusal(source.name, "unreadable-member", f"{type(error).__name__}: {error}")


def read_clips(task: ReadTask) -> Iterator[ReadClip]:
    """The clips of the task's source, one at a time. Raises SourceError, and what libraries raise on damaged files."""
    if task.failure is None:
        yield from read_source(task.source, task.contents(), task.plan.reading)


def refuse_on_error(name: str, items: Iterable[T]) -> Iterator[T | Refusal]:
    """`items`, ended by a refusal of the source `name` if producing one fails."""
    try:
        yield from items
    except Exception as error:  # libraries raise undocumented exceptions on damaged files
        if is_out_of_memory(error):
            yield Refusal(name, *OUT_OF_MEMORY)
        elif isinstance(error, SourceError | VideoError):
            yield Refusal(name, error.reason, error.detail)
        else:
            yield Refusal(name, "unreadable", f"{type(error).__name__}: {error}")


OUT_OF_MEMORY: Final = (
    "out-of-memory",
    "exceeded the memory of a worker process; cut the file into shorter ones or raise --memory-limit",
)
"""Reason and detail of a refusal."""

_OPENCV_NO_MEMORY: Final = -4


def is_out_of_memory(error: BaseException | None) -> bool:
    """Whether an exception, or one that it was raised for, means that memory ran out."""
    while error is not None:
        codes = getattr(error, "errno", None), getattr(error, "code", None)
        if isinstance(error, MemoryError) or codes[0] == errno.ENOMEM or codes[1] == _OPENCV_NO_MEMORY:
            return True
        if isinstance(error, SourceError | VideoError) and error.reason == OUT_OF_MEMORY[0]:
            return True
        error = error.__cause__ or error.__context__
    return False
