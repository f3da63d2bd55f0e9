"""Archives: read by name, never extracted, nothing trusted."""

import stat
import tarfile
import zipfile
from io import BytesIO
from pathlib import Path

import pytest
from clipfiles import write_tar

from vidgan.data import archives
from vidgan.data.archives import ARCHIVE_ERRORS, Archive, archive_stem, is_archive
from vidgan.data.names import DataError


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_members_of_a_tar_come_back_in_archive_order(tmp_path: Path, mode: str) -> None:
    path = write_tar(tmp_path / "x.tar", {"b/2": b"two", "./a/1": b"one", "c": b""}, mode)
    with Archive(path) as archive:
        assert [member.name for member in archive.members] == ["b/2", "a/1", "c"]
        assert list(archive.stream(["a/1", "b/2"])) == [("b/2", b"two"), ("a/1", b"one")]
        assert archive.refused == []


def test_members_of_a_zip(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("a/1", b"one")
        file.mkdir("empty")
    with Archive(path) as archive:
        assert [member.name for member in archive.members] == ["a/1"]
        assert dict(archive.stream(["a/1"])) == {"a/1": b"one"}


@pytest.mark.parametrize("name", ["../up.png", "a/../../up.png", "/etc/abs.png", "C:/abs.png", "..\\up.png"])
def test_climbing_and_absolute_names_are_refused_and_nothing_is_written(tmp_path: Path, name: str) -> None:
    (tmp_path / "in").mkdir()
    tar = write_tar(tmp_path / "in" / "x.tar", {name: b"evil", "good": b"fine"}, "w")
    with zipfile.ZipFile(tmp_path / "in" / "x.zip", "w") as file:
        file.writestr(zipfile.ZipInfo(name), b"evil")
        file.writestr("good", b"fine")
    before = sorted(tmp_path.rglob("*"))
    for path in (tar, tmp_path / "in" / "x.zip"):
        with Archive(path) as archive:
            assert [refused.reason for refused in archive.refused] == ["unsafe-member"]
            assert dict(archive.stream(["good"])) == {"good": b"fine"}
    assert sorted(tmp_path.rglob("*")) == before


def test_links_devices_and_doubles_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.tar"
    with tarfile.open(path, "w") as file:
        for name, kind in [("soft", tarfile.SYMTYPE), ("hard", tarfile.LNKTYPE), ("pipe", tarfile.FIFOTYPE)]:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            file.addfile(info)
        for text in (b"first", b"second"):
            info = tarfile.TarInfo("double")
            info.size = len(text)
            file.addfile(info, BytesIO(text))
    with Archive(path) as archive:
        assert [(refused.name, refused.detail) for refused in archive.refused] == [
            ("soft", "a link"),
            ("hard", "a link"),
            ("pipe", "not a regular file"),
            ("double", "the archive holds two members of this name"),
        ]
        assert dict(archive.stream(["double"])) == {"double": b"first"}


def test_links_in_a_zip_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as file:
        link = zipfile.ZipInfo("soft")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        file.writestr(link, "/etc/passwd")
    with Archive(path) as archive:
        assert archive.members == []
        assert archive.refused[0].detail == "a link"


def test_large_members_are_refused_by_what_they_say_and_by_what_they_hold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_tar(tmp_path / "x.tar", {"big": b"12345", "small": b"123"})
    with monkeypatch.context() as patch:
        patch.setattr(archives, "MAX_MEMBER", 4)
        with Archive(path) as archive:
            assert [(refused.name, refused.reason) for refused in archive.refused] == [("big", "too-large")]
    with Archive(path) as archive:
        monkeypatch.setattr(archives, "MAX_MEMBER", 4)
        with pytest.raises(DataError, match="larger than it says"):
            dict(archive.stream(["big"]))


@pytest.mark.parametrize("name", ["x.tar.gz", "x.zip", "x.tar"])
def test_damaged_archives_raise_what_is_caught(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"\x1f\x8b no archive at all")
    with pytest.raises(ARCHIVE_ERRORS):
        Archive(path)


def test_names_of_archives() -> None:
    assert is_archive("a/Walk.TAR.GZ") and is_archive("w.zip") and not is_archive("digits.gz")
    assert archive_stem("walk.tar.gz") == "walk"
    assert archive_stem("v1.2") == "v1.2"
