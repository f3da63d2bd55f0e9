"""Random views of a clip for training: a window, a moving camera, other light. One draw a clip, kept over its frames.

A forecaster that meets few drives learns their camera's every jolt by heart. Another camera on top of theirs makes each
epoch a new drive, and teaches how much of a jolt cannot be known beforehand.
"""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from vidgan.errors import DataError

AUGMENTATIONS: Final = ("camera", "tone", "grey", "blur")

# Of the camera, per clip unless said otherwise. Lengths are in shares of the window's height, angles in radians.
ZOOM = (0.95, 1.4)
TILT, TURNING = 0.02, 0.004  # standard deviation of the angle, and of its change a frame
PAN = (0.008, 0.004)  # standard deviation of the velocity a frame, along x and y, in half of the clips
NEARING = 0.01  # standard deviation of the zoom's relative change a frame, in half of the clips
SHAKE = 0.001  # standard deviation of the clip's own shake, which displaces each frame anew (x: six tenths of it)

# Of the light, each in its share of the clips.
TONE, CONTRAST, BRIGHTNESS = 0.6, (0.6, 1.3), 0.075  # contrast as a factor, brightness in shares of the range
GREY = 0.3
BLUR, SIGMA = 0.3, (0.4, 0.9)  # pixels


def check_augmentations(names: Collection[str]) -> None:
    """Raises DataError for an unknown name, or one that is given twice."""
    for name in names:
        if name not in AUGMENTATIONS:
            raise DataError(f"augment: {name!r} is unknown; accepted: {', '.join(AUGMENTATIONS)}")
    if len(set(names)) < len(names):
        raise DataError(f"augment: {', '.join(names)} names one twice")


def crop(frames: np.ndarray, window: tuple[int, int], offset: tuple[int, int]) -> np.ndarray:
    """The window (h, w) at `offset` (y, x) from the top left, of frames (T, H, W, 3)."""
    (height, width), (y, x) = window, offset
    return frames[..., y : y + height, x : x + width, :]


def crop_flow(flow: np.ndarray, window: tuple[int, int], offset: tuple[int, int]) -> np.ndarray:
    """`crop` for flow (T-1, 2, H, W)."""
    (height, width), (y, x) = window, offset
    return flow[..., y : y + height, x : x + width]


def middle(frames: np.ndarray, window: tuple[int, int]) -> np.ndarray:
    """The window (h, w) around the middle of frames (T, H, W, 3), as evaluation sees them."""
    height, width = frames.shape[1:3]
    return crop(frames, window, ((height - window[0]) // 2, (width - window[1]) // 2))


def check_window(window: tuple[int, int] | None, size: tuple[int, int], root: Path) -> tuple[int, int]:
    """The size (h, w) of what is shown of frames of `size`: the window, or all. Raises DataError where it is larger."""
    if window is None:
        return size
    if any(part > whole or part < 1 for part, whole in zip(window, size, strict=True)):
        shown, stored = ("x".join(map(str, sides)) for sides in (window, size))
        raise DataError(f"window is {shown}; accepted: up to the {stored} that {root} was prepared with")
    return window


def augment(frames: np.ndarray, names: Sequence[str], window: tuple[int, int], seed: int) -> np.ndarray:
    """Frames (T, H, W, 3) uint8 as another camera in other light would have seen them, (T, h, w, 3) uint8.

    Args:
        frames: at least as large as the window.
        names: of AUGMENTATIONS, in any order. Without "camera" the window lies at a random place.
        window: (h, w) of the view.
        seed: all draws come from it.
    """
    random = np.random.default_rng(seed)
    if "camera" in names:
        clip = _seen(_as_floats(frames), window, random)
    else:
        offset = [int(random.integers(size - part + 1)) for size, part in zip(frames.shape[1:3], window, strict=True)]
        clip = _as_floats(crop(frames, window, (offset[0], offset[1])))
    if "blur" in names and random.random() < BLUR:
        clip = _blurred(clip, random.uniform(*SIGMA))
    if "grey" in names and random.random() < GREY:
        clip = clip.mean(dim=1, keepdim=True).expand(-1, 3, -1, -1)
    if "tone" in names and random.random() < TONE:
        clip = clip * random.uniform(*CONTRAST) + random.uniform(-BRIGHTNESS, BRIGHTNESS)
    bytes_ = (clip.clamp(0, 1) * 255).round().to(torch.uint8)
    return bytes_.permute(0, 2, 3, 1).numpy()  # (T, h, w, 3)


def _as_floats(frames: np.ndarray) -> Tensor:
    """(T, H, W, 3) uint8 -> (T, 3, H, W) float32 in [0, 1]."""
    return torch.from_numpy(np.ascontiguousarray(frames)).permute(0, 3, 1, 2).float() / 255


def _seen(clip: Tensor, window: tuple[int, int], random: np.random.Generator) -> Tensor:
    """The clip through a camera that pans, turns, nears and shakes: one affine map a frame, sampled bicubically."""
    count, (full_height, full_width), (height, width) = len(clip), clip.shape[-2:], window
    scale = min(1 / random.uniform(*ZOOM), full_height / height, full_width / width)  # source pixels a pixel
    times = np.arange(count) - (count - 1) / 2
    angles = random.normal(0, TILT) + random.normal(0, TURNING) * times
    scales = scale * np.exp(random.normal(0, NEARING) * (random.random() < 0.5) * times)
    spare = np.array([full_width - scale * width, full_height - scale * height]) / 2
    centre = np.array([full_width, full_height]) / 2 + random.uniform(-1, 1, size=2) * spare
    velocity = random.normal(0, PAN) * (random.random() < 0.5)
    shake = random.normal(0, SHAKE) * random.normal(size=(count, 2)) * (0.6, 1.0)
    centres = centre + height * (velocity * times[:, None] + shake)  # (T, 2), pixels
    # affine_grid counts both pictures from -1 to 1, so each row is divided by half the source's size.
    cos, sin = scales * np.cos(angles) / 2, scales * np.sin(angles) / 2
    rows = np.stack([
        np.stack([cos * width, -sin * height, centres[:, 0]], axis=1) / (full_width / 2) - (0, 0, 1),
        np.stack([sin * width, cos * height, centres[:, 1]], axis=1) / (full_height / 2) - (0, 0, 1),
    ], axis=1)  # (T, 2, 3)  # fmt: skip
    grid = F.affine_grid(torch.from_numpy(rows).float(), [count, 3, height, width], align_corners=False)
    return F.grid_sample(clip, grid, mode="bicubic", padding_mode="reflection", align_corners=False)  # (T, 3, h, w)


def _blurred(clip: Tensor, sigma: float) -> Tensor:
    """Gaussian blur of (T, 3, H, W), the border repeated outside."""
    offsets = torch.arange(-3, 4, dtype=torch.float32)
    kernel = torch.exp(-offsets.square() / (2 * sigma**2))
    kernel = (kernel / kernel.sum()).expand(3, 1, 1, -1)
    padded = F.pad(clip, (3, 3, 3, 3), mode="replicate")
    return F.conv2d(F.conv2d(padded, kernel, groups=3), kernel.transpose(-1, -2), groups=3)
