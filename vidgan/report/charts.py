"""Line and bar charts, in colours of the page's style sheet.

A line chart is a legend and JSON, which `charts.js` draws with uPlot (in `vendor`, MIT licence): dragging zooms, a
double click shows the whole chart again, a name of the legend hides its line, and the cursor shows values in all charts
of one x axis. A page without the script shows the legend with the last values. A bar chart is inline SVG, because uPlot
has no horizontal bars.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from html import escape
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from vidgan.report.formatting import short, tick_text

Point: TypeAlias = tuple[float, float]
Bar: TypeAlias = tuple[float, float | None, float | None]  # value and the bounds of its interval


class Margins(NamedTuple):
    """Space around the plot area, in SVG units."""

    left: int
    right: int
    top: int
    bottom: int


WIDTH = 520  # of a bar chart, SVG units
BAR_MARGINS = Margins(left=150, right=64, top=8, bottom=26)
BAR_SPACING, BAR_THICKNESS = 26, 14
NUM_COLOURS = 8  # classes s0..s7 of the style sheet
MAX_POINTS = 600  # of each line
DIGITS = 4  # significant digits of a value in the page
MAX_MARKED = 40  # a series of at most this many points gets a marker on each
MIN_SMOOTHED = 60  # a series of at least this many points gets a running mean
MAX_NAME = 22  # characters of a bar's name
ZOOM = "Drag to zoom, double-click to see the whole chart"
LEGEND = "Last values, or values at the cursor; click a name to hide its line"
UPLOT = "1.6.32"
VENDOR = Path(__file__).with_name("vendor")


@dataclass(frozen=True)
class LineChart:
    """Named series of (x, y) points over a common x axis.

    Points whose y is None, not finite, or not positive on a logarithmic axis are left out.

    Args:
        series: name -> points, in the order of x.
        log_y: logarithmic y axis.
        smooth: draw long series faintly, with their running mean on top (on a logarithmic axis, the geometric mean).
        y_range: limits of the y axis; default: from the data.
        x_from_zero: start the x axis at 0 if all x are positive.
        bands: name of a series -> (x, low, high), an interval drawn behind it.
        caption: a note below the chart.
    """

    series: Mapping[str, Sequence[tuple[float, float | None]]]
    title: str
    x_label: str = "step"
    y_label: str = ""
    log_y: bool = False
    smooth: bool = False
    y_range: tuple[float, float] | None = None
    x_from_zero: bool = True
    bands: Mapping[str, Sequence[tuple[float, float, float]]] = field(default_factory=dict)
    caption: str = ""


@dataclass(frozen=True)
class BarChart:
    """Named values as horizontal bars from zero.

    Args:
        bars: name -> (value, low, high); the bounds are None where there is no interval.
        subject: name of the bar that the chart is about.
        reference: name of the bar to compare with; a dashed line marks its value.
        note: a remark after the title, such as which direction is better.
        caption: a note below the chart.
    """

    bars: Mapping[str, Bar]
    title: str
    subject: str = ""
    reference: str = ""
    note: str = ""
    caption: str = ""


@dataclass(frozen=True)
class _Line:
    """A series to draw, in axis units (y as exponents of ten on a logarithmic axis)."""

    name: str
    raw: list[Point]
    bold: list[Point]  # the running mean of `raw`
    window: int  # of the running mean; 1: `bold` equals `raw`


@cache
def chart_sources() -> tuple[str, str]:
    """Style sheet and script of line charts: uPlot, with its licence, and `charts.js`."""
    licence, library, style = (
        (VENDOR / name).read_text(encoding="utf-8")
        for name in ("uPlot-LICENSE.txt", "uPlot.iife.min.js", "uPlot.min.css")
    )
    library = library.partition("\n")[2]  # without its first line, an address
    own = Path(__file__).with_name("charts.js").read_text(encoding="utf-8")
    return style, f"/*! uPlot {UPLOT}\n{licence}*/\n{library}\n{own}"


def render_line_chart(chart: LineChart) -> str:
    """The chart with its legend as an HTML figure.

    Raises:
        ValueError: the y range is empty, or not positive on a logarithmic axis.
    """
    lines = [line for name, points in chart.series.items() if (line := _line(chart, name, points)).raw]
    caption = f'<p class="note">{escape(chart.caption)}</p>' if chart.caption else ""
    head = f"<figcaption>{escape(chart.title)}</figcaption>"
    if not lines:
        return f'<figure class="chart">{head}<p class="note">Nothing was recorded.</p>{caption}</figure>'
    windows = sorted({line.window for line in lines} - {1})
    if windows:
        span = " to ".join(dict.fromkeys((str(windows[0]), str(windows[-1]))))
        caption += f'<p class="note">Bold: running mean over {span} records. Faint: single records.</p>'
    label = escape(f"{chart.title}: " + ", ".join(line.name for line in lines))
    return (
        f'<figure class="chart line-chart">{head}{_legend(chart, lines)}'
        f'<div class="plot" role="img" aria-label="{label}" title="{ZOOM}"></div>'
        f'<script type="application/json">{_content(chart, lines)}</script>'
        '<noscript><p class="note">The chart needs JavaScript; its last values are above.</p></noscript>'
        f"{caption}</figure>"
    )


def render_bar_chart(chart: BarChart) -> str:
    """The chart as an HTML figure."""
    note = f" <small>{escape(chart.note)}</small>" if chart.note else ""
    caption = f'<p class="note">{escape(chart.caption)}</p>' if chart.caption else ""
    body = _bar_svg(chart) if chart.bars else '<p class="note">Nothing was measured.</p>'
    return f'<figure class="chart"><figcaption>{escape(chart.title)}{note}</figcaption>{body}{caption}</figure>'


def _line(chart: LineChart, name: str, points: Sequence[tuple[float, float | None]]) -> _Line:
    raw = [(float(x), y) for x, value in points if (y := _axis_value(chart, value)) is not None]
    window = max(5, len(raw) // 40) | 1 if chart.smooth and len(raw) >= MIN_SMOOTHED else 1
    bold = list(zip([x for x, _ in raw], running_mean([y for _, y in raw], window), strict=True))
    return _Line(name, raw, bold, window)


def _axis_value(chart: LineChart, value: float | None) -> float | None:
    if value is None or not math.isfinite(value) or (chart.log_y and value <= 0):
        return None
    return math.log10(value) if chart.log_y else float(value)


def _band(chart: LineChart, name: str) -> list[tuple[float, float, float]]:
    ends = [(x, _axis_value(chart, low), _axis_value(chart, high)) for x, low, high in chart.bands.get(name, ())]
    return [(x, low, high) for x, low, high in ends if low is not None and high is not None]


def _content(chart: LineChart, lines: Sequence[_Line]) -> str:
    """What `charts.js` draws, as JSON."""
    x_range, y_range = _ranges(chart, lines)

    def table(points: Sequence[tuple[float, ...]], *names: str) -> dict[str, list[float]]:
        columns = list(zip(*points, strict=True))
        first = {"x": [int(x) if x == int(x) else x for x in columns[0]]}
        return first | {name: [_shown(chart, y) for y in ys] for name, ys in zip(names, columns[1:], strict=True)}

    series: list[dict[str, Any]] = []
    for line in lines:
        entry: dict[str, Any] = table(thin(line.bold, MAX_POINTS), "y")
        if line.window > 1:
            entry["faint"] = table(thin(line.raw, MAX_POINTS), "y")
        if band := _band(chart, line.name):
            entry["band"] = table(band, "low", "high")
        series.append(entry)
    content = {
        "series": series,
        "x_range": x_range,
        "y_range": [_shown(chart, y) for y in y_range],
        "log_y": chart.log_y,
        "x_label": chart.x_label,
        "y_label": chart.y_label,
        "marked": MAX_MARKED,
    }
    return json.dumps(content, separators=(",", ":")).replace("<", "\\u003c")  # "<" could end the script element


def _shown(chart: LineChart, y: float) -> float:
    """A value of the axis as the value itself, rounded."""
    return float(f"{10**y if chart.log_y else y:.{DIGITS}g}")


def _ranges(chart: LineChart, lines: Sequence[_Line]) -> tuple[Point, Point]:
    """Limits of both axes, y in axis units."""
    xs = [x for line in lines for x, _ in line.raw] + [0.0] * chart.x_from_zero
    x_range = _widen(min(xs), max(xs))
    if chart.y_range is not None:
        low, high = (_axis_value(chart, end) for end in chart.y_range)
        if low is None or high is None or high <= low:
            raise ValueError(f"chart {chart.title!r}: y_range must be increasing and fit the axis, got {chart.y_range}")
        return x_range, (low, high)
    ys = [y for line in lines for _, y in line.bold]
    for line in lines:  # quantiles, because a few spikes must not flatten the rest
        ys += [quantile([y for _, y in line.raw], 0.005), quantile([y for _, y in line.raw], 0.995)]
        ys += [end for _, low, high in _band(chart, line.name) for end in (low, high)]
    bottom, top = _widen(min(ys), max(ys))
    margin = 0.04 * (top - bottom)
    start = 0.0 if not chart.log_y and 0 <= min(ys) < 0.4 * max(ys) else bottom - margin
    return x_range, (start, top + margin)


def _widen(low: float, high: float) -> tuple[float, float]:
    """Widen the range of a single value; return any other range as it is."""
    room = 1e-9 * max(abs(low), abs(high), 1e-9)
    return (low, high) if high - low > room else (low - (abs(low) * 0.1 or 1), high + (abs(high) * 0.1 or 1))


def _legend(chart: LineChart, lines: Sequence[_Line]) -> str:
    """Names with the last values; each is a button that hides its line."""
    items = []
    for number, line in enumerate(lines):
        last = 10 ** line.bold[-1][1] if chart.log_y else line.bold[-1][1]
        dashed = " dashed" if number >= NUM_COLOURS else ""
        items.append(
            f'<li><button type="button" class="s{number % NUM_COLOURS}" aria-pressed="true"><svg class="key"'
            f' viewBox="0 0 18 8" aria-hidden="true"><line class="line{dashed}" x1="1" y1="4" x2="17" y2="4"/></svg>'
            f"{escape(line.name)} <b>{short(last)}</b></button></li>"
        )
    return f'<ul class="legend" title="{LEGEND}">{"".join(items)}</ul>'


def _bar_svg(chart: BarChart) -> str:
    ends = [end for bar in chart.bars.values() for end in bar if end is not None]
    low, high = min(0.0, *ends), max(0.0, *ends)
    if high == low:
        high = low + 1.0
    left, right, top, margin = BAR_MARGINS
    bottom = top + BAR_SPACING * len(chart.bars)

    def x(value: float) -> float:
        return left + (value - low) / (high - low) * (WIDTH - left - right)

    label = escape(f"{chart.title}: " + ", ".join(f"{name} {short(bar[0])}" for name, bar in chart.bars.items()))
    parts = [f'<svg class="plot" viewBox="0 0 {WIDTH} {bottom + margin}" role="img" aria-label="{label}">']
    for tick in nice_ticks(low, high, 4):
        kind = "zero" if tick == 0 else "grid"
        parts.append(f'<line class="{kind}" x1="{x(tick):.1f}" y1="{top}" x2="{x(tick):.1f}" y2="{bottom}"/>')
        parts.append(f'<text class="tick middle" x="{x(tick):.1f}" y="{bottom + 16}">{tick_text(tick)}</text>')
    for number, (name, (value, lower, upper)) in enumerate(chart.bars.items()):
        middle = top + BAR_SPACING * number + BAR_SPACING / 2
        kind = "s0" if name == chart.subject else "s2" if name == chart.reference else "s7"
        start, end = sorted((x(0.0), x(value)))
        parts.append(
            f'<rect class="bar {kind}" x="{start:.1f}" y="{middle - BAR_THICKNESS / 2:.1f}"'
            f' width="{max(end - start, 1):.1f}" height="{BAR_THICKNESS}" rx="2"/>'
        )
        shown = name if len(name) <= MAX_NAME else f"{name[: MAX_NAME - 1]}…"
        parts.append(f'<text class="name end" x="{left - 9}" y="{middle + 4:.1f}">{escape(shown)}</text>')
        tip = x(max(value, upper if upper is not None else value))
        if lower is not None and upper is not None:
            parts.append(
                f'<path class="whisker" d="M{x(lower):.1f} {middle:.1f}H{x(upper):.1f}'
                f'M{x(lower):.1f} {middle - 4:.1f}v8M{x(upper):.1f} {middle - 4:.1f}v8"/>'
            )
        parts.append(f'<text class="value" x="{tip + 6:.1f}" y="{middle + 4:.1f}">{short(value, 3)}</text>')
    if chart.reference in chart.bars:
        place = x(chart.bars[chart.reference][0])
        parts.append(f'<line class="line s2 dashed" x1="{place:.1f}" y1="{top}" x2="{place:.1f}" y2="{bottom}"/>')
    return "".join([*parts, "</svg>"])


def nice_ticks(low: float, high: float, target: int = 5) -> list[float]:
    """About `target` round values in [low, high], whose spacing is 1, 2 or 5 times a power of ten.

    Raises:
        ValueError: an empty or infinite range.
    """
    if not (math.isfinite(low) and math.isfinite(high)) or high <= low:
        raise ValueError(f"ticks need finite low < high, got {low} and {high}")
    rough = (high - low) / target
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [float(f"{number * step:.12g}") for number in range(first, last + 1)]


def running_mean(values: Sequence[float], window: int) -> list[float]:
    """Mean over the `window` values centred on each, over fewer at both ends."""
    sums = [0.0]
    for value in values:
        sums.append(sums[-1] + value)
    half = window // 2
    result = []
    for i in range(len(values)):
        start, stop = max(0, i - half), min(len(values), i + half + 1)
        result.append((sums[stop] - sums[start]) / (stop - start))
    return result


def thin(points: Sequence[Point], limit: int) -> list[Point]:
    """At most `limit` of the points: the lowest and the highest of each interval, so that no spike disappears."""
    if len(points) <= limit:
        return list(points)
    inner = points[1:-1]
    intervals = (limit - 2) // 2
    kept = [points[0]]
    for number in range(intervals):
        interval = inner[number * len(inner) // intervals : (number + 1) * len(inner) // intervals]
        lowest, highest = min(interval, key=lambda point: point[1]), max(interval, key=lambda point: point[1])
        kept += sorted({lowest, highest})
    return [*kept, points[-1]]


def quantile(values: Sequence[float], share: float) -> float:
    """The value below which a `share` of the values lies (nearest rank)."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, round(share * (len(ordered) - 1))))]
