"""`VideoStore`, which decodes source videos on demand, and ``videos.jsonl``, the properties of every source video.

A line of ``videos.jsonl`` contains ``source`` (the name that its clips start with), ``file`` (posix path below the
source folder), the ``sha256`` of the file, ``fps`` (effective) and ``native_fps``. ``cuts`` are the first frames of new
shots, counted in the frames that were read. The decoder's metadata follow: display size, rotation, codec, presentation
times and key frames. Presentation times make the lines long, so they are read one at a time, by their offset.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from vidgan.data.store.clip_store import ClipStore, OpenFiles
from vidgan.data.store.index import INDEX_NAME, ClipEntry, Index, source_file, stride_of, whole_number
from vidgan.errors import DataError, VideoError
from vidgan.files import atomic_file, explain_full_disk, parse_json
from vidgan.video.random_access import VideoIndex, VideoReader
from vidgan.video.resize import FITS, RESAMPLES
from vidgan.video.sampling import resample_indices

VIDEOS_NAME: Final = "videos.jsonl"
_OPEN_VIDEOS: Final = 16  # per process: a reader holds a decoder and its frame buffers


class VideosFile:
    """The lines of ``videos.jsonl`` in the folder `root`, by source; a line truncated by a crash is ignored."""

    def __init__(self, root: Path) -> None:
        self.path = root / VIDEOS_NAME
        self._offsets: dict[str, tuple[int, int]] = {}  # source -> offset and length in bytes
        self._end = 0
        if self.path.is_file():
            with self.path.open("rb") as file:
                for line in file:
                    self._register(line)

    def __contains__(self, source: str) -> bool:
        return source in self._offsets

    def of(self, source: str) -> dict[str, Any]:
        """The line of the source with that name. Raises DataError when there is none."""
        return dict(json.loads(self._line(source)))

    def checked(self, source: str) -> dict[str, Any]:
        """As `of`, for a file that may come from a stranger: its times and names can be used as they are."""
        try:
            return _checked_line(parse_json(self._line(source), "line"), source)
        except DataError:
            raise
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(
                f"{self.path}: the line of {source} is damaged ({type(error).__name__}: {error}); run `vidgan prepare` "
                "again"
            ) from error

    def num_bytes(self, source: str) -> int:
        """Length of the line of a source in bytes, 0 if there is none."""
        return self._offsets.get(source, (0, 0))[1]

    def append(self, source: str, metadata: Mapping[str, Any]) -> None:
        """Add a line and write it to disk. The last of several lines for one source is valid."""
        line = (json.dumps({"source": source, **metadata}, ensure_ascii=True) + "\n").encode()
        with explain_full_disk(self.path, len(line)), self.path.open("ab") as file:
            if file.tell() != self._end:  # the remainder of a line truncated by a crash
                file.truncate(self._end)
                file.seek(self._end)
            file.write(line)
        self._register(line)

    def rewrite(self, sources: Iterable[str], others: Iterable["VideosFile"] = ()) -> None:
        """Keep only the lines of `sources`, in this order; lines missing here are copied from `others`. Atomic."""
        files = (self, *others)
        offsets: dict[str, tuple[int, int]] = {}
        end = 0
        with atomic_file(self.path) as file:
            for source in sources:
                line = next((other._line(source) for other in files if source in other), b"")
                if line:
                    offsets[source] = end, len(line)
                    end += file.write(line)
        self._offsets, self._end = offsets, end

    def _line(self, source: str) -> bytes:
        if source not in self._offsets:
            raise DataError(f"{self.path}: no line for source {source}; run `vidgan prepare` again")
        offset, length = self._offsets[source]
        with self.path.open("rb") as file:
            file.seek(offset)
            return file.read(length)

    def _register(self, line: bytes) -> None:
        try:
            name = parse_json(line, self.path)["source"] if line.endswith(b"\n") else None
        except (ValueError, KeyError, TypeError):
            name = None
        if isinstance(name, str):
            self._offsets[name] = self._end, len(line)
        if line.endswith(b"\n"):
            self._end += len(line)


def _checked_line(line: Any, source: str) -> dict[str, Any]:
    """`line`, if its times and names can be used as they are. Raises ValueError, KeyError or TypeError."""
    if not isinstance(line, dict) or line["source"] != source:
        raise ValueError("not an object with this source")
    source_file(line["file"])
    for part in line["time_base"]:
        whole_number("time_base", part, least=1)
    if len(line["time_base"]) != 2:
        raise ValueError("time_base has two numbers")
    stamps = line["pts"]
    if not isinstance(stamps, list) or not stamps:
        raise ValueError("pts is a list of one or more times")
    for stamp in stamps:
        whole_number("pts", stamp, least=-(2**63))
    if any(after <= before for before, after in pairwise(stamps)):
        raise ValueError("pts does not increase")
    start, end = (whole_number("span", number, least=0, most=len(stamps)) for number in line.get("span", (0, 1)))
    if start >= end:
        raise ValueError("span is empty")
    return line


def source_name(entry: ClipEntry) -> str:
    """The source that a clip was cut from: the clip's name without the ``@start`` of a shot."""
    return entry.source.removesuffix(f"@{entry.start}")


