"""From one source to the uint8 (T, H, W, 3) clips in it, at the size and rate asked for."""

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any, Final, NamedTuple

import numpy as np

from vidgan.data.sources.array_files import labelled_clips, time_first_clips
from vidgan.data.sources.blobs import on_disk, opened
from vidgan.data.sources.entries import Source
from vidgan.data.sources.hickle_files import hickle_frames
from vidgan.data.sources.images import Blob, cut_strip, read_image, strip_frame_size
from vidgan.data.sources.norpix import frame_spans, read_header
from vidgan.data.sources.segments import read_stretch
from vidgan.data.sources.spans import check_memory, choose_frames
from vidgan.data.sources.tfrecords import example_bytes, records
from vidgan.errors import DataError, SourceError
from vidgan.video.decode import VideoError, VideoInfo, fit_image, read_video
from vidgan.video.resize import Fit, Resample

__all__ = ["READERS", "ReadClip", "ReadSettings", "SourceError", "read_source"]

_BLOCK_BYTES: Final = 1 << 26  # of an HDF5 file that are read at a time
_TFRECORD_SIDE: Final = 64  # pixels; BAIR's records do not say


class ReadClip(NamedTuple):
    """A clip of a source. `label` is empty, or tells it from the other clips of the same source (``#3``)."""

    label: str
    frames: np.ndarray  # (T, H, W, 3) uint8
    fps: float | None
    notes: tuple[str, ...] = ()  # what a person should know about the file
    facts: Mapping[str, Any] | None = None  # of a video file, as JSON: see `video_facts`
    category: str | None = None  # these three where one file holds clips of several
    group: str | None = None
    split: str | None = None


@dataclass(frozen=True)
class ReadSettings:
    """How clips are read: what changes the pixels.

    `size` is (H, W), None keeps each clip's own; `fps` resamples what has a clock; `strip_frame` as in
    `strip_frame_size`; `resample` as in `vidgan.video.resize`; `every` takes frames 0, every, 2 every, ... of what was
    read.
    """

    size: tuple[int, int] | None
    fit: Fit
    fps: float | None
    strip_frame: tuple[int, int] | None
    resample: Resample = "area"
    every: int = 1


def read_source(source: Source, blobs: Sequence[Blob], settings: ReadSettings) -> Iterator[ReadClip]:
    """The clips of `source`, one at a time; `blobs` are its files in the order of ``source.files``.

    Raises SourceError when the source cannot be used.
    """
    yield from READERS[source.kind](source, blobs, settings)


def video_facts(info: VideoInfo) -> dict[str, Any]:
    """What decoding found, as JSON: size as shown in pixels, `pts` in units of `time_base` (numerator, denominator)."""
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
            if source.is_stretch:
                stretch = read_stretch(path, source, settings.size, settings.fit, settings.resample, settings.fps)
                frames, fps, info = stretch.frames, stretch.fps, stretch.info
                facts = {**video_facts(info), "span": list(stretch.span)}
                notes = stretch.notes
            else:
                video = read_video(
                    path, size=settings.size, fit=settings.fit, resample=settings.resample, fps=settings.fps
                )
                frames, fps, info = video.frames, video.fps, video.info
                facts = video_facts(info)
                notes = (*info.notes, "frames-repeated") if video.repeated else info.notes
        except VideoError as error:
            raise SourceError(error.reason, error.detail) from error
    yield ReadClip("", frames[:: settings.every], fps / settings.every, notes, facts)


def _read_frame_folder(source: Source, blobs: Sequence[Blob], settings: ReadSettings) -> Iterator[ReadClip]:
    chosen = choose_frames(source, len(blobs), fps=settings.fps, every=settings.every)
    images = ((source.files[i], _read_image(blobs[i], source.files[i])) for i in chosen.indices)
    yield ReadClip("", _stack(images, len(chosen.indices), settings), chosen.fps, chosen.notes)


def _read_strip(source: Source, blobs: Sequence[Blob], settings: ReadSettings) -> Iterator[ReadClip]:
    image = _read_image(blobs[0], "")
    frame = strip_frame_size(image.shape[:2], settings.strip_frame)
    if frame is None:
        height, width = image.shape[:2]
        wanted = "square frames" if settings.strip_frame is None else f"frames of {settings.strip_frame} (H, W)"
        raise SourceError("not-a-strip", f"{width}x{height} pixels is no row or column of {wanted}")
    yield _of_array(source, "", cut_strip(image, frame), settings)


def _read_arrays(source: Source, blobs: Sequence[Blob], settings: ReadSettings) -> Iterator[ReadClip]:
    yield from _of_arrays(source, labelled_clips(source.files[0], blobs[0]), settings)


def _read_time_first(source: Source, blobs: Sequence[Blob], settings: ReadSettings) -> Iterator[ReadClip]:
    yield from _of_arrays(source, time_first_clips(blobs[0]), settings)


def _of_arrays(source: Source, clips: Iterator[tuple[str, np.ndarray]], settings: ReadSettings) -> Iterator[ReadClip]:
    try:
        for label, clip in clips:
            yield _of_array(source, label, clip, settings)
    except SourceError:
        raise
    except DataError as error:
        raise SourceError("wrong-array", str(error)) from error


