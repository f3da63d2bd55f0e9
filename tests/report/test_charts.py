"""Charts: drawn coordinates, bars, ticks and smoothing."""

import math
import re
from itertools import pairwise
from xml.etree import ElementTree

import pytest

from vidgan.report import BarChart, LineChart, Section, render_page
from vidgan.report.charts import (
    BAR_MARGINS,
    LINE_HEIGHT,
    LINE_MARGINS,
    MAX_POINTS,
    WIDTH,
    log_ticks,
    nice_ticks,
    quantile,
    render_bar_chart,
    render_line_chart,
    running_mean,
    thin,
)

LEFT, RIGHT, TOP, BOTTOM = LINE_MARGINS
HEIGHT = LINE_HEIGHT
NUMBER = re.compile(r"(-?[\d.]+),(-?[\d.]+)")


def drawn(html: str, kind: str) -> list[list[tuple[float, float]]]:
    """The points of every polyline or polygon of a CSS class, in order."""
    return [
        [(float(x), float(y)) for x, y in NUMBER.findall(element.get("points", ""))]
        for element in ElementTree.fromstring(html).iter()
        if element.get("points") and kind in (element.get("class") or "").split()
    ]


def texts(html: str, kind: str) -> list[str]:
    return [e.text or "" for e in ElementTree.fromstring(html).iter() if kind in (e.get("class") or "").split()]


def test_points_are_drawn_at_their_values() -> None:
    chart = LineChart({"a": [(0, 0.0), (5, 0.5), (10, 1.0)]}, "Title", y_range=(0.0, 1.0))
    ((first, middle, last),) = drawn(render_line_chart(chart), "line")
    assert first == (LEFT, HEIGHT - BOTTOM)
    assert last == (WIDTH - RIGHT, TOP)
    assert middle == pytest.approx(((first[0] + last[0]) / 2, (first[1] + last[1]) / 2), abs=0.1)


def test_a_tick_is_drawn_at_its_value() -> None:
    html = render_line_chart(LineChart({"a": [(0, 0.0), (10, 1.0)]}, "Title", y_range=(0.0, 1.0)))
    places = {e.text: float(e.get("y", "")) for e in ElementTree.fromstring(html).iter("text")}
    assert places["0"] in (HEIGHT - BOTTOM + 4, HEIGHT - BOTTOM + 16)
    assert places["1"] == TOP + 4
    assert places["0.4"] == pytest.approx(HEIGHT - BOTTOM - 0.4 * (HEIGHT - TOP - BOTTOM) + 4, abs=0.1)


def test_decades_are_equally_spaced_on_a_logarithmic_axis() -> None:
    chart = LineChart({"a": [(0, 0.01), (1, 0.1), (2, 1.0), (3, 0.0), (4, 10.0)]}, "Title", log_y=True)
    html = render_line_chart(chart)
    ((*points,),) = drawn(html, "line")
    assert len(points) == 4  # zero has no logarithm
    steps = [a[1] - b[1] for a, b in pairwise(points)]
    assert steps == pytest.approx([steps[0]] * 3, abs=0.11)
    assert {"0.01", "0.1", "1", "10"} <= set(texts(html, "tick"))


def test_points_that_cannot_be_drawn_are_left_out() -> None:
    chart = LineChart({"a": [(0, 1.0), (1, None), (2, float("nan")), (3, float("inf")), (4, 2.0)]}, "Title")
    ((*points,),) = drawn(render_line_chart(chart), "line")
    assert [x for x, _ in points] == [LEFT, WIDTH - RIGHT]
    assert "Nothing was recorded" in render_line_chart(LineChart({"a": [(0, None)]}, "Title"))
    assert "Nothing was recorded" in render_line_chart(LineChart({}, "Title"))


def test_the_x_axis_starts_at_zero_by_default() -> None:
    series = {"a": [(50.0, 1.0), (100.0, 2.0)]}
    middle = LEFT + (WIDTH - LEFT - RIGHT) / 2
    assert drawn(render_line_chart(LineChart(series, "T")), "line")[0][0][0] == pytest.approx(middle)
    assert drawn(render_line_chart(LineChart(series, "T", x_from_zero=False)), "line")[0][0][0] == LEFT


