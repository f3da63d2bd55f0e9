"""Clips longer than the training clips: freezing, looping, drift and blur appear in the curves over segments."""

import numpy as np
import pytest
import torch

from vidgan.evaluation.long_clips import content_drift, edge_strength, recurrence, score_long_clips
from vidgan.evaluation.results import LongClipScores
from vidgan.metrics.appearance import cosines
from vidgan.metrics.features import ClipMeasure, FeatureNet
from vidgan.types import ByteClip

SEGMENT = 8


def bars(frames: int, *, period: float, count: int = 4, seed: int = 0) -> ByteClip:
    """A textured bar that moves right and back, with a random phase in each clip: (N, T, 3, 32, 32)."""
    random = np.random.default_rng(seed)
    clips = np.zeros((count, frames, 3, 32, 32), np.uint8)
    for clip in clips:
        phase = random.uniform(0, 1)
        texture = random.integers(100, 256, (3, 32, 6))
        for t, frame in enumerate(clip):
            left = round(13 + 12 * np.sin(2 * np.pi * (t / period + phase)))
            frame[:, :, left : left + 6] = texture
    return torch.from_numpy(clips)


def walk(frames: int, count: int = 3) -> ByteClip:
    """A square that never comes back: one step to the right in each frame."""
    clips = torch.zeros(count, frames, 3, 64, 64, dtype=torch.uint8)
    for t in range(frames):
        clips[:, t, :, 20:30, t : t + 10] = 200
    return clips


def test_a_frozen_segment_has_no_motion_and_the_others_are_unchanged() -> None:
    made = bars(4 * SEGMENT, period=11)
    made[:, 2 * SEGMENT :] = made[:, 2 * SEGMENT - 1 : 2 * SEGMENT]
    scores = score_long_clips(bars(4 * SEGMENT, period=11, seed=1), made, segment=SEGMENT)
    moving = [step.mean for step in scores.scores["generated"]["motion_energy"].horizon]
    assert moving[0] > 0.02 and moving[1] > 0.02 and moving[2:] == [0, 0]
    assert scores.scores["generated"]["motion_energy"].mean.mean == pytest.approx(sum(moving) / 4)
    assert all(step.mean > 0.02 for step in scores.scores["real"]["motion_energy"].horizon)


def test_recurrence_tells_loops_from_walks() -> None:
    loop, once = recurrence(bars(4 * SEGMENT, period=6), SEGMENT), recurrence(walk(4 * SEGMENT), SEGMENT)
    assert np.isnan(loop[:, 0]).all() and loop.shape == (4, 4)
    np.testing.assert_allclose(loop[:, 1:], 0, atol=1e-12)
    np.testing.assert_allclose(once[:, 1:], 1, atol=0.05)
    # A period of 13 exceeds half of two segments, so that the return appears only in four.
    slow = recurrence(bars(4 * SEGMENT, period=13), SEGMENT)
    assert (slow[:, 1] > 0.5).all() and (slow[:, 3] < 1e-9).all()
    still = torch.full((2, 16, 3, 16, 16), 9, dtype=torch.uint8)
    np.testing.assert_array_equal(recurrence(still, SEGMENT)[:, 1], 0)


def test_recurrence_is_lag_for_lag_what_its_definition_says() -> None:
    """At 16x16 nothing is averaged: d(lag) by hand."""
    clip = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (1, 12, 3, 16, 16), np.uint8))
    pixels = clip[0].double() / 255
    apart = [float((pixels[lag:] - pixels[: 12 - lag]).square().mean()) for lag in range(1, 7)]
    expected = min(apart[lag - 1] / max(apart[:lag]) for lag in range(3, 7))
    np.testing.assert_allclose(recurrence(clip, 6)[0, 1], expected, rtol=1e-5)


def test_drift_and_blur_by_hand() -> None:
    clips = torch.zeros(1, 6, 3, 16, 16, dtype=torch.uint8)
    clips[:, :, 0, 4:8, 4:8] = 100  # red, then 30 and 40 levels away
    clips[:, 3:, 0, 4:8, 4:8] = 130
    clips[:, 3:, 1, 4:8, 4:8] = 40
    np.testing.assert_allclose(content_drift(clips, 3), [[0, 50]], atol=1e-4)
    stripes = torch.zeros(1, 6, 3, 16, 16, dtype=torch.uint8)
    stripes[:, :3, :, :, ::2] = 255  # across all neighbours differ, down none
    np.testing.assert_allclose(edge_strength(stripes, 3), [[0.5, 0]])


def test_decay_leaves_the_frames_of_real_clips() -> None:
    real, made = bars(2 * SEGMENT, period=11, count=12), bars(4 * SEGMENT, period=11, count=8, seed=3)
    noise = np.random.default_rng(0).integers(0, 120, made[:, 2 * SEGMENT :].shape, np.uint8)
    made[:, 2 * SEGMENT :] = torch.maximum(made[:, 2 * SEGMENT :], torch.from_numpy(noise))
    scores = score_long_clips(real, made, segment=SEGMENT, sources=[str(row // 2) for row in range(12)])
    curve = [step.mean for step in scores.scores["generated"]["frame_frechet"].horizon]
    floor = [step.mean for step in scores.scores["real"]["frame_frechet"].horizon]
    assert len(curve) == 4 and len(floor) == 2
    assert max(curve[:2]) < 3 * max(floor) < min(curve[2:])
    assert scores.spans("real") == ["1-8", "9-16"] and scores.spans("generated")[-1] == "25-32"
    assert LongClipScores.from_json(scores.to_json()) == scores


def test_features_of_two_frames_are_compared_by_their_lag() -> None:
    """Clips that change for good after two segments, and real ones that are steady."""
    made = torch.zeros(2, 4 * SEGMENT, 3, 16, 16, dtype=torch.uint8)
    made[:, : 2 * SEGMENT, 0], made[:, 2 * SEGMENT :, 1] = 200, 200
    steady = torch.full((4, 2 * SEGMENT, 3, 16, 16), 90, dtype=torch.uint8)
    colour = FeatureNet(
        lambda clips: clips.double().mean(dim=(3, 4)).numpy(),
        "colour",
        {"colour.pt": "hash"},
        (),
        of_pairs={"consistency": ClipMeasure(cosines, "cosine")},
    )
    scores = score_long_clips(steady, made, segment=SEGMENT, networks={"colour": colour})
    # Of 32 - lag pairs of frames, min(lag, 32 - lag) have the change between them.
    shares = np.array([1 - min(lag, 32 - lag) / (32 - lag) for lag in range(1, 32)])
    curve = [step.mean for step in scores.scores["generated"]["consistency"].horizon]
    assert curve == pytest.approx([shares[:7].mean(), shares[7:15].mean(), shares[15:23].mean(), shares[23:].mean()])
    assert [step.mean for step in scores.scores["real"]["consistency"].horizon] == pytest.approx([1, 1])
    assert "by the lag" in scores.definitions["consistency"]


@pytest.mark.parametrize(
    ("real", "made", "message"),
    [
        (bars(16, period=9), bars(8, period=9), "at least two segments"),
        (bars(16, period=9), bars(20, period=9), "generated.*multiple of 8 frames"),
        (bars(24, period=9), bars(16, period=9), "24 frames"),
        (bars(16, period=9, count=3), bars(16, period=9), "at least 4 real"),
        (bars(16, period=9), walk(16), "one size"),
    ],
)
def test_clips_that_do_not_fit_are_refused(real: ByteClip, made: ByteClip, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        score_long_clips(real, made, segment=SEGMENT)
