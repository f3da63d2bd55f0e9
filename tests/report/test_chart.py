"""Charts: the drawn coordinates are the data."""

import re
from itertools import pairwise
from xml.etree import ElementTree

import pytest

from vidgan.report.chart import BOTTOM, HEIGHT, LEFT, MAX_POINTS, RIGHT, TOP, WIDTH, LineChart, render_chart

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


def test_points_lie_where_the_values_say() -> None:
    chart = LineChart({"a": [(0, 0.0), (5, 0.5), (10, 1.0)]}, "Title", y_range=(0.0, 1.0))
    ((first, middle, last),) = drawn(render_chart(chart), "line")
    assert first == (LEFT, HEIGHT - BOTTOM)
    assert last == (WIDTH - RIGHT, TOP)
    assert middle == pytest.approx(((first[0] + last[0]) / 2, (first[1] + last[1]) / 2), abs=0.1)


def test_a_tick_stands_at_the_height_of_its_value() -> None:
    html = render_chart(LineChart({"a": [(0, 0.0), (10, 1.0)]}, "Title", y_range=(0.0, 1.0)))
    places = {e.text: float(e.get("y", "")) for e in ElementTree.fromstring(html).iter("text")}
    assert places["0"] in (HEIGHT - BOTTOM + 4, HEIGHT - BOTTOM + 16)
    assert places["1"] == TOP + 4
    assert places["0.4"] == pytest.approx(HEIGHT - BOTTOM - 0.4 * (HEIGHT - TOP - BOTTOM) + 4, abs=0.1)


def test_decades_are_equally_far_apart_on_a_logarithmic_axis() -> None:
    chart = LineChart({"a": [(0, 0.01), (1, 0.1), (2, 1.0), (3, 0.0), (4, 10.0)]}, "Title", log_y=True)
    html = render_chart(chart)
    ((*points,),) = drawn(html, "line")
    assert len(points) == 4  # zero has no logarithm
    steps = [a[1] - b[1] for a, b in pairwise(points)]
    assert steps == pytest.approx([steps[0]] * 3, abs=0.11)
    assert {"0.01", "0.1", "1", "10"} <= set(texts(html, "tick"))


def test_what_cannot_be_drawn_is_left_out() -> None:
    chart = LineChart({"a": [(0, 1.0), (1, None), (2, float("nan")), (3, float("inf")), (4, 2.0)]}, "Title")
    ((*points,),) = drawn(render_chart(chart), "line")
    assert [x for x, _ in points] == [LEFT, WIDTH - RIGHT]
    assert "Nothing was recorded" in render_chart(LineChart({"a": [(0, None)]}, "Title"))
    assert "Nothing was recorded" in render_chart(LineChart({}, "Title"))


def test_the_x_axis_begins_at_zero_unless_told() -> None:
    series = {"a": [(50.0, 1.0), (100.0, 2.0)]}
    middle = LEFT + (WIDTH - LEFT - RIGHT) / 2
    assert drawn(render_chart(LineChart(series, "T")), "line")[0][0][0] == pytest.approx(middle)
    assert drawn(render_chart(LineChart(series, "T", x_from_zero=False)), "line")[0][0][0] == LEFT


def test_a_long_series_is_thinned_and_smoothed() -> None:
    noisy = [(float(i), 1.0 + (i % 2) * 0.5) for i in range(5000)]
    html = render_chart(LineChart({"a": noisy}, "Title", smooth=True, y_range=(0.0, 2.0)))
    (faint,), (bold,) = drawn(html, "faint"), drawn(html, "line")
    assert len(faint) <= MAX_POINTS and len(bold) <= MAX_POINTS
    level = HEIGHT - BOTTOM - 1.25 / 2 * (HEIGHT - TOP - BOTTOM)
    assert all(abs(y - level) < 1.5 for _, y in bold[5:-5])
    assert max(y for _, y in faint) - min(y for _, y in faint) > 40
    assert "Running mean over 125 records" in html
    assert texts(html, "legend") and "1.25" in html
    plain = render_chart(LineChart({"a": noisy}, "Title"))
    assert not drawn(plain, "faint") and "Running mean" not in plain


def test_one_spike_does_not_press_the_rest_flat() -> None:
    points = [(float(i), 1.0 + (i % 2) * 0.1) for i in range(1000)]
    points[500] = (500.0, 1e6)
    (faint,) = drawn(render_chart(LineChart({"a": [*points[:500], *points[501:]]}, "T", smooth=True)), "faint")
    (spiked,) = drawn(render_chart(LineChart({"a": points}, "T", smooth=True)), "faint")
    assert max(y for _, y in faint) <= HEIGHT - BOTTOM
    assert min(y for _, y in spiked) < -1000  # drawn, and cut off by the inner svg
    inner = ElementTree.fromstring(render_chart(LineChart({"a": points}, "T"))).findall(".//svg/svg")
    assert [e.get("viewBox") for e in inner] == [
        f"{LEFT - 3} {TOP - 3} {WIDTH - LEFT - RIGHT + 6} {HEIGHT - TOP - BOTTOM + 6}"
    ]


def test_few_points_are_marked_with_their_values() -> None:
    html = render_chart(LineChart({"fused <P>": [(1, 30.5), (2, 29.25)]}, "PSNR", x_label="frame"))
    marks = [e.text for e in ElementTree.fromstring(html).iter("title")]
    assert marks == ["fused <P>: 30.5 at frame 1", "fused <P>: 29.25 at frame 2"]


def test_a_band_runs_out_along_its_top_and_back_along_its_bottom() -> None:
    chart = LineChart({"a": [(0, 5.0), (10, 5.0)]}, "T", bands={"a": [(0, 4, 6), (10, 3, 8)]}, y_range=(0.0, 10.0))
    (band,) = drawn(render_chart(chart), "band")
    height = HEIGHT - TOP - BOTTOM
    assert [round(HEIGHT - BOTTOM - y) for _, y in band] == [round(share * height) for share in (0.6, 0.8, 0.3, 0.4)]
    assert [x for x, _ in band] == [LEFT, WIDTH - RIGHT, WIDTH - RIGHT, LEFT]


def test_a_constant_and_a_single_point_are_drawn() -> None:
    for points in ([(0.0, 3.0), (9.0, 3.0)], [(7.0, 3.0)], [(0.0, 0.0)]):
        assert len(drawn(render_chart(LineChart({"a": points}, "T")), "line")[0]) == len(points)


def test_lines_beyond_the_colours_are_dashed() -> None:
    html = render_chart(LineChart({str(i): [(0, float(i)), (1, 2.0)] for i in range(10)}, "T"))
    styles = [e.get("class") for e in ElementTree.fromstring(html).iter("polyline")]
    assert styles[0] == "line s0" and styles[7] == "line s7"
    assert styles[8] == "line s0 dashed" and styles[9] == "line s1 dashed"


def test_names_are_escaped() -> None:
    html = render_chart(LineChart({"<b>&": [(0, 1.0)]}, "<i>", x_label="<x>", y_label="<y>", caption="<c>"))
    ElementTree.fromstring(html)
    assert "<i>" not in html and "&lt;b&gt;&amp;" in html and "&lt;c&gt;" in html


def test_an_impossible_range_is_refused() -> None:
    with pytest.raises(ValueError, match=r"chart 'T': y_range \(0.0, 1.0\)"):
        render_chart(LineChart({"a": [(0, 1.0)]}, "T", log_y=True, y_range=(0.0, 1.0)))
