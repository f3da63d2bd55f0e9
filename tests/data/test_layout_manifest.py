"""CSV and JSONL manifests: segments in frames and seconds, labels, and errors that name the line."""

import json
from pathlib import Path

import numpy as np
import pytest
from clipfiles import noise, strip_of, write_frames, write_strip
from layoutfiles import found, labels, list_layout, put, put_avi, read

from vidgan.data.sources import segments
from vidgan.errors import DataError, SourceError
from vidgan.video.decode import read_video

LEVELS = list(range(20, 220, 10))  # the grey levels of twenty frames


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    put_avi(tmp_path / "films" / "a.avi", LEVELS, size=(48, 64), fps=10)
    write_frames(tmp_path / "drive", noise(0, 12))
    np.save(tmp_path / "one.npy", noise(1, 8))
    write_strip(tmp_path / "strip.png", noise(2, 5))
    return tmp_path


def level_numbers(frames: np.ndarray) -> list[int]:
    return np.rint((frames.mean(axis=(1, 2, 3)) - 20) / 10).astype(int).tolist()


def test_a_csv_manifest(videos: Path) -> None:
    manifest = put(
        videos / "clips.csv",
        "path, start, end, start_time, end_time, category, group, split, fps\n"
        "films/a.avi,,,,,talk,,,\n"
        "films/a.avi,3,7,,,walk,anna,train,\n"
        "films/a.avi,,,0.5,0.9,walk,anna,test,\n"
        "\n"
        '"drive",2,,,,,,,10\n'
        "./one.npy,,5,,,,,,\n"
        "strip.png,1,3,,,,,,\n",
    )
    sources = found(manifest)
    assert labels(sources) == {
        "drive:2-": (None, "drive", None),
        "films/a.avi": ("talk", "films/a.avi", None),
        "films/a.avi:0.5s-0.9s": ("walk", "anna", "test"),
        "films/a.avi:3-7": ("walk", "anna", "train"),
        "one.npy:0-5": (None, "one.npy", None),
        "strip.png:1-3": (None, "strip.png", None),
    }
    frames = {name: read(videos, source)[0] for name, source in sources.items()}
    assert level_numbers(frames["films/a.avi"].frames) == list(range(20))
    assert level_numbers(frames["films/a.avi:3-7"].frames) == [3, 4, 5, 6]
    assert level_numbers(frames["films/a.avi:0.5s-0.9s"].frames) == [5, 6, 7, 8]
    video = frames["films/a.avi:0.5s-0.9s"].video
    assert video is not None and video["span"] == [5, 9]
    np.testing.assert_array_equal(frames["drive:2-"].frames, noise(0, 12)[2:])
    assert frames["drive:2-"].fps == 10.0
    (slower,) = read(videos, sources["drive:2-"], fps=2.5)  # ten frames from frame 2: at 0, 0.4 and 0.8 s
    np.testing.assert_array_equal(slower.frames, noise(0, 12)[[2, 6, 10]])
    (faster,) = read(videos, sources["drive:2-"], fps=20.0)
    np.testing.assert_array_equal(faster.frames[:4], noise(0, 12)[[2, 2, 3, 3]])
    assert faster.notes == ("frames-repeated",) and slower.notes == ()
    np.testing.assert_array_equal(frames["one.npy:0-5"].frames, noise(1, 8)[:5])
    np.testing.assert_array_equal(frames["strip.png:1-3"].frames, noise(2, 5)[1:3])
    assert strip_of(noise(2, 5)).shape == (16, 80, 3)


def test_a_jsonl_manifest_and_absolute_paths(videos: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    np.save(elsewhere / "far.npy", noise(5))
    rows = [{"path": str(elsewhere / "far.npy"), "category": 3}, {"path": "films/a.avi", "start": 4, "end": None}]
    manifest = put(videos / "clips.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    sources = found(manifest)
    far = sources[f"{elsewhere.as_posix()}/far.npy"]
    assert far.category == "3"
    np.testing.assert_array_equal(read(videos, far)[0].frames, noise(5))
    assert level_numbers(read(videos, sources["films/a.avi:4-"])[0].frames) == list(range(4, 20))


@pytest.mark.parametrize("short", [0, 512])
def test_a_segment_equals_the_same_frames_of_the_whole_video(
    videos: Path, short: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segments, "_SHORT_FRAMES", short)  # 0: by seeking, 512: from the start
    manifest = put(videos / "clips.csv", "path,start,end\nfilms/a.avi,6,15\n")
    (source,) = found(manifest).values()
    whole = read_video(videos / "films" / "a.avi", size=(24, 24)).frames
    (clip,) = read(videos, source, size=(24, 24), fit="crop")
    np.testing.assert_array_equal(clip.frames, whole[6:15])
    (third,) = read(videos, source, size=(24, 24), fit="crop", every=3)
    np.testing.assert_array_equal(third.frames, whole[[6, 9, 12]])
    (halved,) = read(videos, source, size=(24, 24), fit="crop", fps=5.0)
    np.testing.assert_array_equal(halved.frames, whole[[6, 8, 10, 12, 14]])
    (doubled,) = read(videos, source, size=(24, 24), fit="crop", fps=20.0)
    assert len(doubled.frames) == 17 and doubled.notes == ("frames-repeated",)
    assert (clip.fps, halved.fps) == (pytest.approx(10.0), 5.0) and third.fps == pytest.approx(10 / 3)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("films/a.avi,10,30", "too-short: 20 frames, .*10 to 30"),
        ("films/a.avi,20,", "too-short: 20 frames, .*20 to the end"),
        ("one.npy,8,9", "too-short: 8 frames, .*8 to 9"),
    ],
)
def test_segments_outside_the_clip_are_refused(videos: Path, row: str, message: str) -> None:
    (source,) = found(put(videos / "clips.csv", f"path,start,end\n{row}\n")).values()
    with pytest.raises(SourceError, match=message):
        read(videos, source)


