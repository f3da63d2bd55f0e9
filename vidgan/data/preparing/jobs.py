"""What the reading processes are given, in the order in which it lies on disk; what becomes of a task that ends one."""

from collections.abc import Iterator, Sequence

from vidgan.data.preparing.ledger import Outcome
from vidgan.data.preparing.pool import TIMED_OUT
from vidgan.data.preparing.source_job import Plan, Task
from vidgan.data.sources.archives import ARCHIVE_ERRORS, Archive
from vidgan.data.sources.entries import Refusal, Source


def tasks_of(todo: Sequence[Source], plan: Plan) -> Iterator[Task]:
    """Files first, then archive by archive; compressed ones are read here, once, from front to back."""
    by_archive: dict[str | None, list[Source]] = {None: []}
    for source in todo:
        by_archive.setdefault(source.archive, []).append(source)
    for name, sources in by_archive.items():
        if name is None:
            yield from (Task(source, plan) for source in sources)
            continue
        try:
            archive = Archive(plan.root / name)
        except ARCHIVE_ERRORS as error:  # it was readable a moment ago
            yield from (Task(source, plan, failure=_unreadable(source, error)) for source in sources)
            continue
        with archive:
            places = {source.name: min(archive.positions.get(file, 0) for file in source.files) for source in sources}
            for source in sorted(sources, key=lambda source: places[source.name]):
                if archive.random_access:
                    yield Task(source, plan)
                    continue
                try:
                    content = dict(archive.stream(source.files))
                    task = Task(source, plan, tuple(content[file] for file in source.files))
                except (*ARCHIVE_ERRORS, KeyError) as error:
                    task = Task(source, plan, failure=_unreadable(source, error))
                yield task


def _unreadable(source: Source, error: Exception) -> Refusal:
    return Refusal(source.name, "unreadable-member", f"{type(error).__name__}: {error}")


def crashed(task: Task, why: str) -> Outcome:
    """The outcome of a source whose reading ended the process; `why` is `TIMED_OUT` or `DIED`."""
    limit = "reading a clip of it took longer than time_limit, or the decoder hangs"
    death = "the process that read it died, of a fault in a decoder or for want of memory"
    refusal = Refusal(task.source.name, why, limit if why == TIMED_OUT else death)
    return Outcome.of(task.source, refusals=(refusal,))
