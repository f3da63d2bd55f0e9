"""Random views of a clip for training: crops, flips, a virtual moving camera, changed light. One draw per clip.

A forecaster memorises the camera motion of few driving sequences. A second, virtual camera makes every epoch a new
sequence and teaches the model which part of the camera motion is unpredictable.

Arrays have the layout of a prepared data set: frames (T, H, W, 3), flow (T-1, 2, H, W).
"""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from vidgan.errors import DataError

AUGMENTATIONS: Final = ("camera", "tone", "grey", "blur")

# Virtual camera, drawn per clip unless stated otherwise. Lengths are fractions of the crop's height, angles in radians.
ZOOM = (0.95, 1.4)
TILT, TURNING = 0.02, 0.004  # standard deviation of the angle, and of its change per frame
PAN = (0.008, 0.004)  # standard deviation of the velocity per frame, along x and y, in half of the clips
NEARING = 0.01  # standard deviation of the zoom's relative change per frame, in half of the clips
SHAKE = 0.001  # standard deviation of the shake amplitude; each frame is displaced independently (x: 0.6 of it)

# Light. The first constant of each line is the fraction of clips that it applies to.
TONE, CONTRAST, BRIGHTNESS = 0.6, (0.6, 1.3), 0.075  # contrast as a factor, brightness as a fraction of the range
GREY = 0.3
BLUR, SIGMA = 0.3, (0.4, 0.9)  # sigma in pixels


def check_augmentations(names: Collection[str]) -> None:
    """Raise DataError for unknown or repeated names."""
    for name in names:
        if name not in AUGMENTATIONS:
            raise DataError(f"augment: unknown name {name!r}; accepted: {', '.join(AUGMENTATIONS)}")
    if len(set(names)) < len(names):
        raise DataError(f"augment is {', '.join(names)}; accepted: each name once")


def crop(frames: np.ndarray, window: tuple[int, int], offset: tuple[int, int]) -> np.ndarray:
    """The crop of size `window` (h, w) at `offset` (y, x) from the top left of frames (T, H, W, 3); a view."""
    (height, width), (y, x) = window, offset
    return frames[..., y : y + height, x : x + width, :]


def crop_flow(flow: np.ndarray, window: tuple[int, int], offset: tuple[int, int]) -> np.ndarray:
    """As `crop`, for flow (T-1, 2, H, W)."""
    (height, width), (y, x) = window, offset
    return flow[..., y : y + height, x : x + width]


