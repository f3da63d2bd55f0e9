"""The index of a video file: every frame's time, and the key frames from which decoding is exact.

A container's own index is not reliable for single frames: timestamps may be missing, repeated or in decoding order, a
seek may land before or after the requested time, and decoding from a marked key frame need not give the right frames.
`index_video` therefore decodes the file twice. The first pass, from the start, is the reference. The second pass seeks
to every key frame, as random access will, and decodes up to the next one. A key frame becomes an entry point only if
all of these frames equal the reference.
"""

import hashlib
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain, islice, pairwise
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from vidgan.errors import VideoError
from vidgan.files import parse_json
from vidgan.video.container import DECODER_ERRORS, decoder_error, describe, open_video
from vidgan.video.orientation import Orientation
from vidgan.video.scan import Scan

__all__ = ["EntryPoint", "Fingerprint", "PacketIdentity", "VideoIndex", "fingerprint", "index_video", "packet_identity"]

_FORMAT: Final = 1
_SAMPLES: Final = 16  # the fingerprint of a file covers 17 blocks, evenly spaced
_BLOCK: Final = 4096  # bytes

# Codecs whose decoders reliably recognise non-reference frames, from which no other frame is predicted. HEVC's flag is
# valid within a temporal layer only, so it is not in the set.
_SKIPPABLE: Final = frozenset({"h264", "mpeg4", "mpeg2video", "mpeg1video"})
# Formats with planes of one byte per sample, which are hashed without copying the frame.
_ONE_BYTE: Final = frozenset({"gray", *(f"yuv{j}{kind}p" for j in ("", "j") for kind in ("420", "422", "444"))})
_LARGEST_SIDE: Final = 1 << 16  # pixels; decoders have their own limit on the area
_MAX_SKIPPED: Final = 512  # packets between the position that a seek reaches and the entry point
_MAX_LEADING: Final = 32  # frames that an open group of pictures may yield before its key frame

PacketIdentity = tuple[int, int, int | None, int | None]
"""(position, size, pts, dts): identifies a packet however the container reached it."""


class Fingerprint(NamedTuple):
    """Identifies the content of a file.

    Attributes:
        size: bytes.
        mtime_ns: time of the last modification, nanoseconds.
        digest: hash of blocks spread over the file.
    """

    size: int
    mtime_ns: int
    digest: str


class EntryPoint(NamedTuple):
    """A key frame from which decoding yields the same frames as decoding from the start.

    Attributes:
        frame: number of the first correct frame.
        leading: number of incorrect frames that the decoder yields before it.
        seek: timestamp to seek to.
        skip: number of packets between the seek and the key frame's packet.
        position, size, pts, dts: identity of the key frame's packet, see `PacketIdentity`.
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
    """The position of every frame of one video file.

    Attributes:
        pts: presentation time of every frame, increasing, in units of `time_base`; see `VideoInfo.pts`.
        time_base: seconds per unit of `pts`.
        width: width of the stored frames in pixels, before rotation.
        height: height of the stored frames in pixels, before rotation.
        orientation: rotation and mirroring between the stored and the displayed frame.
        entries: entry points in order. Frames before the first one are decoded from the start of the file.
        stamped: decoded frames carry the presentation times of `pts` and are identified by them. Otherwise frames are
            counted from an entry point.
        skips: frames that no other frame is predicted from may be skipped by the decoder.
        file: fingerprint of the indexed file.
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
        """Numbers of the frames at which decoding can start."""
        return tuple(entry.frame for entry in self.entries)

    def __len__(self) -> int:
        return len(self.pts)

    def to_json(self) -> dict[str, Any]:
        """Dictionary of lists, numbers and strings."""
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
        """Inverse of `to_json`; also accepts its JSON text.

        Raises:
            ValueError: `data` is not an index of this format.
        """
        try:
            if isinstance(data, str | bytes):
                data = parse_json(data, "index")
            if data["format"] != _FORMAT:
                raise ValueError(f"format {data['format']}")
            height, width = (_whole(side, least=1, most=_LARGEST_SIDE) for side in data["size"])
            size, mtime_ns, digest = data["file"]
            pts = tuple(_whole(stamp) for stamp in data["pts"])
            numerator, denominator = (_whole(part, least=1) for part in data["time_base"])
            transpose, mirror_x, mirror_y = (bool(flag) for flag in data["orientation"])
            entries = tuple(EntryPoint(*(None if v is None else _whole(v) for v in e)) for e in data["entries"])  # type: ignore[arg-type]
            if not pts or any(after <= before for before, after in pairwise(pts)):
                raise ValueError("presentation times do not increase")
            frames = [entry.frame for entry in entries]
            if frames != sorted(set(frames)) or not all(0 <= frame < len(pts) for frame in frames):
                raise ValueError("entry points are not in order")
            if any(e.leading is None or e.seek is None or not 0 <= e.skip <= _MAX_SKIPPED for e in entries):
                raise ValueError("incomplete entry points")
            return cls(
                pts=pts,
                time_base=Fraction(numerator, denominator),
                width=width,
                height=height,
                orientation=Orientation(transpose, mirror_x, mirror_y),
                entries=entries,
                stamped=bool(data["stamped"]),
                skips=bool(data["skips"]),
                file=Fingerprint(_whole(size), _whole(mtime_ns), str(digest)),
            )
        except (KeyError, TypeError, ValueError, ZeroDivisionError) as error:
            raise ValueError(f"not a video index of format {_FORMAT}: {error!r}; index the video again") from error


