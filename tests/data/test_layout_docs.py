"""docs/data.md names every layout and column, and only options that exist."""

import re
from pathlib import Path

from vidgan.data.layouts.benchmarks import BENCHMARKS
from vidgan.data.layouts.discovery import check_layout
from vidgan.data.sources.manifest import COLUMNS

TEXT = (Path(__file__).parents[2] / "docs" / "data.md").read_text()


def test_every_layout_has_a_row_and_its_options_are_real() -> None:
    rows = {match[1]: match[2] for match in re.finditer(r"^\| `([a-z0-9-]+)` \|(.*)$", TEXT, re.MULTILINE)}
    assert BENCHMARKS.keys() <= rows.keys()
    for name, layout in BENCHMARKS.items():
        named = re.findall(r"`((?:[a-z_]+=[^`,=]+,?)+)`", rows[name])
        for option in named:
            layout.parse_options(option)
        words = " ".join(re.findall(r"`([^`]*)`", rows[name]))
        assert all(re.search(rf"\b{option}\b", words) for option in layout.options), name


def test_commands_name_layouts_that_exist_and_the_manifest_its_columns() -> None:
    layouts = re.findall(r"--layout ([a-z0-9:=_,-]+)", TEXT)
    assert len(layouts) > 10
    for layout in layouts:
        check_layout(layout)
    assert all(f"`{column}`" in TEXT for column in COLUMNS)
