"""Clip-set measures and the Fréchet distance on clips and Gaussians whose numbers are known."""

import numpy as np
import pytest
import torch

from vidgan.evaluation import frechet_between, frechet_distance
from vidgan.metrics.clip_statistics import (
    CONTROLS,
    FEATURES,
    describe,
    difference_histogram,
    features,
    frechet_inhouse,
    motion_energy,
    nearest_distance,
    pairwise_diversity,
)
from vidgan.metrics.content import content_distance, embedding_distance
from vidgan.metrics.frechet import kernel_distance
from vidgan.metrics.motion_histograms import histogram_distance


def squares(number: int, length: int = 5, size: int = 16) -> torch.Tensor:
    """Coloured squares that move right on black, each at its own height and in its own colour."""
    clips = torch.zeros(number, length, 3, size, size, dtype=torch.uint8)
    for n in range(number):
        colour = torch.tensor([255 - 20 * n, 60 + 15 * n, 120], dtype=torch.uint8)[:, None, None]
        for t in range(length):
            clips[n, t, :, n % 8 : n % 8 + 4, 2 * t : 2 * t + 4] = colour
    return clips


def test_frechet_golden_value() -> None:
    mean = np.array([0, 0.25, 0.5, 0.75])
    covariance = np.eye(4) + 0.1 * np.ones((4, 4))
    other = np.diag([1.0, 2.0, 3.0, 4.0])
    assert frechet_distance(mean, covariance, np.zeros(4), other) == pytest.approx(2.4179844091, abs=1e-9)
    assert frechet_distance(np.zeros(4), other, mean, covariance) == pytest.approx(2.4179844091, abs=1e-9)


def test_frechet_of_commuting_and_singular_covariances() -> None:
    # |m|^2 + sum (s1 - s2)^2 for diagonal ones
    value = frechet_distance(np.array([3.0, 0.0]), np.diag([4.0, 0.0]), np.array([0.0, 4.0]), np.diag([1.0, 9.0]))
    assert value == pytest.approx(25 + 1 + 9)
    rank_one = np.ones((3, 3))
    assert frechet_distance(np.zeros(3), rank_one, np.zeros(3), rank_one) == pytest.approx(0.0, abs=1e-6)


def test_frechet_refusals() -> None:
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


# Two samples of the SAME 400-dimensional Gaussian of total variance 1000: what a Fréchet distance makes of them.
BIAS = {"flat": {64: 1361, 128: 1086, 256: 746}, "falling": {64: 756, 128: 527, 256: 322}}


@pytest.mark.parametrize("spectrum", BIAS)
def test_frechet_of_equals_is_biased_and_kernel_is_not(spectrum: str) -> None:
    variances = np.ones(400) if spectrum == "flat" else 1 / np.arange(1, 401)
    deviations = np.sqrt(1000 * variances / variances.sum())
    random = np.random.default_rng(0)
    for number, expected in BIAS[spectrum].items():
        samples = random.normal(size=(2, number, 400)) * deviations
        assert frechet_between(*samples) == pytest.approx(expected, rel=0.04), number
    # A tenth of the samples moved by one deviation is a real difference of the kernel distance, its sign aside.
    same = [kernel_distance(*(random.normal(size=(2, 64, 400)) * deviations)) for _ in range(8)]
    shifted = kernel_distance(samples[0], samples[1] + deviations)
    assert abs(np.mean(same)) < 0.1 * shifted


def test_kernel_distance_by_hand() -> None:
    first, second = np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([[1.0, 1.0], [2.0, 0.0], [0.0, 0.0]])
    # k = (x.y / 2 + 1)^3: within the first set 1; within the second 8, 1, 1; across as listed.
    across = (27 / 8 + 27 / 8 + 8 + 1 + 1 + 1) / 6
    assert kernel_distance(first, second) == pytest.approx(1 + (8 + 1 + 1) / 3 - 2 * across)
    with pytest.raises(ValueError, match="one width"):
        kernel_distance(first, second[:, :1])
    with pytest.raises(ValueError, match="N >= 2"):
        kernel_distance(first[:1], second)


def test_motion_energy() -> None:
    clip = torch.zeros(1, 3, 3, 2, 2, dtype=torch.uint8)
    clip[0, 1] = 51
    assert motion_energy(clip).tolist() == pytest.approx([0.2])
    clips = squares(3)
    assert motion_energy(CONTROLS["frozen"](clips)).tolist() == [0.0] * 3
    np.testing.assert_allclose(motion_energy(CONTROLS["reversed"](clips)), motion_energy(clips), rtol=1e-6)
    assert (motion_energy(CONTROLS["shuffled"](clips)) >= motion_energy(clips)).all()


def test_content_distance_sees_the_object_and_not_its_place() -> None:
    clips = squares(2)
    assert content_distance(clips).tolist() == pytest.approx([0.0, 0.0])
    changed = clips.clone()
    red = changed[0, 4, 0]
    red[red > 0] -= 60  # one of five frames: 4 of the 10 pairs are 60 apart
    assert content_distance(changed).tolist() == pytest.approx([24.0, 0.0])
    vanished = clips.clone()
    vanished[1, 0] = 0
    length = np.linalg.norm([235, 75, 120])
    assert content_distance(vanished)[1] == pytest.approx(0.4 * length)
    # With the background in the mean, a dim object counts by its area.
    assert content_distance(changed, background=None)[0] == pytest.approx(24.0 * 16 / 256)