def _whole(value: Any, *, least: int = -(2**63), most: int = 2**63 - 1) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ValueError(f"{value!r:.40} is not a whole number from {least} to {most}")
    return value


def fingerprint(path: Path) -> Fingerprint:
    """Fingerprint of a file in its present state.

    Raises:
        VideoError: the file cannot be read.
    """
    try:
        status = path.stat()
        digest = hashlib.blake2b(digest_size=16)
        with path.open("rb") as file:
            for sample in range(_SAMPLES + 1):
                file.seek(max(0, status.st_size - _BLOCK) * sample // _SAMPLES)
                digest.update(file.read(_BLOCK))
    except FileNotFoundError as error:
        raise VideoError(path, "missing", "no such file") from error
    except (OSError, ValueError) as error:
        raise VideoError(path, "unreadable", f"cannot be read: {error}") from error
    return Fingerprint(status.st_size, status.st_mtime_ns, digest.hexdigest())


def packet_identity(packet: Packet) -> PacketIdentity:
    """Identity of a packet; the position is -1 where the container does not know it."""
    position = packet.pos
    return -1 if position is None else position, packet.size, packet.pts, packet.dts


def index_video(path: Path | str, *, progress: Callable[[], None] | None = None) -> VideoIndex:
    """Index a video by decoding it twice (three times where skipping frames fails).

    `progress` is called after every frame of any pass.

    Raises:
        VideoError: the file is refused; `reason` names the fault.
    """
    path = Path(path)
    file = fingerprint(path)
    checksum = _Checksum(progress)
    with open_video(path) as (container, stream):
        scan = Scan(path, container, stream)
        reference = [checksum(frame) for frame in scan.frames()]
        pts, time_base = scan.ticks()
        stamped = scan.stamps_are_unique
        height, width = scan.orientation.size(*scan.size)
        # Two fields may be stored in two packets, and only the first one carries the frame's time.
        skips = stamped and not scan.interlaced and scan.codec in _SKIPPABLE
    numbers = {stamp: number for number, stamp in enumerate(pts)} if stamped else None
    groups = _decode_groups(path, checksum, skip=skips)
    entries = _entry_points(groups, reference, numbers, skip=skips)
    undamaged = [group for group in groups if not any(corrupt for _, _, corrupt in group.frames)]
    if skips and len(entries) < len(undamaged):
        # Skipping frames may be the cause: repeat without it.
        groups = _decode_groups(path, checksum, skip=False)
        unskipped = _entry_points(groups, reference, numbers, skip=False)
        if len(unskipped) > len(entries):
            entries, skips = unskipped, False
    return VideoIndex(
        pts=pts,
        time_base=time_base,
        width=width,
        height=height,
        orientation=scan.orientation,
        entries=tuple(entries),
        stamped=stamped,
        skips=skips,
        file=file,
    )


class _Checksum:
    """CRC-32 of a frame: of its stored planes where possible, of its RGB conversion otherwise."""

    def __init__(self, progress: Callable[[], None] | None = None) -> None:
        self._reformatter = VideoReformatter()
        self._progress = progress

    def __call__(self, frame: VideoFrame) -> int:
        if self._progress is not None:
            self._progress()
        if frame.format.name in _ONE_BYTE:
            checksum = 0
            for plane in frame.planes:
                rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)  # (h, w + padding)
                checksum = zlib.crc32(np.ascontiguousarray(rows[: plane.height, : plane.width]).data, checksum)
            return checksum
        try:
            pixels = frame.to_ndarray()
        except (ValueError, AssertionError, NotImplementedError):
            pixels = self._reformatter.reformat(frame, format="rgb24", threads=1).to_ndarray()
        return zlib.crc32(np.ascontiguousarray(pixels).data)


class _Group(NamedTuple):
    """The packets from one key frame up to the next, and the frames decoded from them."""

    key: PacketIdentity  # identity of the key frame's packet
    seek: int  # timestamp to seek to
    skip: int  # packets between the seek and the key frame's packet
    frames: list[tuple[int | None, int, bool]]  # presentation time, checksum, whether the decoder reported damage


