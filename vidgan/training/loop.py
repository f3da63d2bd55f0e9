"""The one training loop: batch -> algorithm.step -> journal; when due: preview, evaluate, checkpoint.

It does not know which model it trains. Everything that is due at a step happens at the step's edge, after the optimizer
steps, and a checkpoint holds the number of finished steps, so that "the same command again" goes on with the next one.
"""

import math
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

import torch
from accelerate import Accelerator

from vidgan.seeding import Draws
from vidgan.training.checkpoint import Checkpoint, save_checkpoint
from vidgan.training.ema import ExponentialMovingAverage
from vidgan.training.journal import Journal
from vidgan.training.progress import Progress
from vidgan.training.trainees import Micro, Trainees
from vidgan.types import ClipBatch, Terms


class Algorithm(Protocol):
    """What the loop trains: MoCoGANTraining or DualMotionTraining."""

    trainees: Trainees
    ema: ExponentialMovingAverage

    def step(self, step: int, micros: Sequence[Micro]) -> Terms:
        """One iteration; detached measurements by name."""
        ...


class Batches(Protocol):
    """What the loop reads: `vidgan.data.loader.ClipLoader`."""

    @property
    def batch_size(self) -> int:
        """Clips of one step over all processes and micro-batches."""
        ...

    def batches(self, start_step: int) -> Iterator[list[ClipBatch]]:
        """This process's micro-batches of each step, from `start_step` on."""
        ...

    def rows(self, micro_batch: int) -> Sequence[int]:
        """Places in the global batch of the rows of one of them."""
        ...


@dataclass(frozen=True)
class Periods:
    """Every how many steps something is due, and how many checkpoints are kept."""

    log: int
    preview: int
    checkpoint: int
    evaluate: int | None = None
    keep: int = 2


@dataclass(frozen=True)
class Hooks:
    """What the loop calls on the main process; each gets the number of finished steps."""

    preview: Callable[[int], Mapping[str, float]] = field(default=lambda step: {})
    evaluate: Callable[[int], Mapping[str, float]] = field(default=lambda step: {})
    export: Callable[[int, bool], None] = field(default=lambda step, best: None)


