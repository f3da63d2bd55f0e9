"""Line charts as inline SVG: no script, no font file, colours from the page's style sheet."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape

from vidgan.report.scale import Point, log_ticks, nice_ticks, quantile, running_mean, short, thin, tick_text

WIDTH, HEIGHT = 520, 260
LEFT, RIGHT, TOP, BOTTOM = 54, 12, 22, 36
COLOURS = 8  # classes s0..s7 of the style sheet
MAX_POINTS = 400
MARKED = 40  # a series of at most so many points shows each of them
SMOOTHED = 60  # a series needs so many points before a running mean says more than the points


@dataclass(frozen=True)
class LineChart:
    """Named series of (x, y) points over a common x axis.

    Points whose y is None, not finite, or not positive on a logarithmic axis are left out.

    Args:
        series: name -> points, in the order of x.
        log_y: logarithmic y axis.
        smooth: draw long series faintly, with their running mean on top (on a logarithmic axis, the geometric mean).
        y_range: limits of the y axis; from the data by default.
        x_from_zero: let the x axis begin at 0 where all x are positive.
        bands: name of a series -> (x, low, high), an interval drawn behind it.
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
class _Axes:
    """Data limits (y already as exponents if logarithmic) and the way to the SVG's coordinates."""

    x: tuple[float, float]
    y: tuple[float, float]

    def place(self, point: Point) -> Point:
        x = LEFT + (point[0] - self.x[0]) / (self.x[1] - self.x[0]) * (WIDTH - LEFT - RIGHT)
        y = HEIGHT - BOTTOM - (point[1] - self.y[0]) / (self.y[1] - self.y[0]) * (HEIGHT - TOP - BOTTOM)
        return x, y


@dataclass(frozen=True)
class _Line:
    """A series ready to draw: what was measured and what is drawn boldly, in axis units."""

    name: str
    raw: list[Point]
    bold: list[Point]
    window: int  # 1: bold is raw


def render_chart(chart: LineChart) -> str:
    """The chart with its legend as an HTML figure."""
    lines = [line for name, points in chart.series.items() if (line := _line(chart, name, points)).raw]
    caption = f'<p class="note">{escape(chart.caption)}</p>' if chart.caption else ""
    head = f"<figcaption>{escape(chart.title)}</figcaption>"
    if not lines:
        return f'<figure class="chart">{head}<p class="note">Nothing was recorded.</p>{caption}</figure>'
    windows = sorted({line.window for line in lines} - {1})
    if windows:
        span = " to ".join(dict.fromkeys((str(windows[0]), str(windows[-1]))))
        caption += f'<p class="note">Running mean over {span} records; each record faint.</p>'
    return f'<figure class="chart">{head}{_legend(chart, lines)}{_svg(chart, lines)}{caption}</figure>'


