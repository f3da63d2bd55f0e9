"""The files of `vidgan generate`, and the image that it may start from. Needs no torch."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vidgan.commands.output import folder_beside, report_full_disk
from vidgan.data.preparing.captions import CAPTIONS_NAME
from vidgan.data.sources import images
from vidgan.data.sources.file_tree import CLIPS_OVERVIEWS, CLIPS_RECORD
from vidgan.errors import DataError, SourceError
from vidgan.files import replace_folder, write_text
from vidgan.video.encode import FORMATS, contact_sheet, tile, write_clip, write_gif, write_png
from vidgan.video.resize import Fit, fit_image

if TYPE_CHECKING:
    from vidgan.types import ByteClip

__all__ = ["LAYOUTS", "RECORD", "read_pixels", "write_clips"]

RECORD = CLIPS_RECORD
OVERVIEW, SHEET = CLIPS_OVERVIEWS
MAX_OVERVIEW_CLIPS, MAX_SHEET_CLIPS = 64, 32  # clips in the animated and in the still overview
MAX_GIF_FPS = 50.0
LAYOUTS = ("single", "grid", "side")


def write_clips(
    out: Path,
    clips: "ByteClip | np.ndarray",
    fps: float,
    record: Mapping[str, Any],
    format: str = "mp4",
    layout: str = "single",
    *,
    columns: int | None = None,
    captions: Sequence[str] = (),
) -> None:
    """Write the clips, the overviews and the record into the folder `out`, which is replaced; all or nothing.

    Args:
        out: the folder.
        clips: (B, T, 3, H, W) uint8 tensor, or (B, T, H, W, 3) uint8 array.
        fps: frame rate of the files.
        record: of the options.
        format: a key of `vidgan.video.encode.FORMATS`.
        layout: "single", one file per clip; "grid" or "side", one file `clips` with all clips in a grid or in a row.
        columns: clips per row of grids; None makes them as square as possible.
        captions: of the clips, written beside files of single clips as `vidgan prepare` reads them; () without.
    """
    suffix = FORMATS[format]
    with folder_beside(out) as partial, report_full_disk(out, partial, len(clips) + 2):
        if layout == "single":
            names = [f"clip-{number:04d}{suffix}" for number in range(len(clips))]
            for name, clip in zip(names, clips, strict=True):
                write_clip(partial / name, clip, fps, format)
            if captions:
                described = zip(names, captions, strict=True)
                lines = [json.dumps({"file": name, "captions": [caption]}) + "\n" for name, caption in described]
                write_text(partial / CAPTIONS_NAME, "".join(lines))
        else:
            width = columns if layout == "grid" else len(clips)
            write_clip(partial / f"clips{suffix}", tile(clips, columns=width), fps, format)
        row = None if columns is None else min(columns, MAX_OVERVIEW_CLIPS)
        overview = tile(clips[:MAX_OVERVIEW_CLIPS], row)
        write_gif(partial / OVERVIEW, overview, fps=min(fps, MAX_GIF_FPS))
        write_png(partial / SHEET, contact_sheet(clips[:MAX_SHEET_CLIPS]))
        write_text(partial / RECORD, json.dumps(record, indent=2) + "\n")
        replace_folder(partial, out)


def read_pixels(path: Path, size: tuple[int, int], *, fit: Fit = "crop") -> np.ndarray:
    """Read an image as `prepare` does, upright, cropped and scaled to `size`: (H, W, 3) uint8.

    Raises:
        DataError: no readable image, or a file with several images.
    """
    try:
        pixels = images.read_image(path)
    except SourceError as error:
        raise DataError(f"{path}: {error.detail}") from None
    return np.ascontiguousarray(fit_image(pixels, size, fit))