def read_frame_numbers(metadata: Mapping[str, Any], fps: float | None, every: int) -> np.ndarray:
    """Frame numbers that `prepare` reads of a video: resampled to `fps` (None: all), then every `every`-th.

    `metadata` is the video's line of ``videos.jsonl``; its ``span``, if any, limits reading to frames from the first
    number to below the second.
    """
    times = presentation_times(metadata)
    start, end = metadata.get("span", (0, len(times)))
    numbers = range(start, end) if fps is None else [start + i for i in resample_indices(times[start:end], fps)]
    return np.asarray(numbers, np.int64)[::every]


def presentation_times(metadata: Mapping[str, Any]) -> list[float]:
    """Seconds after the first frame, for every frame of a video; `metadata` as in `read_frame_numbers`."""
    stamps, unit = metadata["pts"], Fraction(*metadata["time_base"])
    return [float((stamp - stamps[0]) * unit) for stamp in stamps]


class VideoStore(ClipStore):
    """Decodes source videos on demand with key-frame seeks, scaled as when the data set was prepared.

    Presentation times and key frames come from ``videos.jsonl``, so that no file is scanned again. A few readers stay
    open in each process. Source files that have changed or disappeared are refused.
    """

    def __init__(self, root: Path, index: Index) -> None:
        super().__init__(root, index)
        self.source_root = Path(str(index.source_root))
        self._videos_file = VideosFile(root)
        self._fps, self._every = index.fps, stride_of(index)
        self._scaling: dict[str, Any] = {"size": index.size}
        for name, accepted in (("fit", FITS), ("resample", RESAMPLES)):
            self._scaling[name] = index.settings.get(name)
            if self._scaling[name] not in accepted:
                raise DataError(
                    f"{root / INDEX_NAME}: {name} is {self._scaling[name]!r:.80}; accepted: {', '.join(accepted)}. Run "
                    "`vidgan prepare` again"
                )
        self._videos: OpenFiles[_OpenVideo] = OpenFiles(self._open, _OpenVideo.close, _OPEN_VIDEOS)

    def check(self, entries: Sequence[ClipEntry], *, flow: bool) -> None:
        """See `ClipStore`."""
        if flow:
            raise DataError(f"{self.root}: store 'video' contains no flow; prepare with store 'frames' or 'shards'")
        for name in dict.fromkeys(entry.file for entry in entries):
            if not (self.source_root / name).is_file():
                raise DataError(f"{self.source_root / name}: missing, but {self.root} reads this video; restore it")
        for entry in entries:  # two bytes are the shortest time of a frame; only a higher rate repeats frames
            name = source_name(entry)
            most = self._videos_file.num_bytes(name) // 2
            if self._fps is None and entry.start + entry.frames > most:
                raise DataError(
                    f"{self._videos_file.path}: {name} has at most {most} frames, but the index lists {entry.frames} "
                    f"from {entry.start}; run `vidgan prepare` again"
                )

    def frames(self, entry: ClipEntry, indices: Sequence[int]) -> np.ndarray:
        """See `ClipStore`."""
        path = self.source_root / entry.file
        try:
            video = self._videos[source_name(entry)]
            if entry.start + max(indices) >= len(video.numbers):
                raise ValueError(f"{len(video.numbers)} frames, the index lists {entry.frames} from {entry.start}")
            return video.reader.frames(video.numbers[entry.start + np.asarray(indices)].tolist())
        except (ValueError, OSError) as error:
            if isinstance(error, VideoError) and error.reason == "out-of-memory":
                raise MemoryError(f"{path}: {error.detail}") from error
            raise DataError(
                f"{path}: cannot be read as prepared ({error}); restore it or run `vidgan prepare` again"
            ) from error

    def flow(self, entry: ClipEntry, start: int, count: int) -> np.ndarray:
        """See `ClipStore`; `check` refuses flow before."""
        raise DataError(f"{self.root}: store 'video' contains no flow")

    def _open(self, name: str) -> "_OpenVideo":
        metadata = self._videos_file.checked(name)
        if "index" not in metadata:
            raise DataError(f"{self._videos_file.path}: {name} has no seek index; run `vidgan prepare` again")
        index = VideoIndex.from_json(metadata["index"])
        if len(index) != len(metadata["pts"]):
            raise DataError(f"{self._videos_file.path}: {name} has two different numbers of frames; prepare it again")
        reader = VideoReader(self.source_root / metadata["file"], index=index, **self._scaling)
        return _OpenVideo(reader, read_frame_numbers(metadata, self._fps, self._every))


class _OpenVideo(NamedTuple):
    """A reader that stays open."""

    reader: VideoReader
    numbers: np.ndarray  # frame numbers in the file of the frames that `prepare` read

    def close(self) -> None:
        self.reader.close()
