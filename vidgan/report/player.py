"""The video player of reports and pages: clips in step on one clock, drawn from sheets of frames.

A sheet is one image that holds many frames, row by row. The script draws the same frame number of every clip onto a
canvas each, so that clips cannot run apart as several video elements do. Without the script, a page shows the sheets.

`player.js` and `player.css` have no dependency and request nothing. A page holds them once (`player_assets`) and any
number of players (`player_html`), also ones that are inserted later.
"""

import base64
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from html import escape
from pathlib import Path
from typing import Final

import numpy as np

from vidgan.report.document import html_document, source_hash
from vidgan.video.encode import webp_bytes
from vidgan.video.montage import channel_last

__all__ = ["PlayerClip", "player_assets", "player_document", "player_html", "player_sources"]

MAX_SHEET: Final = 2048  # pixels of a side; phones decode images of this size without scaling them down
MAX_SIDE: Final = 16383  # of a WebP image
BLOCK: Final = 16  # pixels of a lossy WebP block; a frame that fills whole blocks does not bleed into the next one
_PAGE_CSS: Final = """
:root { color-scheme: light dark; }
body { margin: 0; padding: 12px; font: 16px/1.5 system-ui, sans-serif; }
h1 { margin: 0 0 12px; font-size: 20px; line-height: 1.3; overflow-wrap: anywhere; }
@media (max-width: 480px) { body { padding: 8px 4px; } h1 { font-size: 17px; } }
"""


@dataclass(frozen=True)
class PlayerClip:
    """One clip of a player.

    Args:
        label: its name, plain text.
        frames: (T, H, W, 3) uint8.
        context: number of leading frames that were given to a model; they are marked.
        start: frame of the common clock at which the clip begins; it is empty before.

    Raises:
        ValueError: another shape or dtype, no frame, or a number out of range.
    """

    label: str
    frames: np.ndarray
    context: int = 0
    start: int = 0

    def __post_init__(self) -> None:
        try:
            channel_last(self.frames, dims=4)
        except ValueError as error:
            raise ValueError(f"clip {self.label!r}: {error}") from error
        if not 0 <= self.context <= len(self.frames):
            raise ValueError(f"clip {self.label!r}: context must be 0 to {len(self.frames)}, got {self.context}")
        if self.start < 0:
            raise ValueError(f"clip {self.label!r}: start must be at least 0, got {self.start}")
        if max(self.frames.shape[1:3]) > MAX_SIDE - BLOCK:
            height, width = self.frames.shape[1:3]
            raise ValueError(
                f"clip {self.label!r}: frames of {width}x{height}; at most {MAX_SIDE - BLOCK} pixels a side"
            )


@dataclass(frozen=True)
class Sheets:
    """The frames of a clip as images.

    Frame i lies on image i // (columns * rows), in cells of `cell` (width, height) pixels, row by row.
    """

    images: list[bytes]  # WebP
    cell: tuple[int, int]
    columns: int
    rows: int


def player_html(
    clips: Sequence[PlayerClip],
    *,
    fps: float,
    lossless: bool = False,
    rows: Sequence[str] = (),
    columns: Sequence[str] = (),
) -> str:
    """A player as an HTML fragment, for a page that holds `player_assets` once.

    Args:
        clips: in the order of display. Lengths and sizes may differ: a shorter clip holds its last frame, and all
            clips are displayed at the height of the tallest one.
        fps: frames per second at normal speed.
        lossless: keep every pixel, in a larger page; otherwise WebP of quality 85.
        rows, columns: headings of a grid that the clips fill row by row; their labels then show only where two clips
            are compared.

    Raises:
        ValueError: no clip, `fps` out of range, or headings that do not fit the number of clips.
    """
    if not clips:
        raise ValueError("a player needs at least one clip")
    if not (math.isfinite(fps) and 0.01 <= fps <= 1000):
        raise ValueError(f"fps must be a number from 0.01 to 1000, got {fps}")
    if (rows or columns) and len(rows) * len(columns) != len(clips):
        raise ValueError(f"{len(rows)} rows and {len(columns)} columns do not fit {len(clips)} clips")
    figures = [_figure(clip, pack_frames(clip.frames, lossless=lossless)) for clip in clips]
    names = escape(", ".join(dict.fromkeys([*rows, *columns] or [clip.label for clip in clips])))
    if not columns:
        body = "".join(figures)
    else:
        heads = "".join(f'<th scope="col">{escape(name)}</th>' for name in columns)
        lines = "".join(
            f'<tr><th scope="row">{escape(name)}</th>'
            + "".join(f"<td>{figure}</td>" for figure in figures[number * len(columns) :][: len(columns)])
            + "</tr>"
            for number, name in enumerate(rows)
        )
        body = f"<table><thead><tr><td></td>{heads}</tr></thead><tbody>{lines}</tbody></table>"
    return (
        f'<div class="vidgan-player" data-fps="{fps:g}" role="group" aria-label="Video player: {names}" tabindex="0">'
        f'<div class="vp-clips">{body}</div></div>'
    )


