"""Archives: read by name, never extracted; headers are untrusted."""

import stat
import tarfile
import zipfile
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from clipfiles import noise, png_bytes_of, write_tar

from vidgan.data.sources import archives
from vidgan.data.sources.archives import ARCHIVE_ERRORS, Archive, archive_stem, is_archive
from vidgan.data.sources.blobs import on_disk, source_blobs
from vidgan.data.sources.source import Source
from vidgan.data.unprepared import read_one
from vidgan.errors import DataError, SourceError


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_members_of_a_tar_are_read_in_archive_order(tmp_path: Path, mode: str) -> None:
    path = write_tar(tmp_path / "x.tar", {"b/2": b"two", "./a/1": b"one", "c": b""}, mode)
    with Archive(path) as archive:
        assert [member.name for member in archive.members] == ["b/2", "a/1", "c"]
        assert list(archive.stream(["a/1", "b/2"])) == [("b/2", b"two"), ("a/1", b"one")]
        assert archive.refused == []
        assert archive.random_access == (mode == "w")


def test_members_of_a_zip(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("a/1", b"one")
        file.mkdir("empty")
    with Archive(path) as archive:
        assert [member.name for member in archive.members] == ["a/1"]
        assert dict(archive.stream(["a/1"])) == {"a/1": b"one"}


@pytest.mark.parametrize("name", ["../up.png", "a/../../up.png", "/etc/abs.png", "C:/abs.png", "..\\up.png"])
def test_parent_and_absolute_names_are_refused_and_nothing_is_written(tmp_path: Path, name: str) -> None:
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


def test_links_devices_and_duplicates_are_refused(tmp_path: Path) -> None:
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
            ("soft", "link"),
            ("hard", "link"),
            ("pipe", "not a regular file"),
            ("double", "two members of the archive have this name"),
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
        assert archive.refused[0].detail == "link"


def test_large_members_are_refused_by_header_and_by_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_tar(tmp_path / "x.tar", {"big": b"12345", "small": b"123"})
    with monkeypatch.context() as patch:
        patch.setattr(archives, "MAX_MEMBER", 4)
        with Archive(path) as archive:
            assert [(refused.name, refused.reason) for refused in archive.refused] == [("big", "too-large")]
    with Archive(path) as archive:
        monkeypatch.setattr(archives, "MAX_MEMBER", 4)
        with pytest.raises(DataError, match="x.tar: member big"):
            dict(archive.stream(["big"]))


@pytest.mark.parametrize("name", ["x.tar.gz", "x.zip", "x.tar"])
def test_damaged_archives_raise_archive_errors(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"\x1f\x8b no archive at all")
    with pytest.raises(ARCHIVE_ERRORS):
        Archive(path)


def test_names_of_archives() -> None:
    assert is_archive("a/Walk.TAR.GZ") and is_archive("w.zip") and not is_archive("digits.gz")
    assert archive_stem("walk.tar.gz") == "walk"
    assert archive_stem("v1.2") == "v1.2"


def test_members_of_a_source_are_read_on_access(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "x.tar", {f"f/{i}": bytes([i]) for i in range(5)}, "w")
    contents = source_blobs(tmp_path, Source("x.tar/f", "frames", ("f/3", "f/1", "f/4"), archive="x.tar"))
    assert len(contents) == 3 and contents[1] == b"\x01" and list(contents[1:]) == [b"\x01", b"\x04"]
    write_tar(path, {"f/3": b"new", "other": b""}, "w")  # the archive changes between two frames
    assert contents[0] == b"new"
    with pytest.raises(SourceError, match="unreadable-member: f/1 "):
        contents[1]
    path.unlink()
    with pytest.raises(SourceError, match="unreadable-member: f/3: FileNotFoundError"):
        contents[0]
    assert source_blobs(tmp_path, Source("a", "video", ("a/b.mp4",))) == [tmp_path / "a" / "b.mp4"]


def test_single_clips_are_read_from_archives_and_manifests(tmp_path: Path) -> None:
    write_tar(tmp_path / "x.tar", {f"walk/{i}.png": png_bytes_of(frame) for i, frame in enumerate(noise(0, 11))}, "w")
    np.testing.assert_array_equal(read_one(tmp_path / "x.tar").frames, noise(0, 11))
    np.save(tmp_path / "a.npy", noise(1, 9))
    (tmp_path / "c.csv").write_text("path,start,end\na.npy,2,6\n")
    np.testing.assert_array_equal(read_one(tmp_path / "c.csv").frames, noise(1, 9)[2:6])
    with pytest.raises(DataError, match="2 clips"):
        read_one(tmp_path)


def test_a_member_on_disk_is_removed_afterwards(tmp_path: Path) -> None:
    with on_disk(b"content", ".avi") as path:
        assert path.read_bytes() == b"content" and path.suffix == ".avi"
    assert not path.parent.exists()
    (tmp_path / "x").write_bytes(b"own")
    with on_disk(tmp_path / "x", ".avi") as path:
        assert path == tmp_path / "x"
    assert (tmp_path / "x").read_bytes() == b"own"
