"""Resizing: fits, filters and exact positions."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vidgan.video.resize import RESAMPLES, centre_crop_box, fit_image, place, resize_frames


def ramp(height: int, width: int) -> np.ndarray:
    """(H, W, 3) uint8: the column in red, the row in green."""
    image = np.zeros((height, width, 3), np.uint8)
    image[..., 0] = np.arange(width)
    image[..., 1] = np.arange(height)[:, None]
    return image


def test_area_averages_the_covered_pixels() -> None:
    image = np.random.default_rng(0).integers(0, 256, (12, 20, 3), dtype=np.uint8)
    mean = image.reshape(3, 4, 5, 4, 3).mean(axis=(1, 3))  # (3, 5, 3)
    assert np.abs(fit_image(image, (3, 5)) - mean).max() <= 1  # rounded once per axis


def test_crop_keeps_the_centre_of_a_wide_image() -> None:
    cropped = fit_image(ramp(10, 30), (10, 10), "crop")
    assert cropped[0, 0].tolist() == [10, 0, 0]
    assert cropped[-1, -1].tolist() == [19, 9, 0]


def test_crop_keeps_the_centre_of_a_tall_image() -> None:
    cropped = fit_image(ramp(30, 10), (10, 10), "crop")
    assert cropped[0, 0].tolist() == [0, 10, 0]
    assert cropped[-1, -1].tolist() == [9, 19, 0]


def test_squash_keeps_the_whole_image() -> None:
    squashed = fit_image(ramp(10, 40), (10, 10), "squash")
    assert squashed[0, :, 0].tolist() == [2, 6, 10, 14, 18, 22, 26, 30, 34, 38]  # means of four columns, x.5 to even
    assert squashed[:, 0, 1].tolist() == list(range(10))


def test_enlarging_is_bicubic_and_preserves_flat_areas() -> None:
    flat = np.full((4, 4, 3), 77, np.uint8)
    assert (fit_image(flat, (9, 9)) == 77).all()
    step = np.zeros((8, 8, 3), np.uint8)
    step[:, 4:] = 200
    enlarged = fit_image(step, (32, 32))
    assert enlarged[0, 0, 0] == 0
    assert enlarged.max() > 200  # bicubic overshoots at a step; nearest and bilinear do not
    assert np.unique(enlarged).size > 4


def test_frames_of_the_right_size_are_unchanged() -> None:
    frames = np.random.default_rng(0).integers(0, 256, (2, 6, 8, 3), dtype=np.uint8)
    assert resize_frames(frames, (6, 8)) is frames
    assert (fit_image(frames[0], (6, 8)) == frames[0]).all()


def test_frames_are_resized_one_by_one() -> None:
    frames = np.random.default_rng(0).integers(0, 256, (3, 20, 31, 3), dtype=np.uint8)
    resized = resize_frames(frames, (8, 8))
    assert resized.shape == (3, 8, 8, 3)
    for frame, result in zip(frames, resized, strict=True):
        assert (fit_image(frame, (8, 8)) == result).all()


@pytest.mark.parametrize(
    ("height", "width", "size", "box"),
    [
        (187, 621, (128, 160), (193, 0, 427, 187)),  # KITTI at half size to 5:4: 234 columns from 193 on
        (240, 320, (64, 64), (40, 0, 280, 240)),
        (480, 368, (64, 64), (0, 56, 368, 424)),
        (2, 2, (1, 4000), (0, 0, 2, 1)),  # at least one row remains
        (48, 64, (48, 64), (0, 0, 64, 48)),
    ],
)
def test_the_crop_is_the_largest_centred_box(
    height: int, width: int, size: tuple[int, int], box: tuple[int, int, int, int]
) -> None:
    assert centre_crop_box(height, width, size) == box


@pytest.mark.parametrize(
    ("height", "width", "size", "scaled", "offset"),
    [
        (375, 1242, (128, 160), (128, 424), (0, 132)),  # KITTI as PredNet prepares it: 1242 * 128 / 375 = 423.9
        (480, 640, (64, 64), (64, 85), (0, 10)),  # int((85 - 64) / 2)
        (640, 480, (64, 64), (85, 64), (10, 0)),
        (64, 64, (64, 64), (64, 64), (0, 0)),
        (3, 1000, (64, 64), (64, 21333), (0, 10634)),
    ],
)
def test_cover_scales_before_cropping(
    height: int, width: int, size: tuple[int, int], scaled: tuple[int, int], offset: tuple[int, int]
) -> None:
    placement = place(height, width, size, "cover")
    assert placement == ((0, 0, width, height), scaled, offset)


def test_cover_keeps_the_centre() -> None:
    image = ramp(20, 60)
    covered = fit_image(image, (10, 10), "cover")
    assert covered[0, :, 0].tolist() == [21, 23, 25, 27, 29, 31, 33, 35, 37, 39]  # 20.5 and so on, rounded
    assert (fit_image(image, (20, 20), "cover") == image[:, 20:40]).all()


def test_the_filter_is_an_argument() -> None:
    image = np.random.default_rng(0).integers(0, 256, (24, 24, 3), dtype=np.uint8)
    results = {name: fit_image(image, (8, 8), resample=name) for name in RESAMPLES}  # type: ignore[arg-type]
    assert len({result.tobytes() for result in results.values()}) == len(RESAMPLES)
    step = np.zeros((8, 8, 3), np.uint8)
    step[:, 4:] = 200
    assert fit_image(step, (32, 32), resample="bilinear").max() == 200  # no overshoot
    assert (fit_image(step, (32, 32)) == fit_image(step, (32, 32), resample="bicubic")).all()  # not area
    with pytest.raises(ValueError, match="resample.*area, bilinear, bicubic, lanczos, nearest.*'box'"):
        fit_image(step, (4, 4), resample="box")  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [(0, 8), (8,), (8, 8.0), (8, 9000), (-1, 8)])
def test_invalid_sizes_are_rejected(size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="size"):
        fit_image(ramp(8, 8), size)


def test_invalid_images_and_fits_are_rejected() -> None:
    with pytest.raises(ValueError, match="fit.*crop, squash, cover.*'pad'"):
        fit_image(ramp(8, 8), (4, 4), "pad")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="uint8"):
        fit_image(ramp(8, 8).astype(np.float32), (4, 4))
    with pytest.raises(ValueError, match="frames"):
        resize_frames(ramp(8, 8), (4, 4))


def test_copy_last_has_the_published_score(shared_data: Path) -> None:
    """KITTI at 160x128 (centre crop to 5:4, box filter): copy-last has an MSE of 0.00359 and a PSNR of 25.97 dB."""
    files = sorted((shared_data / "driving" / "kitti" / "traffic78").glob("*.jpg"))
    frames = np.stack([fit_image(np.asarray(Image.open(file).convert("RGB")), (128, 160)) for file in files]) / 255.0
    error = ((frames[1:] - frames[:-1]) ** 2).mean(axis=(1, 2, 3))
    assert error.mean() == pytest.approx(0.00359, abs=5e-6)
    assert (10 * np.log10(1 / error)).mean() == pytest.approx(25.97, abs=5e-3)