def player_sources() -> tuple[str, str]:
    """Style sheet and script of the player, for a page that states their hashes."""
    return _source("player.css"), _source("player.js")


def player_assets() -> str:
    """Style and script elements that a page needs once for all its players."""
    css, script = player_sources()
    return f"<style>{css}</style><script>{script}</script>"


def player_document(
    clips: Sequence[PlayerClip],
    *,
    fps: float,
    title: str,
    lossless: bool = False,
    rows: Sequence[str] = (),
    columns: Sequence[str] = (),
) -> str:
    """A whole page with one player, for a file or the `srcdoc` of an iframe; arguments as in `player_html`."""
    player = player_html(clips, fps=fps, lossless=lossless, rows=rows, columns=columns)
    css, script = player_sources()
    style = _PAGE_CSS + css
    return html_document(
        title=title,
        css=style,
        allowed=f"script-src {source_hash(script)}; style-src {source_hash(style)}",
        body=f"<h1>{escape(title)}</h1>\n{player}\n<script>{script}</script>",
    )


def pack_frames(frames: np.ndarray, *, lossless: bool = False) -> Sheets:
    """Arrange frames, (T, H, W, 3) uint8, on as few images as needed.

    A lossy cell is filled up to whole blocks by repeating the last row and column of its frame.
    """
    count, height, width, _ = frames.shape
    block = 1 if lossless else BLOCK
    cell_height, cell_width = (math.ceil(side / block) * block for side in (height, width))
    most_columns, most_rows = max(1, MAX_SHEET // cell_width), max(1, MAX_SHEET // cell_height)
    if count <= most_columns * most_rows:  # one image, close to a square
        square = math.ceil(math.sqrt(count * cell_height / cell_width))
        columns = min(most_columns, max(square, math.ceil(count / most_rows)))
    else:
        columns = most_columns
    rows = min(most_rows, math.ceil(count / columns))
    padding = ((0, 0), (0, cell_height - height), (0, cell_width - width), (0, 0))
    cells = np.pad(frames, padding, mode="edge")  # (T, H', W', 3)
    images = [webp_bytes(sheet[None], lossless=lossless) for sheet in _sheets(cells, columns, rows)]
    return Sheets(images, (cell_width, cell_height), columns, rows)


def _sheets(cells: np.ndarray, columns: int, rows: int) -> Iterator[np.ndarray]:
    """(T, H, W, 3) -> images of (rows * H, columns * W, 3); the last one has as many rows as it needs."""
    _, height, width, _ = cells.shape
    for start in range(0, len(cells), columns * rows):
        part = cells[start : start + columns * rows]
        used = math.ceil(len(part) / columns)
        sheet = np.zeros((used * height, columns * width, 3), np.uint8)
        for number, cell in enumerate(part):
            top, left = number // columns * height, number % columns * width
            sheet[top : top + height, left : left + width] = cell
        yield sheet


def _figure(clip: PlayerClip, sheets: Sheets) -> str:
    count, height, width, _ = clip.frames.shape
    label = escape(clip.label)
    facts = {
        "width": width,
        "height": height,
        "frames": count,
        "start": clip.start,
        "context": clip.context,
        "cell-width": sheets.cell[0],
        "cell-height": sheets.cell[1],
        "columns": sheets.columns,
        "rows": sheets.rows,
    }
    data = " ".join(f'data-{name}="{value}"' for name, value in facts.items())
    images = "".join(
        f'<img alt="All frames of {label}, row by row" src="data:image/webp;base64,{base64.b64encode(image).decode()}">'
        for image in sheets.images
    )
    return f'<figure class="vp-clip" {data}><figcaption>{label}</figcaption>{images}</figure>'


@cache
def _source(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")
