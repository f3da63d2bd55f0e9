"""Sets of clips scored by a protocol: distances at equal n and their floor, the Inception Score, several seeds."""

from typing import Any

import numpy as np
import pytest
import torch

from vidgan.evaluation.protocol_scores import PROBABILITIES, extract_features, merge_seeds, score_features
from vidgan.evaluation.results import SynthesisScores
from vidgan.metrics.features import FeatureNet
from vidgan.metrics.statistics import over_seeds

NET = {"net": FeatureNet(lambda clips: np.zeros(0), "levels of two channels", {"net.pt": "0"}, ("fvd", "kvd"))}
COMMON: dict[str, Any] = {"frames": 16, "frame_size": (8, 8), "protocol": "gen-fvd2048-16"}


def cloud(number: int, centre: float, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(centre, 1.0, size=(number, 2))


def value(scores: SynthesisScores, row: str, measure: str) -> float:
    mean = scores.scores[row][measure].mean.mean
    assert mean is not None
    return mean


def test_the_floor_is_at_the_same_number() -> None:
    fake, real = {"net": cloud(500, 3.0)}, {"net": cloud(1000, 0.0, seed=1)}
    scores = score_features(fake, real, NET, **COMMON)
    assert value(scores, "generated", "fvd") == pytest.approx(18, rel=0.1)  # |(3, 3)|^2
    assert value(scores, "real", "fvd") < 0.05
    assert (scores.clips, scores.real_clips) == (500, 1000) and set(scores.scores) == {"generated", "real"}
    assert scores.better["kvd"] == "lower" and scores.definitions["fvd"] == "Fréchet distance; levels of two channels"
    assert SynthesisScores.from_json(scores.to_json()) == scores


def test_a_floor_of_half_the_clips_adds_a_row_of_generated_clips_at_that_number() -> None:
    real = {"net": cloud(60, 0.0)}
    scores = score_features({"net": real["net"] + 1.0}, real, NET, **COMMON)
    assert set(scores.scores) == {"generated", "real", "generated, n=30"}
    assert value(scores, "generated", "fvd") == pytest.approx(2.0) == value(scores, "generated, n=30", "fvd")
    assert any("only 60 real clips" in note for note in scores.notes)


def test_a_note_warns_of_few_clips() -> None:
    scores = score_features({"net": cloud(8, 0.0)}, {"net": cloud(16, 0.0, seed=1)}, NET, **COMMON)
    assert any("n = 8 clips for 2 features: sampling bias" in note for note in scores.notes)
    with pytest.raises(ValueError, match="8 generated and 5 real clips"):
        score_features({"net": cloud(8, 0.0)}, {"net": cloud(5, 0.0)}, NET, **COMMON)


def test_inception_score_in_one_and_in_two_splits() -> None:
    rows = np.array([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.2, 0.2, 0.6], [0.25, 0.5, 0.25]])
    side = {PROBABILITIES: rows}
    one = score_features(side, side, {}, **COMMON)
    assert value(one, "generated", "inception_score") == pytest.approx(1.2467337681, abs=2e-6)
    two = score_features(side, side, {}, splits=2, **COMMON)
    assert "inception_score" not in two.scores["generated"]
    bounds = two.scores["generated"]["inception_score_2"].mean
    assert bounds.mean != pytest.approx(1.2467, abs=1e-3) and bounds.low is not None
    assert "2 splits" in two.definitions["inception_score_2"] and two.better["inception_score_2"] == "higher"


def test_features_are_extracted_in_order_and_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vidgan.evaluation.protocol_scores.CHUNK_BYTES", 2 * 4 * 3 * 8 * 8)
    sizes = []

    def levels(clips: torch.Tensor) -> np.ndarray:
        sizes.append(len(clips))
        return clips[:, 0, 0, 0, :1].double().numpy()

    clips = (torch.full((4, 3, 8, 8), n, dtype=torch.uint8) for n in range(5))
    found = extract_features(clips, {"levels": levels})
    assert found["levels"].ravel().tolist() == [0, 1, 2, 3, 4] and sizes == [2, 2, 1]


def test_several_seeds_give_a_mean_and_its_interval() -> None:
    estimate = over_seeds([1.0, 2.0, 3.0])
    half = 4.303 / 3**0.5
    assert (estimate.mean, estimate.low, estimate.high) == pytest.approx((2.0, 2.0 - half, 2.0 + half))
    assert over_seeds([5.0]).low is None
    real = {"net": cloud(60, 0.0)}
    results = [score_features({"net": real["net"] + d}, real, NET, seed=d, **COMMON) for d in (1, 2)]
    merged = merge_seeds(results)
    assert merged.seeds == [1, 2] and value(merged, "generated", "fvd") == pytest.approx((2 + 8) / 2)
