"""What random access to a video needs to know, found by decoding the file and checked by decoding it again.

A container's own index cannot be trusted with frames: timestamps may be missing, repeated or in decoding order, seeking
may land before or behind the place that was asked for, and what is marked as a key frame need not be a place from which
decoding gives the right pictures. So the file is decoded once from its start, which is the truth, and once more key
frame by key frame, each sought as random access will seek it. Only where every picture up to the next key frame came
out equal is there an entry point.
"""

import zlib
from collections import Counter
from itertools import chain, islice
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from vidgan.video.container import DECODER_ERRORS, open_video
from vidgan.video.file_index import EntryPoint, PacketIdentity, VideoIndex, fingerprint, packet_identity
from vidgan.video.scan import Scan

__all__ = ["index_video"]

# A picture that no other one is predicted from is a non-reference picture; the decoders of these codecs know them
# reliably. HEVC's flag holds within a temporal layer only, so it is not in the list.
_SKIPPABLE: Final = frozenset({"h264", "mpeg4", "mpeg2video", "mpeg1video"})
# Planes of one byte a sample, which can be looked at without copying the picture.
_ONE_BYTE: Final = frozenset({"gray", *(f"yuv{j}{kind}p" for j in ("", "j") for kind in ("420", "422", "444"))})
_MOST_SKIPPED: Final = 512  # packets between the place where a seek lands and the entry point
_MOST_LEADING: Final = 32  # pictures that an open group of pictures may give before its key frame


def index_video(path: Path | str) -> VideoIndex:
    """Decode a video twice, to know every frame and the places from which decoding is exact.

    Raises:
        VideoError: the file is refused; its `reason` says why.
    """
    path = Path(path)
    file = fingerprint(path)
    prints = _Prints()
    with open_video(path) as (container, stream):
        scan = Scan(path, container, stream)
        truth = [prints(frame) for frame in scan.frames()]
        pts, time_base = scan.ticks()
        stamped = scan.stamps_are_unique
        height, width = scan.orientation.size(*scan.size)
        # Two fields may come in two packets, of which only the first bears the time of the frame.
        skips = stamped and not scan.interlaced and scan.codec in _SKIPPABLE
    table = {stamp: index for index, stamp in enumerate(pts)} if stamped else None
    groups = _groups(path, prints, skip=skips)
    entries = _entries(groups, truth, table, skip=skips)
    sound = [group for group in groups if not any(corrupt for _, _, corrupt in group.pictures)]
    if skips and len(entries) < len(sound):
        # Perhaps leaving pictures out is what went wrong: once more with all of them.
        groups = _groups(path, prints, skip=False)
        careful = _entries(groups, truth, table, skip=False)
        if len(careful) > len(entries):
            entries, skips = careful, False
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


class _Prints:
    """Checksums of pictures: of the stored planes where they can be had, of their RGB conversion otherwise."""

    def __init__(self) -> None:
        self._reformatter = VideoReformatter()

    def __call__(self, frame: VideoFrame) -> int:
        if frame.format.name in _ONE_BYTE:
            print_ = 0
            for plane in frame.planes:
                rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)  # (h, w + padding)
                print_ = zlib.crc32(np.ascontiguousarray(rows[: plane.height, : plane.width]).data, print_)
            return print_
        try:
            pixels = frame.to_ndarray()
        except (ValueError, AssertionError, NotImplementedError):
            pixels = self._reformatter.reformat(frame, format="rgb24", threads=1).to_ndarray()
        return zlib.crc32(np.ascontiguousarray(pixels).data)


class _Group(NamedTuple):
    """What decoding the packets from one key frame up to the next gave."""

    key: PacketIdentity  # the key frame's packet, see `packet_identity`
    seek: int  # the timestamp that leads there
    skip: int  # packets that come before it then
    pictures: list[tuple[int | None, int, bool]]  # presentation time, checksum, whether the decoder saw damage


