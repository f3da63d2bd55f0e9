"""Generated moving shapes: pixel values and flow."""

import numpy as np
import pytest

from vidgan.data.synthetic.shapes import CATEGORIES, SHAPES, MovingShape, render_moving_shape

CLIPS = [render_moving_shape(7, index) for index in range(36)]


def sample_bilinear(image: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Sample ``(H, W, C)`` at real-valued positions, with replicated borders."""
    height, width = image.shape[:2]
    x, y = np.clip(x, 0, width - 1), np.clip(y, 0, height - 1)
    left, top = np.floor(x).astype(int), np.floor(y).astype(int)
    right, bottom = np.minimum(left + 1, width - 1), np.minimum(top + 1, height - 1)
    wx, wy = (x - left)[..., None], (y - top)[..., None]
    upper = (1 - wx) * image[top, left] + wx * image[top, right]
    lower = (1 - wx) * image[bottom, left] + wx * image[bottom, right]
    return (1 - wy) * upper + wy * lower


def shape_mask(clip: MovingShape) -> np.ndarray:
    """Return the ``(T, H, W)`` pixels that show the pure colour of the shape."""
    return (clip.frames == np.asarray(clip.colour, dtype=np.uint8)).all(axis=-1)


def test_layout_and_types() -> None:
    clip = render_moving_shape(0, 0, frames=5, size=48)
    assert clip.frames.shape == (5, 48, 48, 3) and clip.frames.dtype == np.uint8
    assert clip.flow.shape == (4, 2, 48, 48) and clip.flow.dtype == np.float32
    assert clip.centres.shape == (5, 2) and clip.centres.dtype == np.float32


def test_a_single_frame_has_no_flow() -> None:
    clip = render_moving_shape(0, 0, frames=1)
    assert clip.frames.shape[0] == 1 and clip.flow.shape == (0, 2, 64, 64)


def test_equal_arguments_produce_equal_clips() -> None:
    first, second = render_moving_shape(3, 11), render_moving_shape(3, 11)
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)


def test_global_random_state_is_neither_read_nor_changed() -> None:
    np.random.seed(1)
    first = render_moving_shape(3, 11)
    after = np.random.rand()
    np.random.seed(1)
    assert np.random.rand() == after
    np.random.seed(2)
    np.testing.assert_array_equal(render_moving_shape(3, 11).frames, first.frames)


@pytest.mark.parametrize(("seed", "index"), [(4, 11), (3, 12)])
def test_seed_and_index_both_matter(seed: int, index: int) -> None:
    assert not np.array_equal(render_moving_shape(3, 11).centres, render_moving_shape(seed, index).centres)


def test_a_longer_clip_begins_with_the_shorter_one() -> None:
    long, short = render_moving_shape(0, 5, frames=20), render_moving_shape(0, 5, frames=8)
    np.testing.assert_array_equal(long.frames[:8], short.frames)


def test_every_run_of_clips_holds_each_pair_of_category_and_shape_once() -> None:
    kinds = [(clip.category, clip.shape) for clip in CLIPS[:9]]
    assert len(set(kinds)) == len(CATEGORIES) * len(SHAPES) == 9
    assert kinds != [(clip.category, clip.shape) for clip in CLIPS[9:18]]


def test_the_path_follows_the_category() -> None:
    for clip in CLIPS:
        spread_x, spread_y = np.ptp(clip.centres, axis=0)
        if CATEGORIES[clip.category] == "across":
            assert spread_x > 10 and spread_y == 0
        elif CATEGORIES[clip.category] == "down":
            assert spread_y > 10 and spread_x == 0
        else:
            assert spread_x > 10 and spread_y > 10
            steps = np.linalg.norm(np.diff(clip.centres, axis=0), axis=1)
            np.testing.assert_allclose(steps, steps[0], atol=1e-3)


@pytest.mark.parametrize("size", [32, 64, 128])
def test_speed_scales_with_the_frame_and_changes_smoothly(size: int) -> None:
    scale = size / 64
    for index in range(9):
        velocity = np.diff(render_moving_shape(1, index, frames=64, size=size).centres, axis=0)
        fastest = np.linalg.norm(velocity, axis=1).max()
        assert 1.4 * scale < fastest < 2.51 * scale
        assert np.linalg.norm(np.diff(velocity, axis=0), axis=1).max() < 0.7 * scale


def test_centres_match_the_pixels() -> None:
    for clip in CLIPS:
        mask = shape_mask(clip)
        for centre, frame in zip(clip.centres, mask, strict=True):
            rows, columns = np.nonzero(frame)
            assert abs((columns.min() + columns.max()) / 2 - centre[0]) < 1.0
            # Partly covered pixels hide the tip of a triangle, which shifts the middle of its pure pixels down.
            limit = 1.6 if SHAPES[clip.shape] == "triangle" else 1.0
            assert abs((rows.min() + rows.max()) / 2 - centre[1]) < limit


def test_colour_is_constant_saturated_and_on_a_plain_background() -> None:
    for clip in CLIPS:
        assert max(clip.colour) >= 210 and min(clip.colour) <= 60
        assert shape_mask(clip).sum(axis=(1, 2)).min() > 100
        background = clip.frames[:, 0, 0].reshape(-1, 3)
        assert (background == background[0]).all() and background.max() < 32


def test_the_shape_stays_inside_the_frame() -> None:
    for index in range(200):
        frames = render_moving_shape(5, index, frames=48, size=32).frames
        border = np.concatenate([frames[:, 0], frames[:, -1], frames[:, :, 0], frames[:, :, -1]], axis=1)
        assert (border == frames[0, 0, 0]).all()


def test_fill_of_the_bounding_box_distinguishes_the_shapes() -> None:
    fill: dict[str, list[float]] = {name: [] for name in SHAPES}
    for clip in CLIPS:
        rows, columns = np.nonzero(clip.frames[0].max(axis=-1) > max(clip.colour) / 2)
        fill[SHAPES[clip.shape]].append(rows.size / (np.ptp(rows) + 1) / (np.ptp(columns) + 1))
    assert (
        max(fill["triangle"]) < 0.6 < 0.7 < min(fill["disc"]) <= max(fill["disc"]) < 0.85 < 0.95 < min(fill["square"])
    )


def test_flow_is_minus_the_displacement_on_the_shape_and_zero_elsewhere() -> None:
    for clip in CLIPS[:9]:
        displacement = np.diff(clip.centres, axis=0)
        background = (clip.frames[1:] == clip.frames[0, 0, 0]).all(axis=-1)
        mask = shape_mask(clip)[1:]
        for t, step in enumerate(displacement):
            np.testing.assert_allclose(clip.flow[t][:, mask[t]], np.repeat(-step[:, None], mask[t].sum(), 1), atol=1e-5)
            # A sliver of less than half a grey level is touched by the shape but rounds to the background.
            assert (clip.flow[t][:, background[t]] == 0).mean() > 0.99


def test_flow_warps_a_frame_to_the_next() -> None:
    rows, columns = np.mgrid[0:64, 0:64].astype(float)
    for clip in CLIPS:
        mask = shape_mask(clip)
        warped_error = still_error = 0.0
        for t in range(len(clip.flow)):
            now, following = clip.frames[t].astype(float), clip.frames[t + 1].astype(float)
            error = np.abs(sample_bilinear(now, columns + clip.flow[t, 0], rows + clip.flow[t, 1]) - following)
            interior = mask[t + 1].copy()
            for down in (-1, 0, 1):
                for right in (-1, 0, 1):
                    interior &= np.roll(mask[t + 1], (down, right), axis=(0, 1))
            assert interior.sum() > 100
            assert error[interior].max() < 1.0
            touched = clip.flow[t].any(axis=0)
            warped_error += error[touched].sum()
            still_error += np.abs(now - following)[touched].sum()
        assert warped_error < 0.5 * still_error


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"seed": -1, "index": 0}, "seed is .* and index"),
        ({"seed": 0, "index": -1}, "seed is .* and index"),
        ({"seed": 0, "index": 0, "frames": 0}, "frames is 0"),
        ({"seed": 0, "index": 0, "size": 8}, "size is 8; accepted: 16"),
    ],
)
def test_impossible_arguments_are_refused(arguments: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        render_moving_shape(**arguments)
