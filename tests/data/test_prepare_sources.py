"""`prepare`: every kind of source yields its frames, and unusable files are refused by name."""

import json
import os
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from clipfiles import (
    grey_ramp,
    noise,
    npy_bytes,
    png_bytes_of,
    stored,
    strip_of,
    write_frames,
    write_strip,
    write_tar,
)

from vidgan.data.preparing.prepare import prepare
from vidgan.errors import DataError
from vidgan.video.encode import write_gif, write_mp4

SIZE = (16, 16)


def test_strips_of_both_orientations_named_jpg_with_alpha(tmp_path: Path) -> None:
    source = tmp_path / "in"
    wide, tall = noise(0), noise(1)
    write_strip(source / "wide.jpg", wide, alpha=255)
    write_strip(source / "tall.png", tall, tall=True)
    prepared = prepare(source, tmp_path / "out", size=SIZE)
    np.testing.assert_array_equal(stored(prepared, "wide.jpg"), wide)
    np.testing.assert_array_equal(stored(prepared, "tall.png"), tall)
    assert [clip.fps for clip in prepared.index.clips] == [None, None]


def test_strips_of_frames_that_are_not_square(tmp_path: Path) -> None:
    clip = noise(0, 3, 8, 10)
    write_strip(tmp_path / "in" / "a.png", clip)
    prepared = prepare(tmp_path / "in", tmp_path / "out", size=(8, 10), strip_frame=(8, 10))
    np.testing.assert_array_equal(stored(prepared, "a.png"), clip)


def test_a_folder_of_frames_is_one_clip_in_natural_order(tmp_path: Path) -> None:
    clip = noise(0, 12)
    write_frames(tmp_path / "in" / "drive", clip)
    prepared = prepare(tmp_path / "in", tmp_path / "out", size=SIZE)
    np.testing.assert_array_equal(stored(prepared, "drive"), clip)
    alone = prepare(tmp_path / "in" / "drive", tmp_path / "alone", size=SIZE)
    np.testing.assert_array_equal(stored(alone, "."), clip)


def test_layout_determines_the_meaning_of_images(tmp_path: Path) -> None:
    panoramas = [strip_of(noise(i, 5)) for i in range(3)]
    write_frames(tmp_path / "in", np.stack(panoramas))
    strips = prepare(tmp_path / "in", tmp_path / "strips", size=SIZE)
    assert [clip.frames for clip in strips.index.clips] == [5, 5, 5]
    frames = prepare(tmp_path / "in", tmp_path / "frames", size=SIZE, layout="frames")
    assert [clip.frames for clip in frames.index.clips] == [3]