def _read_hickle(source: Source, blobs: Sequence[Blob], settings: ReadSettings) -> Iterator[ReadClip]:
    with _reason("wrong-hickle"), hickle_frames(blobs[0]) as frames:
        chosen = choose_frames(source, len(frames), fps=settings.fps, every=settings.every)
        together = max(1, _BLOCK_BYTES // math.prod(frames.shape[1:]))

        def images() -> Iterator[tuple[str, np.ndarray]]:
            first, block = 0, frames[:0]
            for i in chosen.indices:
                if not first <= i < first + len(block):
                    first, block = i, frames[i : i + together]  # (<= together, h, w, 3)
                yield f"frame {i}", block[i - first]

        yield ReadClip("", _stack(images(), len(chosen.indices), settings), chosen.fps, chosen.notes)


def _read_norpix(source: Source, blobs: Sequence[Blob], settings: ReadSettings) -> Iterator[ReadClip]:
    with _reason("wrong-sequence"), opened(blobs[0]) as file:
        header = read_header(file)
        places = frame_spans(file)
        known = source if header.fps == 0 or source.fps is not None else replace(source, fps=header.fps)
        chosen = choose_frames(known, len(places), fps=settings.fps, every=settings.every)

        def images() -> Iterator[tuple[str, np.ndarray]]:
            for i in chosen.indices:
                file.seek(places[i][0])
                yield f"frame {i}", _read_image(file.read(places[i][1]), f"frame {i}")

        fewer = ("fewer-frames-than-announced",) if len(places) < header.frames else ()
        notes = (*fewer, *chosen.notes)
        yield ReadClip("", _stack(images(), len(chosen.indices), settings), chosen.fps, notes)


def _read_tfrecord(source: Source, blobs: Sequence[Blob], settings: ReadSettings) -> Iterator[ReadClip]:
    camera = json.loads(source.recipe)["camera"]
    with _reason("wrong-record"), opened(blobs[0]) as file:
        for number, record in enumerate(records(file)):
            features = example_bytes(record)
            frames: list[np.ndarray] = []
            while (raw := features.get(f"{len(frames)}/{camera}/encoded")) is not None:
                if len(raw) != 3 * _TFRECORD_SIDE**2:
                    raise DataError(f"record {number}: a frame of {len(raw)} bytes; expected 64x64x3")
                frames.append(np.frombuffer(raw, np.uint8).reshape(_TFRECORD_SIDE, _TFRECORD_SIDE, 3))
            if not frames:
                raise DataError(f"record {number} has no 0/{camera}/encoded, but {', '.join(sorted(features)[:4])}")
            yield _of_array(source, f"#{number}", np.stack(frames), settings)


def _read_digits(source: Source, blobs: Sequence[Blob], settings: ReadSettings) -> Iterator[ReadClip]:
    from vidgan.data.synthetic.moving_digits import draw_moving_digits, read_idx_images

    recipe = json.loads(source.recipe)
    with _reason("wrong-digits"):
        images = read_idx_images(blobs[0])
    low, high = (round(share * len(images)) for share in recipe["share"])
    images = images[low:high]
    for number in range(*recipe["clips"]):
        keys = (recipe["seed"], recipe["split"], number)
        clip = draw_moving_digits(images, recipe["frames"], recipe["digits"], keys)  # (T, 64, 64)
        yield _of_array(source, f"#{number}", clip[..., None], settings)


def _of_array(source: Source, label: str, clip: np.ndarray, settings: ReadSettings) -> ReadClip:
    """A clip of (T, h, w, 3|1) frames that lie in memory, or are mapped."""
    chosen = choose_frames(source, len(clip), fps=settings.fps, every=settings.every)
    images = (("", np.broadcast_to(clip[i], (*clip.shape[1:3], 3))) for i in chosen.indices)  # grey in three channels
    return ReadClip(label, _stack(images, len(chosen.indices), settings), chosen.fps, chosen.notes)


def _stack(images: Iterable[tuple[str, np.ndarray]], count: int, settings: ReadSettings) -> np.ndarray:
    """`count` named (h, w, 3) images of one size -> (T, H, W, 3), each resized as it comes."""
    shape: tuple[int, ...] = ()
    clip = np.empty(0, np.uint8)
    for i, (name, image) in enumerate(images):
        if i == 0:
            shape = image.shape
            size = settings.size or (shape[0], shape[1])
            check_memory(count, size)
            clip = np.empty((count, *size, 3), np.uint8)  # (T, H, W, 3)
        if image.shape != shape:
            sizes = f"{name} is {image.shape[1]}x{image.shape[0]}, the frames before it {shape[1]}x{shape[0]}"
            raise SourceError("frames-differ", f"{sizes}; the frames of a clip have one size")
        clip[i] = (
            image
            if settings.size is None
            else fit_image(image, settings.size, settings.fit, resample=settings.resample)
        )
    return clip


def _read_image(blob: Blob, name: str) -> np.ndarray:
    try:
        return read_image(blob)
    except DataError as error:
        raise SourceError("unreadable-image", f"{name} {error}".strip()) from error


@contextmanager
def _reason(reason: str) -> Iterator[None]:
    """DataErrors of a file format become refusals counted under `reason`."""
    try:
        yield
    except SourceError:
        raise
    except DataError as error:
        raise SourceError(reason, str(error)) from error


READERS: Final[dict[str, Callable[[Source, Sequence[Blob], ReadSettings], Iterator[ReadClip]]]] = {
    "video": _read_video,
    "frames": _read_frame_folder,
    "strip": _read_strip,
    "array": _read_arrays,
    "time-first": _read_time_first,
    "hickle": _read_hickle,
    "norpix": _read_norpix,
    "tfrecord": _read_tfrecord,
    "digits": _read_digits,
}
"""Readers by ``Source.kind``."""
