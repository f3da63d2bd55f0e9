"""Line and bar charts as inline SVG: no script, no font file, colours from the page's style sheet."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import NamedTuple, TypeAlias

from vidgan.report.formatting import short, tick_text

Point: TypeAlias = tuple[float, float]
Bar: TypeAlias = tuple[float, float | None, float | None]  # value and the bounds of its interval


class Margins(NamedTuple):
    """Space around the plot area, in SVG units."""

    left: int
    right: int
    top: int
    bottom: int


WIDTH = 520  # of both kinds of chart, SVG units
LINE_HEIGHT = 260
LINE_MARGINS = Margins(left=54, right=12, top=22, bottom=36)
BAR_MARGINS = Margins(left=150, right=64, top=8, bottom=26)
BAR_SPACING, BAR_THICKNESS = 26, 14
NUM_COLOURS = 8  # classes s0..s7 of the style sheet
MAX_POINTS = 400  # drawn for each line
MAX_MARKED = 40  # a series of at most this many points gets a marker on each
MIN_SMOOTHED = 60  # a series of at least this many points gets a running mean
MAX_NAME = 22  # characters of a bar's name


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
class _Axes:
    """Data limits (y as exponents on a logarithmic axis), and the mapping to SVG coordinates."""

    x: tuple[float, float]
    y: tuple[float, float]

    def place(self, point: Point) -> Point:
        left, right, top, bottom = LINE_MARGINS
        x = left + (point[0] - self.x[0]) / (self.x[1] - self.x[0]) * (WIDTH - left - right)
        y = LINE_HEIGHT - bottom - (point[1] - self.y[0]) / (self.y[1] - self.y[0]) * (LINE_HEIGHT - top - bottom)
        return x, y


@dataclass(frozen=True)
class _Line:
    """A series to draw, in axis units."""

    name: str
    raw: list[Point]
    bold: list[Point]  # the running mean of `raw`
    window: int  # of the running mean; 1: `bold` equals `raw`


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
    return f'<figure class="chart">{head}{_legend(chart, lines)}{_line_svg(chart, lines)}{caption}</figure>'


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


def _axes(chart: LineChart, lines: Sequence[_Line]) -> _Axes:
    xs = [x for line in lines for x, _ in line.raw] + [0.0] * chart.x_from_zero
    if chart.y_range is not None:
        low, high = (_axis_value(chart, end) for end in chart.y_range)
        if low is None or high is None or high <= low:
            raise ValueError(f"chart {chart.title!r}: y_range must be increasing and fit the axis, got {chart.y_range}")
        return _Axes(_widen(min(xs), max(xs)), (low, high))
    ys = [y for line in lines for _, y in line.bold]
    for line in lines:  # quantiles, because a few spikes must not flatten the rest
        ys += [quantile([y for _, y in line.raw], 0.005), quantile([y for _, y in line.raw], 0.995)]
        ys += [end for _, low, high in _band(chart, line.name) for end in (low, high)]
    bottom, top = _widen(min(ys), max(ys))
    margin = 0.04 * (top - bottom)
    start = 0.0 if not chart.log_y and 0 <= min(ys) < 0.4 * max(ys) else bottom - margin
    return _Axes(_widen(min(xs), max(xs)), (start, top + margin))


def _widen(low: float, high: float) -> tuple[float, float]:
    """Widen the range of a single value; return any other range as it is."""
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
    return f"s{number % NUM_COLOURS}" + (" dashed" if number >= NUM_COLOURS else "")


def _line_svg(chart: LineChart, lines: Sequence[_Line]) -> str:
    axes = _axes(chart, lines)
    label = escape(f"{chart.title}: " + ", ".join(line.name for line in lines))
    left, right, top, bottom = LINE_MARGINS
    width, height = WIDTH - left - right, LINE_HEIGHT - top - bottom
    parts = [
        f'<svg class="plot" viewBox="0 0 {WIDTH} {LINE_HEIGHT}" role="img" aria-label="{label}">',
        *_grid(chart, axes),
        # An inner svg clips to the plot area; 3 extra units on each side keep lines on its edge whole.
        f'<svg x="{left - 3}" y="{top - 3}" width="{width + 6}" height="{height + 6}"'
        f' viewBox="{left - 3} {top - 3} {width + 6} {height + 6}">',
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
        if len(line.bold) <= MAX_MARKED:
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
    """Tick lines, tick labels and axis labels."""
    left, bottom, right = LINE_MARGINS.left, LINE_HEIGHT - LINE_MARGINS.bottom, WIDTH - LINE_MARGINS.right
    values = log_ticks(*axes.y) if chart.log_y else nice_ticks(*axes.y)
    parts = []
    for value in values:
        _, y = axes.place((axes.x[0], math.log10(value) if chart.log_y else value))
        kind = "zero" if value == 0 else "grid"
        parts.append(f'<line class="{kind}" x1="{left}" y1="{y:.1f}" x2="{right}" y2="{y:.1f}"/>')
        parts.append(f'<text class="tick end" x="{left - 7}" y="{y + 4:.1f}">{tick_text(value)}</text>')
    for value in nice_ticks(*axes.x, 6):
        x, _ = axes.place((value, axes.y[0]))
        parts.append(f'<line class="mark" x1="{x:.1f}" y1="{bottom}" x2="{x:.1f}" y2="{bottom + 4}"/>')
        anchor, place = ("end", right) if x > right - 12 else ("middle", x)
        parts.append(f'<text class="tick {anchor}" x="{place:.1f}" y="{bottom + 16}">{tick_text(value)}</text>')
    parts.append(f'<line class="zero" x1="{left}" y1="{bottom}" x2="{right}" y2="{bottom}"/>')
    parts.append(f'<text class="axis end" x="{right}" y="{LINE_HEIGHT - 4}">{escape(chart.x_label)}</text>')
    parts.append(f'<text class="axis" x="{left}" y="12">{escape(chart.y_label)}</text>')
    return parts


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


def log_ticks(low: float, high: float) -> list[float]:
    """Ticks of a logarithmic axis between the exponents of ten `low` and `high`: decades, or 1-2-5 if few fit."""
    first, last = math.ceil(low - 1e-9), math.floor(high + 1e-9)
    decades = list(range(first, last + 1))
    if len(decades) >= 3:
        every = math.ceil(len(decades) / 6)
        return [10.0**exponent for exponent in decades[::every]]
    fine = [factor * 10.0**exponent for exponent in range(first - 1, last + 1) for factor in (1, 2, 5)]
    inside = [value for value in fine if low - 1e-9 <= math.log10(value) <= high + 1e-9]
    return inside if len(inside) >= 2 else nice_ticks(10.0**low, 10.0**high, 4)


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
