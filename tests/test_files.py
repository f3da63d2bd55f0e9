"""Names, atomic files and replaced folders."""

from pathlib import Path

import pytest

from vidgan.files import atomic_file, atomic_path, check_overwrite, replace_folder, write_json, write_text


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