class StopRequest:
    """Turns SIGINT and SIGTERM into a flag that is read at the step's edge; a second signal ends the process."""

    def __init__(self) -> None:
        self.signal: int | None = None
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> "StopRequest":
        for number in (signal.SIGINT, signal.SIGTERM):
            self._previous[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.signal is not None:
            raise KeyboardInterrupt
        self.signal = number


@dataclass(frozen=True)
class Outcome:
    """How the loop ended: finished steps, and the signal that stopped it, if any."""

    steps: int
    signal: int | None = None


def run_loop(
    algorithm: Algorithm,
    loader: Batches,
    *,
    accelerator: Accelerator,
    run_dir: Path,
    steps: int,
    seed: int,
    every: Periods,
    hooks: Hooks,
    state: Mapping[str, Any],
    resume: Checkpoint | None = None,
    quiet: bool = False,
) -> Outcome:
    """Train from the checkpoint's step (or 0) to `steps`.

    Args:
        state: JSON that each checkpoint carries beside the training state (config, data fingerprint, categories).
        resume: a verified checkpoint; its tensors are loaded before the first step.
        quiet: no progress display.

    Raises:
        NonFiniteError: a loss or gradient became NaN or infinite. The last checkpoint stays as it is.
    """
    main, device = accelerator.is_main_process, accelerator.device
    start = 0
    best = -math.inf
    if resume is not None:
        start = resume.step
        best = float(resume.state["best"]) if resume.state.get("best") is not None else best
        algorithm.trainees.load(resume.tensors, resume.state["optimizers"])
        algorithm.ema.load_state_dict(resume.tensors["ema"], resume.state["ema_updates"])
    journal = Journal(run_dir / "journal.jsonl") if main else None
    if journal is not None:
        journal.truncate_after(start)

    def save(step: int, is_best: bool = False) -> None:
        if not main:
            return
        tensors = algorithm.trainees.tensors() | {"ema": algorithm.ema.state_dict()}
        record = dict(state) | {
            "optimizers": algorithm.trainees.settings(),
            "ema_updates": algorithm.ema.updates,
            "best": best if math.isfinite(best) else None,
            "processes": accelerator.num_processes,
        }
        if journal is not None:
            journal.sync()  # a checkpoint never knows of steps that the journal lost
        save_checkpoint(run_dir / "checkpoints", step, tensors, record, keep=every.keep, best=is_best)
        hooks.export(step, is_best)

    saved = start if resume is not None else -1
    with StopRequest() as request, Progress(total=steps, start=start, show=main and not quiet) as progress:
        stream = loader.batches(start)
        mark, waited, since = time.monotonic(), 0.0, start
        for step in range(start, steps):
            asked = time.monotonic()
            batches = next(stream)
            waited += time.monotonic() - asked
            micros = [
                (to_device(batch, device), Draws(seed, "step", step, rows=loader.rows(i), device=device))
                for i, batch in enumerate(batches)
            ]
            rates = algorithm.trainees.set_learning_rates(step)
            measured = algorithm.step(step, micros)
            done = step + 1

            if done % every.log == 0 or done == steps:
                now = time.monotonic()
                record = {
                    "step": done,
                    "seconds": (now - mark) / (done - since),
                    "clips_per_second": loader.batch_size * (done - since) / (now - mark),
                    "data_wait_share": min(1.0, waited / (now - mark)),
                    **{f"lr/{name}": rate for name, rate in rates.items()},
                    **averaged(measured, accelerator),
                }
                mark, waited, since = now, 0.0, done
                if journal is not None:
                    journal.append(record)
                progress.report(record)
            progress.advance()

            preview, evaluate = due(every.preview, done, steps), due(every.evaluate, done, steps)
            if evaluate or due(every.checkpoint, done, steps):
                save(done)  # before anything else that is due, so that nothing can cost these steps
                saved = done
            if main and (preview or evaluate):
                scores = hooks.evaluate(done) if evaluate else {}
                seen = {**(hooks.preview(done) if preview else {}), **scores}
                seen = {name: value for name, value in seen.items() if math.isfinite(value)}
                if journal is not None and seen:
                    journal.append({"step": done, **seen})
                if scores.get("evaluation/score", -math.inf) > best:
                    best = scores["evaluation/score"]
                    save(done, is_best=True)
            stop = agreed(request.signal, accelerator)
            if stop is not None:
                if saved != done:
                    save(done)
                accelerator.wait_for_everyone()
                return Outcome(done, stop)
            if preview or evaluate or saved == done:
                mark, waited, since = time.monotonic(), 0.0, done  # what was due is not training time
    accelerator.wait_for_everyone()
    return Outcome(max(start, steps))


def to_device(batch: ClipBatch, device: torch.device) -> ClipBatch:
    """The batch on the device that trains; copies overlap with work where the memory is pinned."""
    return ClipBatch(*(part.to(device, non_blocking=True) for part in batch))


def averaged(measured: Terms, accelerator: Accelerator) -> dict[str, float]:
    """Mean over processes, in one message; without those that do not exist (no labelled clip in the batch)."""
    names = sorted(measured)
    if not names:
        return {}
    values = torch.stack([measured[name].float() for name in names])
    if accelerator.num_processes > 1:
        values = accelerator.reduce(values, reduction="mean")
    return {name: value for name, value in zip(names, values.tolist(), strict=True) if math.isfinite(value)}


def due(period: int | None, done: int, steps: int) -> bool:
    """Whether something of this period is due after `done` of `steps` steps; the last step always is."""
    return period is not None and (done % period == 0 or done == steps)


def agreed(number: int | None, accelerator: Accelerator) -> int | None:
    """The stop signal that any process received: all must stop at the same step, or the others wait for ever."""
    if accelerator.num_processes == 1:
        return number
    flag = torch.tensor([float(number or 0)], device=accelerator.device)
    gathered = accelerator.gather(flag)
    return int(gathered.max().item()) or None


def learning_rate_factor(schedule: str, warmup: int, steps: int, decay_start: float = 0.0) -> Callable[[int], float]:
    """step -> factor on the base rate: linear warm-up, then constant, or linear / cosine decay to zero at `steps`.

    The decay begins after the share `decay_start` of the steps.
    """
    begin = max(warmup, round(decay_start * steps))

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / warmup
        share = max(0, step - begin) / max(1, steps - begin)
        if schedule == "linear":
            return 1 - share
        if schedule == "cosine":
            return 0.5 * (1 + math.cos(math.pi * share))
        return 1.0

    return factor