def test_a_long_series_is_thinned_and_smoothed() -> None:
    noisy = [(float(i), 1.0 + (i % 2) * 0.5) for i in range(5000)]
    html = render_line_chart(LineChart({"a": noisy}, "Title", smooth=True, y_range=(0.0, 2.0)))
    (faint,), (bold,) = drawn(html, "faint"), drawn(html, "line")
    assert len(faint) <= MAX_POINTS and len(bold) <= MAX_POINTS
    level = HEIGHT - BOTTOM - 1.25 / 2 * (HEIGHT - TOP - BOTTOM)
    assert all(abs(y - level) < 1.5 for _, y in bold[5:-5])
    assert max(y for _, y in faint) - min(y for _, y in faint) > 40
    assert "running mean over 125 records" in html
    assert texts(html, "legend") and "1.25" in html
    plain = render_line_chart(LineChart({"a": noisy}, "Title"))
    assert not drawn(plain, "faint") and "running mean" not in plain


def test_one_spike_does_not_flatten_the_rest() -> None:
    points = [(float(i), 1.0 + (i % 2) * 0.1) for i in range(1000)]
    points[500] = (500.0, 1e6)
    (faint,) = drawn(render_line_chart(LineChart({"a": [*points[:500], *points[501:]]}, "T", smooth=True)), "faint")
    (spiked,) = drawn(render_line_chart(LineChart({"a": points}, "T", smooth=True)), "faint")
    assert max(y for _, y in faint) <= HEIGHT - BOTTOM
    assert min(y for _, y in spiked) < -1000  # drawn, and clipped by the inner svg
    inner = ElementTree.fromstring(render_line_chart(LineChart({"a": points}, "T"))).findall(".//svg/svg")
    assert [e.get("viewBox") for e in inner] == [
        f"{LEFT - 3} {TOP - 3} {WIDTH - LEFT - RIGHT + 6} {HEIGHT - TOP - BOTTOM + 6}"
    ]


def test_few_points_get_markers_with_their_values() -> None:
    html = render_line_chart(LineChart({"fused <P>": [(1, 30.5), (2, 29.25)]}, "PSNR", x_label="frame"))
    marks = [e.text for e in ElementTree.fromstring(html).iter("title")]
    assert marks == ["fused <P>: 30.5 at frame 1", "fused <P>: 29.25 at frame 2"]


def test_a_band_is_a_polygon_between_its_bounds() -> None:
    chart = LineChart({"a": [(0, 5.0), (10, 5.0)]}, "T", bands={"a": [(0, 4, 6), (10, 3, 8)]}, y_range=(0.0, 10.0))
    (band,) = drawn(render_line_chart(chart), "band")
    height = HEIGHT - TOP - BOTTOM
    assert [round(HEIGHT - BOTTOM - y) for _, y in band] == [round(share * height) for share in (0.6, 0.8, 0.3, 0.4)]
    assert [x for x, _ in band] == [LEFT, WIDTH - RIGHT, WIDTH - RIGHT, LEFT]


def test_a_constant_and_a_single_point_are_drawn() -> None:
    for points in ([(0.0, 3.0), (9.0, 3.0)], [(7.0, 3.0)], [(0.0, 0.0)]):
        assert len(drawn(render_line_chart(LineChart({"a": points}, "T")), "line")[0]) == len(points)


def test_lines_beyond_the_colours_are_dashed() -> None:
    html = render_line_chart(LineChart({str(i): [(0, float(i)), (1, 2.0)] for i in range(10)}, "T"))
    styles = [e.get("class") for e in ElementTree.fromstring(html).iter("polyline")]
    assert styles[0] == "line s0" and styles[7] == "line s7"
    assert styles[8] == "line s0 dashed" and styles[9] == "line s1 dashed"


def test_names_are_escaped() -> None:
    html = render_line_chart(LineChart({"<b>&": [(0, 1.0)]}, "<i>", x_label="<x>", y_label="<y>", caption="<c>"))
    ElementTree.fromstring(html)
    assert "<i>" not in html and "&lt;b&gt;&amp;" in html and "&lt;c&gt;" in html


def test_an_impossible_range_is_rejected() -> None:
    with pytest.raises(ValueError, match=r"'T': y_range .*\(0.0, 1.0\)"):
        render_line_chart(LineChart({"a": [(0, 1.0)]}, "T", log_y=True, y_range=(0.0, 1.0)))


def bars(page: str) -> list[tuple[str, float, float]]:
    """(colour class, left end, width) of each bar."""
    rectangles = re.findall(r'<rect class="bar (\w+)" x="([\d.]+)" y="[\d.]+" width="([\d.]+)"', page)
    return [(kind, float(left), float(width)) for kind, left, width in rectangles]


