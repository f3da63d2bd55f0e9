"""A stream of tasks over worker processes, in which a task that kills its process costs that task alone."""

import multiprocessing
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

Job = TypeVar("Job")
Result = TypeVar("Result")


def run_jobs(
    function: Callable[[Job], Result],
    jobs: Iterable[Job],
    *,
    workers: int,
    crashed: Callable[[Job], Result],
) -> Iterator[Result]:
    """Results in the order in which they are done.

    `jobs` is drawn from as workers become free, so that a generator of large jobs stays small in memory. With one
    worker everything runs in this process. Otherwise `function` and the jobs must pickle, and processes are spawned:
    forking would copy the locks of threads that video decoders and torch may hold. When a process dies, the jobs that
    were under way run again, one at a time; those that kill their process again give ``crashed(job)``.
    """
    if workers == 1:
        yield from map(function, jobs)
        return
    remaining = iter(jobs)
    exhausted = False
    while not exhausted:
        suspects: list[Job] = []
        pending: dict[Future[Result], Job] = {}
        pool = _pool(workers)
        try:
            while not suspects and not (exhausted and not pending):
                while not exhausted and len(pending) < 2 * workers:
                    try:
                        job = next(remaining)
                    except StopIteration:
                        exhausted = True
                        break
                    try:
                        pending[pool.submit(function, job)] = job
                    except BrokenProcessPool:
                        suspects.append(job)
                        break
                done = wait(pending, return_when=FIRST_COMPLETED).done if pending else set()
                for future in done:
                    job = pending.pop(future)
                    try:
                        yield future.result()
                    except BrokenProcessPool:
                        suspects.append(job)
            if suspects:
                # The pool is broken: every future still pending ends at once, with its result or with the break.
                for future, job in pending.items():
                    try:
                        yield future.result()
                    except BrokenProcessPool:
                        suspects.append(job)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
        yield from _one_by_one(function, suspects, crashed)


def _pool(workers: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"))


def _one_by_one(
    function: Callable[[Job], Result], jobs: Iterable[Job], crashed: Callable[[Job], Result]
) -> Iterator[Result]:
    """One job at a time in a process that is replaced when it dies, so that it is clear which job killed it."""
    pool = _pool(1)
    try:
        for job in jobs:
            try:
                result = pool.submit(function, job).result()
            except BrokenProcessPool:
                pool.shutdown()
                pool = _pool(1)
                result = crashed(job)
            yield result
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
