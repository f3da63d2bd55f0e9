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

AUGMENTATIONS: Final = ("camera", "approach", "shake", "tone", "grey", "blur")

# Virtual camera, drawn per clip unless stated otherwise. Lengths are fractions of the crop's height, angles in radians.
ZOOM = (0.95, 1.4)
TILT, TURNING = 0.02, 0.004  # standard deviation of the angle, and of its change per frame
PAN = (0.008, 0.004)  # standard deviation of the velocity per frame, along x and y, in half of the clips
NEARING = 0.01  # standard deviation of the zoom's relative change per frame, in half of the clips
SHAKE = 0.001  # standard deviation of the shake amplitude; each frame is displaced independently (x: 0.6 of it)
# With "approach", this fraction of the clips zooms in by up to the second constant per frame, as from a fast car.
APPROACHED, FAST = 0.5, 0.06
# With "shake", this fraction of the clips has a larger amplitude, uniform between 0 and the second constant.
SHAKEN, STRONG_SHAKE = 0.25, 0.02

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
        names: of `AUGMENTATIONS`, in any order. Without ``"camera"``, ``"approach"`` and ``"shake"``, the crop is at a
            random position.
        window: (h, w) of the result.
        seed: determines all random draws.

    Returns:
        (T, h, w, 3) uint8.
    """
    random = np.random.default_rng(seed)
    size = (frames.shape[1], frames.shape[2])
    if _moves_camera(names):
        grid = _affine_grid(_camera(len(frames), size, window, names, random), window)
        clip = F.grid_sample(
            _to_float(frames), grid, mode="bicubic", padding_mode="reflection", align_corners=False
        )  # (T, 3, h, w)
    else:
        clip = _to_float(crop(frames, window, _random_offset(size, window, random)))
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


def augment_flow(flow: np.ndarray, names: Sequence[str], window: tuple[int, int], seed: int) -> np.ndarray:
    """The flow between the frames that `augment` makes with the same names, window and seed.

    Args:
        flow: (T-1, 2, H, W) backward flow between the original frames, in pixels.

    Returns:
        (T-1, 2, h, w) float32.
    """
    random = np.random.default_rng(seed)
    size = (flow.shape[2], flow.shape[3])
    if not _moves_camera(names):
        return crop_flow(flow, window, _random_offset(size, window, random))
    cameras = _camera(len(flow) + 1, size, window, names, random)
    grid = _affine_grid(cameras, window)[1:]  # (T-1, h, w, 2)
    observed = torch.from_numpy(np.ascontiguousarray(flow)).float()
    observed = F.grid_sample(observed, grid, padding_mode="border", align_corners=False)  # (T-1, 2, h, w)
    (height, width), (full_height, full_width) = window, size
    # Where each pixel comes from in the frame before, in that camera's coordinates from -1 to 1, and then in pixels.
    origin = grid + 2 * rearrange(observed, "t xy h w -> t h w xy") / torch.tensor([full_width, full_height])
    linear, centre = cameras[:-1, :, :2], cameras[:-1, None, None, :, 2]
    seen = torch.einsum("tij,thwj->thwi", torch.linalg.inv(linear), origin - centre)
    position = ((seen + 1) * torch.tensor([width, height]) - 1) / 2  # (T-1, h, w, 2)
    pixels = torch.stack(torch.meshgrid(torch.arange(width), torch.arange(height), indexing="xy"), dim=-1)
    return rearrange(position - pixels, "t h w xy -> t xy h w").numpy()


def _moves_camera(names: Sequence[str]) -> bool:
    return any(name in names for name in ("camera", "approach", "shake"))


def _random_offset(size: tuple[int, int], window: tuple[int, int], random: np.random.Generator) -> tuple[int, int]:
    """(y, x) of a crop."""
    y, x = (int(random.integers(whole - part + 1)) for whole, part in zip(size, window, strict=True))
    return y, x


def _affine_grid(cameras: Tensor, window: tuple[int, int]) -> Tensor:
    """(T, h, w, 2), positions in the source from -1 to 1, for cameras (T, 2, 3)."""
    return F.affine_grid(cameras, [len(cameras), 3, *window], align_corners=False)


def _camera(
    count: int, size: tuple[int, int], window: tuple[int, int], names: Sequence[str], random: np.random.Generator
) -> Tensor:
    """One affine map per frame, (T, 2, 3), of a camera that pans, rotates, zooms, approaches and shakes.

    It leads from positions in the view to positions in the source, both from -1 to 1. Without "camera" it does only
    what the other names say.
    """
    (full_height, full_width), (height, width) = size, window
    scale = min(1 / random.uniform(*ZOOM), full_height / height, full_width / width)  # source pixels per pixel
    times = np.arange(count) - (count - 1) / 2
    angles = random.normal(0, TILT) + random.normal(0, TURNING) * times
    scales = scale * np.exp(random.normal(0, NEARING) * (random.random() < 0.5) * times)
    spare = np.array([full_width - scale * width, full_height - scale * height]) / 2
    centre = np.array([full_width, full_height]) / 2 + random.uniform(-1, 1, size=2) * spare
    velocity = random.normal(0, PAN) * (random.random() < 0.5)
    amplitude, each = random.normal(0, SHAKE), random.normal(size=(count, 2)) * (0.6, 1.0)
    if "camera" not in names:  # a plain crop
        y, x = _random_offset(size, window, random)
        centre = np.array([x + width / 2, y + height / 2])
        angles, scales, velocity, amplitude = 0 * angles, np.ones(count), 0 * velocity, 0.0
    if "approach" in names and random.random() < APPROACHED:
        # The view narrows around a point of its own, from no more than the whole frame.
        zoom = np.exp(-random.uniform(0, FAST) * np.arange(count))
        scales = np.minimum(scales[0], min(full_height / height, full_width / width)) * zoom
        target = centre + random.uniform(-0.25, 0.25, size=2) * scales[0] * np.array([width, height])
        inner = np.array([full_width, full_height]) / 2
        spare = np.maximum(inner - scales[0] * np.array([width, height]) / 2, 0)
        centre = inner + np.clip(centre - inner, -spare, spare)
        centre = target + (centre - target) * zoom[:, None]
    if "shake" in names and random.random() < SHAKEN:
        amplitude = random.uniform(0, STRONG_SHAKE)
    centres = centre + height * (velocity * times[:, None] + amplitude * each)  # (T, 2), pixels
    # affine_grid normalises both images to -1 to 1, so each row is divided by half the source's size.
    cos, sin = scales * np.cos(angles) / 2, scales * np.sin(angles) / 2
    rows = np.stack([
        np.stack([cos * width, -sin * height, centres[:, 0]], axis=1) / (full_width / 2) - (0, 0, 1),
        np.stack([sin * width, cos * height, centres[:, 1]], axis=1) / (full_height / 2) - (0, 0, 1),
    ], axis=1)  # (T, 2, 3)  # fmt: skip
    return torch.from_numpy(rows).float()


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
