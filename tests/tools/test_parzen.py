"""The Parzen-window log-likelihood on values computed by hand, and the tool around it."""

import numpy as np
import parzen
import pytest

from vidgan.metrics.parzen import best_sigma, parzen_log_likelihood


def test_values_by_hand() -> None:
    point = np.zeros((1, 1))
    assert parzen_log_likelihood(point, point, 1.0)[0] == pytest.approx(-0.91894, abs=1e-5)
    assert parzen_log_likelihood(point, np.array([[0.0], [1.0]]), 1.0)[0] == pytest.approx(-1.13801, abs=1e-5)
    # -d ln(sigma sqrt(2 pi)) for d = 200 and sigma = 0.1
    zeros = np.zeros((1, 200))
    assert parzen_log_likelihood(zeros, zeros, 0.1)[0] == pytest.approx(276.729, abs=1e-3)


def test_it_is_a_density() -> None:
    grid = np.linspace(-8, 8, 4001)[:, None]
    samples = np.array([[-1.0], [0.5], [2.0]])
    density = np.exp(parzen_log_likelihood(grid, samples, 0.4))
    assert float(density.sum() * (grid[1, 0] - grid[0, 0])) == pytest.approx(1, abs=1e-6)


def test_far_points_do_not_underflow() -> None:
    assert parzen_log_likelihood(np.full((1, 4), 50.0), np.zeros((2, 4)), 0.1)[0] == pytest.approx(
        -499_994.466, abs=1e-2
    )


def test_sigma_is_chosen_inside_the_candidates() -> None:
    random = np.random.default_rng(0)
    validation, samples = random.normal(size=(2, 400, 1))
    assert 0.1 < best_sigma(validation, samples, (0.01, 0.03, 0.1, 0.3, 1.0, 3.0)) < 1.0
    with pytest.raises(ValueError, match="end of the candidates"):
        best_sigma(validation, samples, (1.0, 2.0, 3.0))


@pytest.mark.parametrize(
    ("points", "samples", "sigma", "message"),
    [((2, 3), (2, 4), 1.0, "points"), ((1, 257), (1, 257), 1.0, "257"), ((1, 2), (1, 2), 0.0, "sigma")],
)
def test_bad_input_is_refused(points: tuple[int, int], samples: tuple[int, int], sigma: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parzen_log_likelihood(np.zeros(points), np.zeros(samples), sigma)


def test_the_tool_reduces_clips_and_scores_rows() -> None:
    random = np.random.default_rng(0)
    base = random.integers(0, 256, (40, 1, 8, 8, 1))  # noise of 8x8 blocks, slightly different in each clip's frames
    clips = np.clip(base + random.integers(-8, 9, (40, 7, 8, 8, 1)), 0, 255).repeat(3, axis=-1)
    clips = clips.repeat(2, axis=2).repeat(2, axis=3).astype(np.uint8)
    numbers = parzen.reduced(clips)
    assert numbers.shape == (40, 256) and numbers.max() <= 1
    np.testing.assert_allclose(numbers[0, :64].reshape(8, 8), clips[0, 0, ::2, ::2, 0] / 255)
    np.testing.assert_allclose(numbers[0, 192:].reshape(8, 8), clips[0, 6, ::2, ::2, 0] / 255)
    rows = parzen.scores(parzen.references(numbers[:20]) | {"twice": np.tile(numbers[:20], (2, 1))}, numbers[20:])
    assert rows["twice"] == rows["real, training"] and set(rows) > {"centres of k-means", "the same, blurred"}
