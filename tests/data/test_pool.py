"""Worker processes: a job that kills its process costs itself alone."""

import os
from collections.abc import Iterator

from vidgan.data.pool import run_jobs


def square_or_die(number: int) -> int:
    if number == 13:
        os._exit(9)
    return number * number


def died(number: int) -> int:
    return -number


def test_one_worker_runs_here_and_draws_jobs_one_at_a_time() -> None:
    drawn: list[int] = []

    def jobs() -> Iterator[int]:
        for i in range(4):
            drawn.append(i)
            yield i

    results = run_jobs(square_or_die, jobs(), workers=1, crashed=died)
    assert next(results) == 0
    assert drawn == [0]
    assert list(results) == [1, 4, 9]


def test_a_deadly_job_is_reported_and_all_others_are_done() -> None:
    results = list(run_jobs(square_or_die, [1, 13, 3], workers=2, crashed=died))
    assert sorted(results) == [-13, 1, 9]


def test_no_jobs() -> None:
    assert list(run_jobs(square_or_die, [], workers=2, crashed=died)) == []