def test_arrays_of_one_and_of_many_clips_grey_and_colour(tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.mkdir()
    np.save(source / "one.npy", noise(0))
    np.save(source / "many.npy", np.stack([noise(1), noise(2)]))
    np.save(source / "grey.npy", np.asfortranarray(noise(3)[..., :1]))
    np.savez(source / "single.npz", noise(4))
    np.savez_compressed(source / "named.npz", left=noise(5), right=np.stack([noise(6), noise(7)]))
    prepared = prepare(source, tmp_path / "out", size=SIZE, holdout=0)
    found = {clip.source: stored(prepared, clip.source) for clip in prepared.index.clips}
    expected = {
        "grey.npy": np.repeat(noise(3)[..., :1], 3, axis=-1),
        "many.npy#0": noise(1),
        "many.npy#1": noise(2),
        "named.npz#left": noise(5),
        "named.npz#right#0": noise(6),
        "named.npz#right#1": noise(7),
        "one.npy": noise(0),
        "single.npz": noise(4),
    }
    assert list(found) == list(expected)  # natural order
    for name, clip in expected.items():
        np.testing.assert_array_equal(found[name], clip, err_msg=name)
    assert all(clip.group == clip.source for clip in prepared.index.clips)


def test_videos_are_resized_and_resampled_in_time(tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.mkdir()
    write_mp4(source / "a.mp4", grey_ramp(12, 32, 48), fps=10)
    write_gif(source / "b.gif", grey_ramp(6), fps=10)
    prepared = prepare(source, tmp_path / "out", size=SIZE)
    ramp = stored(prepared, "a.mp4")
    assert ramp.shape == (12, 16, 16, 3)
    assert np.abs(ramp.astype(int) - grey_ramp(12, 16, 16)).max() <= 4
    assert np.abs(stored(prepared, "b.gif").astype(int) - grey_ramp(6, 16, 16)).max() <= 4
    assert [clip.fps for clip in prepared.index.clips] == pytest.approx([10, 10])
    halved = prepare(source, tmp_path / "halved", size=SIZE, fps=5)
    assert np.abs(stored(halved, "a.mp4").astype(int) - grey_ramp(12, 16, 16)[::2]).max() <= 4
    assert halved.index.fps == 5 and halved.index.clips[0].fps == 5


@pytest.mark.parametrize("kind", ["tar.gz", "zip"])
def test_archives_of_strips_frames_and_arrays(tmp_path: Path, kind: str) -> None:
    members = {f"set/walk/f{t}.png": png_bytes_of(frame) for t, frame in enumerate(noise(0, 11))}
    members |= {"set/strips/s.png": png_bytes_of(strip_of(noise(1))), "set/x.npy": npy_bytes(noise(2))}
    members |= {"set/readme.txt": b"hello", "set/.hidden.png": b"", "set/v.mp4": b"video", "set/in.zip": b""}
    path = tmp_path / "in" / f"all.{kind}"
    path.parent.mkdir()
    if kind == "zip":
        with zipfile.ZipFile(path, "w") as file:
            for name, data in members.items():
                file.writestr(name, data)
    else:
        write_tar(path, members)
    for source in (path.parent, path):  # the folder of the archive, or the archive itself
        prepared = prepare(source, tmp_path / f"out-{source.name}", size=SIZE)
        np.testing.assert_array_equal(stored(prepared, f"all.{kind}/set/walk"), noise(0, 11))
        np.testing.assert_array_equal(stored(prepared, f"all.{kind}/set/strips/s.png"), noise(1))
        np.testing.assert_array_equal(stored(prepared, f"all.{kind}/set/x.npy"), noise(2))
        assert prepared.index.quarantined == {"nested-archive": 1, "not-a-video": 1}
        assert prepared.index.ignored == 2
    assert sorted(tmp_path.rglob("*.txt")) == []


def test_a_member_outside_the_archive_is_quarantined_and_not_written(tmp_path: Path) -> None:
    source = tmp_path / "deep" / "in"
    source.mkdir(parents=True)
    write_tar(source / "x.tar", {"../../evil.png": b"evil", "ok.npy": npy_bytes(noise(0))}, "w")
    prepared = prepare(source, tmp_path / "out", size=SIZE)
    assert [clip.source for clip in prepared.index.clips] == ["x.tar/ok.npy"]
    assert [(r.source, r.reason) for r in prepared.quarantined] == [("x.tar/../../evil.png", "unsafe-member")]
    assert list(tmp_path.rglob("evil*")) == []


def test_a_mixture_in_subfolders_with_unrelated_and_hidden_files(tmp_path: Path) -> None:
    source = tmp_path / "in"
    write_frames(source / "a" / "b" / "seq", noise(0))
    write_strip(source / "a" / "s.png", noise(1))
    np.save(source / "a" / "b" / "x.npy", noise(2))
    write_mp4(source / "v.mkv.mp4", grey_ramp(4))
    for name in ("README", "notes.txt", "a/labels.csv", ".DS_Store", "a/b/seq/._frame0.png", "__MACOSX/y.npy"):
        path = source / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x")
    prepared = prepare(source, tmp_path / "out", size=SIZE)
    assert [clip.source for clip in prepared.index.clips] == ["a/b/seq", "a/b/x.npy", "a/s.png", "v.mkv.mp4"]
    assert prepared.index.ignored == 6
    assert prepared.index.quarantined == {}


def test_bad_files_cost_only_themselves_and_are_listed_with_reasons(tmp_path: Path) -> None:
    source = tmp_path / "in"
    for i in range(12):
        write_strip(source / "good" / f"{i}.png", noise(i))
    (source / "text.mp4").write_bytes(b"this is no video")
    (source / "empty.avi").write_bytes(b"")
    (source / "broken.zip").write_bytes(b"PK")
    np.save(source / "floats.npy", np.zeros((4, 8, 8, 3)))
    (source / "objects.npy").write_bytes(npy_bytes(np.array([{"a": 1}], dtype=object)))
    (source / "lie.npy").write_bytes(npy_bytes(np.zeros((9, 8, 8, 3), np.uint8))[:200])
    np.save(source / "short.npy", noise(20, 2))
    write_frames(source / "uneven", noise(21))
    (source / "uneven" / "frame9.png").write_bytes(png_bytes_of(noise(22, 1, 16, 18)[0]))
    write_frames(source / "torn", noise(23))
    (source / "torn" / "frame2.png").write_bytes(png_bytes_of(noise(22, 1)[0])[:300])
    (source / "good" / "odd.png").write_bytes(png_bytes_of(noise(24, 1, 16, 41)[0]))
    os.mkfifo(source / "pipe.mp4")
    (source / "gone.mp4").symlink_to(source / "nowhere")
    (tmp_path / "outside.npy").write_bytes(npy_bytes(noise(25)))
    (source / "outside.npy").symlink_to(tmp_path / "outside.npy")
    (source / "inside.npy").symlink_to(source / "short.npy")
    prepared = prepare(source, tmp_path / "out", size=SIZE, min_frames=3, max_bad_share=0.6)
    assert {clip.source for clip in prepared.index.clips} == {f"good/{i}.png" for i in range(12)}
    lines = (tmp_path / "out" / "quarantine.jsonl").read_text().splitlines()
    listed = {line["source"]: line["reason"] for line in map(json.loads, lines)}
    assert listed == {
        "broken.zip": "unreadable-archive",
        "empty.avi": "empty-file",
        "floats.npy": "wrong-array",
        "gone.mp4": "unreadable-file",
        "good/odd.png": "not-a-strip",
        "inside.npy": "too-short",
        "lie.npy": "wrong-array",
        "objects.npy": "wrong-array",
        "outside.npy": "link",
        "pipe.mp4": "not-a-file",
        "short.npy": "too-short",
        "text.mp4": "not-a-video",
        "torn": "unreadable-image",
        "uneven": "frames-differ",
    }
    assert prepared.index.quarantined == Counter(listed.values())
    with pytest.raises(DataError, match=r"max_bad_share=0.5.*14 refused \(.*3 wrong-array"):
        prepare(source, tmp_path / "strict", size=SIZE, min_frames=3)
    assert not (tmp_path / "strict" / "index.json").exists()


def test_a_header_with_a_wrong_size_allocates_nothing(tmp_path: Path) -> None:
    header = npy_bytes(np.zeros((9, 8, 8, 3), np.uint8))[:128].replace(b"(9, 8,", b"(99999999999, 8,")
    members = {"ok.npy": npy_bytes(noise(0)), "lie.npy": header[:128]}
    write_tar(tmp_path / "x.tar", members)
    prepared = prepare(tmp_path / "x.tar", tmp_path / "out", size=SIZE)
    assert prepared.index.quarantined == {"wrong-array": 1}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "no such folder or file"),
        (lambda path: path.mkdir(), "empty folder"),
        (lambda path: (path.mkdir(), (path / "a.txt").write_text("x")), "in: .*1 unrelated files"),
        (lambda path: (path.mkdir(), (path / "a.mp4").write_text("x")), "in: .*1 refused .*a.mp4"),
    ],
)
def test_sources_without_anything_usable(tmp_path: Path, make: object, message: str) -> None:
    assert callable(make)
    make(tmp_path / "in")
    with pytest.raises(DataError, match=message):
        prepare(tmp_path / "in", tmp_path / "out", size=SIZE)
    assert not (tmp_path / "out" / "index.json").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": (0, 16)}, "size must be"),
        ({"fit": "stretch"}, "fit must be one of"),
        ({"fps": 0.0}, "fps is 0.0"),
        ({"fps": 5.0}, "has no effect"),
        ({"flow": "raft"}, "flow is 'raft'; accepted: auto"),
        ({"layout": "grid"}, "layout is 'grid'; accepted: auto, plain, strips, frames, videos, manifest, kitti-raw"),
        ({"strip_frame": (8, 8)}, r"strip_frame=\(8, 8\) has no effect"),
        ({"strip_frame": (8, 8), "layout": "frames"}, "no effect with layout='frames'"),
        ({"holdout": 1.0}, "holdout is 1.0"),
        ({"min_frames": 0}, "min_frames is 0"),
        ({"max_bad_share": 2.0}, "max_bad_share is 2.0"),
        ({"workers": 0}, "workers is 0"),
        ({"test_pattern": "("}, "test_pattern is '\\('"),
        ({"test_pattern": "zzz"}, "matches no clip"),
        ({"categories": True}, "a.npy: "),
        ({"group_by": r"p\d"}, "a.npy: group_by"),
    ],
)
def test_options_are_refused_before_anything_is_written(
    tmp_path: Path, options: dict[str, object], message: str
) -> None:
    (tmp_path / "in").mkdir()
    np.save(tmp_path / "in" / "a.npy", noise(0))
    with pytest.raises(DataError, match=message):
        prepare(tmp_path / "in", tmp_path / "out", **{"size": SIZE, **options})  # type: ignore[arg-type]
    assert not (tmp_path / "out").exists()
