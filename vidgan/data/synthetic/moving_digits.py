"""Clips of moving digits, drawn as the field draws Moving MNIST for training.

Srivastava et al. (2015) as in OpenSTL's loader: each digit (28x28) starts anywhere in the 64x64 frame and moves by 0.1
of the free range (36 pixels) a frame in a direction that is drawn uniformly; at a wall it stops at the wall and its
speed across the wall turns round; digits are laid over each other by their maximum. The first frame comes after the
first step. Every clip is drawn from its own key (seed, split, number), so that clip 17 is the same whatever else is
made.
"""

import gzip
import math
import struct
import zlib
from collections.abc import Sequence
from typing import IO, Final

import numpy as np
import torch

from vidgan.data.sources.blobs import opened
from vidgan.data.sources.images import Blob
from vidgan.errors import DataError
from vidgan.seeding import generator

CANVAS: Final = 64
STEP: Final = 0.1
_MAGIC: Final = 0x00000803  # IDX: unsigned bytes, three dimensions
_MAX_BYTES: Final = 1 << 30


def read_idx_images(blob: Blob) -> np.ndarray:
    """uint8 (N, H, W) images of an IDX file, plain or gzip by content. Raises DataError."""
    try:
        with opened(blob) as file:
            packed = file.read(2) == b"\x1f\x8b"
            file.seek(0)
            if not packed:
                return _parse_idx(file)
            with gzip.GzipFile(fileobj=file) as content:
                return _parse_idx(content)
    except (OSError, EOFError, zlib.error, struct.error) as error:
        raise DataError(f"no IDX file of images ({type(error).__name__}: {error})") from error


def _parse_idx(file: IO[bytes] | gzip.GzipFile) -> np.ndarray:
    magic, count, height, width = struct.unpack(">4I", file.read(16))  # big-endian
    if magic != _MAGIC:
        raise DataError(f"no IDX file of images: it starts with 0x{magic:08x}, expected 0x{_MAGIC:08x}")
    size = count * height * width
    if not 0 < size <= _MAX_BYTES:
        raise DataError(f"an IDX file of {count} images of {width}x{height}; accepted: 1 to {_MAX_BYTES} bytes")
    data = file.read(size)
    if len(data) < size:
        raise DataError(f"the IDX file ends after {len(data)} of {size} bytes of images")
    if file.read(1):  # also makes gzip check its checksum
        raise DataError(f"the IDX file goes on after its {count} images")
    return np.frombuffer(data, np.uint8).reshape(count, height, width)


def draw_moving_digits(images: np.ndarray, frames: int, digits: int, keys: Sequence[int | str]) -> np.ndarray:
    """A uint8 (T, 64, 64) clip of `digits` of the (N, h, w) images, determined by `keys`."""
    random = generator("moving-digits", *keys)
    clip = np.zeros((frames, CANVAS, CANVAS), np.uint8)
    height, width = images.shape[1:]
    for _ in range(digits):
        image = images[int(torch.randint(len(images), (), generator=random))]
        x, y, turn = torch.rand(3, generator=random, dtype=torch.float64).tolist()
        lefts = trajectory(x, math.cos(2 * math.pi * turn), frames, CANVAS - width)
        tops = trajectory(y, math.sin(2 * math.pi * turn), frames, CANVAS - height)
        for frame, left, top in zip(clip, lefts, tops, strict=True):
            window = frame[top : top + height, left : left + width]
            np.maximum(window, image, out=window)
    return clip


def trajectory(start: float, speed: float, frames: int, free: int) -> list[int]:
    """Positions in pixels, 0 to `free`, of a point that starts at the share `start` and moves by `STEP` x `speed`."""
    position, positions = start, []
    for _ in range(frames):
        position += STEP * speed
        if position <= 0.0:
            position, speed = 0.0, -speed
        elif position >= 1.0:
            position, speed = 1.0, -speed
        positions.append(int(free * position))
    return positions