def _line(chart: LineChart, name: str, points: Sequence[tuple[float, float | None]]) -> _Line:
    raw = [(float(x), y) for x, value in points if (y := _axis_value(chart, value)) is not None]
    window = max(5, len(raw) // 40) | 1 if chart.smooth and len(raw) >= SMOOTHED else 1
    bold = list(zip([x for x, _ in raw], running_mean([y for _, y in raw], window), strict=True))
    return _Line(name, raw, bold, window)


def _axis_value(chart: LineChart, value: float | None) -> float | None:
    if value is None or not math.isfinite(value) or (chart.log_y and value <= 0):
        return None
    return math.log10(value) if chart.log_y else float(value)


def _band(chart: LineChart, name: str) -> list[tuple[float, float, float]]:
    ends = [(x, _axis_value(chart, low), _axis_value(chart, high)) for x, low, high in chart.bands.get(name, ())]
    return [(x, low, high) for x, low, high in ends if low is not None and high is not None]


def _axes(chart: LineChart, lines: Sequence[_Line]) -> _Axes:
    xs = [x for line in lines for x, _ in line.raw] + [0.0] * chart.x_from_zero
    if chart.y_range is not None:
        low, high = (_axis_value(chart, end) for end in chart.y_range)
        if low is None or high is None or high <= low:
            raise ValueError(f"chart {chart.title!r}: y_range {chart.y_range} is no range of its axis")
        return _Axes(_opened(min(xs), max(xs)), (low, high))
    ys = [y for line in lines for _, y in line.bold]
    for line in lines:  # a few spikes must not press the rest flat
        ys += [quantile([y for _, y in line.raw], 0.005), quantile([y for _, y in line.raw], 0.995)]
        ys += [end for _, low, high in _band(chart, line.name) for end in (low, high)]
    bottom, top = _opened(min(ys), max(ys))
    margin = 0.04 * (top - bottom)
    start = 0.0 if not chart.log_y and 0 <= min(ys) < 0.4 * max(ys) else bottom - margin
    return _Axes(_opened(min(xs), max(xs)), (start, top + margin))


def _opened(low: float, high: float) -> tuple[float, float]:
    """The range itself, or room around a single value."""
    room = 1e-9 * max(abs(low), abs(high), 1e-9)
    return (low, high) if high - low > room else (low - (abs(low) * 0.1 or 1), high + (abs(high) * 0.1 or 1))


def _legend(chart: LineChart, lines: Sequence[_Line]) -> str:
    items = []
    for number, line in enumerate(lines):
        last = 10 ** line.bold[-1][1] if chart.log_y else line.bold[-1][1]
        items.append(
            f'<li><svg class="key" viewBox="0 0 18 8" aria-hidden="true"><line class="line {_style(number)}"'
            f' x1="1" y1="4" x2="17" y2="4"/></svg>{escape(line.name)} <b>{short(last, 3)}</b></li>'
        )
    return f'<ul class="legend" title="with the last value of each line">{"".join(items)}</ul>'


def _style(number: int) -> str:
    return f"s{number % COLOURS}" + (" dashed" if number >= COLOURS else "")


def _svg(chart: LineChart, lines: Sequence[_Line]) -> str:
    axes = _axes(chart, lines)
    label = escape(f"{chart.title}: " + ", ".join(line.name for line in lines))
    width, height = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
    parts = [
        f'<svg class="plot" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">',
        *_grid(chart, axes),
        # An inner svg cuts off what leaves the plot; 3 units of room keep the lines on its edge whole.
        f'<svg x="{LEFT - 3}" y="{TOP - 3}" width="{width + 6}" height="{height + 6}"'
        f' viewBox="{LEFT - 3} {TOP - 3} {width + 6} {height + 6}">',
    ]
    for number, line in enumerate(lines):
        band = _band(chart, line.name)
        if band:
            outline = [(x, high) for x, _, high in band] + [(x, low) for x, low, _ in reversed(band)]
            parts.append(f'<polygon class="band {_style(number)}" points="{_points(axes, outline)}"/>')
    for number, line in enumerate(lines):
        if line.window > 1:
            faint = _points(axes, thin(line.raw, MAX_POINTS))
            parts.append(f'<polyline class="faint {_style(number)}" points="{faint}"/>')
    for number, line in enumerate(lines):
        parts.append(f'<polyline class="line {_style(number)}" points="{_points(axes, thin(line.bold, MAX_POINTS))}"/>')
        if len(line.bold) <= MARKED:
            parts += [_marker(chart, axes, number, line.name, point) for point in line.bold]
    parts.append("</svg></svg>")
    return "".join(parts)


def _points(axes: _Axes, points: Sequence[Point]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in map(axes.place, points))


def _marker(chart: LineChart, axes: _Axes, number: int, name: str, point: Point) -> str:
    x, y = axes.place(point)
    value = 10 ** point[1] if chart.log_y else point[1]
    text = escape(f"{name}: {short(value)} at {chart.x_label} {short(point[0])}")
    return f'<circle class="dot {_style(number)}" cx="{x:.1f}" cy="{y:.1f}" r="2.6"><title>{text}</title></circle>'


def _grid(chart: LineChart, axes: _Axes) -> list[str]:
    """Tick lines, their texts, and the names of the axes."""
    bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    values = log_ticks(*axes.y) if chart.log_y else nice_ticks(*axes.y)
    parts = []
    for value in values:
        _, y = axes.place((axes.x[0], math.log10(value) if chart.log_y else value))
        kind = "zero" if value == 0 else "grid"
        parts.append(f'<line class="{kind}" x1="{LEFT}" y1="{y:.1f}" x2="{right}" y2="{y:.1f}"/>')
        parts.append(f'<text class="tick end" x="{LEFT - 7}" y="{y + 4:.1f}">{tick_text(value)}</text>')
    for value in nice_ticks(*axes.x, 6):
        x, _ = axes.place((value, axes.y[0]))
        parts.append(f'<line class="mark" x1="{x:.1f}" y1="{bottom}" x2="{x:.1f}" y2="{bottom + 4}"/>')
        side = " end" if x > right - 12 else " middle"
        place = right if side == " end" else x
        parts.append(f'<text class="tick{side}" x="{place:.1f}" y="{bottom + 16}">{tick_text(value)}</text>')
    parts.append(f'<line class="zero" x1="{LEFT}" y1="{bottom}" x2="{right}" y2="{bottom}"/>')
    parts.append(f'<text class="axis end" x="{right}" y="{HEIGHT - 4}">{escape(chart.x_label)}</text>')
    parts.append(f'<text class="axis" x="{LEFT}" y="12">{escape(chart.y_label)}</text>')
    return parts