def test_bars_have_proportional_lengths_and_a_colour_per_role() -> None:
    chart = BarChart(
        {"generated": (20.0, 15.0, 40.0), "real": (10.0, None, None), "frozen": (30.0, None, None)},
        "Distance",
        subject="generated",
        reference="real",
    )
    drawn_bars = bars(render_bar_chart(chart))
    assert [kind for kind, *_ in drawn_bars] == ["s0", "s2", "s7"]
    room = WIDTH - BAR_MARGINS.left - BAR_MARGINS.right  # for 0 to 40, the upper bound
    assert [width for *_, width in drawn_bars] == pytest.approx([room / 2, room / 4, room * 3 / 4], abs=0.1)
    assert {left for _, left, _ in drawn_bars} == {float(BAR_MARGINS.left)}
    page = render_bar_chart(chart)
    low, high = BAR_MARGINS.left + room * 15 / 40, BAR_MARGINS.left + room
    assert f'class="whisker" d="M{low:.1f}' in page and f"H{high:.1f}" in page
    assert page.count('class="whisker"') == 1
    assert f'<line class="line s2 dashed" x1="{BAR_MARGINS.left + room / 4:.1f}"' in page


def test_negative_values_extend_to_the_left() -> None:
    (_, left, width), (_, start, _) = bars(
        render_bar_chart(BarChart({"a": (-1.0, None, None), "b": (3.0, None, None)}, "x"))
    )
    assert left == BAR_MARGINS.left and width == pytest.approx(
        (WIDTH - BAR_MARGINS.left - BAR_MARGINS.right) / 4, abs=0.1
    )
    assert start == pytest.approx(left + width, abs=0.1)


def test_bar_charts_without_bars_and_with_zeros() -> None:
    assert "Nothing was measured" in render_bar_chart(BarChart({}, "x"))
    assert bars(render_bar_chart(BarChart({"a": (0.0, None, None)}, "x"))) == [("s7", float(BAR_MARGINS.left), 1.0)]


def test_bar_names_are_escaped_and_shortened() -> None:
    evil = "<script>alert(1)</script> and so on"
    page = render_page(title="x", sections=[Section("y", [BarChart({evil: (1.0, None, None)}, evil, caption=evil)])])
    assert "<script>" not in page and "&lt;script&gt;alert(1)&lt;/scr…" in page


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (0.13, 0.97, [0.2, 0.4, 0.6, 0.8]),
        (-3, 7, [-2, 0, 2, 4, 6]),
        (0, 2000, [0, 500, 1000, 1500, 2000]),
        (1e-5, 4.1e-5, [1e-5, 2e-5, 3e-5, 4e-5]),
        (99.9, 100.1, [99.9, 99.95, 100, 100.05, 100.1]),
    ],
)
def test_ticks_are_round_and_in_range(low: float, high: float, expected: list[float]) -> None:
    assert nice_ticks(low, high) == expected


@pytest.mark.parametrize(("low", "high"), [(1.0, 1.0), (2.0, 1.0), (0.0, math.inf), (math.nan, 1.0)])
def test_an_empty_range_has_no_ticks(low: float, high: float) -> None:
    with pytest.raises(ValueError, match="finite low < high"):
        nice_ticks(low, high)


def test_log_ticks_are_decades_or_intermediate_steps() -> None:
    assert log_ticks(-3, 1) == pytest.approx([1e-3, 1e-2, 1e-1, 1, 10])
    assert log_ticks(-12, 6) == pytest.approx([1e-12, 1e-8, 1e-4, 1, 1e4])
    assert log_ticks(math.log10(0.15), math.log10(6)) == pytest.approx([0.2, 0.5, 1, 2, 5])
    narrow = log_ticks(math.log10(3.1), math.log10(3.9))
    assert narrow == pytest.approx([3.2, 3.4, 3.6, 3.8])


def test_the_running_mean_is_centred_and_shorter_at_both_ends() -> None:
    assert running_mean([1, 2, 3, 10, 5], 3) == pytest.approx([1.5, 2, 5, 6, 7.5])
    assert running_mean([4, 5], 1) == [4, 5]
    assert running_mean([], 3) == []


def test_thinning_keeps_ends_and_extremes() -> None:
    points = [(float(i), math.sin(i / 50)) for i in range(5000)]
    points[1234] = (1234.0, 99.0)
    points[4321] = (4321.0, -99.0)
    thinned = thin(points, 400)
    assert len(thinned) <= 400
    assert thinned[0] == points[0] and thinned[-1] == points[-1]
    assert (1234.0, 99.0) in thinned and (4321.0, -99.0) in thinned
    assert thinned == sorted(thinned)
    assert thin(points[:400], 400) == points[:400]


def test_quantiles_by_nearest_rank() -> None:
    assert [quantile([5, 1, 3, 2, 4], share) for share in (0, 0.5, 0.75, 1)] == [1, 3, 4, 5]