def _groups(path: Path, prints: _Prints, *, skip: bool) -> list[_Group]:
    """Every group of pictures that can be sought, decoded by itself.

    From the last to the first: pictures that a decoder misses may otherwise happen to lie in the memory that it takes,
    left over from the group before.
    """
    with open_video(path) as (container, stream):
        found = [(packet_identity(p), p.is_keyframe) for p in container.demux(stream) if p.size > 0]
        keys = [(identity, place) for place, (identity, is_key) in enumerate(found) if is_key]
        ends = [*(place for _, place in keys[1:]), len(found)]
        identities = Counter(identity for identity, _ in found)
        stream.codec_context.skip_frame = "NONREF" if skip else "DEFAULT"
        groups = []
        for (key, start), end in reversed(list(zip(keys, ends, strict=True))):
            if identities[key] == 1:
                group = _decode_group(container, stream, key, end - start, prints)
                groups += [] if group is None else [group]
    return groups[::-1]


def _decode_group(
    container: InputContainer, stream: VideoStream, key: PacketIdentity, length: int, prints: _Prints
) -> _Group | None:
    """The group of `length` packets that starts with the packet `key`; None where no seek leads there."""
    # Containers differ in which of the two they seek by; the other may land a whole group before.
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
    pictures: list[tuple[int | None, int, bool]] = []
    try:
        container.seek(seek, stream=stream)
        for packet in chain(islice(container.demux(stream), skip, skip + length), [None]):
            if packet is None or packet.size > 0:
                frames = stream.codec_context.decode(packet)
                pictures += [(frame.pts, prints(frame), frame.is_corrupt) for frame in frames]
    except DECODER_ERRORS:
        return None
    return _Group(key, seek, skip, pictures)


def _entries(groups: list[_Group], truth: list[int], table: dict[int, int] | None, *, skip: bool) -> list[EntryPoint]:
    """Of the groups whose pictures are those of the truth, from some frame on."""
    entries: list[EntryPoint] = []
    counted = 0
    for group in groups:
        leading, first = 0, None
        if table is not None:
            first = _match_stamps(group, truth, table, complete=not skip)
        elif not any(corrupt for _, _, corrupt in group.pictures):
            leading, first = _match_order([print_ for _, print_, _ in group.pictures], truth, counted)
        counted += len(group.pictures)
        if first is not None and (not entries or first > entries[-1].frame):
            entries.append(EntryPoint(first, leading, group.seek, group.skip, *group.key))
    return entries


def _match_stamps(group: _Group, truth: list[int], table: dict[int, int], *, complete: bool) -> int | None:
    """The key frame's place, if every picture from it on has a known time and is right."""
    first = table.get(group.key[2]) if group.key[2] is not None else None
    if first is None:
        return None
    places = []
    for stamp, print_, corrupt in group.pictures:
        place = table.get(stamp) if stamp is not None else None
        if place is None:
            return None
        if place >= first:
            if corrupt or truth[place] != print_:
                return None
            places.append(place)
    in_order = places == list(range(first, first + len(places))) if complete else places == sorted(set(places))
    return first if places and places[0] == first and in_order else None


def _match_order(prints: list[int], truth: list[int], counted: int) -> tuple[int, int | None]:
    """(leading pictures, place of the rest): where the count so far expects it, or the one place near that."""
    most = min(len(prints), _MOST_LEADING)
    for leading in range(most):
        expected = counted + leading
        if truth[expected : expected + len(prints) - leading] == prints[leading:]:
            return leading, expected
    for leading in range(most):
        rest = prints[leading:]
        near = range(max(0, counted - _MOST_LEADING), counted + 2 * _MOST_LEADING)
        places = [place for place in near if truth[place : place + len(rest)] == rest]
        if places:
            return (leading, places[0]) if len(places) == 1 else (0, None)
    return 0, None


def _packets_before(container: InputContainer, stream: VideoStream, seek: int, key: PacketIdentity) -> int | None:
    """How many packets come after a seek before the one looked for; None where it does not come soon."""
    try:
        container.seek(seek, stream=stream)
        for skip, packet in enumerate(container.demux(stream)):
            if packet_identity(packet) == key:
                return skip
            if skip >= _MOST_SKIPPED or packet.size == 0:
                return None
    except DECODER_ERRORS:
        return None
    return None