def test_embedding_distance() -> None:
    clips = squares(2)

    def embed(given: torch.Tensor) -> np.ndarray:
        """One number a frame: the frame's number in the first clip, nothing in the second."""
        rows = np.zeros((len(given), given.shape[1], 1))
        rows[0, :, 0] = np.arange(given.shape[1])
        return rows

    # |i - j| over all pairs of 0..4: (4*1 + 3*2 + 2*3 + 1*4) / 10
    assert embedding_distance(clips, embed).tolist() == pytest.approx([2.0, 0.0])
    with pytest.raises(ValueError, match=r"\(2, 5, D\), got \(2, 1\)"):
        embedding_distance(clips, lambda given: np.zeros((2, 1)))


def test_difference_histogram() -> None:
    clip = torch.zeros(1, 3, 3, 2, 2, dtype=torch.uint8)
    clip[0, 1, :, 0] = 200  # half of the pixels go up and down again
    histogram = difference_histogram(clip)
    assert histogram.shape == (1, 256)
    assert histogram[0, 0] == histogram[0, 200] == 0.5
    still = difference_histogram(torch.zeros_like(clip))
    assert histogram_distance(histogram[0], still[0]) == pytest.approx(100.0)  # half of the mass, 200 levels
    assert histogram_distance(histogram[0], histogram[0]) == 0.0


def test_diversity_equals_the_mean_over_pairs() -> None:
    pooled = np.random.default_rng(0).random((6, 10))
    pairs = [((a - b) ** 2).mean() for i, a in enumerate(pooled) for j, b in enumerate(pooled) if i != j]
    assert pairwise_diversity(pooled) == pytest.approx(np.mean(pairs))
    assert pairwise_diversity(np.repeat(pooled[:1], 5, axis=0)) == pytest.approx(0.0, abs=1e-12)


def test_nearest_distance() -> None:
    reference = np.array([[0.0, 0.0, 0.0, 0.0], [1.0, 1.0, 1.0, 1.0]])
    found = nearest_distance(np.array([[1.0, 1.0, 1.0, 1.0], [0.2, 0.2, 0.2, 0.2]]), reference)
    assert found.tolist() == pytest.approx([0.0, 0.2])
    many = np.random.default_rng(1).random((60, 500))  # past 25 rows the library multiplies matrices
    assert nearest_distance(many, many).max() < 1e-6


def test_features_see_what_they_are_for() -> None:
    clips = squares(4)
    plain = features(clips)
    assert plain.shape == (4, FEATURES)
    colour, contrast, motion, trend, acceleration, edges = np.split(plain, [12, 15, 19, 23, 27], axis=1)
    np.testing.assert_allclose(colour.mean(axis=1), (clips.float() / 255).mean(dim=(1, 2, 3, 4)).numpy(), rtol=1e-5)
    np.testing.assert_allclose(motion.mean(axis=1), motion_energy(clips), rtol=1e-5)
    back = features(CONTROLS["reversed"](clips))
    np.testing.assert_allclose(back[:, 19:23], -trend, atol=1e-6)
    np.testing.assert_allclose(back[:, :19], plain[:, :19], rtol=1e-5, atol=1e-6)
    still = features(CONTROLS["frozen"](clips))
    assert (still[:, 15:27] == 0).all() and (motion > 0).any() and (acceleration > 0).any()
    assert (features(CONTROLS["blurred"](clips))[:, 27:].sum(axis=1) < 0.9 * edges.sum(axis=1)).all()
    assert contrast.shape == (4, 3) and (contrast > 0).all()


def test_frechet_inhouse_is_in_deviations() -> None:
    rows = np.random.default_rng(0).normal(size=(50, 3)) * [1.0, 100.0, 1e-9]
    shift = np.array([2.0, 200.0, 0.0])
    spread = np.array([1.0, 100.0, 1e-9])
    assert frechet_inhouse(rows, rows + shift, spread) == pytest.approx(8.0)


def test_describe_does_not_depend_on_the_chunks() -> None:
    clips = squares(3).repeat(15, 1, 1, 1, 1)  # 45 clips: more than one chunk
    described = describe(clips)
    assert len(described) == 45
    np.testing.assert_array_equal(described.features, np.tile(described[np.arange(3)].features, (15, 1)))
    np.testing.assert_array_equal(described.motion_energy[:3], motion_energy(clips[:3]))


def test_shuffling_is_repeatable_and_keeps_the_frames() -> None:
    clips = squares(3)
    once, again = CONTROLS["shuffled"](clips), CONTROLS["shuffled"](clips)
    assert torch.equal(once, again) and not torch.equal(once, clips)
    assert torch.equal(once.sum(dim=1), clips.sum(dim=1))


@pytest.mark.parametrize("measure", [motion_energy, content_distance, difference_histogram, features])
def test_measures_refuse_other_clips(measure) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match="uint8"):
        measure(torch.zeros(1, 3, 3, 4, 4))
    with pytest.raises(ValueError, match="at least 3 frames"):
        measure(torch.zeros(1, 2, 3, 4, 4, dtype=torch.uint8))
    with pytest.raises(ValueError, match=r"\(N, T, 3, H, W\)"):
        measure(torch.zeros(3, 3, 4, 4, dtype=torch.uint8))
