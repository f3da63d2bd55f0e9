"""Bars: lengths in proportion, the interval, the line of the reference, names escaped."""

import re

import pytest

from vidgan.report import BarChart, Section, render_page
from vidgan.report.bars import LEFT, RIGHT, WIDTH, render_bars


def bars(page: str) -> list[tuple[str, float, float]]:
    """(colour class, left end, width) of each bar."""
    found = re.findall(r'<rect class="bar (\w+)" x="([\d.]+)" y="[\d.]+" width="([\d.]+)"', page)
    return [(kind, float(left), float(width)) for kind, left, width in found]


def test_lengths_are_in_proportion_and_colours_tell_the_roles() -> None:
    chart = BarChart(
        {"generated": (20.0, 15.0, 40.0), "real": (10.0, None, None), "frozen": (30.0, None, None)},
        "Distance",
        subject="generated",
        reference="real",
    )
    found = bars(render_bars(chart))
    assert [kind for kind, *_ in found] == ["s0", "s2", "s7"]
    room = WIDTH - LEFT - RIGHT  # for 0 to 40, the upper bound
    assert [width for *_, width in found] == pytest.approx([room / 2, room / 4, room * 3 / 4], abs=0.1)
    assert {left for _, left, _ in found} == {float(LEFT)}
    page = render_bars(chart)
    low, high = LEFT + room * 15 / 40, LEFT + room
    assert f'class="whisker" d="M{low:.1f}' in page and f"H{high:.1f}" in page
    assert page.count('class="whisker"') == 1
    assert f'<line class="line s2 dashed" x1="{LEFT + room / 4:.1f}"' in page


def test_values_below_zero_go_to_the_left() -> None:
    (_, left, width), (_, start, _) = bars(
        render_bars(BarChart({"a": (-1.0, None, None), "b": (3.0, None, None)}, "x"))
    )
    assert left == LEFT and width == pytest.approx((WIDTH - LEFT - RIGHT) / 4, abs=0.1)
    assert start == pytest.approx(left + width, abs=0.1)


def test_nothing_and_zeros_do_not_break_it() -> None:
    assert "Nothing was measured" in render_bars(BarChart({}, "x"))
    assert bars(render_bars(BarChart({"a": (0.0, None, None)}, "x"))) == [("s7", float(LEFT), 1.0)]


def test_names_are_escaped_and_long_ones_cut() -> None:
    evil = "<script>alert(1)</script> and so on"
    page = render_page(title="x", sections=[Section("y", [BarChart({evil: (1.0, None, None)}, evil, caption=evil)])])
    assert "<script>" not in page and "&lt;script&gt;alert(1)&lt;/scr…" in page
