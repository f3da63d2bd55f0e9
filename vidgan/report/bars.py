"""Bar charts as inline SVG: one measure, a bar a row, with its interval; the row to beat is a line through all."""

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import TypeAlias

from vidgan.report.scale import nice_ticks, short, tick_text

WIDTH = 520
LEFT, RIGHT, TOP, BOTTOM = 150, 64, 8, 26
ROW, THICK = 26, 14

Bar: TypeAlias = tuple[float, float | None, float | None]  # value, low, high


@dataclass(frozen=True)
class BarChart:
    """Named values from zero on.

    Args:
        bars: name -> (value, low, high); the bounds are None where there is no interval.
        subject: the bar that the chart is about.
        reference: the bar that the others are held against; a dashed line marks its value.
    """

    bars: Mapping[str, Bar]
    title: str
    subject: str = ""
    reference: str = ""
    note: str = ""  # beside the title, such as which way is better
    caption: str = ""


def render_bars(chart: BarChart) -> str:
    """The chart as an HTML figure."""
    note = f" <small>{escape(chart.note)}</small>" if chart.note else ""
    caption = f'<p class="note">{escape(chart.caption)}</p>' if chart.caption else ""
    body = _svg(chart) if chart.bars else '<p class="note">Nothing was measured.</p>'
    return f'<figure class="chart"><figcaption>{escape(chart.title)}{note}</figcaption>{body}{caption}</figure>'


def _svg(chart: BarChart) -> str:
    ends = [end for bar in chart.bars.values() for end in bar if end is not None]
    low, high = min(0.0, *ends), max(0.0, *ends)
    if high == low:
        high = low + 1.0
    bottom = TOP + ROW * len(chart.bars)

    def x(value: float) -> float:
        return LEFT + (value - low) / (high - low) * (WIDTH - LEFT - RIGHT)

    label = escape(f"{chart.title}: " + ", ".join(f"{name} {short(bar[0])}" for name, bar in chart.bars.items()))
    parts = [f'<svg class="plot" viewBox="0 0 {WIDTH} {bottom + BOTTOM}" role="img" aria-label="{label}">']
    for tick in nice_ticks(low, high, 4):
        kind = "zero" if tick == 0 else "grid"
        parts.append(f'<line class="{kind}" x1="{x(tick):.1f}" y1="{TOP}" x2="{x(tick):.1f}" y2="{bottom}"/>')
        parts.append(f'<text class="tick middle" x="{x(tick):.1f}" y="{bottom + 16}">{tick_text(tick)}</text>')
    for number, (name, (value, least, most)) in enumerate(chart.bars.items()):
        middle = TOP + ROW * number + ROW / 2
        kind = "s0" if name == chart.subject else "s2" if name == chart.reference else "s7"
        left, right = sorted((x(0.0), x(value)))
        parts.append(
            f'<rect class="bar {kind}" x="{left:.1f}" y="{middle - THICK / 2:.1f}" width="{max(right - left, 1):.1f}"'
            f' height="{THICK}" rx="2"/>'
        )
        parts.append(f'<text class="name end" x="{LEFT - 9}" y="{middle + 4:.1f}">{escape(_cut(name))}</text>')
        tip = x(max(value, most if most is not None else value))
        if least is not None and most is not None:
            parts.append(
                f'<path class="whisker" d="M{x(least):.1f} {middle:.1f}H{x(most):.1f}M{x(least):.1f} {middle - 4:.1f}v8'
                f'M{x(most):.1f} {middle - 4:.1f}v8"/>'
            )
        parts.append(f'<text class="value" x="{tip + 6:.1f}" y="{middle + 4:.1f}">{short(value, 3)}</text>')
    if chart.reference in chart.bars:
        place = x(chart.bars[chart.reference][0])
        parts.append(f'<line class="line s2 dashed" x1="{place:.1f}" y1="{TOP}" x2="{place:.1f}" y2="{bottom}"/>')
    return "".join([*parts, "</svg>"])


def _cut(name: str, longest: int = 22) -> str:
    return name if len(name) <= longest else f"{name[: longest - 1]}…"
