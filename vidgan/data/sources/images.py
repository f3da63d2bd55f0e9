"""Still images: identified by content, converted to RGB, and cut into frames where one image is a clip (a strip).

The only reader of images, for all commands. Images are upright by their EXIF orientation and have 8 bits per channel:
16-bit grey keeps its upper byte. Translucent pixels are blended over black. A file with several images is either read
page by page or refused, so that no image is dropped silently.
"""

import re
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from io import BytesIO
from typing import Final

import numpy as np
from PIL import Image, ImageOps

from vidgan.data.sources.blobs import Blob
from vidgan.errors import DataError, SourceError, UserError
from vidgan.files import open_regular

MIN_STRIP_FRAMES: Final = 4  # with fewer square tiles, an image could equally be one wide image
MAX_PIXELS: Final = 89_478_485  # Pillow's own bound for a decompression bomb
_FORMATS: Final = ("PNG", "JPEG", "BMP", "PPM", "WEBP", "TIFF")
_SUBFILE_TYPE, _REDUCED, _MASK = 254, 1, 4  # TIFF 6.0, section 8
_IMAGE_ERRORS: Final = (
    OSError,
    SyntaxError,  # Pillow: broken PNG chunk
    ValueError,
    EOFError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,
)


@contextmanager
def _opened(blob: Blob) -> Iterator[Image.Image]:
    """The image with its header parsed; all of Pillow's exceptions become SourceError."""
    with ExitStack() as stack:
        try:
            stack.enter_context(warnings.catch_warnings())
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            file = BytesIO(blob) if isinstance(blob, bytes) else stack.enter_context(open_regular(blob))
            image = stack.enter_context(Image.open(file, formats=_FORMATS))
            if image.width * image.height > MAX_PIXELS:
                detail = f"{image.width}x{image.height} pixels; accepted: at most {MAX_PIXELS} in total"
                raise SourceError("unreadable-image", detail)
            yield image
        except DataError:
            raise
        except MemoryError as error:
            raise SourceError("out-of-memory", "not enough memory to decode this image") from error
        except (UserError, *_IMAGE_ERRORS) as error:
            detail = f"not readable as an image ({type(error).__name__}: {error})"
            raise SourceError("unreadable-image", detail) from error


def image_size(blob: Blob) -> tuple[int, int]:
    """(H, W) as stored, from the header. Raises SourceError."""
    with _opened(blob) as image:
        return image.height, image.width


def num_pages(blob: Blob) -> int:
    """Number of images of full size in a file, from its headers. Raises SourceError."""
    with _opened(blob) as image:
        return len(_pages(image))


def read_image(blob: Blob) -> np.ndarray:
    """The only image of a file: uint8 (H, W, 3) RGB.

    Raises:
        SourceError: not readable, or several images (reason ``"several-images"``).
    """
    with _opened(blob) as image:
        if (count := len(_pages(image))) != 1:
            detail = f"{count} images in one file, where one is expected; save them as separate files"
            raise SourceError("several-images", detail)
        return _to_rgb(image)


def read_pages(blob: Blob) -> Iterator[np.ndarray]:
    """The images of a file in order, each as from `read_image`. Raises SourceError."""
    with _opened(blob) as image:
        pages = _pages(image)
        if image.format == "PPM" and len(pages) > 1:
            raise SourceError("several-images", "several images in a netpbm file; save them as separate files")
        for page in pages:
            image.seek(page)
            yield _to_rgb(image)


def _pages(image: Image.Image) -> list[int]:
    """Numbers of the images of full size: without previews and masks, and without what an animation does not show."""
    if image.format == "MPO":  # a JPEG of a camera: the others are previews, a second eye or a gain map
        return [0]
    if image.format == "PPM":
        return list(range(_count_netpbm(image)))
    count = getattr(image, "n_frames", 1)
    if image.format == "TIFF" and count > 1:
        pages = []
        for page in range(count):
            image.seek(page)
            if not int(image.tag_v2.get(_SUBFILE_TYPE, 0)) & (_REDUCED | _MASK):
                pages.append(page)
        image.seek(0)
        return pages or [0]
    # A PNG may have an image for viewers without animation, which is not part of it.
    first = 1 if count > 1 and image.format == "PNG" and getattr(image, "default_image", False) else 0
    return list(range(first, count))


def _count_netpbm(image: Image.Image) -> int:
    """2 if another image follows the first in a binary netpbm file, else 1."""
    if not image.tile or image.fp is None:
        return 1
    codec, _, offset, args = image.tile[0]
    if codec == "raw":
        bits = {"1;I": 1, "L": 8, "I;16B": 16, "RGB": 24}.get(str(args), 0)
    elif codec == "ppm" and isinstance(args, tuple):
        bits = {"L": 8, "RGB": 24}.get(str(args[0]), 0) * (2 if int(args[1]) > 255 else 1)
    else:
        return 1
    if not bits:
        return 1
    end = offset + (image.width * bits + 7) // 8 * image.height
    position = image.fp.tell()
    image.fp.seek(end)
    follows = image.fp.read(16).lstrip()
    image.fp.seek(position)
    return 2 if re.match(rb"P[1-7]\s", follows) else 1


def _to_rgb(image: Image.Image) -> np.ndarray:
    """uint8 (H, W, 3) of the current page."""
    upright = ImageOps.exif_transpose(image)
    is_deep_netpbm = upright.mode == "I" and image.format == "PPM"
    if upright.mode.startswith("I;16") or is_deep_netpbm:
        return np.repeat((np.asarray(upright) >> 8).astype(np.uint8)[..., None], 3, axis=2)  # (H, W, 3)
    if upright.mode in ("I", "F"):
        detail = f"pixel type {upright.mode!r}; accepted: 8-bit grey, palette, RGB, RGBA and 16-bit grey"
        raise SourceError("unreadable-image", detail)
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
