"""Read the clips of one source as uint8 (T, H, W, 3) arrays, at the requested size and frame rate."""

import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any, Final

import numpy as np

from vidgan.data.sources.array_files import labelled_clips, time_first_clips
from vidgan.data.sources.blobs import Blob, on_disk, open_blob
from vidgan.data.sources.hickle_files import hickle_frames
from vidgan.data.sources.idx_files import read_idx_images
from vidgan.data.sources.images import cut_strip, num_pages, read_image, read_pages, strip_frame_size
from vidgan.data.sources.norpix import frame_spans, read_header
from vidgan.data.sources.segments import ChosenFrames, check_memory, choose_frames, read_video_segment
from vidgan.data.sources.source import Source
from vidgan.data.sources.tfrecords import example_bytes, records
from vidgan.errors import DataError, SourceError, VideoError
from vidgan.video.decode import VideoInfo, fit_image, read_video
from vidgan.video.resize import Fit, Resample

_BLOCK_BYTES: Final = 1 << 26  # bytes of an HDF5 file per read
_TFRECORD_SIDE: Final = 64  # pixels; BAIR's records do not store the size


@dataclass(frozen=True)
class ReadClip:
    """The READ stage's result: one clip of a source.

    Attributes:
        label: empty, or the suffix that distinguishes clips of the same source (``#3``).
        frames: (T, H, W, 3) uint8, resized and resampled.
        fps: frames per second of `frames`, None without a clock.
        notes: short names of properties of the file to report, such as ``"hdr"``.
        video: for a video file the result of `video_metadata`, with ``span`` (first frame and end) for a segment.
        category, group, split: of this clip, where the clips of one file differ in them; None to use the source's.
    """

    label: str
    frames: np.ndarray
    fps: float | None
    notes: tuple[str, ...] = ()
    video: Mapping[str, Any] | None = None
    category: str | None = None
    group: str | None = None
    split: str | None = None


@dataclass(frozen=True)
class ReadSettings:
    """How clips are read; every field affects the pixels.

    Attributes:
        size: (H, W) in pixels, None to keep each clip's own.
        fit, resample: see `vidgan.video.resize`.
        fps: target frame rate of clips with a clock, None to keep all frames.
        strip_frame: (H, W) of one frame of a strip, None for square frames.
        every: stride, applied after `fps`.
        max_bytes: memory limit of a video, folder of frames or file of pages, as in `vidgan.video.decode.read_video`.
        max_frames: read only so many frames of the result; None for all.
    """

    size: tuple[int, int] | None = None
    fit: Fit = "crop"
    fps: float | None = None
    strip_frame: tuple[int, int] | None = None
    resample: Resample = "area"
    every: int = 1
    max_bytes: int | None = None
    max_frames: int | None = None


def read_source(source: Source, blobs: Sequence[Blob], settings: ReadSettings) -> Iterator[ReadClip]:
    """Yield the clips of `source` one at a time; `blobs` are its files in the order of ``source.files``.

    Raises SourceError when the source cannot be used.
    """
    yield from READERS[source.kind](source, blobs, settings)


def video_metadata(info: VideoInfo) -> dict[str, Any]:
    """Properties of a decoded video as JSON: display size in pixels, `pts` in units of `time_base` (num, den), etc."""
    return {
        "width": info.width,
        "height": info.height,
        "frames": info.frames,
        "fps": info.fps,
        "rotation": info.rotation,
        "codec": info.codec,
        "pts": list(info.pts),
        "keyframes": list(info.keyframes),
        "time_base": [info.time_base.numerator, info.time_base.denominator],
    }


def _read_video(source: Source, blobs: Sequence[Blob], settings: ReadSettings) -> Iterator[ReadClip]:
    with on_disk(blobs[0], PurePosixPath(source.files[0]).suffix) as path:
        try:
            if source.is_segment:
                segment = read_video_segment(
                    path, source, settings.size, settings.fit, settings.resample, settings.fps, settings.max_bytes
                )
                frames, fps, info = segment.frames, segment.fps, segment.info
                metadata = {**video_metadata(info), "span": list(segment.bounds)}
                notes = segment.notes
            else:
                video = read_video(
                    path,
                    size=settings.size,
                    fit=settings.fit,
                    resample=settings.resample,
                    fps=settings.fps,
                    max_frames=None if settings.max_frames is None else settings.max_frames * settings.every,
                    max_bytes=settings.max_bytes,
                )
                frames, fps, info = video.frames, video.fps, video.info
                metadata = video_metadata(info)
                notes = (*info.notes, "frames-repeated") if video.repeated else info.notes
        except VideoError as error:
            raise SourceError(error.reason, error.detail) from error
    yield ReadClip("", frames[:: settings.every], fps / settings.every, notes, metadata)


