"""One self-contained HTML page per run: curves, previews, scores, and what looks wrong."""

from vidgan.report.bars import BarChart
from vidgan.report.blocks import Animation, Block, Cell, Code, KeyValues, Notes, Picture, Section, Table, Text, Warnings
from vidgan.report.chart import LineChart
from vidgan.report.page import render_page, write_report
from vidgan.report.run import run_sections
from vidgan.report.scores import score_blocks

__all__ = [
    "Animation",
    "BarChart",
    "Block",
    "Cell",
    "Code",
    "KeyValues",
    "LineChart",
    "Notes",
    "Picture",
    "Section",
    "Table",
    "Text",
    "Warnings",
    "render_page",
    "run_sections",
    "score_blocks",
    "write_report",
]
