"""Statistics of the benchmarks, fresh processes, and fitted exponents."""

import json
from pathlib import Path

import benching
import pytest


def test_spread_and_ratios() -> None:
    assert benching.spread([3.0, 1.0, 8.0]) == {"median": 3.0, "low": 1.0, "high": 8.0}
    # Per round: 4/2, 9/3 and 8/8, not 8/3.
    assert benching.ratios([4.0, 9.0, 8.0], [2.0, 3.0, 8.0]) == {"median": 2.0, "low": 1.0, "high": 3.0}
    assert benching.format_spread(benching.spread([1.0, 2.0]), 1) == "1.5 (1.0-2.0)"


def test_first_call_is_not_timed() -> None:
    calls: list[int] = []
    assert len(benching.seconds(lambda: calls.append(1), 3)) == 3
    assert len(calls) == 4


def test_fitted_exponents() -> None:
    assert benching.exponent([1, 2, 4, 8], [5, 20, 80, 320]) == pytest.approx(2.0)
    assert benching.exponent([10, 100], [7, 7]) == pytest.approx(0.0)


def test_columns_are_aligned() -> None:
    assert benching.table(["", "s"], [["a", 1.5], ["long", "12.25"]]) == "          s\na       1.5\nlong  12.25"


def test_allocator_settings_of_a_fresh_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import json, os, sys\nprint('noise')\n"
        "print(json.dumps({'trim': os.environ.get('MALLOC_TRIM_THRESHOLD_'), 'arguments': sys.argv[1:]}))\n"
    )
    monkeypatch.setattr(benching, "__file__", str(tmp_path / "benching.py"))
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "1")
    assert benching.in_fresh_process("script.py", ["x"], {}) == {"trim": None, "arguments": ["x"]}
    result = benching.in_fresh_process("script.py", [], benching.KEEP_BLOCKS)
    assert result["trim"] == str((1 << 31) - 1)
    script.write_text("raise SystemExit('the reason')")
    with pytest.raises(RuntimeError, match="the reason"):
        benching.in_fresh_process("script.py", [], {})


def test_json_is_written_only_to_a_path(tmp_path: Path) -> None:
    benching.save(None, {"a": 1})
    benching.save(tmp_path / "a.json", {"a": 1})
    assert json.loads((tmp_path / "a.json").read_text()) == {"a": 1}
