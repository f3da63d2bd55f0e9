"""The journal: no record is lost or repeated, however the run ended."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from vidgan.training.journal import Journal, drop_volatile, read_journal, read_records


def test_records_come_back_in_order(tmp_path: Path) -> None:
    path = tmp_path / "run" / "journal.jsonl"
    records: list[dict[str, Any]] = [
        {"step": 1, "loss/g/adversarial": 0.1 + 0.2, "name": "ü"},
        {"step": 1, "ok": True},
        {"step": 3, "x": [1]},
    ]
    with Journal(path) as journal:
        for record in records:
            journal.append(record)
            assert read_records(path)[-1] == record  # written immediately, not at the end
    assert read_records(path) == records
    assert len(path.read_text().splitlines()) == 3


def test_opening_again_appends(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    for step in (1, 2):
        with Journal(path) as journal:
            journal.append({"step": step})
    assert [record["step"] for record in read_records(path)] == [1, 2]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, [1.0, math.nan], object()])
def test_value_that_is_not_finite_json_is_refused_by_key(tmp_path: Path, value: object) -> None:
    with Journal(tmp_path / "journal.jsonl") as journal:
        with pytest.raises(ValueError, match="loss/frame/real"):
            journal.append({"step": 1, "loss/frame/real": value})
        journal.append({"step": 1, "loss/frame/real": 2.0})
    assert read_journal(tmp_path) == [{"step": 1, "loss/frame/real": 2.0}]


def test_step_is_required_and_never_decreases(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal.jsonl") as journal:
        with pytest.raises(ValueError, match="None"):
            journal.append({"loss": 1.0})
        journal.append({"step": 5})
        with pytest.raises(ValueError, match="step 4 .*step 5"):
            journal.append({"step": 4})
    with Journal(tmp_path / "journal.jsonl") as journal, pytest.raises(ValueError, match="step 4 .*step 5"):
        journal.append({"step": 4})


@pytest.mark.parametrize("partial", [b'{"step": 3, "loss": 0.', b'{"step"', b"\x00\x00\x00"])
def test_incomplete_last_line_is_ignored_and_removed(
    tmp_path: Path, partial: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "journal.jsonl"
    complete = b'{"step": 1}\n{"step": 2}\n'
    path.write_bytes(complete + partial)
    assert read_records(path) == [{"step": 1}, {"step": 2}]
    with Journal(path) as journal:
        assert path.read_bytes() == complete
        assert str(path) in caplog.text and f"{len(partial)} bytes" in caplog.text
        journal.append({"step": 3})
    assert read_records(path) == [{"step": 1}, {"step": 2}, {"step": 3}]


def test_complete_record_without_line_break_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_bytes(b'{"step": 1}\n{"step": 2}')
    assert read_records(path) == [{"step": 1}, {"step": 2}]
    with Journal(path) as journal:
        journal.append({"step": 3})
    assert path.read_bytes() == b'{"step": 1}\n{"step": 2}\n{"step": 3}\n'


@pytest.mark.parametrize("line", [b"nonsense\n", b'{"loss": 1}\n', b"[1]\n"])
def test_invalid_line_elsewhere_is_named_or_skipped(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_bytes(b'{"step": 1}\n' + line + b'{"step": 3}\n')
    with pytest.raises(ValueError, match=r"journal\.jsonl, line 2"):
        read_records(path)
    assert read_records(path, skip_invalid=True) == [{"step": 1}, {"step": 3}]


def test_missing_journal_has_no_records(tmp_path: Path) -> None:
    assert read_journal(tmp_path) == []


def test_volatile_keys_are_dropped() -> None:
    record = {"step": 1, "seconds": 0.1, "memory/ram_gb": 1.0, "data_wait_share": 0.0, "loss/g/adversarial": 2.0}
    assert drop_volatile([record]) == [{"step": 1, "loss/g/adversarial": 2.0}]


def test_truncation_to_the_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    with Journal(path) as journal:
        for step in range(1, 8):
            journal.append({"step": step, "loss": 1 / step})
            if step % 2 == 0:
                journal.append({"step": step, "diversity/fake": 0.5})
        expected = read_records(path)
        journal.truncate_after(99)
        assert read_records(path) == expected
        journal.truncate_after(4)
        assert read_records(path) == expected[:6]
        journal.append({"step": 5, "loss": 0.2})
        assert read_records(path)[-1] == {"step": 5, "loss": 0.2}
        journal.truncate_after(0)
        assert read_records(path) == []
        journal.append({"step": 1})
    assert read_records(path) == [{"step": 1}]


def test_partial_write_leaves_no_partial_line(tmp_path: Path) -> None:
    """A file size limit simulates a full disk: the second record does not fit, a shorter one does."""
    path = tmp_path / "journal.jsonl"
    script = f"""
import resource, signal
from pathlib import Path
from vidgan.training.journal import Journal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (300, 300))
journal = Journal(Path({str(path)!r}))
journal.append({{"step": 1, "text": "x" * 100}})
try:
    journal.append({{"step": 2, "text": "y" * 400}})
except OSError:
    journal.append({{"step": 2, "text": "z"}})
"""
    root = str(Path(__file__).resolve().parents[2])
    subprocess.run([sys.executable, "-c", script], check=True, env={**os.environ, "PYTHONPATH": root})
    assert [json.loads(line)["text"] for line in path.read_text().splitlines()] == ["x" * 100, "z"]
