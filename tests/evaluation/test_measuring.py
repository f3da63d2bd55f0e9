"""Measurements besides means: difficulty, cases, growing context, grey, samples, spread, masks."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch

from vidgan.evaluation import ForecastScores, score_forecast
from vidgan.evaluation.forecasts import choose_measures
from vidgan.evaluation.measure import WindowBatch, measure_forecasts
from vidgan.evaluation.protocols import DEFAULT_METRICS
from vidgan.evaluation.summary import summarise
from vidgan.types import ByteClip

UNIT = 1 / 255**2


def textures(levels: Sequence[int], frames: int = 4, size: int = 16) -> ByteClip:
    """Clips of one random texture whose last two frames are brighter by `levels`."""
    texture = torch.randint(60, 120, (3, size, size), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    clips = texture.expand(len(levels), frames, -1, -1, -1).clone()
    for clip, level in zip(clips, levels, strict=True):
        clip[frames // 2 :] += level
    return clips


def last(context: ByteClip, horizon: int) -> ByteClip:
    return context[:, -1:].expand(-1, horizon, -1, -1, -1)


def test_windows_are_binned_by_how_much_changes() -> None:
    clips = textures([0, 1, 130, 130])
    clips[2, 2:] = clips[2, 2:].flip(-1)  # another image: hard
    sources = ["a", "a", "b", "c"]
    result = score_forecast({"ours": last}, [(clips, sources)], context=2, horizon=2, metrics=["mse", "ssim"])
    bins = result.bins
    assert [(name, bin.windows, bin.sources) for name, bin in bins.items()] == [
        ("easy", 2, 1), ("middle", 1, 1), ("hard", 1, 1),
    ]  # fmt: skip
    assert bins["easy"].scores["ours"]["mse"] == pytest.approx(UNIT / 2)
    assert bins["middle"].scores["copy-last"]["mse"] == pytest.approx(16900 * UNIT)
    assert bins["middle"].scores["ours"]["skill"] == pytest.approx(0.0)
    assert ForecastScores.from_json(result.to_json()) == result


def test_cases_name_the_windows_to_look_at() -> None:
    clips = textures([3, 0, 9, 5, 7])
    batch = WindowBatch(clips, list("abcde"), [f"{s}:0" for s in "abcde"], range(5))
    result = score_forecast({"ours": last}, [batch], context=2, horizon=2, metrics=["psnr"])
    assert [(case.which, case.id, case.window) for case in result.cases] == [
        ("best", "b:0", 1), ("median", "d:0", 3), ("worst", "c:0", 2),
    ]  # fmt: skip
    assert result.cases[0].value is None  # exact throughout
    assert result.cases[2].value == pytest.approx(20 * np.log10(255 / 9))


def test_a_growing_context_holds_all_earlier_frames() -> None:
    """Frame t from frames 0..t-1; a single frame is repeated, because motion needs two."""
    clips = (torch.arange(5, dtype=torch.uint8) * 10)[None, :, None, None, None].repeat(2, 1, 3, 12, 12)
    seen: list[list[int]] = []

    def predict(context: ByteClip, horizon: int) -> ByteClip:
        assert horizon == 1
        seen.append(context[0, :, 0, 0, 0].tolist())
        return last(context, horizon)

    result = score_forecast(
        {"ours": predict}, [(clips, ["a", "b"])], context=1, horizon=4, metrics=["mae"], growing=True
    )
    assert seen == [[0, 0], [0, 10], [0, 10, 20], [0, 10, 20, 30]]
    assert [step.mean for step in result.scores["copy-last"]["mae"].horizon] == pytest.approx([10 / 255] * 4)


def test_grey_data_are_scored_on_one_channel() -> None:
    clips = textures([2])
    both = [
        score_forecast({}, [(clips, ["a"])], context=2, horizon=2, metrics=["mse_frame", "psnr"], grey=grey)
        for grey in (False, True)
    ]
    rgb, grey = (result.scores["copy-last"] for result in both)
    assert rgb["mse_frame"].mean.mean == pytest.approx(3 * 256 * 4 * UNIT)
    assert grey["mse_frame"].mean.mean == pytest.approx(256 * 4 * UNIT)
    assert "one channel" in both[1].definitions["mse_frame"]


def test_cumulative_means_and_sequence_sums_have_their_own_names() -> None:
    clips = torch.full((1, 4, 3, 12, 12), 100, dtype=torch.uint8)
    clips[0, 2:] += torch.tensor([1, 3], dtype=torch.uint8)[:, None, None, None]
    measures = choose_measures(["mse", "mse_seq"])
    measured = measure_forecasts(
        {"copy-last": last, "again": last}, {}, [(clips, ["a"])], measures, context=2, horizon=2
    )
    result = summarise(measured, measures, context=2, horizon=2, cumulative=(1, 2, 5))
    row = result.scores["copy-last"]
    assert row["mse_first1"].mean.mean == pytest.approx(UNIT)
    assert row["mse_first2"].mean.mean == row["mse"].mean.mean == pytest.approx(5 * UNIT)
    assert "mse_first5" not in row  # beyond the horizon
    assert row["mse_seq"].mean.mean == pytest.approx(10 * 432 * UNIT)
    assert result.bins["easy"].scores["copy-last"]["mse_seq"] == row["mse_seq"].mean.mean
    assert result.differences["again"]["mse_seq"].mean.mean == 0
    assert "PredRNN" in result.definitions["mse_seq"] and result.better["mse_first1"] == "lower"


class TestSamples:
    def score(self, offsets: Sequence[int], *, every: int = 2, rise: int = 2, **options: Any) -> ForecastScores:
        """Samples that add `offsets` to the last frame; in truth every `every`-th row of it gets brighter by `rise`."""

        def sample(context: ByteClip, horizon: int, rows: Sequence[int]) -> ByteClip:
            assert list(rows) == list(range(len(context)))
            right = last(context, horizon)
            return torch.stack([right + offset for offset in offsets])

        clips = torch.full((2, 4, 3, 12, 12), 100, dtype=torch.uint8)
        clips[:, 2:, :, ::every] += rise
        return score_forecast(
            {}, [(clips, ["a", "b"])], context=2, horizon=2, samplers={"p": sample}, metrics=["mse", "mae"], **options
        )

    def test_the_pixel_mean_of_the_samples_is_a_forecast(self) -> None:
        result = self.score([0, 2])
        assert result.scores["p/average"]["mae"].mean.mean == pytest.approx(1 / 255)
        assert result.scores["p/average"]["mse"].mean.mean == pytest.approx(UNIT)

    def test_the_best_by_one_metric_is_the_same_sample_for_all(self) -> None:
        # A third of the rows rises by 3. Sample +0: MAE 1, MSE 3. Sample +1: MAE 4/3, MSE 2.
        own, by_mae = self.score([1, 0], every=3, rise=3), self.score([1, 0], every=3, rise=3, best_by="mae")
        assert own.scores["p/best"]["mse"].mean.mean == pytest.approx(2 * UNIT)
        assert by_mae.scores["p/best"]["mse"].mean.mean == pytest.approx(3 * UNIT)
        assert own.scores["p/best"]["mae"].mean.mean == by_mae.scores["p/best"]["mae"].mean.mean
        assert by_mae.best_by == "mae" and own.best_by is None
        with pytest.raises(ValueError, match="psnr.*mse, mae"):
            self.score([1, 0], best_by="psnr")

    def test_calibration_of_the_spread(self) -> None:
        """The truths 100 and 102 always lie between the samples 99 and 103."""
        found = self.score([-1, 3]).calibration["p"]
        assert found["rank_shares"] == pytest.approx([0, 1, 0])
        assert found["coverage"][0] == pytest.approx([1 / 3, 1.0])
        # mean 101 is off by 1, variance 8, times 3/2 for two samples
        assert found["ratio"] == pytest.approx(np.sqrt(8 * 1.5) / 1)


def test_masked_metrics_exclude_frames_without_motion() -> None:
    clips = textures([0, 4])

    def mask(seen: ByteClip, truth: ByteClip) -> torch.Tensor:
        moving = (truth != seen[:, -1:]).any(dim=2, keepdim=True)
        moving[..., :8] = False  # only the right half moves
        return moving

    measures = choose_measures(["dvf_psnr"], mask=mask)
    measured = measure_forecasts({"copy-last": last}, {}, [(clips, ["a", "b"])], measures, context=2, horizon=2)
    row = summarise(measured, measures, context=2, horizon=2, mask_note="; own masks").scores["copy-last"]
    assert row["dvf_psnr"].mean.mean == pytest.approx(20 * np.log10(255 / 4))
    assert row["dvf_psnr"].skipped == 2  # the still clip
    with pytest.raises(ValueError, match="dvf_psnr"):
        choose_measures(["dvf_psnr"])


def test_batches_do_not_matter() -> None:
    clips = textures([1, 2, 3, 4, 5])
    measures = choose_measures(DEFAULT_METRICS)

    def measured(size: int) -> ForecastScores:
        batches = [
            WindowBatch(clips[i : i + size], "abcde"[i : i + size], "abcde"[i : i + size], range(i, min(i + size, 5)))
            for i in range(0, 5, size)
        ]
        found = measure_forecasts({"copy-last": last}, {}, batches, measures, context=2, horizon=2)
        return summarise(found, measures, context=2, horizon=2)

    assert measured(1) == measured(2) == measured(5)
