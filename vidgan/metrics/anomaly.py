"""Anomaly detection by forecast error, as Liu et al. define it ("Future Frame Prediction ...", CVPR 2018).

A frame that is forecast badly is anomalous. PSNR_t = 10 log10(1 / MSE_t) of each frame, then within each video the
score S_t = (PSNR_t - min PSNR) / (max PSNR - min PSNR), 1 for the most normal frame. The scores of all videos are
concatenated, and the area under the ROC curve is taken over all frames.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from scipy.stats import rankdata

__all__ = ["AUC", "DEFINITIONS", "GAP", "MACRO", "auc", "normality", "summary"]

AUC = "auc"
MACRO = "auc_macro"
GAP = "score_gap"
DEFINITIONS = {
    AUC: (
        "area under the ROC curve over all frames, of 1 - S, where S is the PSNR normalised to 0..1 within each video"
        " (Liu et al. 2018); 0.5 is chance"
    ),
    MACRO: "mean over the videos with both kinds of frames of the area under each one's ROC curve",
    GAP: "mean S of normal frames minus mean S of anomalous frames",
}


def normality(mse: np.ndarray, values_per_frame: int) -> np.ndarray:
    """(T,) mean squared errors of the frames of one video, pixels in [0, 1] -> (T,) scores S in [0, 1].

    A frame without error has the PSNR of one value that is one level off: infinity cannot be normalised. A video whose
    frames are all forecast equally well has S = 1.

    Args:
        values_per_frame: pixels times channels.
    """
    smallest = (1 / 255) ** 2 / values_per_frame
    psnr = -10 * np.log10(np.maximum(mse, smallest))
    span = psnr.max() - psnr.min()
    return np.asarray((psnr - psnr.min()) / span if span > 0 else np.ones_like(psnr))


def auc(normal: np.ndarray, anomalous: np.ndarray) -> float:
    """Probability that a normal frame has a higher score than an anomalous one; ties count half.

    It equals the area under the ROC curve. NaN if one of the two is empty.

    Args:
        normal, anomalous: scores S of the frames of each kind.
    """
    if len(normal) == 0 or len(anomalous) == 0:
        return math.nan
    ranks = rankdata(np.concatenate([normal, anomalous]))
    above = ranks[: len(normal)].sum() - len(normal) * (len(normal) + 1) / 2
    return float(above / (len(normal) * len(anomalous)))


def summary(
    scores: Mapping[str, np.ndarray],
    labels: Mapping[str, np.ndarray],
    videos: Sequence[str],
    by_video: Mapping[str, float],
) -> dict[str, float]:
    """AUC, its mean over videos, and the gap of the scores.

    Args:
        scores: video -> (T,) S.
        labels: video -> (T,) bool, true: anomalous.
        videos: which ones, with repetitions for a bootstrap resample.
        by_video: video -> its own AUC (NaN without both kinds of frames).
    """
    score = np.concatenate([scores[video] for video in videos])
    label = np.concatenate([labels[video] for video in videos])
    finite = [by_video[video] for video in videos if not math.isnan(by_video[video])]
    normal, anomalous = score[~label], score[label]
    has_both = len(normal) > 0 and len(anomalous) > 0
    return {
        AUC: auc(normal, anomalous),
        MACRO: float(np.mean(finite)) if finite else math.nan,
        GAP: float(normal.mean() - anomalous.mean()) if has_both else math.nan,
    }