def crop_middle(frames: np.ndarray, window: tuple[int, int]) -> np.ndarray:
    """The centre crop of size `window` (h, w) of frames (T, H, W, 3), as used in evaluation; a view."""
    height, width = frames.shape[1:3]
    return crop(frames, window, ((height - window[0]) // 2, (width - window[1]) // 2))


def check_window(window: tuple[int, int] | None, size: tuple[int, int], root: Path) -> tuple[int, int]:
    """(h, w) of the crops of frames of `size` (H, W): `window`, or `size` for None.

    `root` is the data set, for the message. Raises DataError for a window larger than the frames.
    """
    if window is None:
        return size
    if any(part > whole or part < 1 for part, whole in zip(window, size, strict=True)):
        requested, stored = ("x".join(map(str, sides)) for sides in (window, size))
        raise DataError(f"window is {requested}; accepted: at most {stored}, the frame size of {root}")
    return window


def augment(frames: np.ndarray, names: Sequence[str], window: tuple[int, int], seed: int) -> np.ndarray:
    """Apply random camera motion and light changes to a clip.

    Args:
        frames: (T, H, W, 3) uint8, at least as large as the window.
        names: of `AUGMENTATIONS`, in any order. Without ``"camera"``, the crop is at a random position.
        window: (h, w) of the result.
        seed: determines all random draws.

    Returns:
        (T, h, w, 3) uint8.
    """
    random = np.random.default_rng(seed)
    if "camera" in names:
        clip = _move_camera(_to_float(frames), window, random)
    else:
        offset = [int(random.integers(size - part + 1)) for size, part in zip(frames.shape[1:3], window, strict=True)]
        clip = _to_float(crop(frames, window, (offset[0], offset[1])))
    if "blur" in names and random.random() < BLUR:
        clip = _blur(clip, random.uniform(*SIGMA))
    if "grey" in names and random.random() < GREY:
        clip = clip.mean(dim=1, keepdim=True).expand(-1, 3, -1, -1)
    if "tone" in names and random.random() < TONE:
        clip = clip * random.uniform(*CONTRAST) + random.uniform(-BRIGHTNESS, BRIGHTNESS)
    bytes_ = (clip.clamp(0, 1) * 255).round().to(torch.uint8)
    return rearrange(bytes_, "t c h w -> t h w c").numpy()


def _to_float(frames: np.ndarray) -> Tensor:
    """(T, H, W, 3) uint8 -> (T, 3, H, W) float32 in [0, 1]."""
    return rearrange(torch.from_numpy(np.ascontiguousarray(frames)), "t h w c -> t c h w").float() / 255


def _move_camera(clip: Tensor, window: tuple[int, int], random: np.random.Generator) -> Tensor:
    """The clip seen by a camera that pans, rotates, zooms and shakes: one affine map per frame, bicubic sampling."""
    count, (full_height, full_width), (height, width) = len(clip), clip.shape[-2:], window
    scale = min(1 / random.uniform(*ZOOM), full_height / height, full_width / width)  # source pixels per pixel
    times = np.arange(count) - (count - 1) / 2
    angles = random.normal(0, TILT) + random.normal(0, TURNING) * times
    scales = scale * np.exp(random.normal(0, NEARING) * (random.random() < 0.5) * times)
    spare = np.array([full_width - scale * width, full_height - scale * height]) / 2
    centre = np.array([full_width, full_height]) / 2 + random.uniform(-1, 1, size=2) * spare
    velocity = random.normal(0, PAN) * (random.random() < 0.5)
    shake = random.normal(0, SHAKE) * random.normal(size=(count, 2)) * (0.6, 1.0)
    centres = centre + height * (velocity * times[:, None] + shake)  # (T, 2), pixels
    # affine_grid normalises both images to -1 to 1, so each row is divided by half the source's size.
    cos, sin = scales * np.cos(angles) / 2, scales * np.sin(angles) / 2
    rows = np.stack([
        np.stack([cos * width, -sin * height, centres[:, 0]], axis=1) / (full_width / 2) - (0, 0, 1),
        np.stack([sin * width, cos * height, centres[:, 1]], axis=1) / (full_height / 2) - (0, 0, 1),
    ], axis=1)  # (T, 2, 3)  # fmt: skip
    grid = F.affine_grid(torch.from_numpy(rows).float(), [count, 3, height, width], align_corners=False)
    return F.grid_sample(clip, grid, mode="bicubic", padding_mode="reflection", align_corners=False)  # (T, 3, h, w)


def _blur(clip: Tensor, sigma: float) -> Tensor:
    """Gaussian blur of (T, 3, H, W) with replicated borders."""
    offsets = torch.arange(-3, 4, dtype=torch.float32)
    kernel = torch.exp(-offsets.square() / (2 * sigma**2))
    kernel = (kernel / kernel.sum()).expand(3, 1, 1, -1)
    padded = F.pad(clip, (3, 3, 3, 3), mode="replicate")
    return F.conv2d(F.conv2d(padded, kernel, groups=3), kernel.transpose(-1, -2), groups=3)


def flip_frames(frames: np.ndarray) -> np.ndarray:
    """Mirror frames (T, H, W, 3) of any type left to right; a view."""
    return frames[:, :, ::-1]


def flip_flow(flow: np.ndarray) -> np.ndarray:
    """The flow (T-1, 2, H, W) between mirrored frames: mirrored, with the sign of dx changed."""
    sign = np.array([-1, 1], flow.dtype).reshape(1, 2, 1, 1)
    return flow[..., ::-1] * sign
