"""Random views of a clip: what they preserve, what they change, and that the seed determines them."""

from pathlib import Path

import numpy as np
import pytest
import torch
from clipfiles import noise, prepare_noise

from vidgan.data.augmentation import AUGMENTATIONS, augment, augment_flow
from vidgan.data.dataset import ClipDataset
from vidgan.errors import DataError

WINDOW = (12, 10)


def ramp(frames: int = 5, height: int = 32, width: int = 48) -> np.ndarray:
    """A clip without motion whose red increases by 4 per column and whose green increases by 6 per row."""
    image = np.zeros((height, width, 3), np.uint8)
    image[..., 0] = 4 * np.arange(width)
    image[..., 1] = 6 * np.arange(height)[:, None]
    return np.repeat(image[None], frames, axis=0)


def test_without_a_camera_the_result_is_a_crop() -> None:
    clip = noise(0, 4)
    view = augment(clip, (), WINDOW, seed=3)
    places = [
        (y, x) for y in range(5) for x in range(7) if np.array_equal(clip[:, y : y + 12, x : x + 10], view)
    ]  # fmt: skip
    assert view.shape == (4, *WINDOW, 3) and len(places) == 1
    assert len({augment(clip, (), WINDOW, seed).tobytes() for seed in range(20)}) > 10


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_the_seed_determines_the_result_and_something_changes(name: str) -> None:
    clip = ramp()
    assert np.array_equal(augment(clip, (name,), (32, 48), 5), augment(clip, (name,), (32, 48), 5))
    changed = [not np.array_equal(augment(clip, (name,), (32, 48), seed), clip) for seed in range(30)]
    assert any(changed) and (name == "camera" or not all(changed))


def test_the_camera_keeps_colours_and_moves_smoothly() -> None:
    """On a ramp, red encodes the column, so red at the centre is the camera's position."""
    plain = np.full((4, 32, 48, 3), 90, np.uint8)
    assert np.array_equal(augment(plain, ("camera",), (16, 20), 1), plain[:, :16, :20])
    steps = []
    for seed in range(40):
        columns = augment(ramp(), ("camera",), (16, 20), seed)[:, 8, 10, 0] / 4  # (T,)
        steps.append(np.diff(columns))
        assert columns.min() >= 0 and columns.max() <= 47
    moves = np.abs(np.concatenate(steps))
    assert 0.01 < moves.mean() < 1 and moves.max() < 3  # a pan of some tenths of a pixel per frame at 16 pixels height


@pytest.mark.parametrize("names", [("camera",), ("shake",), ("approach",), ("camera", "approach", "shake", "tone")])
def test_the_flow_follows_the_camera(names: tuple[str, ...]) -> None:
    """The ramp's colours are positions in the source, so they tell where each pixel of a view comes from."""
    window = (20, 30)
    scene = np.zeros((3, 2, 40, 60), np.float32)  # the source moves by (1, -0.5) pixels a frame
    scene[:, 0], scene[:, 1] = -1.0, 0.5
    for seed in range(6):
        flow = augment_flow(scene, names, window, seed)
        assert flow.shape == (3, 2, 20, 30)
        still = augment_flow(0 * scene, names, window, seed)
        places = _positions(names, window, seed)  # (4, 20, 30, 2), source pixels of each view's pixels
        for moved, given in ((flow, scene), (still, 0 * scene)):
            for t in range(3):
                ys, xs = np.mgrid[4:16, 6:24]
                x, y = xs + moved[t, 0, ys, xs], ys + moved[t, 1, ys, xs]
                origin = _sample(places[t], x, y)  # where the frame before looked
                expected = places[t + 1][ys, xs] + given[t, :, 0, 0]
                assert np.abs(origin - expected).max() < 0.35  # colours are rounded to a quarter of a pixel


