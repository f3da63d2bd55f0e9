"""No prepared clip spans a shot change, at any frame rate, and flow is not computed across one."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clipfiles import stored, write_frames, write_strip
from PIL import Image

from vidgan.data.preparing.prepare import prepare
from vidgan.data.store.storage import open_store
from vidgan.errors import DataError
from vidgan.video.decode import read_video
from vidgan.video.encode import write_mp4

SIZE = (36, 64)


def scene(seed: int, frames: int, height: int = 72, width: int = 128) -> np.ndarray:
    """A random image that moves by two pixels per frame."""
    rng = np.random.default_rng(seed)
    blobs = Image.fromarray(rng.integers(0, 256, (9, 16, 3), dtype=np.uint8))
    image = np.asarray(blobs.resize((width + 2 * frames, height), Image.Resampling.BICUBIC))
    return np.stack([image[:, 2 * t : 2 * t + width] for t in range(frames)])


def film() -> np.ndarray:
    """Three shots of 30, 21 and 34 frames."""
    return np.concatenate([scene(1, 30), scene(2, 21), scene(3, 34)])


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("films")
    write_mp4(folder / "film.mp4", film(), fps=20)
    write_mp4(folder / "shot.mp4", scene(4, 40), fps=20)
    write_frames(folder / "frames", film()[::1, ::2, ::2])
    return folder


def spans(prepared: Any, name: str) -> list[tuple[int, int]]:
    return [(c.start, c.start + c.frames) for c in prepared.index.clips if c.source.startswith(name)]


def test_shots_become_clips_of_one_group(films: Path, tmp_path: Path) -> None:
    prepared = prepare(films, tmp_path / "out", size=SIZE, holdout=0.3)
    names = ["film.mp4@0", "film.mp4@30", "film.mp4@51", "frames@0", "frames@30", "frames@51", "shot.mp4"]
    assert [clip.source for clip in prepared.index.clips] == names
    assert spans(prepared, "film") == spans(prepared, "frames") == [(0, 30), (30, 51), (51, 85)]
    assert {c.group for c in prepared.index.clips if c.source.startswith("film")} == {"film.mp4"}
    assert len({c.split for c in prepared.index.clips if c.source.startswith("film")}) == 1
    assert any(notice.startswith("4 shot changes in 2 of 3 sources") for notice in prepared.index.notices)
    line = json.loads((tmp_path / "out" / "videos.jsonl").read_text().splitlines()[0])
    assert (line["source"], line["cuts"]) == ("film.mp4", [30, 51])
    whole = prepare(films, tmp_path / "off", size=SIZE, cuts="off")
    np.testing.assert_array_equal(stored(whole, "film.mp4")[30:51], stored(prepared, "film.mp4@30"))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"every": 4}, [(0, 8), (8, 13), (13, 22)]),  # 0 4 .. 28 | 32 .. 48 | 52 .. 84
        (
            {"fps": 8.0},
            [(0, 12), (12, 21), (21, 34)],
        ),  # ticks at 0, 2.5, 5, ...: frame 30 is tick 12, frame 51 tick 20.4
        ({"fps": 4.0, "every": 2}, [(0, 3), (3, 6), (6, 9)]),  # every tenth frame: 0 10 20 | 30 40 50 | 60 70 80
        (
            {"fps": 40.0},
            [(0, 60), (60, 102), (102, 169)],
        ),  # every frame twice, but the last; half ticks take the earlier
    ],
)
def test_cuts_are_detected_at_the_frame_rate_of_the_source(
    films: Path, tmp_path: Path, options: dict[str, Any], expected: list[tuple[int, int]]
) -> None:
    source = tmp_path / "in"
    source.mkdir()
    shutil.copy(films / "film.mp4", source)
    prepared = prepare(source, tmp_path / "out", size=SIZE, **options)
    starts, ends = zip(*spans(prepared, "film"), strict=True)
    assert len(starts) == 3
    off = prepare(source, tmp_path / "off", size=SIZE, cuts="off", **options)
    total = off.index.clips[0].frames
    assert (starts[0], *ends) == (0, *starts[1:], total)
    np.testing.assert_allclose(ends, [end for _, end in expected], atol=1)
    # Every frame of a clip belongs to its shot.
    all_frames = prepare(source, tmp_path / "all", size=SIZE, cuts="off")
    known = {frame.tobytes(): t for t, frame in enumerate(stored(all_frames, "film.mp4"))}
    shots = [stored(prepared, clip.source) for clip in prepared.index.clips]
    for shot, (first, end) in zip(shots, [(0, 30), (30, 51), (51, 85)], strict=True):
        assert all(first <= known[frame.tobytes()] < end for frame in shot)
    video = prepare(source, tmp_path / "video", size=SIZE, store="video", **options)
    assert video.index.fingerprint == prepared.index.fingerprint
    store = open_store(video.root, video.index)
    for clip, shot in zip(video.index.clips, shots, strict=True):
        np.testing.assert_array_equal(store.frames(clip, range(clip.frames)), shot)


def test_flow_stops_at_cuts_and_short_shots_are_counted(films: Path, tmp_path: Path) -> None:
    source = tmp_path / "in"
    write_frames(source / "a", film()[:, ::3, ::3])
    prepared = prepare(source, tmp_path / "out", size=(24, 40), flow="auto", min_frames=25)
    assert spans(prepared, "a") == [(0, 30), (51, 85)]
    for clip in prepared.index.clips:
        flow = np.load(tmp_path / "out" / "flow" / f"{clip.id}.npy")
        assert flow.shape == (clip.frames - 1, 2, 24, 40)
    assert any(notice.startswith("1 shots of less than 25 frames") for notice in prepared.index.notices)
    assert prepared.quarantined == ()
    with pytest.raises(DataError, match=r"1 too-short.* a: .*60 frames"):
        prepare(source, tmp_path / "none", size=(24, 40), min_frames=60)


def test_still_and_black_segments_are_excluded_on_request(tmp_path: Path) -> None:
    moving = scene(5, 30)
    held = np.repeat(moving[-1:], 20, axis=0)
    black = np.zeros((15, *moving.shape[1:]), np.uint8)
    write_frames(tmp_path / "in" / "a", np.concatenate([moving, held, black, scene(6, 20)])[:, ::2, ::2])
    kept = prepare(tmp_path / "in", tmp_path / "all", size=SIZE, cuts="off")
    assert spans(kept, "a") == [(0, 85)]
    dropped = prepare(tmp_path / "in", tmp_path / "some", size=SIZE, drop_still=True, drop_black=True)
    (first, second) = spans(dropped, "a")
    assert first[0] == 0 and 29 <= first[1] <= 31 and second == (65, 85)
    assert any(n.endswith("still frames are excluded") for n in dropped.index.notices)
    assert any(n.endswith("black frames are excluded") for n in dropped.index.notices)


def test_strips_are_single_shots(tmp_path: Path) -> None:
    clip = np.concatenate([scene(1, 10, 32, 32), scene(2, 10, 32, 32)])
    write_strip(tmp_path / "in" / "a.png", clip)
    assert [c.source for c in prepare(tmp_path / "in", tmp_path / "out", size=(32, 32)).index.clips] == ["a.png"]
    with pytest.raises(DataError, match="drop_still has no effect: .*in"):
        prepare(tmp_path / "in", tmp_path / "other", size=(32, 32), drop_still=True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cuts": "maybe"}, "cuts is 'maybe'; accepted: auto, off, transnet"),
        ({"cuts": "off", "cut_threshold": 3.0}, "cut_threshold has no effect with cuts='off'"),
        ({"cut_threshold": 0.5}, "cut_threshold is 0.5; accepted with cuts='auto': above 1"),
        ({"cuts": "transnet"}, "cuts='transnet' and cut_weights"),
        ({"cut_weights": "w.pt"}, "cuts='transnet' and cut_weights"),
        ({"cuts": "transnet", "cut_weights": "no.pt"}, "cut_weights no.pt: .*no such file"),
        ({"every": 0}, "every is 0; accepted: 1 or more"),
        ({"resample": "sharpest"}, "resample"),
        ({"holdout": 0.1, "test_pattern": "film"}, "holdout=0.1 has no effect with test_pattern"),
    ],
)
def test_impossible_options_are_refused(films: Path, tmp_path: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        prepare(films, tmp_path / "out", size=SIZE, **options)
    assert not (tmp_path / "out").exists()


@pytest.mark.shared_data
def test_both_detectors_find_real_cuts_at_any_size(shared_data: Path, tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.mkdir()
    for name in ("bikes.mp4", "pillow.mp4"):
        shutil.copy(shared_data / "clips" / "natural" / name, source)
    expected = [(0, 30), (30, 76), (76, 137), (137, 187), (187, 242), (242, 250)]
    prepared = prepare(source, tmp_path / "small", size=(32, 32))
    assert spans(prepared, "pillow") == [(0, 147)] and spans(prepared, "bikes") == expected
    prepared = prepare(source / "bikes.mp4", tmp_path / "wide", size=(90, 160))
    assert spans(prepared, "bikes") == expected
    first = read_video(source / "bikes.mp4", size=(27, 48), fit="squash", max_frames=40).frames
    write_frames(tmp_path / "few" / "bikes", first)
    weights = shared_data / "weights" / "transnetv2" / "transnetv2_fp16.pt"
    prepared = prepare(tmp_path / "few", tmp_path / "net", size=(27, 48), cuts="transnet", cut_weights=weights)
    assert spans(prepared, "bikes") == [(0, 30), (30, 40)]
    assert len(prepared.index.settings["cut_weights"]) == 64
