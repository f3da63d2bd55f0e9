"""The content of a report: sections of blocks. All texts are plain; `page` escapes them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from vidgan.report.charts import BarChart, LineChart
from vidgan.report.player import PlayerClip, player_html

Cell: TypeAlias = str | float | int | bool | None

LOSSLESS_PIXELS = 64 * 64 * 32  # of all frames of a player; about 150 kB of natural video


class RunWarning(Protocol):
    """A problem of a run, such as `vidgan.training.diagnostics.TrainingWarning`."""

    @property
    def name(self) -> str:
        """Short name, words joined by '_'."""

    @property
    def step(self) -> int:
        """Training step at which it began."""

    @property
    def message(self) -> str:
        """The problem, and what to do about it."""


@dataclass(frozen=True)
class Text:
    """Paragraphs, separated by blank lines."""

    text: str


@dataclass(frozen=True)
class Table:
    """Rows of cells. Columns of numbers are right-aligned, and None is a dash.

    A text such as "27.3 [26.8, 27.9]" counts as a number; its interval is set in small print below it.
    """

    header: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    caption: str = ""


@dataclass(frozen=True)
class KeyValues:
    """A few key facts, rendered as tiles."""

    items: Mapping[str, Cell]


@dataclass(frozen=True)
class Picture:
    """A still image."""

    data: bytes  # PNG, or another image that browsers show
    caption: str = ""
    scale: int | None = None  # integer magnification; None: the largest that fits
    rows: Sequence[str] = ()  # labels beside the equally high rows, from top to bottom
    columns: Sequence[str] = ()  # labels above the equally wide columns, from left to right


@dataclass(frozen=True)
class Player:
    """Clips that play in step, with controls."""

    clips: Sequence[PlayerClip]
    caption: str = ""
    fps: float = 8.0
    rows: Sequence[str] = ()  # headings of a grid that the clips fill row by row
    columns: Sequence[str] = ()
    lossless: bool | None = None  # keep every pixel; None: if the clips are small

    def html(self) -> str:
        """The player as an HTML fragment."""
        is_small = sum(clip.frames[..., 0].size for clip in self.clips) <= LOSSLESS_PIXELS
        lossless = is_small if self.lossless is None else self.lossless
        return player_html(self.clips, fps=self.fps, lossless=lossless, rows=self.rows, columns=self.columns)


@dataclass(frozen=True)
class Warnings:
    """Problems of a run; an empty sequence says that there are none."""

    warnings: Sequence[RunWarning]


@dataclass(frozen=True)
class Notes:
    """Remarks that few readers need, as a collapsed list."""

    items: Sequence[str]
    title: str


@dataclass(frozen=True)
class Code:
    """Preformatted text, collapsed."""

    text: str
    title: str


Block: TypeAlias = Text | Table | KeyValues | Picture | Player | LineChart | BarChart | Warnings | Notes | Code


@dataclass(frozen=True)
class Section:
    """A part of the report with a heading."""

    title: str
    blocks: Sequence[Block] = field(default_factory=tuple)
