"""Images by content, and strips cut into frames."""

import os
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from clipfiles import noise, png_bytes_of, strip_of
from PIL import Image

from vidgan.data.sources import images
from vidgan.data.sources.images import cut_strip, image_size, read_image, strip_frame_size
from vidgan.errors import DataError


@pytest.mark.parametrize("tall", [False, True])
@pytest.mark.parametrize(("height", "width"), [(6, 6), (6, 10)])
def test_cutting_a_strip_restores_its_frames(tall: bool, height: int, width: int) -> None:
    clip = noise(0, 5, height, width)
    strip = strip_of(clip, tall=tall)
    frame = strip_frame_size(strip.shape[:2], None if height == width else (height, width))
    assert frame == (height, width)
    np.testing.assert_array_equal(cut_strip(strip, frame), clip)


@pytest.mark.parametrize(
    ("image", "frame", "expected"),
    [
        ((64, 256), None, (64, 64)),
        ((256, 64), None, (64, 64)),
        ((64, 192), None, None),  # three tiles could be one wide image
        ((64, 255), None, None),
        ((187, 621), None, None),
        ((128, 1600), None, None),
        ((128, 1600), (128, 160), (128, 160)),
        ((128, 1600), (128, 150), None),
        ((128, 160), (128, 160), None),  # a single frame is no strip
        ((256, 160), (128, 160), (128, 160)),
    ],
)
def test_what_counts_as_a_strip(image: tuple[int, int], frame: tuple[int, int] | None, expected: object) -> None:
    assert strip_frame_size(image, frame) == expected


def test_a_png_named_jpg_is_identified_by_content_and_opaque_alpha_is_dropped(tmp_path: Path) -> None:
    image = noise(1, 1, 8, 32)[0]
    path = tmp_path / "strip.jpg"
    path.write_bytes(png_bytes_of(image, alpha=255))
    assert image_size(path) == (8, 32)
    np.testing.assert_array_equal(read_image(path), image)


def test_translucent_pixels_are_blended_over_black() -> None:
    image = np.full((2, 2, 3), 200, np.uint8)
    np.testing.assert_array_equal(read_image(png_bytes_of(image, alpha=0)), np.zeros_like(image))
    assert abs(int(read_image(png_bytes_of(image, alpha=128))[0, 0, 0]) - 100) <= 1


def test_grey_palette_and_sixteen_bit_images_become_rgb() -> None:
    def read(image: Image.Image) -> np.ndarray:
        buffer = BytesIO()
        image.save(buffer, "PNG")
        return read_image(buffer.getvalue())

    grey = np.arange(12, dtype=np.uint8).reshape(3, 4)
    np.testing.assert_array_equal(read(Image.fromarray(grey)), np.repeat(grey[..., None], 3, 2))
    colour = np.array([[[255, 0, 0], [0, 0, 255]]], np.uint8)
    np.testing.assert_array_equal(read(Image.fromarray(colour).convert("P")), colour)
    deep = np.array([[0, 256, 65535]], np.uint16)
    np.testing.assert_array_equal(read(Image.fromarray(deep))[0, :, 0], [0, 1, 255])


def test_camera_orientation_is_applied() -> None:
    buffer = BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6  # displayed rotated by 90 degrees
    Image.fromarray(np.zeros((8, 24, 3), np.uint8)).save(buffer, "JPEG", exif=exif)
    assert read_image(buffer.getvalue()).shape == (24, 8, 3)


@pytest.mark.parametrize("data", [b"", b"not an image", png_bytes_of(noise(0, 1, 40, 40)[0])[:600]])
def test_damage_is_a_data_error(data: bytes) -> None:
    with pytest.raises(DataError, match="not readable as an image"):
        read_image(data)


def test_a_decompression_bomb_is_refused_from_its_header(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "MAX_PIXELS", 100)
    with pytest.raises(DataError, match="at most 100"):
        image_size(png_bytes_of(noise(0, 1, 11, 10)[0]))


def test_a_first_frame_is_read_like_any_other_image(tmp_path: Path) -> None:
    from vidgan.commands.generate import read_image as read_first_frame

    upright = np.zeros((40, 20, 3), np.uint8)
    upright[:20] = 200
    buffer = BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6  # stored lying on its side
    Image.fromarray(np.rot90(upright).copy()).save(buffer, "PNG", exif=exif)
    (tmp_path / "phone.png").write_bytes(buffer.getvalue())
    np.testing.assert_array_equal(read_image(tmp_path / "phone.png"), upright)
    first = read_first_frame(tmp_path / "phone.png", (40, 20))
    np.testing.assert_array_equal(first.permute(1, 2, 0).numpy(), upright)
    deep = Image.fromarray((np.arange(64 * 64, dtype=np.uint16) * 16).reshape(64, 64))
    deep.save(tmp_path / "deep.png")
    np.testing.assert_array_equal(
        read_first_frame(tmp_path / "deep.png", (64, 64))[0].numpy(), (np.asarray(deep) >> 8).astype(np.uint8)
    )
    clear = Image.fromarray(np.full((8, 8, 4), (200, 200, 200, 0), np.uint8))
    clear.save(tmp_path / "clear.png")
    assert not read_first_frame(tmp_path / "clear.png", (8, 8)).any()
    pages = [Image.fromarray(np.full((8, 8, 3), level, np.uint8)) for level in (10, 200)]
    pages[0].save(tmp_path / "two.tif", save_all=True, append_images=pages[1:])
    os.mkfifo(tmp_path / "pipe.png")
    for name in ("two.tif", "pipe.png", "missing.png"):
        with pytest.raises(ValueError, match=name):
            read_first_frame(tmp_path / name, (8, 8))


def test_deep_netpbm_images_keep_their_upper_byte() -> None:
    levels = (np.arange(64, dtype=np.uint16) * 1000).reshape(8, 8)
    grey = b"P5 8 8 65535\n" + levels.astype(">u2").tobytes()
    np.testing.assert_array_equal(read_image(grey)[..., 0], levels >> 8)
