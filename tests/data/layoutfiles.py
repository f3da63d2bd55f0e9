"""List and read the clips of miniature benchmark files."""

from pathlib import Path
from typing import Any

import av
import numpy as np
from clipfiles import png_bytes_of

from vidgan.data.layouts.discovery import discover
from vidgan.data.sources.blobs import source_blobs
from vidgan.data.sources.readers import ReadClip, ReadSettings, read_source
from vidgan.data.sources.source import Listed, Source


def found(source: Path, layout: str = "auto") -> dict[str, Source]:
    """The sources by name."""
    return {clip.name: clip for clip in list_layout(source, layout).sources}


def list_layout(source: Path, layout: str = "auto") -> Listed:
    """The result of `discover`."""
    return discover(source, layout=layout)


def labels(sources: dict[str, Source]) -> dict[str, tuple[str | None, str | None, str | None]]:
    """Category, group and split of every source."""
    return {name: (clip.category, clip.group, clip.split) for name, clip in sources.items()}


def read(root: Path, source: Source, **settings: Any) -> list[ReadClip]:
    """The clips of a source, by default at their own size; `settings` are fields of `ReadSettings`."""
    reading = ReadSettings(**{"size": None, "fit": "squash", "fps": None, "strip_frame": None, **settings})
    return list(read_source(source, source_blobs(root, source), reading))


def put(path: Path, content: bytes | str = b"x") -> Path:
    """Write a file, creating its folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def put_images(folder: Path, names: list[str], clip: np.ndarray) -> None:
    """Write one PNG per frame of (T, H, W, 3), whatever the suffix: images are identified by content."""
    for name, frame in zip(names, clip, strict=True):
        put(folder / name, png_bytes_of(frame))


def put_avi(path: Path, levels: list[int], *, size: tuple[int, int] = (120, 160), fps: int = 25) -> Path:
    """Write an MPEG-4 AVI, the format of KTH and UCF-101, whose frame t is uniform grey of ``levels[t]``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", format="avi") as container:
        stream = container.add_stream("mpeg4", rate=fps)
        stream.height, stream.width = size
        stream.pix_fmt = "yuv420p"
        stream.bit_rate = 2_000_000
        for level in levels:
            frame = np.full((*size, 3), level, np.uint8)
            for packet in stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return path