def _positions(names: tuple[str, ...], window: tuple[int, int], seed: int) -> np.ndarray:
    """Column and row of the source that each pixel of the views shows, from the colours of the ramp."""
    light = tuple(name for name in names if name != "tone")
    views = augment(ramp(4, 40, 60), light, window, seed).astype(np.float64)
    return np.stack([views[..., 0] / 4, views[..., 1] / 6], axis=-1)


def _sample(places: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Bilinear samples (..., 2) of positions (H, W, 2)."""
    x, y = x.clip(0, places.shape[1] - 1.001), y.clip(0, places.shape[0] - 1.001)
    left, top = np.floor(x).astype(int), np.floor(y).astype(int)
    right, down = (x - left)[..., None], (y - top)[..., None]
    upper = places[top, left] * (1 - right) + places[top, left + 1] * right
    lower = places[top + 1, left] * (1 - right) + places[top + 1, left + 1] * right
    return upper * (1 - down) + lower * down


def test_light_is_the_same_in_all_frames_and_pixels() -> None:
    clip = ramp()
    for seed in range(10):
        view = augment(clip, ("tone",), (32, 48), seed)
        assert all(np.array_equal(frame, view[0]) for frame in view)
        reds = [np.unique(view[0, :, x, 0]) for x in range(48)]
        assert all(len(values) == 1 for values in reds)
    greys = [augment(clip, ("grey",), (32, 48), seed) for seed in range(30)]
    equal = [np.array_equal(view[..., 0], view[..., 2]) for view in greys]
    assert 2 < sum(equal) < 20  # expected: three of ten
    chosen = greys[equal.index(True)]
    assert np.array_equal(chosen[0, :, :, 0], np.round(clip[0].mean(axis=-1)).astype(np.uint8))


def test_items_of_a_data_set(tmp_path: Path) -> None:
    root = prepare_noise(tmp_path, [6, 6], holdout=0, flow="tvl1").root
    entry_flow = np.load(root / "flow" / f"{ClipDataset(root, frames=2).entries[0].id}.npy")
    plain = ClipDataset(root, frames=6, window=WINDOW, flow=True)
    row = plain[0, 0]
    assert plain.size == WINDOW and row.clip.shape == (6, 3, *WINDOW) and row.flow.shape == (5, 2, *WINDOW)
    view = row.clip.permute(0, 2, 3, 1).numpy()
    y, x = next(
        (y, x) for y in range(5) for x in range(7) if np.array_equal(noise(0, 6)[:, y : y + 12, x : x + 10], view)
    )
    assert np.array_equal(row.flow.numpy(), entry_flow[:, :, y : y + 12, x : x + 10].astype(np.float32))
    without = ClipDataset(root, frames=6, window=WINDOW)
    assert {without[epoch, 0].flow.shape for epoch in range(4)} == {
        (0, 2, *WINDOW)
    }  # equal shapes, so that items collate
    window = next(plain.windows(6, 1))
    assert np.array_equal(window.clip.permute(0, 2, 3, 1).numpy(), noise(0, 6)[:, 2:14, 3:13])  # the centre crop

    drawn = ClipDataset(root, frames=6, window=WINDOW, augment=AUGMENTATIONS, seed=1)
    assert torch.equal(
        drawn[0, 0].clip, ClipDataset(root, frames=6, window=WINDOW, augment=AUGMENTATIONS, seed=1)[0, 0].clip
    )
    assert not torch.equal(drawn[0, 0].clip, drawn[1, 0].clip)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"augment": ("zoom",)}, "'zoom'; accepted: camera, approach, shake, tone, grey, blur"),
        ({"augment": ("grey", "grey")}, "augment is grey, grey"),
        ({"window": (17, 16)}, "window is 17x16; accepted: at most 16x16"),
    ],
)
def test_impossible_options_are_refused(tmp_path: Path, options: dict[str, object], message: str) -> None:
    root = prepare_noise(tmp_path, [6], holdout=0, flow="tvl1").root
    with pytest.raises(DataError, match=message):
        ClipDataset(root, frames=2, **options)  # type: ignore[arg-type]