def _decode_groups(path: Path, checksum: _Checksum, *, skip: bool) -> list[_Group]:
    """Decode every group that a seek reaches, each on its own.

    Groups are decoded from last to first. In file order, a frame that the decoder lacks could still be in its memory
    from the group before, and the result would look correct.
    """
    with open_video(path) as (container, stream):
        packets = [(packet_identity(p), p.is_keyframe) for p in container.demux(stream) if p.size > 0]
        keys = [(identity, place) for place, (identity, is_key) in enumerate(packets) if is_key]
        ends = [*(place for _, place in keys[1:]), len(packets)]
        identities = Counter(identity for identity, _ in packets)
        stream.codec_context.skip_frame = "NONREF" if skip else "DEFAULT"
        groups = []
        for (key, start), end in reversed(list(zip(keys, ends, strict=True))):
            if identities[key] == 1:
                group = _decode_group(path, container, stream, key, end - start, checksum)
                groups += [] if group is None else [group]
    return groups[::-1]


def _decode_group(
    path: Path, container: InputContainer, stream: VideoStream, key: PacketIdentity, length: int, checksum: _Checksum
) -> _Group | None:
    """Decode the group of `length` packets that starts with packet `key`; None if no seek reaches it."""
    # Some containers seek by pts, others by dts; the wrong one may land a whole group too early.
    stamps = dict.fromkeys(stamp for stamp in key[2:] if stamp is not None)
    reached = []
    for seek in stamps:
        skip = _packets_before(container, stream, seek, key)
        if skip is not None:
            reached.append((skip, seek))
        if skip == 0:
            break
    if not reached:
        return None
    skip, seek = min(reached)
    frames: list[tuple[int | None, int, bool]] = []
    try:
        container.seek(seek, stream=stream)
        for packet in chain(islice(container.demux(stream), skip, skip + length), [None]):
            if packet is None or packet.size > 0:
                decoded = stream.codec_context.decode(packet)
                frames += [(frame.pts, checksum(frame), frame.is_corrupt) for frame in decoded]
    except MemoryError as error:
        raise decoder_error(path, "corrupt", describe(error), error) from error
    except DECODER_ERRORS:
        return None
    return _Group(key, seek, skip, frames)


def _entry_points(
    groups: list[_Group], reference: list[int], numbers: dict[int, int] | None, *, skip: bool
) -> list[EntryPoint]:
    """Entry points of the groups whose frames equal the reference.

    Args:
        reference: checksum of every frame of the file.
        numbers: presentation time -> frame number; None where times do not identify frames.
        skip: whether frames were skipped in decoding the groups.
    """
    entries: list[EntryPoint] = []
    counted = 0
    for group in groups:
        leading, first = 0, None
        if numbers is not None:
            first = _match_by_time(group, reference, numbers, complete=not skip)
        elif not any(corrupt for _, _, corrupt in group.frames):
            leading, first = _match_by_order([checksum for _, checksum, _ in group.frames], reference, counted)
        counted += len(group.frames)
        if first is not None and (not entries or first > entries[-1].frame):
            entries.append(EntryPoint(first, leading, group.seek, group.skip, *group.key))
    return entries


def _match_by_time(group: _Group, reference: list[int], numbers: dict[int, int], *, complete: bool) -> int | None:
    """Number of the key frame, if every frame from it on has a known time and equals the reference."""
    first = numbers.get(group.key[2]) if group.key[2] is not None else None
    if first is None:
        return None
    matched = []
    for stamp, checksum, corrupt in group.frames:
        number = numbers.get(stamp) if stamp is not None else None
        if number is None:
            return None
        if number >= first:
            if corrupt or reference[number] != checksum:
                return None
            matched.append(number)
    in_order = matched == list(range(first, first + len(matched))) if complete else matched == sorted(set(matched))
    return first if matched and matched[0] == first and in_order else None


def _match_by_order(checksums: list[int], reference: list[int], counted: int) -> tuple[int, int | None]:
    """(number of leading frames, number of the first correct frame).

    The group is expected after the `counted` frames of the groups before it. If it does not match there, it must match
    at exactly one position nearby.
    """
    limit = min(len(checksums), _MAX_LEADING)
    for leading in range(limit):
        expected = counted + leading
        if reference[expected : expected + len(checksums) - leading] == checksums[leading:]:
            return leading, expected
    for leading in range(limit):
        rest = checksums[leading:]
        nearby = range(max(0, counted - _MAX_LEADING), counted + 2 * _MAX_LEADING)
        matches = [number for number in nearby if reference[number : number + len(rest)] == rest]
        if matches:
            return (leading, matches[0]) if len(matches) == 1 else (0, None)
    return 0, None


def _packets_before(container: InputContainer, stream: VideoStream, seek: int, key: PacketIdentity) -> int | None:
    """Number of packets between a seek and packet `key`; None if it does not follow within the limit."""
    try:
        container.seek(seek, stream=stream)
        for skip, packet in enumerate(container.demux(stream)):
            if packet_identity(packet) == key:
                return skip
            if skip >= _MAX_SKIPPED or packet.size == 0:
                return None
    except DECODER_ERRORS:
        return None
    return None
