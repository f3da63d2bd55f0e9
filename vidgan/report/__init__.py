"""One self-contained HTML page per run: warnings, previews, scores, training curves and config.

`blocks`, `charts` and `player` hold the content, `page` renders it, `run` and `scores` build it from the files of a
run, and `cases` re-runs the model for the clips of a result. The studio shows clips with the same player.
"""

from vidgan.report.blocks import Block, Cell, Code, KeyValues, Notes, Picture, Player, Section, Table, Text, Warnings
from vidgan.report.charts import BarChart, LineChart
from vidgan.report.page import render_page, write_report
from vidgan.report.player import PlayerClip
from vidgan.report.run import run_sections
from vidgan.report.scores import score_blocks

__all__ = [
    "BarChart",
    "Block",
    "Cell",
    "Code",
    "KeyValues",
    "LineChart",
    "Notes",
    "Picture",
    "Player",
    "PlayerClip",
    "Section",
    "Table",
    "Text",
    "Warnings",
    "render_page",
    "run_sections",
    "score_blocks",
    "write_report",
]
