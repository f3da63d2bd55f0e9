"""READ and CUT of sources that do not fit into memory: long videos and large folders of frames.

The source is decoded twice, block by block. The first pass finds the shots, at the detectors' size; the second writes
each shot's frames to its file as they are decoded. Memory holds one block, whatever the length of the source. Clips are
those that would be cut from the whole in memory.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Any, Final

import numpy as np

from vidgan.data.preparing.shots import DETECTOR_SIZE, Shots, ShotSettings, find_shots_in_blocks
from vidgan.data.preparing.worker_processes import still_alive
from vidgan.data.sources.blobs import Blob, on_disk
from vidgan.data.sources.images import read_image, read_pages
from vidgan.data.sources.readers import ReadSettings, video_metadata
from vidgan.data.sources.segments import choose_frames, segment_bounds
from vidgan.data.sources.source import Source
from vidgan.data.store.frames import ArrayWriter
from vidgan.errors import SourceError
from vidgan.video.decode import iterate_frames, probe
from vidgan.video.optical_flow import clip_flow
from vidgan.video.resize import fit_image
from vidgan.video.sampling import check_gaps, resample_indices

LONG_KINDS: Final = ("video", "frames", "pages")
_ALIVE_FRAMES: Final = 16

Frames = Callable[[tuple[int, int] | None, str, str, Sequence[int]], Iterator[np.ndarray]]


@dataclass(frozen=True)
class LongSource:
    """A source that is decoded frame by frame.

    Attributes:
        frames: from size, fit, filter and frame numbers (increasing, possibly repeated) to (H, W, 3) uint8 frames.
        native: first frame and end (exclusive) of the segment that is read.
        numbers: numbers of the frames that are kept, after resampling.
        size: displayed (H, W) of the source.
        fps: rate of the kept frames, None without a clock.
        notes, video: as in `vidgan.data.sources.readers.ReadClip`.
    """

    frames: Frames
    native: tuple[int, int]
    numbers: list[int]
    size: tuple[int, int]
    fps: float | None
    notes: tuple[str, ...]
    video: Mapping[str, Any] | None


@contextmanager
def open_long(source: Source, blobs: Sequence[Blob], settings: ReadSettings) -> Iterator[LongSource]:
    """Open a source of one of `LONG_KINDS`. Raises SourceError or VideoError."""
    if source.kind == "video":
        with on_disk(blobs[0], PurePosixPath(source.files[0]).suffix) as path:
            yield _open_video(path, source, settings)
    else:
        yield _open_images(source, blobs, settings)


def _open_video(path: Path, source: Source, settings: ReadSettings) -> LongSource:
    info = probe(path, progress=still_alive)
    times = [float((stamp - info.pts[0]) * info.time_base) for stamp in info.pts]
    start, end = segment_bounds(source, len(times), times)
    numbers, fps = list(range(start, end)), info.fps
    if settings.fps is not None:
        check_gaps(path, times[start:end])
        numbers, fps = [start + i for i in resample_indices(times[start:end], settings.fps)], settings.fps
    metadata = video_metadata(info)
    if source.is_segment:
        metadata["span"] = [start, end]
    repeated = ("frames-repeated",) if len(set(numbers)) < len(numbers) else ()

    def frames(size: Any, fit: Any, resample: Any, wanted: Sequence[int]) -> Iterator[np.ndarray]:
        return iterate_frames(path, wanted, size=size, fit=fit, resample=resample)

    return LongSource(
        frames=frames,
        native=(start, end),
        numbers=numbers[:: settings.every],
        size=(info.height, info.width),
        fps=fps / settings.every,
        notes=(*info.notes, *repeated),
        video=metadata,
    )


def _open_images(source: Source, blobs: Sequence[Blob], settings: ReadSettings) -> LongSource:
    if source.kind == "pages":
        count = sum(1 for _ in read_pages(blobs[0]))
        first = next(read_pages(blobs[0]))
    else:
        count, first = len(blobs), read_image(blobs[0])
    chosen = choose_frames(source, count, fps=settings.fps, every=settings.every)
    times = None if source.fps is None else (np.arange(count) / source.fps).tolist()

    def images(wanted: Sequence[int]) -> Iterator[tuple[str, np.ndarray]]:
        if source.kind == "pages":
            needed = iter(wanted)
            number = next(needed, None)
            for page, image in enumerate(read_pages(blobs[0])):
                while number == page:
                    yield f"page {page}", image
                    number = next(needed, None)
        else:
            for number in wanted:
                try:
                    yield source.files[number], read_image(blobs[number])
                except SourceError as error:
                    raise SourceError(error.reason, f"{source.files[number]} {error.detail}") from error

    def frames(size: Any, fit: Any, resample: Any, wanted: Sequence[int]) -> Iterator[np.ndarray]:
        for name, image in images(wanted):
            if image.shape != first.shape:
                sizes = (
                    f"{name} is {image.shape[1]}x{image.shape[0]}, previous frames {first.shape[1]}x{first.shape[0]}"
                )
                raise SourceError("frames-differ", f"{sizes}; accepted: one size for all frames of a clip")
            yield fit_image(image, size or image.shape[:2], fit, resample=resample)

    return LongSource(
        frames=frames,
        native=segment_bounds(source, count, times),
        numbers=chosen.indices,
        size=(first.shape[0], first.shape[1]),
        fps=chosen.fps,
        notes=chosen.notes,
        video=None,
    )


def find_long_shots(long: LongSource, settings: ShotSettings, reading: ReadSettings, *, uses_kept: bool) -> Shots:
    """The shots of a long source; `uses_kept`: detect in the frames that are kept instead of decoding others."""
    if not settings.active:
        return Shots([(0, len(long.numbers))], [])
    if uses_kept:
        kept = long.frames(reading.size, reading.fit, reading.resample, long.numbers)
        small = (fit_image(frame, DETECTOR_SIZE, "squash") for frame in keep_alive(kept))
        return find_shots_in_blocks(small, range(len(long.numbers)), settings)
    start, end = long.native
    native = long.frames(DETECTOR_SIZE, "squash", reading.resample, range(start, end))
    return find_shots_in_blocks(keep_alive(native), [number - start for number in long.numbers], settings)


def keep_alive(frames: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    """The frames; every few of them count as progress of the job."""
    for number, frame in enumerate(frames):
        if number % _ALIVE_FRAMES == 0:
            still_alive()
        yield frame


@dataclass(frozen=True)
class WrittenClip:
    """A clip on disk: digest of its frames and of them or their mirror image, and bytes of its files."""

    digest: str
    twin: str
    nbytes: int


class ClipWriter:
    """Writes the frames of one clip, and their flow, as they arrive. A context manager; after an error no file is left.

    Args:
        frames_path: .npy file of the frames, None to write none.
        flow_path: .npy file of the flow, None to compute none.
        method: of the flow.
        shape: (T, H, W, 3).
    """

    def __init__(
        self, frames_path: Path | None, flow_path: Path | None, method: str | None, shape: tuple[int, int, int, int]
    ) -> None:
        self._resources = ExitStack()
        self._paths = [path for path in (frames_path, flow_path) if path is not None]
        self._frames_path, self._flow_path, self._method, self._shape = frames_path, flow_path, method, shape
        header = repr(shape).encode()
        self._digest = hashlib.blake2b(header, digest_size=16)
        self._mirrored = hashlib.blake2b(header, digest_size=16)
        self._last: np.ndarray | None = None

    def __enter__(self) -> "ClipWriter":
        self._frames = self._flow = None
        if self._frames_path is not None:
            self._frames = self._resources.enter_context(ArrayWriter(self._frames_path, self._shape, np.uint8))
        if self._flow_path is not None:
            count, height, width, _ = self._shape
            shape = (count - 1, 2, height, width)
            self._flow = self._resources.enter_context(ArrayWriter(self._flow_path, shape, np.float16))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._resources.__exit__(kind, value, trace)

    def add(self, frame: np.ndarray) -> None:
        """Append a frame (H, W, 3)."""
        frame = np.ascontiguousarray(frame)
        self._digest.update(frame.data)
        self._mirrored.update(np.ascontiguousarray(frame[:, ::-1]).data)
        if self._frames is not None:
            self._frames.write(frame)
        if self._flow is not None and self._last is not None:
            assert self._method is not None
            self._flow.write(clip_flow(np.stack([self._last, frame]), self._method).astype(np.float16))
        self._last = frame

    def result(self) -> WrittenClip:
        """What was written; valid after the context has ended."""
        digest, mirrored = self._digest.hexdigest(), self._mirrored.hexdigest()
        return WrittenClip(digest, min(digest, mirrored), sum(path.stat().st_size for path in self._paths))