def test_seconds_need_a_clock_and_must_be_inside_the_clip(videos: Path) -> None:
    manifest = put(videos / "c.csv", "path,start_time,end_time\none.npy,1,2\nfilms/a.avi,1,5\nfilms/a.avi,1.05,1.1\n")
    sources = found(manifest)
    with pytest.raises(SourceError, match="no-clock: start_time and end_time"):
        read(videos, sources["one.npy:1s-2s"])
    with pytest.raises(SourceError, match="too-short: .*2 s.*5 s"):
        read(videos, sources["films/a.avi:1s-5s"])
    with pytest.raises(SourceError, match="too-short: .*no frame"):
        read(videos, sources["films/a.avi:1.05s-1.1s"])


def test_unusable_files_cost_only_themselves(videos: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    outside = tmp_path_factory.mktemp("outside")
    np.save(outside / "x.npy", noise(0))
    (videos / "link.npy").symlink_to(outside / "x.npy")
    (videos / "linked").symlink_to(outside)
    (videos / "empty").mkdir()
    put(videos / "notes.txt")
    names = ["gone.mp4", "link.npy", "linked/x.npy", "empty", "notes.txt", "one.npy"]
    result = list_layout(put(videos / "c.csv", "path\n" + "\n".join(names) + "\n"))
    assert [source.name for source in result.sources] == ["one.npy"]
    assert {refusal.source: refusal.reason for refusal in result.refusals} == {
        "gone.mp4": "missing",
        "link.npy": "link",
        "linked/x.npy": "link",
        "empty": "no-frames",
        "notes.txt": "not-a-clip",
    }
    assert result.refusals[0].detail.startswith("line 2: gone.mp4: ")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,label\na.mp4,x\n", "line 1: unknown column 'label'; accepted: path, start, end, start_time, end_time"),
        ("file\na.mp4\n", "line 1: unknown column 'file'"),
        ("start\n3\n", "line 1: column path"),
        ("path,path\na,b\n", "line 1: a column occurs twice"),
        ("path,start\na.mp4\n", "line 2: 1 cells; expected 2"),
        ("path,start\na.mp4,1.5\n", "line 2: start is '1.5'; accepted: a frame number from 0; .*start_time"),
        ("path,start\n\na.mp4,-1\n", "line 3: start is '-1'"),
        ("path,start,end\na.mp4,5,5\n", "line 2: end 5 .*start 5"),
        ("path,start,end_time\na.mp4,5,9\n", r"line 2: .*\(start, end\).*\(start_time, end_time\)"),
        ("path,end_time\na.mp4,nan\n", "line 2: end_time is 'nan'; accepted: a number"),
        ("path,split\na.mp4,dev\n", "line 2: split is 'dev'; accepted: train, test"),
        ("path,fps\na,0\n", "line 2: fps is 0"),
        ("path,fps\na.mp4,25\n", "line 2: fps has no effect on a video"),
        ("path\n../a.mp4\n", "line 2: path '../a.mp4' .*accepted: .*absolute paths"),
        ("path\nb/../../a.mp4\n", "line 2: path 'b/../../a.mp4'"),
        ("path,start\n,1\n", "line 2: path is empty"),
        ("path\na.mp4\n./a.mp4\n", "line 3: a.mp4 .*line 2"),
        ("path\n", "accepted columns: path"),
        ("", "column path is missing"),
        ('path\n"a.mp4\n', "not CSV in UTF-8"),
    ],
)
def test_errors_of_csv_rows_name_the_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=f"clips.csv: .*{message}"):
        found(put(tmp_path / "clips.csv", text))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"path": "a.mp4"}\n{"path": \n', "line 2: not JSON"),
        ('["a.mp4"]\n', "line 1: list; expected an object"),
        ('{"path": "a.mp4", "tag": 1}\n', "line 1: unknown column 'tag'"),
        ('{"path": 3}\n', "line 1: path is empty"),
        ('{"path": "a.mp4", "group": [1]}\n', r"line 1: group is \[1\]; accepted: text or an integer"),
        ('{"path": "a.mp4", "start": true}\n', "line 1: start is True; accepted: a number"),
    ],
)
def test_errors_of_jsonl_rows_name_the_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=f"clips.jsonl: {message}"):
        found(put(tmp_path / "clips.jsonl", text))


def test_a_csv_in_a_folder_is_not_a_manifest_and_layout_manifest_needs_a_file(videos: Path) -> None:
    put(videos / "labels.csv", "nothing,of,ours\n")
    assert list_layout(videos).ignored == 1
    with pytest.raises(DataError, match=r"accepted as a manifest: .csv or .jsonl"):
        found(videos, "manifest")
