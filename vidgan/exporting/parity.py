"""How far an exported file is from the model, measured through the reader that runs it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from vidgan.errors import RunFailedError
from vidgan.exporting.runner import OnnxForecaster, OnnxGenerator
from vidgan.metrics.frame import psnr

__all__ = ["CLIPS", "HALF_LEVELS", "LEVELS", "Parity", "compare", "moving_clips"]

CLIPS: Final = 100
LEVELS: Final = 1  # largest accepted difference of a pixel, of 255
HALF_LEVELS: Final = 8  # of a page, up to which its weights are stored in half precision
_BATCH = 10
_WAVES = 6  # of a texture


@dataclass(frozen=True)
class Parity:
    """Differences between the frames of a file and those of the model.

    Attributes:
        clips: compared.
        levels: the largest difference of a pixel, of 255.
        share: of the pixels that differ.
        rms: root mean square of the differences, in levels.
        model_psnr, file_psnr: PSNR in dB of the model's forecasts and of the file's against the true frames, mean over
            the frames; None for a generator, whose clips have no truth.
    """

    clips: int
    levels: int
    share: float
    rms: float
    model_psnr: float | None = None
    file_psnr: float | None = None

    def __str__(self) -> str:
        text = (
            f"{self.clips} clips: largest difference {self.levels} of 255 levels, root mean square {self.rms:.3g},"
            f" {self.share:.2%} of the pixels differ"
        )
        if self.model_psnr is None or self.file_psnr is None:
            return text
        return f"{text}; PSNR of the forecasts {self.file_psnr:.2f} dB, of the model's {self.model_psnr:.2f} dB"

    def require(self, path: Path) -> None:
        """Raise RunFailedError unless the file equals the model within LEVELS."""
        if self.levels > LEVELS:
            raise RunFailedError(
                f"{path}: not written, because its frames differ from the model's by up to {self.levels} of 255 levels"
                f" ({self.share:.2%} of the pixels of {self.clips} clips differ); accepted is {LEVELS}"
            )


def compare(model: Any, exported: OnnxGenerator | OnnxForecaster, clips: int = CLIPS) -> Parity:
    """Compare a file with the model that it was made from.

    A generator draws clips of the length of training. A forecaster continues `moving_clips`, half of them with the
    posterior's mean and half with draws, where it has them.
    """
    largest, different, squares, pixels = 0, 0, 0.0, 0
    model_psnr: list[float] = []
    file_psnr: list[float] = []
    for start in range(0, clips, _BATCH):
        count = min(_BATCH, clips - start)
        if isinstance(exported, OnnxGenerator):
            expected, frames = _generated(model, exported, count, seed=start)
        else:
            expected, frames, truth = _forecast(model, exported, count, seed=start)
            model_psnr += psnr(*map(torch.from_numpy, (expected, truth))).ravel().tolist()
            file_psnr += psnr(*map(torch.from_numpy, (frames, truth))).ravel().tolist()
        difference = np.abs(expected.astype(np.int16) - frames)
        largest = max(largest, int(difference.max()))
        different += int((difference > 0).sum())
        squares += float(np.square(difference, dtype=np.float64).sum())
        pixels += difference.size
    means = [float(np.mean(values)) if values else None for values in (model_psnr, file_psnr)]
    return Parity(clips, largest, different / pixels, (squares / pixels) ** 0.5, *means)


def _generated(model: Any, exported: OnnxGenerator, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    frame = None
    if exported.needs_first_frame:
        frame = moving_clips(exported.exported.image_size, 1, 1, seed=seed)[0, 0]
    given = None if frame is None else torch.from_numpy(frame)
    expected = model.sample(count, frames=exported.exported.frames, seed=seed, first_frame=given)
    return expected.numpy(), exported.sample(count, seed=seed, first_frame=frame)


def _forecast(model: Any, exported: OnnxForecaster, count: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Frames of the model, of the file, and the true ones."""
    context = exported.exported.context or 2
    horizon = max(2, exported.exported.frames - context)
    clips = moving_clips(exported.exported.image_size, count, context + horizon, seed=seed)
    known, truth = clips[:, :context], clips[:, context:]
    draws = seed if exported.can_sample and (seed // _BATCH) % 2 else None
    expected = model.predict(torch.from_numpy(known), horizon, seed=draws)
    return expected.numpy(), exported.predict(known, horizon, seed=draws), truth


def moving_clips(size: tuple[int, int], clips: int, frames: int, *, seed: int) -> np.ndarray:
    """Clips of smooth textures that glide, and of a rectangle of another texture that glides over them.

    Args:
        size: (H, W).
        clips, frames: how many.
        seed: same seed, same clips.

    Returns:
        (clips, frames, 3, H, W) uint8.
    """
    random = np.random.default_rng(seed)
    y, x = np.mgrid[: size[0], : size[1]].astype(np.float32)
    made = np.empty((clips, frames, 3, *size), np.uint8)
    for clip in made:
        ground, thing = (_Texture(random) for _ in range(2))
        side = np.array(size) * random.uniform(0.2, 0.5, 2)
        place = random.uniform(0, np.array(size) - side)
        for time, frame in enumerate(clip):
            top, left = place + time * thing.velocity
            inside = (y >= top) & (y < top + side[0]) & (x >= left) & (x < left + side[1])
            frame[:] = np.where(inside, thing.draw(x, y, time), ground.draw(x, y, time))
    return made


class _Texture:
    """A sum of waves in each colour that glides at a constant velocity."""

    def __init__(self, random: np.random.Generator) -> None:
        self.velocity = random.uniform(-2, 2, 2)  # pixels per frame, down and right
        self._waves = random.normal(0, 0.25, (3, _WAVES, 2))  # radians per pixel
        self._phases = random.uniform(0, 2 * np.pi, (3, _WAVES))
        self._mean = random.uniform(80, 175, 3)

    def draw(self, x: np.ndarray, y: np.ndarray, time: int) -> np.ndarray:
        """(3, H, W) uint8."""
        down, right = time * self.velocity
        angles = np.einsum("cw,hk->cwhk", self._waves[..., 0], y - down)
        angles += np.einsum("cw,hk->cwhk", self._waves[..., 1], x - right)
        pixels = self._mean[:, None, None] + 30 * np.sin(angles + self._phases[..., None, None]).sum(axis=1)
        return pixels.round().clip(0, 255).astype(np.uint8)
