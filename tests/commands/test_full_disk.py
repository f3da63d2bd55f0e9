"""A full disk while a result is written: path and bytes are named, the exit code is 1, and nothing is left behind."""

import errno
import os
from pathlib import Path
from typing import Any

import pytest
from helpers import run_vidgan

from vidgan.commands import clip_files as command
from vidgan.files import write_json, write_text


def test_generate_names_the_folder_and_the_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def full(path: Path, *_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(command, "write_gif", full)
    out = tmp_path / "clips"
    code, _, err = run_vidgan(
        capfd, monkeypatch, "generate", "--pretrained", "mocogan/shapes", "--clips", 1, "--frames", 2, "--out", out
    )
    assert code == 1 and str(out) in err and "bytes" in err
    assert not list(tmp_path.iterdir())


def test_a_result_file_names_itself_and_its_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def full(self: Path, target: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "replace", full)
    for write, value in ((write_text, "x" * 1000), (write_json, "x" * 997)):
        with pytest.raises(OSError, match=r"1,000 bytes.*scores\.json"):
            write(tmp_path / "scores.json", value)  # type: ignore[operator]
    assert not list(tmp_path.iterdir())
    code, _, err = run_vidgan(capfd, monkeypatch, "config", "copy", "mocogan/demo", tmp_path / "c.yaml")
    assert code == 1 and "c.yaml" in err and "bytes" in err
