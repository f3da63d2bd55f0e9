"""From one source to the uint8 (T, H, W, 3) clips in it, at the size asked for."""

import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import IO, Final, NamedTuple

import numpy as np

from vidgan.data.archives import ARCHIVE_ERRORS, MAX_MEMBER
from vidgan.data.images import Blob, cut_strip, read_image, strip_frame_size
from vidgan.data.names import DataError
from vidgan.data.sources import Source
from vidgan.video.decode import MAX_BYTES, VideoError, fit_image, read_video, resize_frames
from vidgan.video.resize import Fit

_ARRAY_SHAPES: Final = "uint8 (T, H, W, 3|1) or (N, T, H, W, 3|1)"


class SourceError(DataError):
    """A source that must be left out: the reason to count it by, and the details."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class ReadClip(NamedTuple):
    """A clip of a source. `label` is empty, or tells it from the other clips of the same source (``#3``)."""

    label: str
    frames: np.ndarray  # (T, H, W, 3) uint8
    fps: float | None
    notes: tuple[str, ...] = ()  # what a person should know about the file


@dataclass(frozen=True)
class ReadSettings:
    """How clips are read: what changes the pixels.

    `size` is (H, W), None keeps each clip's own; `fps` resamples videos only; `strip_frame` as in `strip_frame_size`.
    """

    size: tuple[int, int] | None
    fit: Fit
    fps: float | None
    strip_frame: tuple[int, int] | None


def read_source(source: Source, blobs: Sequence[Blob], settings: ReadSettings) -> Iterator[ReadClip]:
    """The clips of `source`, one at a time; `blobs` are its files in the order of ``source.files``.

    Raises SourceError when the source cannot be used.
    """
    if source.kind == "video":
        assert isinstance(blobs[0], Path)
        yield _read_video(blobs[0], settings)
    elif source.kind == "frames":
        yield _read_frame_folder(source.files, blobs, settings)
    elif source.kind == "strip":
        yield _read_strip(blobs[0], settings)
    else:
        for label, clip in _labelled_clips(source.files[0], blobs[0]):
            yield ReadClip(label, _fit(clip, settings), None)


def _fit(frames: np.ndarray, settings: ReadSettings) -> np.ndarray:
    """(T, h, w, 3) -> (T, H, W, 3)."""
    if settings.size is None:
        return frames
    _refuse_too_long(len(frames), settings.size)
    return resize_frames(frames, settings.size, settings.fit)


def _refuse_too_long(frames: int, size: tuple[int, int]) -> None:
    most = MAX_BYTES // (3 * size[0] * size[1])
    if frames > most:
        raise SourceError("too-long", f"{frames} frames, at most {most} of this size fit in memory; cut it")


def _read_video(path: Path, settings: ReadSettings) -> ReadClip:
    try:
        video = read_video(path, size=settings.size, fit=settings.fit, fps=settings.fps)
    except VideoError as error:
        raise SourceError(error.reason, error.detail) from error
    notes = (*video.info.notes, "frames-repeated") if video.repeated else video.info.notes
    return ReadClip("", video.frames, video.fps, notes)


def _read_frame_folder(names: Sequence[str], blobs: Sequence[Blob], settings: ReadSettings) -> ReadClip:
    shape = _read_image(blobs[0], names[0]).shape
    size = settings.size or (shape[0], shape[1])
    _refuse_too_long(len(blobs), size)
    clip = np.empty((len(blobs), *size, 3), np.uint8)  # (T, H, W, 3)
    for i, (name, blob) in enumerate(zip(names, blobs, strict=True)):
        image = _read_image(blob, name)
        if image.shape != shape:
            sizes = f"{name} is {image.shape[1]}x{image.shape[0]}, the frames before it {shape[1]}x{shape[0]}"
            raise SourceError("frames-differ", f"{sizes}; a folder of frames is one clip")
        clip[i] = fit_image(image, size, settings.fit)
    return ReadClip("", clip, None)


def _read_strip(blob: Blob, settings: ReadSettings) -> ReadClip:
    image = _read_image(blob, "")
    frame = strip_frame_size(image.shape[:2], settings.strip_frame)
    if frame is None:
        height, width = image.shape[:2]
        wanted = "square frames" if settings.strip_frame is None else f"frames of {settings.strip_frame} (H, W)"
        raise SourceError("not-a-strip", f"{width}x{height} pixels is no row or column of {wanted}")
    return ReadClip("", _fit(cut_strip(image, frame), settings), None)


def _read_image(blob: Blob, name: str) -> np.ndarray:
    try:
        return read_image(blob)
    except DataError as error:
        raise SourceError("unreadable-image", f"{name} {error}".strip()) from error


def _labelled_clips(name: str, blob: Blob) -> Iterator[tuple[str, np.ndarray]]:
    """Label and (T, h, w, 3) frames of every clip of a .npy or .npz file."""
    arrays = _npz_arrays(blob) if name.lower().endswith(".npz") else iter([("", _npy_array(blob))])
    for label, array in arrays:
        if array.dtype != np.uint8 or array.ndim not in (4, 5) or array.shape[-1] not in (1, 3) or 0 in array.shape:
            found = f"{array.dtype} {array.shape}"
            raise SourceError("wrong-array", f"{label} is {found}; accepted: {_ARRAY_SHAPES}".strip())
        for i, clip in enumerate(array if array.ndim == 5 else array[None]):
            rgb = np.broadcast_to(clip, (*clip.shape[:3], 3))  # (T, h, w, 3), grey in three channels
            yield (f"{label}#{i}" if array.ndim == 5 else label), np.ascontiguousarray(rgb)


def _npy_array(blob: Blob) -> np.ndarray:
    """The array of a .npy file: mapped from a file, so that only the clip in hand is in memory."""
    try:
        if isinstance(blob, bytes):
            return _parse_npy(blob)
        return np.load(blob, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise SourceError("wrong-array", f"not a plain .npy file ({error})") from error


def _npz_arrays(blob: Blob) -> Iterator[tuple[str, np.ndarray]]:
    """(``#name``, array) of every member; the name is left out where there is only one."""
    try:
        with zipfile.ZipFile(BytesIO(blob) if isinstance(blob, bytes) else blob) as file:
            members = [member for member in file.infolist() if member.filename.endswith(".npy")]
            for member in members:
                with file.open(member) as content:
                    data = content.read(MAX_MEMBER + 1)
                if len(data) > MAX_MEMBER:
                    raise SourceError("too-large", f"{member.filename} has more than {MAX_MEMBER} bytes; use .npy")
                yield f"#{member.filename[:-4]}" if len(members) > 1 else "", _parse_npy(data)
    except SourceError:
        raise
    except ARCHIVE_ERRORS as error:
        raise SourceError("wrong-array", f"not a plain .npz file ({error})") from error


def _parse_npy(data: bytes) -> np.ndarray:
    """A .npy file in memory, without copying and without trusting the size in its header (numpy allocates it first)."""
    file: IO[bytes] = BytesIO(data)
    version = np.lib.format.read_magic(file)
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in readers:
        raise ValueError(f".npy version {version}")
    shape, fortran, dtype = readers[version](file)
    if dtype.hasobject:
        raise ValueError("holds Python objects")
    array = np.frombuffer(data, dtype, offset=file.tell())
    return array.reshape(shape, order="F" if fortran else "C")
