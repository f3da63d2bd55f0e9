"""The content of a report: sections of blocks. All texts are plain; `page` escapes them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from vidgan.report.charts import BarChart, LineChart

Cell: TypeAlias = str | float | int | bool | None


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

    data: bytes  # PNG
    caption: str = ""
    scale: int | None = None  # integer magnification; None: the largest that fits


@dataclass(frozen=True)
class Animation:
    """A looping clip."""

    data: bytes  # animated WebP or GIF
    caption: str = ""
    scale: int | None = None  # integer magnification; None: the largest that fits
    columns: Sequence[str] = ()  # labels above the equally wide panels, from left to right


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


Block: TypeAlias = Text | Table | KeyValues | Picture | Animation | LineChart | BarChart | Warnings | Notes | Code


@dataclass(frozen=True)
class Section:
    """A part of the report with a heading."""

    title: str
    blocks: Sequence[Block] = field(default_factory=tuple)
