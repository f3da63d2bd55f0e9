"""CUT: divide the clips of a source into shots, compute optical flow, and write the arrays. Runs in worker processes.

The arrays are written here because a data set does not fit into memory. STORE packs them later, if necessary.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from vidgan.data.preparing.long_sources import LONG_KINDS, ClipWriter, find_long_shots, keep_alive, open_long
from vidgan.data.preparing.reading import OUT_OF_MEMORY, Plan, ReadTask, is_out_of_memory, read_clips, refuse_on_error
from vidgan.data.preparing.shots import DETECTOR_SIZE, Shots, find_shots
from vidgan.data.preparing.worker_processes import TIMED_OUT, still_alive
from vidgan.data.sources.readers import ReadClip, ReadSettings, read_source
from vidgan.data.sources.source import Refusal, Source
from vidgan.data.store.frames import save_array
from vidgan.data.store.video import read_frame_numbers
from vidgan.files import clip_id, file_hash
from vidgan.video.optical_flow import clip_flow
from vidgan.video.random_access import index_video
from vidgan.video.sampling import resample_indices

KINDS_WITH_CUTS: Final = ("video", "frames", "pages")
"""Kinds of sources that may contain shot changes; strips and arrays are single shots."""
_MAX_CROP: Final = 0.02  # fraction of a side that may be cropped before detectors need the full frame


@dataclass(frozen=True)
class CutClip:
    """One clip whose arrays are on disk.

    Attributes:
        id, frames, fps, digest, start: see `vidgan.data.store.index.ClipEntry`.
        label: suffix that distinguishes it from the other clips of its source.
        twin: digest shared with exact copies and mirror images.
        nbytes: size of its files.
        notes: properties of the file to report, keys of `vidgan.data.preparing.storing.NOTE_MEANINGS`.
        category, group, split: of this clip, where the clips of the source differ in them.
    """

    id: str
    label: str
    frames: int
    fps: float | None
    digest: str
    twin: str
    nbytes: int
    notes: tuple[str, ...] = ()
    start: int = 0
    category: str | None = None
    group: str | None = None
    split: str | None = None


@dataclass(frozen=True)
class CutSource:
    """The CUT stage's result: the clips of one source, or why there are none.

    Attributes:
        source: its name.
        stamp, kind, category, group, split: as in `vidgan.data.sources.source.Source`.
        file: posix path, below the source folder, of the file or folder of frames.
        clips: its clips.
        refusals: what was refused.
        counts: number of ``cuts``, of ``short`` shots, and of excluded ``still`` and ``black`` frames.
        has_metadata: whether ``videos.jsonl`` has a line for it.
        metadata: that line; only on its way from the worker process.
    """

    source: str
    stamp: str
    kind: str
    file: str
    category: str | None = None
    group: str | None = None
    split: str | None = None
    clips: tuple[CutClip, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
    has_metadata: bool = False
    metadata: Mapping[str, Any] | None = None

    @staticmethod
    def of(source: Source, **results: Any) -> "CutSource":
        """The result for `source`, with the given clips, refusals and so on."""
        known = {name: getattr(source, name) for name in ("stamp", "kind", "category", "group", "split")}
        return CutSource(source.name, file=source.path, **known, **results)


def read_and_cut(task: ReadTask) -> CutSource:
    """READ and CUT one source; the function that worker processes run.

    Errors while reading become refusals; errors while writing (a full disk) are raised.
    """
    plan, source = task.plan, task.source
    clips: list[CutClip] = []
    refusals: list[Refusal] = [] if task.failure is None else [task.failure]
    counts: Counter[str] = Counter()
    metadata: Mapping[str, Any] | None = None
    for result in refuse_on_error(source.name, _clips_with_shots(task)):
        still_alive()
        if isinstance(result, Refusal):
            if result.reason == "too-long" and source.kind in LONG_KINDS and not clips:
                return _read_and_cut_long(task)
            refusals.append(result)
            continue
        clip, shots, metadata = result
        counts.update(cuts=len(shots.cuts), still=shots.still, black=shots.black)
        for start, end in shots.spans:
            is_whole = end - start == len(clip.frames)
            label = clip.label if is_whole else f"{clip.label}@{start}"
            if end - start < plan.min_frames:
                if is_whole:
                    detail = f"{end - start} frames; accepted: {plan.min_frames} or more"
                    refusals.append(Refusal(source.name + label, "too-short", detail))
                else:
                    counts["short"] += 1
                continue
            frames = clip.frames[start:end]
            flow = _compute_flow(frames, plan.flow, source.name + label)
            if isinstance(flow, Refusal):
                refusals.append(flow)
            else:
                clips.append(_write_clip(plan, source.name, replace(clip, label=label, frames=frames), start, flow))
    if not clips and not refusals:
        detail = f"no shot has {plan.min_frames} frames or more"
        refusals.append(Refusal(source.name, "too-short", detail))
    return CutSource.of(source, clips=tuple(clips), refusals=tuple(refusals), counts=dict(+counts), metadata=metadata)


def _read_and_cut_long(task: ReadTask) -> CutSource:
    """`read_and_cut` for a source whose frames do not fit into memory."""
    plan, source = task.plan, task.source
    clips: list[CutClip] = []
    refusals: list[Refusal] = []
    counts: Counter[str] = Counter()
    metadata: Mapping[str, Any] | None = None
    for result in refuse_on_error(source.name, _long_clips(task, counts)):
        if isinstance(result, Refusal):
            refusals.append(result)
        elif isinstance(result, CutClip):
            clips.append(result)
        else:
            metadata = result
    if refusals and refusals[-1].source == source.name:  # the source itself, not one of its clips
        for clip in clips:
            for folder in ("clips", "flow"):
                (plan.out / folder / f"{clip.id}.npy").unlink(missing_ok=True)
        clips, metadata = [], None
    if not clips and not refusals:
        refusals.append(Refusal(source.name, "too-short", f"no shot has {plan.min_frames} frames or more"))
    return CutSource.of(source, clips=tuple(clips), refusals=tuple(refusals), counts=dict(+counts), metadata=metadata)


def _long_clips(task: ReadTask, counts: Counter[str]) -> Iterator[CutClip | Refusal | dict[str, Any]]:
    """The clips of a long source, then its line of ``videos.jsonl``, if it is a video."""
    plan, source, reading = task.plan, task.source, task.plan.reading
    with open_long(source, task.contents(), reading) as long:
        empty = ReadClip("", np.empty((0, *(reading.size or long.size), 3), np.uint8), long.fps, long.notes, long.video)
        uses_kept = reading.fps is None and reading.every == 1 and _shows_full_frame(empty, reading)
        shots = find_long_shots(long, plan.shots, reading, uses_kept=uses_kept)
        counts.update(cuts=len(shots.cuts), still=shots.still, black=shots.black)
        spans = [span for span in shots.spans if span[1] - span[0] >= plan.min_frames]
        counts["short"] += len(shots.spans) - len(spans)
        wanted = [number for start, end in spans for number in long.numbers[start:end]]
        frames = keep_alive(long.frames(reading.size, reading.fit, reading.resample, wanted))
        for start, end in spans:
            label = "" if end - start == len(long.numbers) else f"@{start}"
            identity = clip_id(source.name + label)
            path = plan.out / "clips" / f"{identity}.npy" if plan.store != "video" else None
            flow_path = plan.out / "flow" / f"{identity}.npy" if plan.flow is not None else None
            shape = (end - start, *(reading.size or long.size), 3)
            writer = ClipWriter(path, flow_path, plan.flow, shape)
            with writer:
                for _ in range(start, end):
                    writer.add(next(frames))
            written = writer.result()
            yield CutClip(
                id=identity,
                label=label,
                frames=end - start,
                fps=long.fps,
                digest=written.digest,
                twin=written.twin,
                nbytes=written.nbytes,
                notes=long.notes,
                start=start,
            )
        if long.video is not None:
            yield _video_line(task, empty, shots, is_long=True)


def refuse_crashed(task: ReadTask, reason: str) -> CutSource:
    """The result for a source that ended its worker process; `reason` is `TIMED_OUT` or `DIED`."""
    details = {True: "no clip within time_limit, or the decoder hangs", False: "decoder crash, or out of memory"}
    return CutSource.of(task.source, refusals=(Refusal(task.source.name, reason, details[reason == TIMED_OUT]),))


def _clips_with_shots(task: ReadTask) -> Iterator[tuple[ReadClip, Shots, dict[str, Any] | None]]:
    """The clips of a source, each with its shots and, for a video file, its line of ``videos.jsonl``."""
    for clip in read_clips(task):
        shots = _detect_shots(task, clip)
        yield clip, shots, None if clip.video is None else _video_line(task, clip, shots)


def _detect_shots(task: ReadTask, clip: ReadClip) -> Shots:
    plan, source = task.plan, task.source
    if source.kind not in KINDS_WITH_CUTS or not plan.shots.active:
        return Shots([(0, len(clip.frames))], [])
    still_alive()
    reading = plan.reading
    if reading.fps is None and reading.every == 1 and _shows_full_frame(clip, reading):
        return find_shots(clip.frames, range(len(clip.frames)), plan.shots)
    # Detect at the native rate in the full frame, so that the result depends on neither crop nor rate: motion between
    # frames far apart looks like a cut.
    unsampled = replace(reading, size=DETECTOR_SIZE, fit="squash", fps=None, every=1)
    (native,) = read_source(source, task.contents(), unsampled)
    return find_shots(native.frames, _frame_numbers(source, clip, len(native.frames), reading), plan.shots)


def _shows_full_frame(clip: ReadClip, reading: ReadSettings) -> bool:
    """Whether the frames that were read are large enough for the detectors and not cropped."""
    height, width = clip.frames.shape[1:3]
    if height < DETECTOR_SIZE[0] or width < DETECTOR_SIZE[1]:
        return False
    if reading.fit == "squash":
        return True
    video = clip.video
    return video is not None and abs(video["width"] * height / (video["height"] * width) - 1) < _MAX_CROP


def _frame_numbers(source: Source, clip: ReadClip, total: int, reading: ReadSettings) -> Sequence[int]:
    """Number, among the `total` frames of the source, of each frame that was read."""
    if clip.video is not None:
        start, _ = clip.video.get("span", (0, total))
        return (read_frame_numbers(clip.video, reading.fps, reading.every) - start).tolist()
    if reading.fps is None or source.fps is None:
        return range(0, total, reading.every)
    return resample_indices([i / source.fps for i in range(total)], reading.fps)[:: reading.every]


def _compute_flow(frames: np.ndarray, method: str | None, name: str) -> np.ndarray | Refusal | None:
    """Backward flow (T-1, 2, H, W) float16 in pixels, or a refusal of the clip `name`; None without a method."""
    if method is None:
        return None
    try:
        return clip_flow(frames, method).astype(np.float16)
    except Exception as error:
        if is_out_of_memory(error):
            return Refusal(name, *OUT_OF_MEMORY)
        return Refusal(name, "flow-failed", f"{type(error).__name__}: {error}")


def _write_clip(plan: Plan, source: str, clip: ReadClip, start: int, flow: np.ndarray | None) -> CutClip:
    identity = clip_id(source + clip.label)
    nbytes = 0
    if plan.store != "video":
        nbytes += save_array(plan.out / "clips" / f"{identity}.npy", clip.frames)
    if flow is not None:
        nbytes += save_array(plan.out / "flow" / f"{identity}.npy", flow)
    digest, mirrored = frames_digest(clip.frames), frames_digest(clip.frames[:, :, ::-1])
    still_alive()
    return CutClip(
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


def _video_line(task: ReadTask, clip: ReadClip, shots: Shots, *, is_long: bool = False) -> dict[str, Any]:
    """The line of ``videos.jsonl``, without the name of the source.

    `is_long`: every frame that is decoded for the seek index counts as progress of the job.
    """
    assert clip.video is not None
    still_alive()
    (blob,) = task.contents()
    digest = hashlib.sha256(blob).hexdigest() if isinstance(blob, bytes) else file_hash(blob)
    named = {"file": task.source.path, "sha256": digest, "fps": clip.fps, "native_fps": clip.video.get("fps")}
    line = {**clip.video, **named, "cuts": shots.cuts}
    if task.plan.store == "video":  # training seeks in the video by this index
        assert isinstance(blob, Path), "store 'video' refuses archives"
        index = index_video(blob, progress=still_alive) if is_long else index_video(blob)
        line["index"] = index.to_json()
    return line


def frames_digest(frames: np.ndarray) -> str:
    """32 hexadecimal digits over shape and pixels of uint8 (T, H, W, 3) frames."""
    digest = hashlib.blake2b(repr(frames.shape).encode(), digest_size=16)
    for frame in frames:
        digest.update(np.ascontiguousarray(frame).data)
    return digest.hexdigest()