def _choose(source: Source, count: int, settings: ReadSettings) -> ChosenFrames:
    """The frames to read of a clip of `count` frames without timestamps."""
    chosen = choose_frames(source, count, fps=settings.fps, every=settings.every)
    return ChosenFrames(chosen.indices[: settings.max_frames], chosen.fps)


def _read_frame_folder(source: Source, blobs: Sequence[Blob], settings: ReadSettings) -> Iterator[ReadClip]:
    chosen = _choose(source, len(blobs), settings)
    images = ((source.files[i], _read_image(blobs[i], source.files[i])) for i in chosen.indices)
    yield ReadClip("", _stack(images, len(chosen.indices), settings, settings.max_bytes), chosen.fps, chosen.notes)


def _read_page_file(source: Source, blobs: Sequence[Blob], settings: ReadSettings) -> Iterator[ReadClip]:
    chosen = _choose(source, num_pages(blobs[0]), settings)
    numbers = Counter(chosen.indices)  # in order, because the indices never decrease
    pages = ((number, page) for number, page in enumerate(read_pages(blobs[0])) if number in numbers)
    images = ((f"page {number}", page) for number, page in pages for _ in range(numbers[number]))
    yield ReadClip("", _stack(images, len(chosen.indices), settings, settings.max_bytes), chosen.fps, chosen.notes)


def _read_strip(source: Source, blobs: Sequence[Blob], settings: ReadSettings) -> Iterator[ReadClip]:
    image = _read_image(blobs[0], "")
    frame = strip_frame_size(image.shape[:2], settings.strip_frame)
    if frame is None:
        height, width = image.shape[:2]
        expected = "square frames" if settings.strip_frame is None else f"frames of {settings.strip_frame} (H, W)"
        raise SourceError("not-a-strip", f"{width}x{height} pixels; expected a row or column of {expected}")
    yield _clip_from_array(source, "", cut_strip(image, frame), settings)


def _read_arrays(source: Source, blobs: Sequence[Blob], settings: ReadSettings) -> Iterator[ReadClip]:
    yield from _clips_from_arrays(source, labelled_clips(source.files[0], blobs[0]), settings)


def _read_time_first(source: Source, blobs: Sequence[Blob], settings: ReadSettings) -> Iterator[ReadClip]:
    yield from _clips_from_arrays(source, time_first_clips(blobs[0]), settings)


def _clips_from_arrays(
    source: Source, clips: Iterator[tuple[str, np.ndarray]], settings: ReadSettings
) -> Iterator[ReadClip]:
    try:
        for label, clip in clips:
            yield _clip_from_array(source, label, clip, settings)
    except SourceError:
        raise
    except DataError as error:
        raise SourceError("wrong-array", str(error)) from error


