"""The work on one source, in a process of its own: read its clips, cut them, estimate flow, write the files."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from vidgan.data.preparing.cutting import SMALL, Cutting, Shots, find_shots
from vidgan.data.preparing.ledger import Outcome, Record, file_of
from vidgan.data.preparing.reader_process import still_alive
from vidgan.data.sources.blobs import source_blobs
from vidgan.data.sources.entries import Refusal, Source
from vidgan.data.sources.images import Blob
from vidgan.data.sources.readers import ReadClip, ReadSettings, SourceError, read_source
from vidgan.data.store.timing import as_read
from vidgan.errors import VideoError
from vidgan.files import atomic_file, clip_id
from vidgan.video.optical_flow import clip_flow
from vidgan.video.random_access import index_video
from vidgan.video.sampling import resample_indices

MAY_HAVE_CUTS: Final = ("video", "frames")
_CROPPED: Final = 0.02  # share of a side that may be cut away before the detectors look at the whole picture instead


@dataclass(frozen=True)
class Plan:
    """What all sources have in common: files lie below `root`, clips go below `out`, unless `store` is ``"video"``."""

    root: Path
    out: Path
    reading: ReadSettings
    cutting: Cutting
    flow: str | None
    min_frames: int
    store: str


@dataclass(frozen=True)
class Task:
    """A source to work on.

    Attributes:
        source: what to read.
        plan: how.
        blobs: the contents of members of a compressed archive; None to read files, or members in any order.
        failure: why the members could not be read, if so.
    """

    source: Source
    plan: Plan
    blobs: tuple[bytes, ...] | None = None
    failure: Refusal | None = None

    def contents(self) -> Sequence[Blob]:
        """The files of the source, in order."""
        return source_blobs(self.plan.root, self.source) if self.blobs is None else self.blobs


def work(task: Task) -> Outcome:
    """Read and write the clips of one source.

    A file that cannot be used costs that file: whatever goes wrong while reading becomes a refusal. What goes wrong
    while writing (a full disk) is raised.
    """
    plan, source = task.plan, task.source
    clips: list[Record] = []
    refusals: list[Refusal] = [] if task.failure is None else [task.failure]
    counts: Counter[str] = Counter()
    facts: Mapping[str, Any] | None = None
    for found in _read_guarded(task):
        still_alive()
        if isinstance(found, Refusal):
            refusals.append(found)
            continue
        clip, shots, facts = found
        counts.update(cuts=len(shots.cuts), still=shots.still, black=shots.black)
        for start, end in shots.spans:
            whole = end - start == len(clip.frames)
            label = clip.label if whole else f"{clip.label}@{start}"
            if end - start < plan.min_frames:
                if whole:
                    detail = f"{end - start} frames, at least {plan.min_frames} needed"
                    refusals.append(Refusal(source.name + label, "too-short", detail))
                else:
                    counts["short"] += 1
                continue
            frames = clip.frames[start:end]
            flow = _flow(frames, plan.flow, source.name + label)
            if isinstance(flow, Refusal):
                refusals.append(flow)
            else:
                clips.append(_write(plan, source.name, clip._replace(label=label, frames=frames), start, flow))
    if not clips and not refusals:
        detail = f"no stretch of {plan.min_frames} frames or more is left between shot changes"
        refusals.append(Refusal(source.name, "too-short", detail))
    return Outcome.of(source, clips=tuple(clips), refusals=tuple(refusals), counts=dict(+counts), facts=facts)


def _read_guarded(task: Task) -> Iterator[tuple[ReadClip, Shots, dict[str, Any] | None] | Refusal]:
    """The clips of the source, the shots in them and what is to be known of the file; a refusal where reading fails."""
    if task.failure is not None:
        return
    source = task.source
    try:
        for clip in read_source(source, task.contents(), task.plan.reading):
            shots = _shots(task, clip)
            yield clip, shots, None if clip.facts is None else _facts(task, clip, shots)
    except (SourceError, VideoError) as error:
        yield Refusal(source.name, error.reason, error.detail)
    except MemoryError:
        detail = "more memory needed than a reading process may take; cut the file, or raise memory_limit"
        yield Refusal(source.name, "out-of-memory", detail)
    except Exception as error:  # libraries raise more than they document on damaged files
        yield Refusal(source.name, "unreadable", f"{type(error).__name__}: {error}")


def _shots(task: Task, clip: ReadClip) -> Shots:
    """Recordings are looked at for cuts; strips and arrays are cut already."""
    plan, source = task.plan, task.source
    if source.kind not in MAY_HAVE_CUTS or not plan.cutting.active:
        return Shots([(0, len(clip.frames))])
    still_alive()
    reading = plan.reading
    if reading.fps is None and reading.every == 1 and _show_all(clip, reading):
        return find_shots(clip.frames, range(len(clip.frames)), plan.cutting)
    # What is found may depend neither on the crop nor on the rate: motion between frames far apart looks like a cut.
    unsampled = replace(reading, size=SMALL, fit="squash", fps=None, every=1)
    (native,) = read_source(source, task.contents(), unsampled)
    return find_shots(native.frames, _taken(source, clip, len(native.frames), reading), plan.cutting)


def _show_all(clip: ReadClip, reading: ReadSettings) -> bool:
    """Whether the frames that were read are large enough for the detectors, and show the whole picture."""
    height, width = clip.frames.shape[1:3]
    if height < SMALL[0] or width < SMALL[1]:
        return False
    if reading.fit == "squash":
        return True
    return clip.facts is not None and abs(clip.facts["width"] * height / (clip.facts["height"] * width) - 1) < _CROPPED


def _taken(source: Source, clip: ReadClip, total: int, reading: ReadSettings) -> Sequence[int]:
    """For each frame that was read, its number among the `total` frames of the source."""
    if clip.facts is not None:
        start, _ = clip.facts.get("span", (0, total))
        return (as_read(clip.facts, reading.fps, reading.every) - start).tolist()
    if reading.fps is None or source.fps is None:
        return range(0, total, reading.every)
    return resample_indices([i / source.fps for i in range(total)], reading.fps)[:: reading.every]


def _flow(frames: np.ndarray, method: str | None, name: str) -> np.ndarray | Refusal | None:
    """Backward flow (T-1, 2, H, W) float16, None where none is asked for."""
    if method is None:
        return None
    try:
        return clip_flow(frames, method).astype(np.float16)  # (T-1, 2, H, W)
    except Exception as error:
        return Refusal(name, "flow-failed", f"{type(error).__name__}: {error}")


def _write(plan: Plan, source: str, clip: ReadClip, start: int, flow: np.ndarray | None) -> Record:
    identity = clip_id(source + clip.label)
    nbytes = 0
    if plan.store != "video":
        nbytes += _save(plan.out / "clips" / f"{identity}.npy", clip.frames)
    if flow is not None:
        nbytes += _save(plan.out / "flow" / f"{identity}.npy", flow)
    digest, mirrored = frames_digest(clip.frames), frames_digest(clip.frames[:, :, ::-1])
    still_alive()
    return Record(
        id=identity,
        label=clip.label,
        frames=len(clip.frames),
        fps=clip.fps,
        digest=digest,
        twin=min(digest, mirrored),
        nbytes=nbytes,
        notes=tuple(clip.notes),
        start=start,
        category=clip.category,
        group=clip.group,
        split=clip.split,
    )


def _save(path: Path, array: np.ndarray) -> int:
    """Write a .npy file; its size in bytes."""
    with atomic_file(path) as file:
        np.save(file, array, allow_pickle=False)
    return path.stat().st_size


def _facts(task: Task, clip: ReadClip, shots: Shots) -> dict[str, Any]:
    """The line of ``videos.jsonl``, but for the name of the source."""
    assert clip.facts is not None
    still_alive()
    (blob,) = task.contents()
    if isinstance(blob, bytes):
        digest = hashlib.sha256(blob).hexdigest()
    else:
        with blob.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    named = {"file": file_of(task.source), "sha256": digest, "fps": clip.fps, "native_fps": clip.facts.get("fps")}
    line = {**clip.facts, **named, "cuts": shots.cuts}
    if task.plan.store == "video":  # what training needs to find any frame again
        assert isinstance(blob, Path), "a video in an archive is refused before"
        line["index"] = index_video(blob).to_json()
    return line


def frames_digest(frames: np.ndarray) -> str:
    """32 hexadecimal digits over shape and pixels of uint8 (T, H, W, 3) frames."""
    digest = hashlib.blake2b(repr(frames.shape).encode(), digest_size=16)
    for frame in frames:
        digest.update(np.ascontiguousarray(frame).data)
    return digest.hexdigest()
