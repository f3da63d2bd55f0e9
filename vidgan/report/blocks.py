"""What a report is made of: sections of blocks. Every text is escaped when it is rendered."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from vidgan.report.bars import BarChart
from vidgan.report.chart import LineChart

Cell: TypeAlias = str | float | int | bool | None


class Warned(Protocol):
    """A fault found in a run: `vidgan.training.diagnostics.TrainingWarning`."""

    @property
    def name(self) -> str:
        """Short name, words joined by '_'."""

    @property
    def step(self) -> int:
        """Since when."""

    @property
    def message(self) -> str:
        """What is wrong and what to do."""


@dataclass(frozen=True)
class Text:
    """Paragraphs, parted by blank lines."""

    text: str


@dataclass(frozen=True)
class Table:
    """Rows of cells; columns of numbers are aligned right, None shows as a dash.

    A text such as "27.3 [26.8, 27.9]" counts as a number; its interval is set small beneath it.
    """

    header: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    caption: str = ""


@dataclass(frozen=True)
class KeyValues:
    """The few facts that a reader looks for first, shown as tiles."""

    items: Mapping[str, Cell]


@dataclass(frozen=True)
class Picture:
    """A PNG image, embedded; `scale` enlarges it by whole pixels (None: as far as it fits)."""

    data: bytes
    caption: str = ""
    scale: int | None = None


@dataclass(frozen=True)
class Animation:
    """An animated WebP or GIF, embedded; `scale` enlarges it by whole pixels (None: as far as it fits).

    `columns` names the parts that stand side by side in it, all equally wide.
    """

    data: bytes
    caption: str = ""
    scale: int | None = None
    columns: Sequence[str] = ()


@dataclass(frozen=True)
class Warnings:
    """Faults, or the good news that there are none."""

    warnings: Sequence[Warned]


@dataclass(frozen=True)
class Notes:
    """Remarks that few readers need, as a list folded away under `title`."""

    items: Sequence[str]
    title: str


@dataclass(frozen=True)
class Code:
    """Preformatted text, folded away under `title`."""

    text: str
    title: str


Block: TypeAlias = Text | Table | KeyValues | Picture | Animation | LineChart | BarChart | Warnings | Notes | Code


@dataclass(frozen=True)
class Section:
    """A headed part of the report."""

    title: str
    blocks: Sequence[Block] = field(default_factory=tuple)