def _read_hickle(source: Source, blobs: Sequence[Blob], settings: ReadSettings) -> Iterator[ReadClip]:
    with _refused_as("wrong-hickle"), hickle_frames(blobs[0]) as frames:
        chosen = _choose(source, len(frames), settings)
        block_frames = max(1, _BLOCK_BYTES // math.prod(frames.shape[1:]))

        def images() -> Iterator[tuple[str, np.ndarray]]:
            first, block = 0, frames[:0]
            for i in chosen.indices:
                if not first <= i < first + len(block):
                    first, block = i, frames[i : i + block_frames]  # (<= block_frames, h, w, 3)
                yield f"frame {i}", block[i - first]

        yield ReadClip("", _stack(images(), len(chosen.indices), settings), chosen.fps, chosen.notes)


def _read_norpix(source: Source, blobs: Sequence[Blob], settings: ReadSettings) -> Iterator[ReadClip]:
    with _refused_as("wrong-sequence"), open_blob(blobs[0]) as file:
        header = read_header(file)
        spans = frame_spans(file)
        known = source if header.fps == 0 or source.fps is not None else replace(source, fps=header.fps)
        chosen = _choose(known, len(spans), settings)

        def images() -> Iterator[tuple[str, np.ndarray]]:
            for i in chosen.indices:
                file.seek(spans[i][0])
                yield f"frame {i}", _read_image(file.read(spans[i][1]), f"frame {i}")

        fewer = ("fewer-frames-than-announced",) if len(spans) < header.frames else ()
        notes = (*fewer, *chosen.notes)
        yield ReadClip("", _stack(images(), len(chosen.indices), settings), chosen.fps, notes)


def _read_tfrecord(source: Source, blobs: Sequence[Blob], settings: ReadSettings) -> Iterator[ReadClip]:
    camera = json.loads(source.recipe)["camera"]
    with _refused_as("wrong-record"), open_blob(blobs[0]) as file:
        for number, record in enumerate(records(file)):
            features = example_bytes(record)
            frames: list[np.ndarray] = []
            while (raw := features.get(f"{len(frames)}/{camera}/encoded")) is not None:
                if len(raw) != 3 * _TFRECORD_SIDE**2:
                    raise DataError(f"record {number}: frame of {len(raw)} bytes; expected 64x64x3")
                frames.append(np.frombuffer(raw, np.uint8).reshape(_TFRECORD_SIDE, _TFRECORD_SIDE, 3))
            if not frames:
                present = ", ".join(sorted(features)[:4])
                raise DataError(f"record {number}: feature 0/{camera}/encoded is missing; present: {present}")
            yield _clip_from_array(source, f"#{number}", np.stack(frames), settings)


def _read_digits(source: Source, blobs: Sequence[Blob], settings: ReadSettings) -> Iterator[ReadClip]:
    from vidgan.data.synthetic.moving_digits import draw_moving_digits  # imports torch, which other readers do not need

    recipe = json.loads(source.recipe)
    with _refused_as("wrong-digits"):
        images = read_idx_images(blobs[0])
    low, high = (round(share * len(images)) for share in recipe["share"])
    images = images[low:high]
    for number in range(*recipe["clips"]):
        keys = (recipe["seed"], recipe["split"], number)
        clip = draw_moving_digits(images, recipe["frames"], recipe["digits"], keys)  # (T, 64, 64)
        yield _clip_from_array(source, f"#{number}", clip[..., None], settings)


def _clip_from_array(source: Source, label: str, clip: np.ndarray, settings: ReadSettings) -> ReadClip:
    """A clip of (T, h, w, 3|1) frames in memory or memory-mapped."""
    chosen = _choose(source, len(clip), settings)
    images = (("", np.broadcast_to(clip[i], (*clip.shape[1:3], 3))) for i in chosen.indices)  # grey in three channels
    return ReadClip(label, _stack(images, len(chosen.indices), settings), chosen.fps, chosen.notes)


def _stack(
    images: Iterable[tuple[str, np.ndarray]], count: int, settings: ReadSettings, max_bytes: int | None = None
) -> np.ndarray:
    """`count` named (h, w, 3) images of one size -> (T, H, W, 3), each resized on arrival."""
    shape: tuple[int, ...] = ()
    clip = np.empty(0, np.uint8)
    for i, (name, image) in enumerate(images):
        if i == 0:
            shape = image.shape
            size = settings.size or (shape[0], shape[1])
            check_memory(count, size, max_bytes)
            clip = np.empty((count, *size, 3), np.uint8)  # (T, H, W, 3)
        if image.shape != shape:
            sizes = f"{name} is {image.shape[1]}x{image.shape[0]}, previous frames {shape[1]}x{shape[0]}"
            raise SourceError("frames-differ", f"{sizes}; accepted: one size for all frames of a clip")
        clip[i] = (
            image
            if settings.size is None
            else fit_image(image, settings.size, settings.fit, resample=settings.resample)
        )
    return clip


def _read_image(blob: Blob, name: str) -> np.ndarray:
    try:
        return read_image(blob)
    except SourceError as error:
        raise SourceError(error.reason, f"{name} {error.detail}".strip()) from error


@contextmanager
def _refused_as(reason: str) -> Iterator[None]:
    """Turn DataErrors of a file format into refusals counted under `reason`."""
    try:
        yield
    except SourceError:
        raise
    except DataError as error:
        raise SourceError(reason, str(error)) from error


READERS: Final[dict[str, Callable[[Source, Sequence[Blob], ReadSettings], Iterator[ReadClip]]]] = {
    "video": _read_video,
    "frames": _read_frame_folder,
    "pages": _read_page_file,
    "strip": _read_strip,
    "array": _read_arrays,
    "time-first": _read_time_first,
    "hickle": _read_hickle,
    "norpix": _read_norpix,
    "tfrecord": _read_tfrecord,
    "digits": _read_digits,
}
"""Reader of each ``Source.kind``."""
