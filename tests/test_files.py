"""Names, atomic files and replaced folders."""

import os
import re
from pathlib import Path

import pytest

from vidgan.errors import JsonError, UserError
from vidgan.files import (
    atomic_file,
    atomic_path,
    check_overwrite,
    escape_controls,
    read_json,
    replace_folder,
    write_json,
    write_text,
)


def test_a_file_appears_when_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    with atomic_file(path) as file:
        file.write(b"new")
        assert not path.exists()
    assert path.read_bytes() == b"new"
    with atomic_path(path) as temporary:
        temporary.write_bytes(b"newer")
        assert path.read_bytes() == b"new"
    assert path.read_bytes() == b"newer"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_write_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError), atomic_file(path) as file:
        file.write(b"half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_parent_folders_of_text_files_are_created(tmp_path: Path) -> None:
    write_text(tmp_path / "new" / "a.txt", "ä")
    assert (tmp_path / "new" / "a.txt").read_bytes() == "ä".encode()
    write_json(tmp_path / "b.json", {"ä": 1})
    assert (tmp_path / "b.json").read_bytes() == b'{\n "\\u00e4": 1\n}\n'


def test_a_folder_is_replaced(tmp_path: Path) -> None:
    target, finished = tmp_path / "out", tmp_path / ".out.new"
    for text in ("first", "second"):
        write_text(finished / "a.txt", text)
        replace_folder(finished, target)
        assert (target / "a.txt").read_text() == text
        assert list(tmp_path.iterdir()) == [target]


def test_only_results_of_the_same_command_may_be_overwritten(tmp_path: Path) -> None:
    out = tmp_path / "out"
    check_overwrite(out, overwrite=False)
    out.mkdir()
    check_overwrite(out, overwrite=False)  # empty
    (out / "mine.txt").write_text("x")
    for overwrite, marker in ((False, "mine.txt"), (True, None), (True, "other.txt")):
        with pytest.raises(FileExistsError, match=str(out)):
            check_overwrite(out, overwrite=overwrite, marker=marker)
    check_overwrite(out, overwrite=True, marker="mine.txt")
    check_overwrite(out / "mine.txt", overwrite=True)
    with pytest.raises(FileExistsError):
        check_overwrite(out / "mine.txt", overwrite=False)


def test_read_json_names_the_file_and_limits_size_and_depth(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('{"a": [1, 2.5, null]}')
    assert read_json(path) == {"a": [1, 2.5, None]}
    hostile = {
        "deep": "[" * 100_000,
        "nested": "[" * 200 + "]" * 200,
        "objects": '{"a":' * 5000 + "1" + "}" * 5000,
        "syntax": '{"a": }',
        "empty": "",
        "digits": "1" * 10_000,
    }
    for text in hostile.values():
        path.write_text(text)
        with pytest.raises(JsonError, match=re.escape(str(path))):
            read_json(path)
    path.write_bytes(b'"\xff"')
    with pytest.raises(JsonError, match=re.escape(str(path))):
        read_json(path)
    path.write_text("[" + "1," * 100 + "1]")
    with pytest.raises(UserError, match="100"):
        read_json(path, max_bytes=100)


def test_read_json_does_not_wait_for_pipes_and_devices(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zero").symlink_to("/dev/zero")
    for name in ("pipe", "zero"):
        with pytest.raises(UserError, match=name):
            read_json(tmp_path / name)
    with pytest.raises(OSError, match="folder"):
        read_json(tmp_path / "folder")


def test_escape_controls() -> None:
    assert escape_controls("Übung 1.mp4 😀") == "Übung 1.mp4 😀"
    assert escape_controls("a\x1b[2Jb\n\x9b\x7f\u202e\udcff") == r"a\x1b[2Jb\x0a\x9b\x7f\u202e\xff"
    assert escape_controls("a\nb\r", keep="\n") == "a\nb\\x0d"
