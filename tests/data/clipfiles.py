"""Miniature source files for the tests of the data package."""

import tarfile
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from vidgan.data.preparing.prepare import PreparedData, prepare


def noise(seed: int, frames: int = 5, height: int = 16, width: int = 16) -> np.ndarray:
    """(T, H, W, 3) uint8 noise, different for every seed."""
    return np.random.default_rng(seed).integers(0, 256, (frames, height, width, 3), dtype=np.uint8)


def grey_ramp(frames: int, height: int = 32, width: int = 32, step: int = 20) -> np.ndarray:
    """Frame t is uniform grey of level step * t, which survives a lossy codec."""
    levels = np.arange(frames, dtype=np.uint8) * step
    return np.broadcast_to(levels[:, None, None, None], (frames, height, width, 3)).copy()


def strip_of(clip: np.ndarray, *, tall: bool = False) -> np.ndarray:
    """A strip of frames side by side, or stacked vertically."""
    return np.concatenate(list(clip), axis=0 if tall else 1)


def png_bytes_of(image: np.ndarray, alpha: int | None = None) -> bytes:
    """The PNG file of an array, RGBA if a constant alpha is given."""
    buffer = BytesIO()
    output = Image.fromarray(image)
    if alpha is not None:
        output.putalpha(alpha)
    output.save(buffer, "PNG")
    return buffer.getvalue()


def write_strip(path: Path, clip: np.ndarray, *, tall: bool = False, alpha: int | None = None) -> Path:
    """Write a PNG strip, whatever the suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(png_bytes_of(strip_of(clip, tall=tall), alpha))
    return path


def write_frames(folder: Path, clip: np.ndarray, name: str = "frame{}.png") -> Path:
    """Write one PNG per frame, numbered without leading zeros."""
    folder.mkdir(parents=True, exist_ok=True)
    for t, frame in enumerate(clip):
        (folder / name.format(t)).write_bytes(png_bytes_of(frame))
    return folder


def write_tar(path: Path, members: Mapping[str, bytes], mode: str = "w:gz") -> Path:
    """Write a tar with unchanged member names."""
    with tarfile.open(path, mode) as file:  # type: ignore[call-overload]
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            file.addfile(info, BytesIO(data))
    return path


def npy_bytes(array: np.ndarray) -> bytes:
    """The .npy file of an array."""
    buffer = BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def prepare_noise(folder: Path, lengths: list[int], *, size: int = 16, **options: Any) -> PreparedData:
    """A prepared data set of noise clips ``a/0.npy``, ``a/1.npy``, ... of the given lengths."""
    source = folder / "source" / "a"
    source.mkdir(parents=True)
    for i, length in enumerate(lengths):
        np.save(source / f"{i}.npy", noise(i, length, size, size))
    return prepare(folder / "source", folder / "data", size=(size, size), **options)


def stored(prepared: PreparedData, source: str) -> np.ndarray:
    """The prepared frames of the clip that came from `source`."""
    (clip,) = (clip for clip in prepared.index.clips if clip.source == source)
    return np.load(prepared.root / "clips" / f"{clip.id}.npy")
