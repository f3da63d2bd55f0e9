"""Measures of sets of clips on clips whose values are known."""

import numpy as np
import pytest
import torch

from vidgan.metrics.clip_statistics import (
    CONTROLS,
    FEATURES,
    describe,
    difference_histogram,
    flicker,
    frechet_inhouse,
    handmade_features,
    motion_energy,
    nearest_distance,
    pairwise_diversity,
)
from vidgan.metrics.content import content_distance, embedding_distance
from vidgan.metrics.motion_histograms import histogram_distance


def squares(number: int, length: int = 5, size: int = 16) -> torch.Tensor:
    """Coloured squares that move right on black, each at its own height and in its own colour."""
    clips = torch.zeros(number, length, 3, size, size, dtype=torch.uint8)
    for n in range(number):
        colour = torch.tensor([255 - 20 * n, 60 + 15 * n, 120], dtype=torch.uint8)[:, None, None]
        for t in range(length):
            clips[n, t, :, n % 8 : n % 8 + 4, 2 * t : 2 * t + 4] = colour
    return clips


def test_motion_energy() -> None:
    clip = torch.zeros(1, 3, 3, 2, 2, dtype=torch.uint8)
    clip[0, 1] = 51
    assert motion_energy(clip).tolist() == pytest.approx([0.2])
    clips = squares(3)
    assert motion_energy(CONTROLS["frozen"](clips)).tolist() == [0.0] * 3
    np.testing.assert_allclose(motion_energy(CONTROLS["reversed"](clips)), motion_energy(clips), rtol=1e-6)
    assert (motion_energy(CONTROLS["shuffled"](clips)) >= motion_energy(clips)).all()


def test_flicker_is_what_leaves_the_range_of_the_neighbours() -> None:
    levels = torch.tensor([0, 51, 102, 51, 153, 153], dtype=torch.uint8)
    clip = levels[None, :, None, None, None].expand(1, 6, 3, 2, 2)
    # Frame 2 rises 51 above its neighbours, frame 3 falls 51 below the lower one; the others are within.
    assert flicker(clip) == pytest.approx([0.2 * 2 / 4])
    assert flicker(CONTROLS["reversed"](clip)) == pytest.approx(flicker(clip))
    assert flicker(CONTROLS["frozen"](clip)).tolist() == [0.0]


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

    def embed(part: torch.Tensor) -> np.ndarray:
        """One number a frame: the frame's number in the first clip, nothing in the second."""
        rows = np.zeros((len(part), part.shape[1], 1))
        rows[0, :, 0] = np.arange(part.shape[1])
        return rows

    # |i - j| over all pairs of 0..4: (4*1 + 3*2 + 2*3 + 1*4) / 10
    assert embedding_distance(clips, embed).tolist() == pytest.approx([2.0, 0.0])
    with pytest.raises(ValueError, match=r"\(2, 5, D\), got \(2, 1\)"):
        embedding_distance(clips, lambda part: np.zeros((2, 1)))


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
    plain = handmade_features(clips)
    assert plain.shape == (4, FEATURES)
    colour, contrast, motion, trend, acceleration, edges = np.split(plain, [12, 15, 19, 23, 27], axis=1)
    np.testing.assert_allclose(colour.mean(axis=1), (clips.float() / 255).mean(dim=(1, 2, 3, 4)).numpy(), rtol=1e-5)
    np.testing.assert_allclose(motion.mean(axis=1), motion_energy(clips), rtol=1e-5)
    back = handmade_features(CONTROLS["reversed"](clips))
    np.testing.assert_allclose(back[:, 19:23], -trend, atol=1e-6)
    np.testing.assert_allclose(back[:, :19], plain[:, :19], rtol=1e-5, atol=1e-6)
    still = handmade_features(CONTROLS["frozen"](clips))
    assert (still[:, 15:27] == 0).all() and (motion > 0).any() and (acceleration > 0).any()
    assert (handmade_features(CONTROLS["blurred"](clips))[:, 27:].sum(axis=1) < 0.9 * edges.sum(axis=1)).all()
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


@pytest.mark.parametrize("measure", [motion_energy, content_distance, difference_histogram, handmade_features])
def test_measures_refuse_other_clips(measure) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match="uint8"):
        measure(torch.zeros(1, 3, 3, 4, 4))
    with pytest.raises(ValueError, match="at least 3 frames"):
        measure(torch.zeros(1, 2, 3, 4, 4, dtype=torch.uint8))
    with pytest.raises(ValueError, match=r"\(N, T, 3, H, W\)"):
        measure(torch.zeros(3, 3, 4, 4, dtype=torch.uint8))
