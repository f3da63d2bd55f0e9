"""What is done to forecasts beyond the network's own output: hindsight, restored detail, motion spread.

Not in the paper. A `Decoding` holds the settings and is passed to the network's `forward`; the network itself has no
test-time branch. Only restored detail is part of training too, where the loss is taken of the restored frame.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from vidgan.nn.blur import gaussian_blur
from vidgan.nn.modes import without_autocast
from vidgan.sections import Section, option
from vidgan.seeding import Draws
from vidgan.tasks.forecasting.fusion import Evidence
from vidgan.types import Clip, Flow

__all__ = [
    "Decoding",
    "DecodingConfig",
    "DecodingRun",
    "MotionDrift",
    "agreement",
    "displacement_deviation",
    "enlarged_noise",
    "flow_change",
    "noise_shape",
    "restore_detail",
    "smooth_noise",
]

CHANGE_WINDOW = 4.0  # pixels, sigma of the window in which the change of motion is measured
CELL = 16  # pixels between independent values of the noise: objects move in pieces, not pixel by pixel
DETAIL = 0.7  # pixels, sigma of the blur that detail is the difference from
DETAIL_WINDOW = 4.0  # pixels, sigma of the window in which the strength of detail is measured
MOST_GAIN = 3.0
FLAT = 1e-5  # mean square of detail, of pixels in [-1, 1], below which there is no detail
TRUST_WINDOW = 8.0  # pixels, sigma of the window in which past forecasts are compared with the truth
PRIOR_TRUST = 0.7  # trust in what fusion adds to W where the past says nothing
PRIOR_STRENGTH = 2e-3  # mean square of what fusion adds, of pixels in [-1, 1], below which the prior dominates


class DecodingConfig(Section):
    """What is done to forecasts beyond the network's own output."""

    hindsight: bool = option(
        False, "Constrain the next frame to W where a forecast of the last context frame shows W to be better."
    )
    restore_detail: float = option(
        0.0, "Share of the detail lost to interpolation and blending that is given back.", ge=0, le=1
    )
    motion_spread: float = option(
        0.0, "Samples differ in motion: velocity keeps changing by this multiple of its last change.", ge=0
    )


@dataclass(frozen=True)
class Decoding:
    """Settings, see `DecodingConfig`."""

    hindsight: bool = False
    restore_detail: float = 0.0
    motion_spread: float = 0.0

    def in_training(self) -> "Decoding":
        """What applies in training: P is trained where it is wrong too, so without hindsight, and nothing is spread."""
        return Decoding(restore_detail=self.restore_detail)


class DecodingRun:
    """One forecast's decoding, from the first frame to the last.

    Args:
        decoding: the settings.
        context: (B, T, C, H, W) in [-1, 1].
        draws: of the motion code; None for the best single guess, which is not spread.
        trust: (B, 1, H, W) from `agreement`, or None without hindsight.
    """

    def __init__(self, decoding: Decoding, *, context: Clip, draws: Draws | None, trust: Tensor | None) -> None:
        self.decoding = decoding
        self.last_true = context[:, -1]
        self.draws = draws if decoding.motion_spread else None
        self.trust = trust
        self._change: Tensor | None = None
        self._drift: MotionDrift | None = None

    def move(self, evidence: Evidence) -> Evidence:
        """The evidence of the next frame, its motion changed at random if samples are spread."""
        if self._change is None and (self.decoding.restore_detail or self.draws is not None):
            self._change = flow_change(evidence.observed, evidence.former)
        if self.draws is None:
            return evidence
        if self._drift is None:
            assert self._change is not None
            self._drift = MotionDrift(self.draws, self.decoding.motion_spread * self._change)
        moved = self._drift.step()
        return evidence._replace(observed=evidence.observed + moved, former=evidence.former + moved)

    def finish(self, fused: Tensor, warped: Tensor, last: Tensor, step: int) -> Tensor:
        """The frame that is returned for step 0, 1, ...; what is fed back is `fused` itself.

        Args:
            fused: P, (B, C, H, W).
            warped: W.
            last: the frame that P was made from.
        """
        frame = fused
        if self.trust is not None and step == 0:  # the past informs about the next frame only
            frame = warped + self.trust * (fused - warped)
        if self.decoding.restore_detail:
            assert self._change is not None
            deviation = displacement_deviation(self._change, step + 1)
            frame = restore_detail(frame, last, self.last_true, deviation, self.decoding.restore_detail)
        return frame


@torch.no_grad()
def agreement(fused: Tensor, warped: Tensor, truth: Tensor) -> Tensor:
    """How much of what fusion adds to W was right, locally: least squares of truth - W on P - W.

    Fusion learns from the training videos how to correct a warped frame, and is wrong about videos of another kind. A
    frame that is already known shows which it is: P is returned there, or W, or a blend.

    Args:
        fused: P of a known frame, (B, C, H, W) in [-1, 1].
        warped: W of the same frame.
        truth: that frame.

    Returns:
        (B, 1, H, W) in [0, 1]: 0 for W, 1 for P; near `PRIOR_TRUST` where both are equal.
    """
    added, missing = fused - warped, truth - warped
    overlap = gaussian_blur((added * missing).mean(dim=1, keepdim=True), TRUST_WINDOW)  # (B, 1, H, W)
    strength = gaussian_blur(added.square().mean(dim=1, keepdim=True), TRUST_WINDOW)
    return ((overlap + PRIOR_STRENGTH * PRIOR_TRUST) / (strength + PRIOR_STRENGTH)).clamp(0, 1)


