"""Cuts between shots, still and black segments."""

from pathlib import Path

import numpy as np
import pytest

from vidgan.video.decode import read_frames
from vidgan.video.shots import black_spans, find_cuts, find_cuts_transnet, still_spans

SIZE = (27, 48)


def scene(seed: int, count: int, *, speed: int = 1) -> np.ndarray:
    """(T, 27, 48, 3) uint8: a camera pans over a smooth random image."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(20, 235, (12, 60, 3)).astype(np.float32)
    wide = np.repeat(np.repeat(coarse, 3, 0), 3, 1)  # (36, 180, 3)
    smooth = (wide + np.roll(wide, 1, 0) + np.roll(wide, 1, 1) + np.roll(wide, (1, 1), (0, 1))) / 4
    wide = np.tile(smooth, (1, 1 + count * speed // 180 + 1, 1))
    return np.stack([wide[4:31, t * speed : t * speed + 48] for t in range(count)]).astype(np.uint8)


def test_a_cut_is_found_at_its_frame() -> None:
    frames = np.concatenate([scene(0, 20), scene(1, 15), scene(2, 30)])
    assert find_cuts(frames) == [20, 35]
    large = frames.repeat(3, 1).repeat(3, 2)  # (T, 81, 144, 3)
    assert find_cuts(large) == [20, 35]


@pytest.mark.parametrize("speed", [0, 1, 3])
def test_a_moving_camera_is_not_a_cut(speed: int) -> None:
    assert find_cuts(scene(3, 60, speed=speed)) == []


def test_a_flash_is_not_a_cut() -> None:
    frames = scene(4, 40)
    frames[20:22] = 255 - frames[20:22] // 8
    assert find_cuts(frames) == []


def test_a_cut_between_dark_shots_is_found_by_contrast() -> None:
    dark = np.concatenate([scene(5, 20), scene(6, 20)]) // 5
    assert find_cuts(dark) == [20]


@pytest.mark.parametrize("length", [12, 20])
def test_a_dissolve_is_reported_at_its_middle(length: int) -> None:
    a, b = (scene(seed, 30, speed=0).astype(np.float32) for seed in (7, 8))
    share = (np.arange(1, length + 1) / (length + 1))[:, None, None, None]
    mixed = a[:1] * (1 - share) + b[:1] * share
    frames = np.concatenate([a, mixed, b]).astype(np.uint8)
    (cut,) = find_cuts(frames)
    assert abs(cut - (30 + length // 2)) <= length // 4


def test_fading_light_is_not_a_cut() -> None:
    light = np.linspace(1, 0.3, 40)[:, None, None, None]
    assert find_cuts((scene(9, 40) * light).astype(np.uint8)) == []


def test_the_threshold_is_an_argument() -> None:
    frames = np.concatenate([scene(10, 20, speed=3), scene(11, 20, speed=3)])
    assert find_cuts(frames) == [20]
    assert find_cuts(frames, threshold=1000) == []
    with pytest.raises(ValueError, match="threshold.*above 1"):
        find_cuts(frames, threshold=1)
    assert find_cuts(frames[:3]) == []


def test_still_segments() -> None:
    moving, still = scene(12, 10), scene(13, 1).repeat(20, 0)
    noise = np.random.default_rng(0).integers(0, 3, still.shape, dtype=np.uint8)
    assert still_spans(np.concatenate([moving, np.minimum(still, 250) + noise, moving])) == [(10, 30)]
    assert still_spans(np.concatenate([moving, still[:11], moving])) == []
    assert still_spans(np.concatenate([moving, still[:11], moving]), least=11) == [(10, 21)]
    drift = np.clip(still.astype(int) + np.arange(20)[:, None, None, None], 0, 255).astype(np.uint8)
    assert still_spans(drift) == []  # one level per frame accumulates
    one = still.copy()
    one[:, :3, :3] = (np.arange(20) * 12)[:, None, None, None]  # one part of 16 x 9
    assert still_spans(one) == []
    with pytest.raises(ValueError, match="least"):
        still_spans(still, least=1)


def test_black_segments() -> None:
    bright, black = scene(14, 6), np.full((5, *SIZE, 3), 16, np.uint8)
    black[:, 0, :20] = 200  # 20 of 1296 pixels: under 2 %
    assert black_spans(np.concatenate([black, bright, black[:2], bright, black[:1]])) == [(0, 5), (11, 13), (19, 20)]
    assert black_spans(np.concatenate([black, bright, black[:2]]), least=3) == [(0, 5)]
    black[:, 0, :40] = 200
    assert black_spans(black) == []
    with pytest.raises(ValueError, match="share"):
        black_spans(black, share=0)


# Annotated by hand. mmaction2_demo freezes on a damaged frame from 230 to 267, half of which is visible in 229.
# nasa_13013 dissolves from 126 to 150. In cockatoo, the bird moves away from the lens within three frames.
REAL_CUTS: dict[str, list[int]] = {
    "kinetics/SOX5yA1l24A.mp4": [138, 219, 292],
    "kinetics/mmaction2_demo.mp4": [229, 230, 268],
    "natural/bikes.mp4": [30, 76, 137, 187, 242],
    "natural/cockatoo.mp4": [157],
    "natural/nasa_13013.mp4": [137, 202],
    "natural/backpack.mp4": [],
    "natural/pillow.mp4": [],
    "natural/flipping_a_pancake.mkv": [],
    "natural/carphone_pristine.mp4": [],
    "kinetics/R6llTwEh07w.mp4": [],
    "ucf101/mmaction2_test.avi": [],
    "ucf101/v_SoccerJuggling_g23_c01.avi": [],
    "hmdb51/RATRACE_wave_f_nm_np1_fr_goo_37.avi": [],
    "gestures/help.mkv": [],
}


@pytest.mark.parametrize("name", REAL_CUTS)
def test_cuts_of_real_clips(name: str, shared_data: Path) -> None:
    frames = read_frames(shared_data / "clips" / name, size=SIZE, fit="squash")
    assert find_cuts(frames) == REAL_CUTS[name]


def test_transnet_finds_the_cut_between_two_clips(shared_data: Path) -> None:
    from vidgan.video.transnet import load_transnet, shot_end_probabilities

    weights = shared_data / "weights/transnetv2/transnetv2_fp16.pt"
    clips = [
        read_frames(shared_data / "clips/ucf101" / name, size=SIZE, fit="squash", max_frames=count)
        for name, count in (("mmaction2_test.avi", 40), ("v_SoccerJuggling_g23_c01.avi", 50))
    ]
    frames = np.concatenate(clips)
    ends = shot_end_probabilities(load_transnet(weights), frames)
    assert ends.shape == (90,)
    assert ends[39] == pytest.approx(0.995, abs=4e-3)
    assert np.delete(ends, 39).max() < 0.02
    bikes = read_frames(shared_data / "clips/natural/bikes.mp4", size=SIZE, fit="squash", max_frames=50)
    assert find_cuts_transnet(bikes, weights) == [30]


def test_transnet_rejects_other_files(tmp_path: Path) -> None:
    frames = scene(0, 4)
    with pytest.raises(ValueError, match=r"none\.pt"):
        find_cuts_transnet(frames, tmp_path / "none.pt")
    wrong = tmp_path / "wrong.pt"
    wrong.write_bytes(b"not weights")
    with pytest.raises(ValueError, match=r"wrong\.pt.*TransNet V2"):
        find_cuts_transnet(frames, wrong)
    with pytest.raises(ValueError, match="threshold"):
        find_cuts_transnet(frames, wrong, threshold=1)
