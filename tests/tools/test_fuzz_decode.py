"""Damaged files never crash or block the reader, or give invalid results."""

from pathlib import Path

import numpy as np
import pytest

TOOLS = Path(__file__).resolve().parents[2] / "tools"


@pytest.fixture(autouse=True)
def tools_on_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(TOOLS))


def test_three_hundred_damaged_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from fuzz_decode import main

    code = main(["--count", "300", "--keep", str(tmp_path / "kept")])
    printed = capsys.readouterr()
    assert code == 0, printed
    assert "300 files" in printed.out and "0 faults" in printed.out
    counts = {line.split()[1]: int(line.split()[0]) for line in printed.out.splitlines()[:-1]}
    assert sum(counts.values()) == 300
    assert counts["read"] > 30  # some damage is harmless
    assert len(counts) >= 5  # the rest has several reasons
    assert not (tmp_path / "kept").exists()


def test_damage_is_repeatable() -> None:
    from fuzz_decode import damage

    data, donor = np.random.default_rng(0).bytes(2000), bytes(500)
    damaged = [damage(data, donor, np.random.default_rng([1, case])) for case in range(50)]
    assert damaged == [damage(data, donor, np.random.default_rng([1, case])) for case in range(50)]
    assert len(set(damaged)) > 45
    assert any(len(one) < len(data) for one in damaged) and any(len(one) > len(data) for one in damaged)


def test_faults_are_kept_and_fail_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import fuzz_decode

    outcomes = iter(["read", "timed-out", "unclassified: KeyError: 'x'"])

    def faulty(function: object, jobs: object, **_: object) -> object:
        return ((case, next(outcomes)) for case in jobs)  # type: ignore[attr-defined]

    monkeypatch.setattr(fuzz_decode, "run_jobs", faulty)
    assert fuzz_decode.main(["--count", "3", "--seed", "7", "--keep", str(tmp_path)]) == 1
    assert {path.stem for path in tmp_path.iterdir()} == {"seed7_case1", "seed7_case2"}
    assert "2 faults" in capsys.readouterr().out
