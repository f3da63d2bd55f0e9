"""Random views of a clip: what they preserve, what they change, and that the seed determines them."""

from pathlib import Path

import numpy as np
import pytest
import torch
from clipfiles import noise, prepare_noise

from vidgan.data.augmentation import AUGMENTATIONS, augment
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
        ({"augment": ("zoom",)}, "'zoom'; accepted: camera, tone, grey, blur"),
        ({"augment": ("grey", "grey")}, "augment is grey, grey"),
        ({"augment": ("tone",), "flow": True}, "flow with augment tone"),
        ({"window": (17, 16)}, "window is 17x16; accepted: at most 16x16"),
    ],
)
def test_impossible_options_are_refused(tmp_path: Path, options: dict[str, object], message: str) -> None:
    root = prepare_noise(tmp_path, [6], holdout=0, flow="tvl1").root
    with pytest.raises(DataError, match=message):
        ClipDataset(root, frames=2, **options)  # type: ignore[arg-type]