def restore_detail(fused: Tensor, last: Tensor, last_true: Tensor, deviation: Tensor, share: float) -> Tensor:
    """Give a forecast back a share of the detail that it lost to interpolation and blending.

    Near the least error a little sharpening costs hardly any of it, but much of what the eye (and LPIPS) misses
    returns. How strong detail should be is read off the last true frame at the same position: scenes change slowly
    there. Where objects may be displaced by more than about a pixel, detail would appear in the wrong place, and the
    frame that the forecast was made from, itself a forecast by then, decides how much of it remains.

    Args:
        fused: (B, C, H, W) in [-1, 1].
        last: the frame that it was made from, of the same shape.
        last_true: the last frame of the context.
        deviation: (B, 1, H, W), pixels, standard deviation of the displacement error.
        share: 0 for none of what was lost, 1 for all of it.

    Returns:
        (B, C, H, W) in [-1, 1], float32.
    """
    with without_autocast(fused.device.type):
        fused = fused.float()
        detail = fused - gaussian_blur(fused, DETAIL)
        with torch.no_grad():
            due, still = (_strength(f - gaussian_blur(f, DETAIL)) for f in (last_true.float(), last.float()))
            due = torch.lerp(still, due, torch.exp(-deviation.float().square() / 2))  # (B, 1, H, W)
            gain = share * ((due / _strength(detail)).sqrt().clamp(1.0, MOST_GAIN) - 1)
        return (fused + gain * detail).clamp(-1, 1)


def flow_change(observed: Flow, former: Flow) -> Tensor:
    """How strongly motion changes from frame to frame, locally: the root mean square of its last change.

    Args:
        observed: (B, 2, H, W), pixels, the flow between the last two frames.
        former: the flow between the two before, moved along.

    Returns:
        (B, 1, H, W), pixels per frame, of either component.
    """
    with without_autocast(observed.device.type):
        change = (observed - former).float().square().mean(dim=1, keepdim=True)
        return gaussian_blur(change, CHANGE_WINDOW).clamp(min=0).sqrt()


def displacement_deviation(change: Tensor, frames: int | Tensor) -> Tensor:
    """Standard deviation of the displacement after k frames if the velocity walks at random by steps of `change`.

    The velocity's step before frame i of k moves objects in k - i + 1 frames, so variances add up to
    change^2 (1 + 4 + ... + k^2).

    Args:
        change: pixels per frame, of any shape; see `flow_change`.
        frames: k >= 1.

    Returns:
        Pixels, of the same shape.
    """
    return change * (frames * (frames + 1) * (2 * frames + 1) / 6) ** 0.5


def smooth_noise(draws: Draws, size: tuple[int, int]) -> Tensor:
    """Smooth random fields, (B, 2, H, W), of unit variance at the points of a grid of about `CELL` pixels."""
    return enlarged_noise(draws.normal(*noise_shape(size)), size)


def noise_shape(size: tuple[int, int]) -> tuple[int, int, int]:
    """Shape of the independent values of one smooth random field."""
    return 2, size[0] // CELL + 1, size[1] // CELL + 1


def enlarged_noise(values: Tensor, size: tuple[int, int]) -> Tensor:
    """Independent values (B, 2, h, w) -> smooth fields (B, 2, H, W) through them."""
    return F.interpolate(values, size=size, mode="bicubic", align_corners=True)


class MotionDrift:
    """What is added to the observed flow in a sampled forecast: a random walk of the velocity.

    Not in the paper, whose draws of the motion code give forecasts that hardly differ. Where motion just kept its
    velocity the next frame is certain; where it did not, or where the estimator fails, samples diverge.

    Args:
        draws: one row per clip; the streams advance with every step.
        deviation: (B, 1, H, W), pixels per frame: of the step of the velocity from one frame to the next.
    """

    def __init__(self, draws: Draws, deviation: Tensor) -> None:
        self.draws = draws
        self.deviation = deviation
        self.drift = torch.zeros_like(deviation)

    def step(self) -> Tensor:
        """(B, 2, H, W) pixels, for the next frame."""
        height, width = self.drift.shape[-2:]
        self.drift = self.drift + self.deviation * smooth_noise(self.draws, (height, width)).to(self.drift)
        return self.drift


def _strength(detail: Tensor) -> Tensor:
    """Local mean square, (B, C, H, W) -> (B, 1, H, W)."""
    return gaussian_blur(detail.square().mean(dim=1, keepdim=True), DETAIL_WINDOW) + FLAT
