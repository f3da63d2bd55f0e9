"""Still images: identified by content, converted to RGB, and cut into frames where one image is a clip (a strip)."""

import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import Final

import numpy as np
from PIL import Image, ImageOps

from vidgan.data.sources.blobs import Blob
from vidgan.errors import DataError

MIN_STRIP_FRAMES: Final = 4  # with fewer square tiles, an image could equally be one wide image
MAX_PIXELS: Final = 89_478_485  # Pillow's own bound for a decompression bomb
_FORMATS: Final = ("PNG", "JPEG", "BMP", "PPM", "WEBP", "TIFF")
_IMAGE_ERRORS: Final = (
    OSError,
    SyntaxError,  # Pillow: broken PNG chunk
    ValueError,
    EOFError,
    MemoryError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,
)


@contextmanager
def _opened(blob: Blob) -> Iterator[Image.Image]:
    """The image with its header parsed; all of Pillow's exceptions become DataError."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(BytesIO(blob) if isinstance(blob, bytes) else blob, formats=_FORMATS) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise DataError(f"{image.width}x{image.height} pixels; accepted: at most {MAX_PIXELS} in total")
                yield image
    except DataError:
        raise
    except _IMAGE_ERRORS as error:
        raise DataError(f"not readable as an image ({type(error).__name__}: {error})") from error


def image_size(blob: Blob) -> tuple[int, int]:
    """(H, W) as stored, from the header. Raises DataError."""
    with _opened(blob) as image:
        return image.height, image.width


def read_image(blob: Blob) -> np.ndarray:
    """uint8 (H, W, 3) RGB in the EXIF orientation.

    Grey and palette images are expanded to three channels, 16-bit grey keeps its upper byte, opaque alpha is dropped,
    and translucent pixels are blended over black. Raises DataError.
    """
    with _opened(blob) as image:
        upright = ImageOps.exif_transpose(image)
        if upright.mode.startswith("I;16"):
            return np.repeat((np.asarray(upright) >> 8).astype(np.uint8)[..., None], 3, axis=2)  # (H, W, 3)
        if upright.mode in ("I", "F"):
            raise DataError(f"pixel type {upright.mode!r}; accepted: 8-bit grey, palette, RGB, RGBA and 16-bit grey")
        if upright.has_transparency_data:
            rgba = upright.convert("RGBA")
            if rgba.getextrema()[3] != (255, 255):
                rgba = Image.alpha_composite(Image.new("RGBA", rgba.size, (0, 0, 0, 255)), rgba)
            upright = rgba
        return np.array(upright.convert("RGB"))


def strip_frame_size(image: tuple[int, int], frame: tuple[int, int] | None = None) -> tuple[int, int] | None:
    """(H, W) of one frame if an image of (H, W) `image` is a strip of frames, else None.

    Without `frame`, frames are square and the longer side spans `MIN_STRIP_FRAMES` or more of them (MoCoGAN's layout,
    either orientation). If `frame` is given, one side must match and the other must span two or more frames.
    """
    height, width = image
    if frame is not None:
        wide = height == frame[0] and width % frame[1] == 0 and width > frame[1]
        tall = width == frame[1] and height % frame[0] == 0 and height > frame[0]
        return frame if wide or tall else None
    short, long = sorted(image)
    return (short, short) if long % short == 0 and long // short >= MIN_STRIP_FRAMES else None


def cut_strip(image: np.ndarray, frame: tuple[int, int]) -> np.ndarray:
    """(H, W, 3) strip -> (T, h, w, 3): frames from left to right, or from top to bottom."""
    height, width = frame
    rows, columns = image.shape[0] // height, image.shape[1] // width
    tiles = image.reshape(rows, height, columns, width, 3).transpose(0, 2, 1, 3, 4)  # (rows, columns, h, w, 3)
    return tiles.reshape(rows * columns, height, width, 3)
