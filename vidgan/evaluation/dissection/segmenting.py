"""How well a layered generator's masks cut out the moving object, beside background subtraction."""

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from vidgan.metrics.segmentation import intersection_over_union, off_background
from vidgan.types import ByteClip

__all__ = ["Segmentation", "score_masks"]


@dataclass(frozen=True)
class Segmentation:
    """Mean intersection over union with reference masks, 0 to 1.

    Attributes:
        reference: what the masks are compared with.
        clips: their number.
        mask: of the mask; `inverted` of its complement: a larger value than `mask` means that the layers are swapped.
        baseline: of background subtraction (`vidgan.metrics.segmentation.off_background`); None if it is the reference.
        coverage: mean share of the frame that the mask covers; `reference_coverage` that of the reference.
    """

    reference: str
    clips: int
    mask: float
    inverted: float
    baseline: float | None
    coverage: float
    reference_coverage: float


def score_masks(clips: ByteClip, mask: Tensor, truth: Tensor | None = None, reference: str = "") -> Segmentation:
    """Score masks in both polarities.

    Args:
        clips: (B, T, 3, H, W) uint8, the clips that the masks segment.
        mask: (B, T, H, W) bool.
        truth: (B, T, H, W) bool; None: background subtraction is the reference, which is no truth.
        reference: name of the truth.
    """
    subtracted = off_background(clips)
    target = subtracted if truth is None else truth
    return Segmentation(
        reference=reference if truth is not None else "background subtraction",
        clips=len(clips),
        mask=float(np.mean(intersection_over_union(mask, target))),
        inverted=float(np.mean(intersection_over_union(~mask, target))),
        baseline=None if truth is None else float(np.mean(intersection_over_union(subtracted, target))),
        coverage=float(mask.float().mean()),
        reference_coverage=float(target.float().mean()),
    )
