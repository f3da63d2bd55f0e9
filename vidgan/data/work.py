"""The work on one source, in this process or another: read its clips, estimate flow, write the files."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vidgan.data.images import Blob
from vidgan.data.ledger import Outcome, Record
from vidgan.data.names import atomic_file, clip_id
from vidgan.data.readers import ReadClip, ReadSettings, SourceError, read_source
from vidgan.data.sources import Refusal, Source
from vidgan.video.optical_flow import clip_flow


@dataclass(frozen=True)
class Plan:
    """What all sources have in common: files lie below `root`, clips go below `out`."""

    root: Path
    out: Path
    reading: ReadSettings
    flow: str | None
    min_frames: int


@dataclass(frozen=True)
class Task:
    """A source to work on.

    Attributes:
        source: what to read.
        plan: how.
        blobs: the contents of archive members; None to read files below the root.
        failure: why the members could not be read, if so.
    """

    source: Source
    plan: Plan
    blobs: tuple[bytes, ...] | None = None
    failure: Refusal | None = None


def work(task: Task) -> Outcome:
    """Read and write the clips of one source.

    A file that cannot be used costs that file: whatever goes wrong while reading becomes a refusal. What goes wrong
    while writing (a full disk) is raised.
    """
    plan = task.plan
    clips: list[Record] = []
    refusals: list[Refusal] = [] if task.failure is None else [task.failure]
    for found in _read_guarded(task):
        if isinstance(found, Refusal):
            refusals.append(found)
            continue
        name = task.source.name + found.label
        if len(found.frames) < plan.min_frames:
            detail = f"{len(found.frames)} frames, at least {plan.min_frames} needed"
            refusals.append(Refusal(name, "too-short", detail))
            continue
        flow = None
        if plan.flow is not None:
            try:
                flow = clip_flow(found.frames, plan.flow).astype(np.float16)  # (T-1, 2, H, W)
            except Exception as error:
                refusals.append(Refusal(name, "flow-failed", f"{type(error).__name__}: {error}"))
                continue
        clips.append(_write(plan.out, name, found, flow))
    return Outcome(task.source.name, task.source.stamp, tuple(clips), tuple(refusals))


def _read_guarded(task: Task) -> Iterator[ReadClip | Refusal]:
    """The clips of the source, ended by a refusal where reading fails."""
    if task.failure is not None:
        return
    source = task.source
    blobs: list[Blob] = [task.plan.root / name for name in source.files] if task.blobs is None else list(task.blobs)
    try:
        yield from read_source(source, blobs, task.plan.reading)
    except SourceError as error:
        yield Refusal(source.name, error.reason, error.detail)
    except Exception as error:  # libraries raise more than they document on damaged files
        yield Refusal(source.name, "unreadable", f"{type(error).__name__}: {error}")


def _write(out: Path, name: str, clip: ReadClip, flow: np.ndarray | None) -> Record:
    identity = clip_id(name)
    path = out / "clips" / f"{identity}.npy"
    _save(path, clip.frames)
    nbytes = path.stat().st_size
    if flow is not None:
        path = out / "flow" / f"{identity}.npy"
        _save(path, flow)
        nbytes += path.stat().st_size
    digest, mirrored = frames_digest(clip.frames), frames_digest(clip.frames[:, :, ::-1])
    return Record(identity, clip.label, len(clip.frames), clip.fps, digest, min(digest, mirrored), nbytes, clip.notes)


def _save(path: Path, array: np.ndarray) -> None:
    with atomic_file(path) as file:
        np.save(file, array, allow_pickle=False)


def frames_digest(frames: np.ndarray) -> str:
    """32 hexadecimal digits over shape and pixels of uint8 (T, H, W, 3) frames."""
    digest = hashlib.blake2b(repr(frames.shape).encode(), digest_size=16)
    for frame in frames:
        digest.update(np.ascontiguousarray(frame).data)
    return digest.hexdigest()
