"""The AUC of Liu et al. 2018 on numbers that were worked out by hand."""

import math

import numpy as np
import pytest

from vidgan.metrics.anomaly import AUC, GAP, MACRO, auc, normality, summary


def test_psnr_is_normalised_within_a_video() -> None:
    """40, 30 and 20 dB -> 1, 0.5, 0, whatever the scale of the errors."""
    for scale in (1.0, 0.01):
        assert normality(scale * np.array([1e-4, 1e-3, 1e-2]), 48) == pytest.approx([1, 0.5, 0])
    assert normality(np.full(3, 0.1), 48).tolist() == [1, 1, 1]
    exact = normality(np.array([0.0, (1 / 255) ** 2 / 48, 0.01]), 48)  # no error counts as one level of one value
    assert exact.tolist() == [1, 1, 0]


def test_auc_counts_pairs_in_order() -> None:
    """Normal 0.9, 0.5, 0.4 against 0.5, 0.1: of six pairs four are in order, one is a tie and one is not."""
    assert auc(np.array([0.9, 0.5, 0.4]), np.array([0.5, 0.1])) == pytest.approx((1 + 1 + 0.5 + 1 + 0 + 1) / 6)
    assert auc(np.array([1.0]), np.array([0.0])) == 1
    assert math.isnan(auc(np.array([1.0]), np.array([])))


def test_summary_over_videos() -> None:
    scores = {"a": np.array([1.0, 0.0, 0.6]), "b": np.array([1.0, 0.2])}
    labels = {"a": np.array([False, True, False]), "b": np.array([False, False])}
    found = summary(scores, labels, ["a", "b"], {"a": 1.0, "b": math.nan})
    assert found == {AUC: 1.0, MACRO: 1.0, GAP: pytest.approx(0.7)}
