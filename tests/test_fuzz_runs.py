"""Hostile values in every field of every file of a run are accepted or refused with one clear error."""

from pathlib import Path

import pytest

TOOLS = Path(__file__).resolve().parents[1] / "tools"


def test_hostile_values_in_every_kind_of_file(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(TOOLS))
    from fuzz_runs import main

    code = main(["--count", "1300"])
    printed = capsys.readouterr()
    assert code == 0, printed.err
    assert " 0 faults" in printed.out
