"""What random access needs to know of a video file, and how it is stored; `vidgan.video.indexing` finds it out."""

import hashlib
import json
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Final, NamedTuple

from av.packet import Packet

from vidgan.errors import VideoError
from vidgan.video.orientation import Orientation

__all__ = ["EntryPoint", "Fingerprint", "PacketIdentity", "VideoIndex", "fingerprint", "packet_identity"]

_FORMAT: Final = 1
_SAMPLES: Final = 16  # blocks of a file that are looked at to tell whether it has changed
_BLOCK: Final = 4096

PacketIdentity = tuple[int, int, int | None, int | None]
"""(position, size, pts, dts): what a packet is known by, however the container came to it."""


class Fingerprint(NamedTuple):
    """What tells a file from another: bytes, time of change in nanoseconds, digest of blocks spread over the file."""

    size: int
    mtime_ns: int
    digest: str


class EntryPoint(NamedTuple):
    """A key frame from which decoding gives the frames that a decode from the start gives.

    Attributes:
        frame: the first frame that is right.
        leading: how many pictures the decoder gives before it, which are not.
        seek: the timestamp to ask the container for.
        skip: how many packets then come before the key frame's.
        position, size, pts, dts: of the key frame's packet, to know it by.
    """

    frame: int
    leading: int
    seek: int
    skip: int
    position: int
    size: int
    pts: int | None
    dts: int | None


@dataclass(frozen=True)
class VideoIndex:
    """Where every frame of a video file is, and the file that this is true of.

    Attributes:
        pts: presentation time of every frame, increasing, in units of `time_base`; see `VideoInfo.pts`.
        time_base: seconds in one unit of `pts`.
        width: of the stored picture in pixels, before it is turned.
        height: of the stored picture in pixels.
        orientation: how the stored picture is shown.
        entries: places to start decoding from, in order; a frame before the first is decoded from the file's start.
        stamped: the presentation times that decoding gives are those in `pts`, so frames are known by them;
            otherwise they are counted from an entry point on.
        skips: pictures that no other one is predicted from may be left undecoded.
        file: see `Fingerprint`.
    """

    pts: tuple[int, ...]
    time_base: Fraction
    width: int
    height: int
    orientation: Orientation
    entries: tuple[EntryPoint, ...]
    stamped: bool
    skips: bool
    file: Fingerprint

    @property
    def keyframes(self) -> tuple[int, ...]:
        """The frames that decoding can start from."""
        return tuple(entry.frame for entry in self.entries)

    def __len__(self) -> int:
        return len(self.pts)

    def to_json(self) -> dict[str, Any]:
        """Plain lists, numbers and strings."""
        return {
            "format": _FORMAT,
            "pts": list(self.pts),
            "time_base": [self.time_base.numerator, self.time_base.denominator],
            "size": [self.height, self.width],
            "orientation": list(self.orientation),
            "entries": [list(entry) for entry in self.entries],
            "stamped": self.stamped,
            "skips": self.skips,
            "file": list(self.file),
        }

    @classmethod
    def from_json(cls, data: Any) -> "VideoIndex":
        """The index from what `to_json` gave, or from its JSON text. Raises ValueError for anything else."""
        try:
            if isinstance(data, str | bytes):
                data = json.loads(data)
            if data["format"] != _FORMAT:
                raise ValueError(f"format {data['format']}")
            height, width = (int(side) for side in data["size"])
            size, mtime_ns, digest = data["file"]
            return cls(
                pts=tuple(int(stamp) for stamp in data["pts"]),
                time_base=Fraction(*(int(part) for part in data["time_base"])),
                width=width,
                height=height,
                orientation=Orientation(*(bool(flag) for flag in data["orientation"])),
                entries=tuple(EntryPoint(*entry) for entry in data["entries"]),
                stamped=bool(data["stamped"]),
                skips=bool(data["skips"]),
                file=Fingerprint(int(size), int(mtime_ns), str(digest)),
            )
        except (KeyError, TypeError, ValueError, ZeroDivisionError) as error:
            raise ValueError(f"not a video index of format {_FORMAT}: {error!r}; index the video again") from error


def fingerprint(path: Path) -> Fingerprint:
    """Of a file as it is now. Raises VideoError where it cannot be read."""
    try:
        found = path.stat()
        digest = hashlib.blake2b(digest_size=16)
        with path.open("rb") as file:
            for sample in range(_SAMPLES + 1):
                file.seek(max(0, found.st_size - _BLOCK) * sample // _SAMPLES)
                digest.update(file.read(_BLOCK))
    except FileNotFoundError as error:
        raise VideoError(path, "missing", "there is no such file") from error
    except (OSError, ValueError) as error:
        raise VideoError(path, "unreadable", f"cannot be read: {error}") from error
    return Fingerprint(found.st_size, found.st_mtime_ns, digest.hexdigest())


def packet_identity(packet: Packet) -> PacketIdentity:
    """See `PacketIdentity`."""
    position = packet.pos
    return -1 if position is None else position, packet.size, packet.pts, packet.dts
