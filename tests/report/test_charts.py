"""Charts: what is drawn, bars, ticks and smoothing, and line charts in a browser."""

import hashlib
import importlib
import json
import math
import re
from pathlib import Path
from typing import Any

import pytest
from browser import headless_browser, page_errors, requested

from vidgan.report import BarChart, LineChart, Section, render_page, write_report
from vidgan.report.charts import (
    BAR_MARGINS,
    MAX_POINTS,
    UPLOT,
    VENDOR,
    WIDTH,
    chart_sources,
    nice_ticks,
    quantile,
    render_bar_chart,
    render_line_chart,
    running_mean,
    thin,
)


def content(html: str) -> dict[str, Any]:
    """The JSON that the script of the page draws."""
    (text,) = re.findall(r'<script type="application/json">(.*?)</script>', html)
    drawn: dict[str, Any] = json.loads(text)
    return drawn


def chart(**settings: Any) -> dict[str, Any]:
    return content(render_line_chart(LineChart(title="T", **settings)))


def test_points_are_written_at_their_values() -> None:
    drawn = chart(series={"a": [(0, 0.0), (5, 1 / 3), (10, 1.0)]}, y_range=(0.0, 1.0), x_label="step", y_label="share")
    assert drawn["series"] == [{"x": [0, 5, 10], "y": [0.0, 0.3333, 1.0]}]
    assert (drawn["x_range"], drawn["y_range"], drawn["log_y"]) == ([0, 10], [0.0, 1.0], False)
    assert (drawn["x_label"], drawn["y_label"]) == ("step", "share")


def test_a_logarithmic_axis_keeps_values_and_leaves_out_zeros() -> None:
    drawn = chart(series={"a": [(0, 0.01), (1, 0.1), (2, 1.0), (3, 0.0), (4, 10.0)]}, log_y=True)
    assert drawn["log_y"] and drawn["series"] == [{"x": [0, 1, 2, 4], "y": [0.01, 0.1, 1.0, 10.0]}]
    low, high = drawn["y_range"]  # four hundredths of the three decades beyond both ends
    assert low == pytest.approx(0.01 * 10**-0.12, rel=1e-3) and high == pytest.approx(10 * 10**0.12, rel=1e-3)


def test_points_that_cannot_be_drawn_are_left_out() -> None:
    drawn = chart(series={"a": [(0, 1.0), (1, None), (2, float("nan")), (3, float("inf")), (4, 2.0)]})
    assert drawn["series"] == [{"x": [0, 4], "y": [1.0, 2.0]}]
    for series in ({"a": [(0, None)]}, {}):
        html = render_line_chart(LineChart(series, "Title"))
        assert "Nothing was recorded" in html and "<script" not in html


def test_the_x_axis_starts_at_zero_by_default() -> None:
    series = {"a": [(50.0, 1.0), (100.0, 2.0)]}
    assert chart(series=series)["x_range"] == [0, 100]
    assert chart(series=series, x_from_zero=False)["x_range"] == [50, 100]


def test_a_long_series_is_thinned_and_smoothed() -> None:
    noisy = [(float(i), 1.0 + (i % 2) * 0.5) for i in range(5000)]
    html = render_line_chart(LineChart({"a": noisy}, "Title", smooth=True, y_range=(0.0, 2.0)))
    (line,) = content(html)["series"]
    assert len(line["x"]) <= MAX_POINTS and len(line["faint"]["x"]) <= MAX_POINTS
    assert all(abs(y - 1.25) < 0.01 for y in line["y"][5:-5])
    assert set(line["faint"]["y"]) == {1.0, 1.5}
    assert "running mean over 125 records" in html and "<b>1.254</b>" in html  # 31 x 1 and 32 x 1.5
    plain = render_line_chart(LineChart({"a": noisy}, "Title"))
    assert "faint" not in content(plain)["series"][0] and "running mean" not in plain


def test_one_spike_does_not_flatten_the_rest() -> None:
    points = [(float(i), 1.0 + (i % 2) * 0.1) for i in range(1000)]
    points[500] = (500.0, 1e6)
    drawn = chart(series={"a": points}, smooth=True)
    assert max(drawn["series"][0]["faint"]["y"]) == 1e6  # it is in the data
    assert drawn["y_range"][1] < 1e5  # and beyond the axis


def test_a_band_is_written_with_its_bounds() -> None:
    drawn = chart(series={"a": [(0, 5.0), (10, 5.0)]}, bands={"a": [(0, 4, 6), (10, 3, 8)]})
    assert drawn["series"][0]["band"] == {"x": [0, 10], "low": [4.0, 3.0], "high": [6.0, 8.0]}
    low, high = drawn["y_range"]
    assert low < 3 and high > 8


def test_a_constant_and_a_single_point_have_axes() -> None:
    for points in ([(0.0, 3.0), (9.0, 3.0)], [(7.0, 3.0)], [(0.0, 0.0)]):
        drawn = chart(series={"a": points})
        assert drawn["series"][0]["x"] == [x for x, _ in points]
        for low, high in (drawn["x_range"], drawn["y_range"]):
            assert low < high


