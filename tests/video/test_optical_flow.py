"""Flow estimators: sign, and error on published ground truth."""

import builtins
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vidgan.video import optical_flow
from vidgan.video.optical_flow import METHODS, clip_flow, default_method, estimate_flow


@pytest.fixture(params=sorted(METHODS))
def method(request: pytest.FixtureRequest) -> str:
    if request.param == "dis":
        pytest.importorskip("cv2")
    return str(request.param)


def landscape(height: int, width: int) -> np.ndarray:
    """(H, W, 3) uint8, smooth and without repetition."""
    rng = np.random.default_rng(3)
    coarse = rng.integers(0, 256, (height // 4, width // 4, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))


@pytest.mark.parametrize(("dx", "dy"), [(2, 0), (0, -3), (-1, 2)])
def test_the_flow_points_back_to_the_origin_of_the_pixel(method: str, dx: int, dy: int) -> None:
    wide = landscape(96, 112)
    previous = wide[16:80, 16:96]
    # The scene moves by (dx, dy): the current frame at x equals the previous one at x - (dx, dy).
    current = wide[16 - dy : 80 - dy, 16 - dx : 96 - dx]
    flow = estimate_flow(current, previous, method=method)
    assert flow.shape == (2, 64, 80)
    assert flow.dtype == np.float32
    inner = flow[:, 8:-8, 8:-8]
    assert inner[0].mean() == pytest.approx(-dx, abs=0.1)
    assert inner[1].mean() == pytest.approx(-dy, abs=0.1)
    # The definition itself: current(x) = previous(x + flow(x)).
    rows, columns = np.mgrid[16:48, 16:64]
    steps = np.rint(flow[:, 16:48, 16:64]).astype(int)
    rebuilt = previous[rows + steps[1], columns + steps[0]]
    assert (rebuilt == current[16:48, 16:64]).all(axis=-1).mean() > 0.95


def test_a_clip_has_one_flow_per_frame_except_the_first(method: str) -> None:
    wide = landscape(64, 80)
    frames = np.stack([wide[8:56, 8 + 2 * t : 56 + 2 * t] for t in range(4)])  # the view moves right
    flow = clip_flow(frames, method)
    assert flow.shape == (3, 2, 48, 48)
    assert flow[:, 0, 8:-8, 8:-8].mean(axis=(1, 2)) == pytest.approx([2, 2, 2], abs=0.1)
    for t in range(3):
        assert (flow[t] == estimate_flow(frames[t + 1], frames[t], method=method)).all()
    assert clip_flow(frames[:1], method).shape == (0, 2, 48, 48)


def test_still_frames_do_not_move(method: str) -> None:
    frame = landscape(32, 32)
    assert np.abs(estimate_flow(frame, frame, method=method)).max() < 1e-3


# Mean over the seven dense pairs at 240x180 is 0.41 px (dis) and 0.53 px (tvl1); without motion 2.05 px.
PAIRS = ("RubberWhale", "Dimetrodon", "Grove2", "Urban2", "Venus", "0000001", "0000007")
LARGEST_ERROR = {"dis": 0.48, "tvl1": 0.6}


def test_the_error_on_ground_truth(method: str, shared_data: Path) -> None:
    errors, motions = [], []
    for name in PAIRS:
        first, second, truth, known = load_pair(shared_data / "flow", name)
        # The true flow leads from the first frame to the second: backward flow if the first frame is the current one.
        flow = estimate_flow(first, second, method=method)
        errors.append(np.linalg.norm(flow - truth, axis=0)[known].mean())
        motions.append(np.linalg.norm(truth, axis=0)[known].mean())
    assert np.mean(errors) < LARGEST_ERROR[method]
    assert np.mean(errors) < 0.4 * np.mean(motions)


def load_pair(folder: Path, name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Two frames at 240x180, their flow (2, H, W) in pixels of that size, and a mask of known flow."""
    if name.isdigit():
        files = [folder / "flyingchairs" / f"{name}-img{index}.ppm" for index in (0, 1)]
        truth_file = folder / "flyingchairs" / f"{name}-gt.flo"
    else:
        files = [folder / "middlebury" / name / f"frame{index}.png" for index in (10, 11)]
        truth_file = folder / "middlebury" / name / "flow10.flo"
    first, second = (
        np.asarray(Image.open(file).convert("RGB").resize((240, 180), Image.Resampling.BOX)) for file in files
    )
    data = truth_file.read_bytes()
    width, height = np.frombuffer(data, "<i4", 2, offset=4)
    full = np.frombuffer(data, "<f4", 2 * width * height, offset=12).reshape(height, width, 2)
    rows = ((np.arange(180) + 0.5) * height / 180).astype(int)
    columns = ((np.arange(240) + 0.5) * width / 240).astype(int)
    truth = full[rows][:, columns].transpose(2, 0, 1)  # (2, H, W)
    known = (np.abs(truth) < 1e9).all(axis=0)
    scale = np.array([240 / width, 180 / height])[:, None, None]
    return first, second, np.where(known, truth, 0) * scale, known


def test_dis_without_opencv_names_the_extra_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    real_import: Callable[..., object] = builtins.__import__

    def no_opencv(name: str, *rest: object, **more: object) -> object:
        if name == "cv2":
            raise ImportError("No module named 'cv2'")
        return real_import(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", no_opencv)
    frame = landscape(32, 32)
    with pytest.raises(ImportError, match=r"vidgan\[flow\].*tvl1"):
        estimate_flow(frame, frame, method="dis")


def test_the_default_is_the_best_installed_method(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(optical_flow.importlib.util, "find_spec", lambda name: None)
    assert default_method() == "tvl1"
    monkeypatch.setattr(optical_flow.importlib.util, "find_spec", lambda name: object())
    assert default_method() == "dis"


def test_invalid_arguments_are_rejected() -> None:
    frame = landscape(32, 32)
    with pytest.raises(ValueError, match="'raft'.*dis, tvl1"):
        estimate_flow(frame, frame, method="raft")
    with pytest.raises(ValueError, match="shape"):
        estimate_flow(frame, frame[:16], method="tvl1")
    with pytest.raises(ValueError, match="uint8"):
        estimate_flow(frame / 255, frame / 255, method="tvl1")
    with pytest.raises(ValueError, match="16x16 pixels, got 8x32"):
        estimate_flow(frame[:8], frame[:8], method="tvl1")
    with pytest.raises(ValueError, match="T >= 1"):
        clip_flow(frame[None][:0], "tvl1")
