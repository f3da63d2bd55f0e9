"""Fréchet and kernel distances on Gaussians and sets whose distances are known."""

import numpy as np
import pytest

from vidgan.metrics.frechet import frechet_between, frechet_distance, kernel_distance


def test_frechet_golden_value() -> None:
    mean = np.array([0, 0.25, 0.5, 0.75])
    covariance = np.eye(4) + 0.1 * np.ones((4, 4))
    other = np.diag([1.0, 2.0, 3.0, 4.0])
    assert frechet_distance(mean, covariance, np.zeros(4), other) == pytest.approx(2.4179844091, abs=1e-9)
    assert frechet_distance(np.zeros(4), other, mean, covariance) == pytest.approx(2.4179844091, abs=1e-9)


@pytest.mark.parametrize("rows", [(6, 9), (9, 6), (15, 15)])
def test_few_rows_of_many_features_give_the_same_distance(rows: tuple[int, int]) -> None:
    random = np.random.default_rng(0)
    sets = [random.normal(size=(number, 20)) * random.uniform(size=20) + shift for shift, number in enumerate(rows)]
    means, covariances = [s.mean(axis=0) for s in sets], [np.cov(s, rowvar=False) for s in sets]
    expected = frechet_distance(means[0], covariances[0], means[1], covariances[1])
    assert frechet_between(*sets) == pytest.approx(expected, rel=1e-6)


def test_frechet_of_commuting_and_singular_covariances() -> None:
    # |m|^2 + sum (s1 - s2)^2 for diagonal ones
    value = frechet_distance(np.array([3.0, 0.0]), np.diag([4.0, 0.0]), np.array([0.0, 4.0]), np.diag([1.0, 9.0]))
    assert value == pytest.approx(25 + 1 + 9)
    rank_one = np.ones((3, 3))
    assert frechet_distance(np.zeros(3), rank_one, np.zeros(3), rank_one) == pytest.approx(0.0, abs=1e-6)


def test_invalid_gaussians_and_sets_are_rejected() -> None:
    with pytest.raises(ValueError, match=r"\(D,\)"):
        frechet_distance(np.zeros(2), np.eye(3), np.zeros(2), np.eye(2))
    with pytest.raises(ValueError, match="finite"):
        frechet_distance(np.zeros(2), np.eye(2) * np.nan, np.zeros(2), np.eye(2))
    with pytest.raises(ValueError, match="N >= 2"):
        frechet_between(np.zeros((1, 2)), np.zeros((5, 2)))


def test_frechet_between_sets() -> None:
    points = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 2.0], [0.0, -2.0]])
    assert frechet_between(points, points + np.array([3.0, 4.0])) == pytest.approx(25.0)
    # Doubling a centred set doubles its deviations: the sum of squared deviations is its distance.
    assert frechet_between(points, 2 * points) == pytest.approx(points.var(axis=0, ddof=1).sum())


# Fréchet distance between two samples of the SAME 400-dimensional Gaussian of total variance 1000.
BIAS = {"flat": {64: 1361, 128: 1086, 256: 746}, "falling": {64: 756, 128: 527, 256: 322}}


@pytest.mark.parametrize("spectrum", BIAS)
def test_frechet_of_equals_is_biased_and_kernel_is_not(spectrum: str) -> None:
    variances = np.ones(400) if spectrum == "flat" else 1 / np.arange(1, 401)
    deviations = np.sqrt(1000 * variances / variances.sum())
    random = np.random.default_rng(0)
    for number, expected in BIAS[spectrum].items():
        samples = random.normal(size=(2, number, 400)) * deviations
        assert frechet_between(*samples) == pytest.approx(expected, rel=0.04), number
    # Shifting one set by a standard deviation gives a kernel distance far above that of equal distributions.
    same = [kernel_distance(*(random.normal(size=(2, 64, 400)) * deviations)) for _ in range(8)]
    shifted = kernel_distance(samples[0], samples[1] + deviations)
    assert abs(np.mean(same)) < 0.1 * shifted


def test_kernel_distance_by_hand() -> None:
    first, second = np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([[1.0, 1.0], [2.0, 0.0], [0.0, 0.0]])
    # k = (x.y / 2 + 1)^3: within the first set 1; within the second 8, 1, 1; across as listed.
    across = (27 / 8 + 27 / 8 + 8 + 1 + 1 + 1) / 6
    assert kernel_distance(first, second) == pytest.approx(1 + (8 + 1 + 1) / 3 - 2 * across)
    with pytest.raises(ValueError, match=r"same D.*\(2, 2\).*\(3, 1\)"):
        kernel_distance(first, second[:, :1])
    with pytest.raises(ValueError, match="N >= 2"):
        kernel_distance(first[:1], second)
