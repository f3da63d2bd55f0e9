"""A result as files. The clips are kept as they are (npz); other formats are written from them when they are wanted."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from zipfile import BadZipFile

import numpy as np
import torch
from torch import Tensor

from vidgan.errors import DataError
from vidgan.files import atomic_path, write_bytes, write_json
from vidgan.types import ByteClip
from vidgan.video.encode import webp_bytes, write_gif, write_mp4, write_png

__all__ = ["FORMATS", "Result", "open_result", "save_result"]

FORMATS: Final = ("mp4", "webp", "gif", "png", "npz")
MAX_GIF_FPS: Final = 50.0
MAIN, SHEET = "clip", "sheet"  # names of the arrays that mp4, webp and gif, and png hold


@dataclass(frozen=True)
class Result:
    """What an action made.

    Attributes:
        name: of the files, without suffix.
        clip: (T, 3, H, W) uint8, what mp4, webp and gif hold.
        sheet: (3, H', W') uint8, what png holds.
        fps: frames per second.
        arrays: further clips (T', 3, H', W') uint8 by name, for npz.
        record: what the result was made from, as JSON.
    """

    name: str
    clip: ByteClip
    sheet: Tensor
    fps: float
    arrays: Mapping[str, ByteClip]
    record: Mapping[str, Any]


def save_result(folder: Path, result: Result) -> None:
    """Keep a result in a folder, from which `open_result` makes its files."""
    arrays = {name: clip.numpy() for name, clip in {**result.arrays, MAIN: result.clip, SHEET: result.sheet}.items()}
    with atomic_path(folder / f"{result.name}.npz") as path, path.open("wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
    write_json(folder / f"{result.name}.json", {"fps": result.fps, **result.record})


def open_result(folder: Path, name: str) -> Path:
    """The file `NAME.FORMAT` of a result, written if it does not exist yet.

    Raises:
        DataError: no such result or format.
    """
    path = folder / name
    if path.parent != folder or path.suffix.lstrip(".") not in FORMATS:
        raise DataError(f"{name}: no such file; accepted are {', '.join(FORMATS)}")
    if path.is_file():
        return path
    source = path.with_suffix(".npz")
    try:
        with np.load(source, allow_pickle=False) as arrays:
            clip, sheet = (torch.from_numpy(arrays[key]) for key in (MAIN, SHEET))
        fps = float(json.loads(path.with_suffix(".json").read_text())["fps"])
    except (OSError, KeyError, ValueError, BadZipFile):
        raise DataError(f"{name}: no such result") from None
    match path.suffix:
        case ".mp4":
            write_mp4(path, clip, fps, overwrite=True)
        case ".gif":
            write_gif(path, clip, min(fps, MAX_GIF_FPS), overwrite=True)
        case ".webp":
            write_bytes(path, webp_bytes(clip, fps, lossless=True))
        case ".png":
            write_png(path, sheet, overwrite=True)
    return path