def test_the_legend_has_a_button_for_each_line_and_dashes_beyond_the_colours() -> None:
    html = render_line_chart(LineChart({f"n{i}": [(0, float(i)), (1, 2.0 + i)] for i in range(10)}, "T"))
    buttons = re.findall(
        r'<button type="button" class="(s\d)" aria-pressed="true">.*?class="(line[^"]*)".*?</button>', html
    )
    assert buttons[0] == ("s0", "line") and buttons[7] == ("s7", "line")
    assert buttons[8:] == [("s0", "line dashed"), ("s1", "line dashed")]
    assert "n9 <b>11</b>" in html


def test_names_are_escaped() -> None:
    evil = "</script><b>&"
    html = render_line_chart(LineChart({evil: [(0, 1.0)]}, "<i>", x_label=evil, y_label="<y>", caption="<c>"))
    assert html.count("</script>") == 1 and "<b>&" not in html
    assert "&lt;/script&gt;&lt;b&gt;&amp;" in html and "&lt;i&gt;" in html and "&lt;c&gt;" in html
    assert content(html)["x_label"] == evil


def test_an_impossible_range_is_rejected() -> None:
    with pytest.raises(ValueError, match=r"'T': y_range .*\(0.0, 1.0\)"):
        render_line_chart(LineChart({"a": [(0, 1.0)]}, "T", log_y=True, y_range=(0.0, 1.0)))


def test_the_library_is_the_published_one_with_its_licence() -> None:
    """SHA-256 of dist/uPlot.iife.min.js in uplot-1.6.32.tgz from npm."""
    digest = hashlib.sha256((VENDOR / "uPlot.iife.min.js").read_bytes()).hexdigest()
    assert digest == "19c8d4c6ad88929a79f4ae49d6f7161566dfd0ba3d15cc495e974f787eb78f1f"
    style, script = chart_sources()
    assert f"uPlot {UPLOT}" in script and "The MIT License" in script and "Leon Sorokin" in script
    assert not re.search(r"https?:|</script|url\(", style + script)


def test_charts_in_a_browser(tmp_path: Path) -> None:
    """Zoom by dragging, values at the cursor in all charts of one axis, lines that a click hides; no error."""
    steps = range(0, 1001, 10)
    sections = [
        Section(
            "Training",
            [
                LineChart({"a": [(s, s / 100) for s in steps], "b": [(s, 5.0) for s in steps[::2]]}, "One"),
                LineChart({"c": [(s, 10.0 ** (s / 500)) for s in steps]}, "Two", log_y=True),
                LineChart({"d": [(1, 2.0), (2, 3.0)]}, "Three", x_label="frame", bands={"d": [(1, 1, 3), (2, 2, 4)]}),
            ],
        )
    ]
    page = write_report(tmp_path / "page.html", title="Charts", sections=sections)
    with headless_browser(tmp_path) as browser:
        browser.set_window_size(1200, 900)
        browser.get(page.as_uri())

        def scales() -> list[list[float]]:
            limits = "['x', 'y'].map(name => chart.plot.scales[name]).flatMap(scale => [scale.min, scale.max])"
            charts = "[...document.querySelectorAll('.line-chart')]"
            return list(browser.execute_script(f"return {charts}.map(chart => {limits})"))

        def legend(number: int) -> list[str]:
            figure = browser.find_elements("css selector", ".line-chart")[number]
            return [value.text for value in figure.find_elements("css selector", "button b")]

        whole = scales()
        assert whole[0] == [0, 1000, 0, pytest.approx(10.4)] and whole[1][3] == pytest.approx(100 * 10**0.08, rel=1e-3)
        assert legend(0) == ["10", "5"]
        areas = browser.find_elements("css selector", ".line-chart .u-over")
        width, height = areas[0].size["width"], areas[0].size["height"]
        actions = importlib.import_module("selenium.webdriver").ActionChains
        actions(browser).move_to_element_with_offset(areas[0], 0, 0).perform()  # the middle: step 500
        assert legend(0) == ["5", "5"] and legend(1) == ["10"]
        assert legend(2) == ["3"]  # another axis
        drag = actions(browser).move_to_element_with_offset(areas[0], -width // 4, -height // 4).click_and_hold()
        drag.move_by_offset(width // 8, height // 8).move_by_offset(width // 8, height // 8).release().perform()
        zoomed = scales()[0]
        assert zoomed[:2] == pytest.approx([250, 500], abs=12) and zoomed[2:] == pytest.approx([5.2, 7.8], abs=0.4)
        assert scales()[1:] == whole[1:]
        actions(browser).move_to_element(areas[0]).double_click().perform()
        assert scales() == whole
        button = browser.find_elements("css selector", ".line-chart button")[0]
        shown = "return document.querySelector('.line-chart').plot.series.slice(1).map(s => s.show)"
        assert browser.execute_script(shown) == [True, True]
        button.click()
        assert browser.execute_script(shown) == [False, True] and button.get_attribute("aria-pressed") == "false"
        assert not [url for url in requested(browser) if not url.startswith(("file:", "data:"))]
        assert not page_errors(browser)


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
