"""Any frames of a video, equal bit for bit to those of a decode from the start.

`index_video` finds out where decoding can start and how the frames are told from each other. `VideoReader` goes to the
last such place before each wanted frame, checks that it is there, and decodes on. Where the file does not give what the
index promises, the frames are decoded from its start.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from vidgan.errors import VideoError
from vidgan.video.container import DECODER_ERRORS, describe
from vidgan.video.convert import FrameConverter
from vidgan.video.cursor import Cursor
from vidgan.video.file_index import VideoIndex, fingerprint
from vidgan.video.indexing import index_video
from vidgan.video.resize import Fit, Resample

__all__ = ["VideoIndex", "VideoReader", "index_video"]


class VideoReader:
    """Reads frames of one file by number; keeps the file open, and goes on from where it is where that is quicker.

    Not for several threads or processes at once: open it where it is used.

    Args:
        path: a regular file.
        size: (H, W) of the frames in pixels; None keeps the size as shown.
        fit: see `vidgan.video.resize.Fit`.
        resample: see `vidgan.video.resize.Resample`.
        index: from `index_video`; None makes it, which decodes the file twice.

    Raises:
        VideoError: the file is refused, or has changed since it was indexed.
        ValueError: an argument is not valid.
    """

    def __init__(
        self,
        path: Path | str,
        *,
        size: tuple[int, int] | None = None,
        fit: Fit = "crop",
        resample: Resample = "area",
        index: VideoIndex | None = None,
    ) -> None:
        self.path = Path(path)
        self._convert = FrameConverter(size, fit, resample)
        if index is None:
            index = index_video(self.path)
        else:
            _check_unchanged(self.path, index)
        self.index = index
        self._cursor = Cursor(self.path, index)

    def __len__(self) -> int:
        """How many frames the video has."""
        return len(self.index)

    def __enter__(self) -> "VideoReader":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; harmless when it is closed already."""
        self._cursor.close()

    def frames(self, indices: Sequence[int]) -> np.ndarray:
        """The frames with these numbers, in any order and as often as they are named, as (N, H, W, 3) uint8 RGB.

        Equal to ``read_video(path, ...).frames[indices]`` with the same size, fit and resample.

        Raises:
            ValueError: no number is given, or one lies outside the video.
            VideoError: the file has changed since it was indexed, or can no longer be read.
        """
        wanted = sorted({int(index) for index in indices})
        if not wanted or wanted[0] < 0 or wanted[-1] >= len(self):
            raise ValueError(f"{self.path}: frames must be numbers from 0 to {len(self) - 1}, got {list(indices)}")
        try:
            pictures = self._pictures(wanted, seeking=True)
        except VideoError as error:
            if error.reason != "changed":
                raise
            self._cursor.restart()
            pictures = self._pictures(wanted, seeking=False)
        return np.stack([pictures[int(index)] for index in indices])  # (N, H, W, 3)

    def _pictures(self, wanted: list[int], *, seeking: bool) -> dict[int, np.ndarray]:
        frames = self._cursor.frames(wanted, seeking=seeking)
        try:
            # (H, W, 3) each; converted before the next is decoded, so that one full-size frame is held
            return {
                place: self._convert(frame, self.index.orientation) for place, frame in zip(wanted, frames, strict=True)
            }
        except VideoError:
            raise
        except DECODER_ERRORS as error:
            raise VideoError(self.path, "corrupt", f"its pixels cannot be converted: {describe(error)}") from error


def _check_unchanged(path: Path, index: VideoIndex) -> None:
    """A copy may have another time; what its bytes are decides."""
    found = fingerprint(path)
    if (found.size, found.digest) != (index.file.size, index.file.digest):
        detail = f"has {found.size} bytes, {index.file.size} when it was indexed, or others; prepare it again"
        raise VideoError(path, "changed", detail)
