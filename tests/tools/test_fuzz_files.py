"""Hostile values in every field of every file of a prepared data set are refused by name, or read."""

from pathlib import Path

import pytest

TOOLS = Path(__file__).resolve().parents[2] / "tools"


@pytest.fixture(autouse=True)
def tools_on_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(TOOLS))


def test_seven_hundred_hostile_files(capsys: pytest.CaptureFixture[str]) -> None:
    from fuzz_files import KINDS, main

    code = main(["--count", "700"])
    printed = capsys.readouterr()
    assert code == 0, printed.err
    for name in KINDS:
        assert any(line.startswith(f"{name}:") and "refused" in line for line in printed.out.splitlines()), name


def test_cases_are_repeatable_and_cover_every_field(tmp_path: Path) -> None:
    import numpy as np
    from fuzz_files import Fuzzer

    fuzzer = Fuzzer("index.json", tmp_path)
    fields = {place[-1] for place in fuzzer.places if place}
    assert {"size", "fps", "categories", "clips", "frames", "file", "settings", "store"} <= fields
    texts = [fuzzer.text_of(case, np.random.default_rng(1)) for case in (5, len(fuzzer) + 3)]
    assert texts == [fuzzer.text_of(case, np.random.default_rng(1)) for case in (5, len(fuzzer) + 3)]


def test_faults_are_reported(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    import fuzz_files

    def crash(folder: Path) -> None:
        if "null" in (folder / "list.jsonl").read_text():
            raise KeyError("index")

    kind = fuzz_files.KINDS["list.jsonl"]._replace(read=lambda folder: None)
    monkeypatch.setitem(fuzz_files.KINDS, "list.jsonl", kind)
    assert fuzz_files.main(["--kind", "list.jsonl", "--count", "20"]) == 0
    monkeypatch.setitem(fuzz_files.KINDS, "list.jsonl", kind._replace(read=_once_fine(crash)))
    assert fuzz_files.main(["--kind", "list.jsonl", "--count", "20"]) == 1
    assert "KeyError" in capsys.readouterr().err


def _once_fine(read):  # type: ignore[no-untyped-def]
    """`read`, except that the first call does nothing: the unchanged file is read once."""
    calls = []

    def wrapped(folder: Path) -> None:
        calls.append(folder)
        if len(calls) > 1:
            read(folder)

    return wrapped
