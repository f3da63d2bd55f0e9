"""The evaluators on clips that are simple enough to compute every score by hand, and results as JSON."""

import json
import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch

from vidgan.evaluation import (
    FolderScores,
    ForecastScores,
    SynthesisScores,
    score_folders,
    score_forecast,
    score_synthesis,
)
from vidgan.evaluation.results import Result
from vidgan.seeding import generator

SIZE = 12
NAMES = [f"video {i}" for i in range(6)]


def windows(steps: list[int] | None = None, length: int = 5) -> list[tuple[torch.Tensor, list[str]]]:
    """Two batches of 3 grey clips whose level rises by a different step in each clip."""
    steps = steps or [1, 2, 3, 4, 5, 6]
    levels = 10 + torch.tensor(steps)[:, None] * torch.arange(length)  # (6, length)
    clips = levels.to(torch.uint8)[:, :, None, None, None].repeat(1, 1, 3, SIZE, SIZE)
    return [(clips[:3], NAMES[:3]), (clips[3:], NAMES[3:])]


def extrapolate(context: torch.Tensor, horizon: int) -> torch.Tensor:
    last, before = context[:, -1:].int(), context[:, -2:-1].int()
    steps = torch.arange(1, horizon + 1)[None, :, None, None, None]
    return (last + (last - before) * steps).to(torch.uint8)


def off_by_one(context: torch.Tensor, horizon: int) -> torch.Tensor:
    return extrapolate(context, horizon) + 1


class TestForecast:
    def test_scores(self) -> None:
        result = score_forecast({"near": off_by_one}, windows(), context=2, horizon=3, metrics=["mse", "psnr"])
        assert (result.windows, result.sources, result.frame_size) == (6, 6, (SIZE, SIZE))
        near, copied = result.scores["near"], result.scores["copy-last"]
        unit = 1 / 255**2
        assert [entry.mean for entry in near["mse"].horizon] == pytest.approx([unit] * 3)
        assert near["psnr"].mean.mean == pytest.approx(20 * math.log10(255))
        # copy-last is wrong by step * k at horizon k; the mean of step^2 over 1..6 is 91 / 6
        assert [entry.mean for entry in copied["mse"].horizon] == pytest.approx(
            [91 / 6 * k * k * unit for k in (1, 2, 3)]
        )
        assert copied["mse"].mean.mean == pytest.approx(91 / 6 * 14 / 3 * unit)
        low, high = copied["mse"].mean.low, copied["mse"].mean.high
        assert low is not None and high is not None and low < 91 / 6 * 14 / 3 * unit < high
        assert near["skill"].mean.mean == pytest.approx(1 - 1 / (91 / 6 * 14 / 3))
        assert "skill" not in copied
        difference = result.differences["near"]["mse"].mean.mean
        assert difference == pytest.approx(unit - 91 / 6 * 14 / 3 * unit)

    def test_exact_frames_are_counted_separately(self) -> None:
        result = score_forecast(
            {"right": extrapolate}, windows([0, 1, 1, 1, 1, 1]), context=2, horizon=3, metrics=["psnr"]
        )
        right, copied = result.scores["right"]["psnr"], result.scores["copy-last"]["psnr"]
        assert (right.mean.mean, right.exact) == (None, 18)
        assert copied.exact == 3  # the clip that does not move
        assert copied.horizon[0].mean == pytest.approx(20 * math.log10(255))  # of the five others
        json.loads(result.to_json(), parse_constant=lambda name: pytest.fail(f"{name} in the JSON"))

    def test_batches_workers_and_order_do_not_matter(self) -> None:
        whole = [(torch.cat([clips for clips, _ in windows()]), NAMES)]
        first = score_forecast({}, windows(), context=2, horizon=3, workers=1)
        second = score_forecast({}, whole, context=2, horizon=3, workers=4)
        assert first.to_json() == second.to_json()

    def test_a_predictor_named_copy_last_replaces_the_baseline(self) -> None:
        result = score_forecast({"copy-last": off_by_one}, windows(length=3), context=2, horizon=1, metrics=["mse"])
        assert list(result.scores) == ["copy-last"]
        assert result.scores["copy-last"]["mse"].mean.mean == pytest.approx(1 / 255**2)

    def test_samples(self) -> None:
        def sample(context: torch.Tensor, horizon: int, rows: Sequence[int]) -> torch.Tensor:
            right = extrapolate(context, horizon)
            return torch.stack([right + 1, right + 2, right + 6])

        result = score_forecast(
            {}, windows(length=4), context=2, horizon=2, samplers={"guess": sample}, metrics=["mse", "psnr"]
        )
        unit = 1 / 255**2
        assert result.samples == {"guess": 3}
        assert result.scores["guess/mean"]["mse"].mean.mean == pytest.approx((1 + 4 + 36) / 3 * unit)
        assert result.scores["guess/best"]["mse"].mean.mean == pytest.approx(unit)
        assert result.scores["guess/worst"]["mse"].mean.mean == pytest.approx(36 * unit)
        assert result.scores["guess/best"]["psnr"].mean.mean == pytest.approx(20 * math.log10(255))
        assert result.scores["guess/worst"]["psnr"].mean.mean == pytest.approx(20 * math.log10(255 / 6))
        assert result.scores["guess/mean"]["diversity"].mean.mean == pytest.approx((1 + 16 + 25) / 3 * unit)
        assert "skill" in result.scores["guess/best"] and "diversity" in result.definitions

    def test_the_best_sample_is_selected_per_window_over_the_whole_horizon(self) -> None:
        def sample(context: torch.Tensor, horizon: int, rows: Sequence[int]) -> torch.Tensor:
            right = extrapolate(context, horizon)
            early, late = right.clone(), right.clone()
            early[:, 1:] += 5
            late[:, :1] += 4
            return torch.stack([early, late])  # each is perfect at one of the two steps

        result = score_forecast(
            {}, windows(length=4), context=2, horizon=2, samplers={"guess": sample}, metrics=["mse"]
        )
        best = [entry.mean for entry in result.scores["guess/best"]["mse"].horizon]
        assert best == pytest.approx([16 / 255**2, 0.0])

    def test_json_and_table(self) -> None:
        result = score_forecast(
            {"near": off_by_one}, windows(), context=2, horizon=3, metrics=["mse"], fingerprint="abc", protocol="mine"
        )
        again = ForecastScores.from_json(result.to_json())
        assert again == result and again.scores["near"]["mse"].horizon[2].mean == pytest.approx(1 / 255**2)
        rows = {(row["name"], row["metric"]): row for row in result.table()}
        assert set(rows) == {("near", "mse"), ("near", "skill"), ("copy-last", "mse")}
        assert rows["near", "mse"]["better"] == "lower" and len(rows["near", "mse"]["horizons"]) == 3
        data = json.loads(result.to_json())
        assert (data["protocol"], data["fingerprint"], data["kind"]) == ("mine", "abc", "forecast")
        assert "MSE-pix" in data["definitions"]["mse"] and {"torch", "scikit-image"} <= data["versions"].keys()

    def test_single_measurements(self) -> None:
        result = score_forecast({}, windows(), context=2, horizon=3, metrics=["mse"])
        rows = list(result.rows)
        assert len(rows) == 6 * 3
        last = rows[-1]
        assert (last["name"], last["metric"], last["source"], last["horizon"]) == ("copy-last", "mse", "video 5", 3)
        assert last["value"] == pytest.approx((18 / 255) ** 2)

    def test_errors_name_the_cause(self) -> None:
        def run(predictor=off_by_one, batches=None, **options):  # type: ignore[no-untyped-def]
            return score_forecast({"mine": predictor}, batches or windows(), **{"context": 2, "horizon": 3, **options})

        with pytest.raises(ValueError, match=r"'mine'.*\(3, 3, 3, 12, 12\).*\(3, 1, 3, 12, 12\)"):
            run(lambda seen, horizon: seen[:, :1])
        with pytest.raises(ValueError, match=r"'mine'.*float32"):
            run(lambda seen, horizon: off_by_one(seen, horizon).float())
        with pytest.raises(ValueError, match=r"uint8 \(B, 6, C, H, W\)"):
            run(horizon=4)
        with pytest.raises(ValueError, match="3 windows, 2"):
            run(batches=[(windows()[0][0], NAMES[:2])])
        with pytest.raises(ValueError, match="fvd.*mse"):
            run(metrics=["mse", "fvd"])
        with pytest.raises(ValueError, match="zero.*copy-last"):
            run(reference="zero")
        with pytest.raises(ValueError, match="no window"):
            score_forecast({}, [], context=2, horizon=3)
        with pytest.raises(ValueError, match="mine"):
            run(samplers={"mine": off_by_one})
        with pytest.raises(ValueError, match="'one'"):
            run(samplers={"one": lambda seen, horizon, rows: off_by_one(seen, horizon)[None]})


class TestFolders:
    def videos(self, error: int = 0, length: int = 4) -> dict:
        shape = (length, 3, SIZE, SIZE)
        return {f"clip{i}.mp4": lambda i=i: torch.full(shape, 50 + i + error, dtype=torch.uint8) for i in range(3)}

    def test_scores(self) -> None:
        result = score_folders(self.videos(2), self.videos(), metrics=["mae", "psnr"])
        assert (result.videos, result.frames, result.sources) == (3, 12, 3)
        assert result.scores["prediction"]["mae"].mean.mean == pytest.approx(2 / 255)
        assert result.by_video["clip1.mp4"]["psnr"] == pytest.approx(20 * math.log10(255 / 2))
        assert FolderScores.from_json(result.to_json()) == result
        same = score_folders(self.videos(), self.videos(), metrics=["psnr"], groups=dict.fromkeys(self.videos(), "one"))
        assert same.scores["prediction"]["psnr"].exact == 12 and same.scores["prediction"]["psnr"].mean.mean is None
        assert same.sources == 1 and "one source" in same.notes[0]

    def test_pairing_is_checked_before_anything_is_decoded(self) -> None:
        def explode() -> torch.Tensor:
            pytest.fail("decoded although the names do not pair")

        targets = dict.fromkeys(["a", "b"], explode)
        with pytest.raises(ValueError, match="no predicted video named b"):
            score_folders({"a": explode}, targets)
        with pytest.raises(ValueError, match="no true video named c"):
            score_folders(targets | {"c": explode}, targets)
        with pytest.raises(ValueError, match="no window"):
            score_folders({}, {})

    def test_lengths_are_compared(self) -> None:
        with pytest.raises(ValueError, match=r"clip0\.mp4: the predicted video is \(5, 3, 12, 12\).*\(4, 3, 12, 12\)"):
            score_folders(self.videos(length=5), self.videos())


def moving_squares(number: int, seed: int) -> torch.Tensor:
    """Squares of a random colour and height that move right at a random speed, 8 frames."""
    random = generator("moving squares", seed)
    clips = torch.zeros(number, 8, 3, 24, 24, dtype=torch.uint8)
    for n in range(number):
        colour = torch.randint(60, 256, (3, 1, 1), generator=random).to(torch.uint8)
        top, speed = (int(torch.randint(high, (), generator=random)) for high in (18, 2))
        for t in range(8):
            clips[n, t, :, top : top + 6, (speed + 1) * t : (speed + 1) * t + 6] = colour
    return clips


class TestSynthesis:
    def test_floor_and_controls_order_the_measures(self) -> None:
        real, fake = moving_squares(96, seed=0), moving_squares(48, seed=1)
        result = score_synthesis(real, fake)
        assert (result.clips, result.real_clips, result.generated_clips, result.frames) == (48, 96, 48, 8)

        def value(name: str, measure: str) -> float:
            mean = result.scores[name][measure].mean.mean
            assert mean is not None
            return mean

        floor = value("real", "frechet_inhouse")
        for control in ("frozen", "shuffled", "reversed", "blurred"):
            assert value(control, "frechet_inhouse") > 2 * floor, control
        assert value("generated", "frechet_inhouse") < 2 * floor  # drawn from the same world
        assert (
            value("frozen", "motion_energy")
            == 0.0
            < value("real", "motion_energy")
            < value("shuffled", "motion_energy")
        )
        assert value("real", "content_distance") == pytest.approx(0.0, abs=1e-3)
        assert value("frozen", "motion_histogram") > 2 * value("real", "motion_histogram")
        # Time's arrow is beyond this measure: it cannot tell a reversed clip from a real one.
        assert value("reversed", "motion_histogram") == pytest.approx(value("real", "motion_histogram"))
        bounds = result.scores["generated"]["frechet_inhouse"].mean
        assert bounds.low is not None and bounds.high is not None and bounds.mean is not None
        assert bounds.low <= bounds.mean <= bounds.high

    def test_copies_and_collapse_are_detected(self) -> None:
        real = moving_squares(16, seed=0)
        copies = score_synthesis(real, real[:8], training=real)
        assert copies.scores["generated"]["nearest_clip"].mean.mean == pytest.approx(0.0, abs=1e-6)
        collapsed = score_synthesis(real, real[:1].repeat(8, 1, 1, 1, 1), training=moving_squares(16, seed=3))
        assert collapsed.scores["generated"]["diversity"].mean.mean == pytest.approx(0.0, abs=1e-12)
        assert collapsed.scores["generated"]["nearest_clip"].mean.mean > 0.01  # type: ignore[operator]
        assert collapsed.scores["real"]["diversity"].mean.mean > 0.01  # type: ignore[operator]

    def test_halves_share_no_source(self) -> None:
        # Every source is one clip shown four times: only halves with a common source can hold the same clip.
        real = moving_squares(8, seed=0).repeat_interleave(4, dim=0)
        sources = [f"video {i // 4}" for i in range(32)]
        apart = score_synthesis(real, real[:16], sources=sources)
        mixed = score_synthesis(real, real[:16])
        assert apart.scores["real"]["nearest_clip"].mean.mean > 3 * mixed.scores["real"]["nearest_clip"].mean.mean  # type: ignore
        few = score_synthesis(real, real[:16], sources=["one"] * 32)
        assert any("same videos" in note and "'real'" in note for note in few.notes)

    def test_same_seed_same_result_and_json(self) -> None:
        real, fake = moving_squares(12, seed=0), moving_squares(6, seed=1)
        first, again, other = (score_synthesis(real, fake, seed=seed) for seed in (0, 0, 1))
        assert first == again == SynthesisScores.from_json(first.to_json())
        assert first.scores["real"]["frechet_inhouse"] != other.scores["real"]["frechet_inhouse"]
        assert any("6 clips per set" in note for note in first.notes)
        assert not any("fvd" in name.lower() for name in first.definitions)

    def test_errors_name_the_cause(self) -> None:
        real = moving_squares(6, seed=0)
        with pytest.raises(ValueError, match="real and generated clips"):
            score_synthesis(real, real[:, :5])
        with pytest.raises(ValueError, match="4 real and 2 generated"):
            score_synthesis(real[:3], real)
        with pytest.raises(ValueError, match="6 clips, 2 sources"):
            score_synthesis(real, real, sources=["a", "b"])
        with pytest.raises(ValueError, match="uint8"):
            score_synthesis(real, real.float())
        with pytest.raises(ValueError, match="at least one split"):
            score_synthesis(real, real, splits=0)


def test_errors_in_json_name_the_field() -> None:
    text = score_folders(
        {"a": TestFolders().videos()["clip0.mp4"]}, {"a": TestFolders().videos()["clip1.mp4"]}
    ).to_json()
    with pytest.raises(ValueError, match="expected the scores of a forecast evaluation, found 'folder'"):
        ForecastScores.from_json(text)
    with pytest.raises(ValueError, match="not a JSON document"):
        FolderScores.from_json(text[:-3])
    data = json.loads(text)
    del data["videos"]
    with pytest.raises(ValueError, match="unknown fields: videos"):
        FolderScores.from_json(json.dumps(data))
    data = json.loads(text)
    data["scores"]["prediction"]["mse"] = 3
    with pytest.raises(ValueError, match="malformed folder scores"):
        FolderScores.from_json(json.dumps(data))
    assert all(isinstance(kind.kind, str) for kind in Result.__subclasses__())


def test_values_are_kept_as_arrays() -> None:
    result = score_forecast({}, windows(), context=2, horizon=3, metrics=["mse"])
    assert isinstance(result.rows.values["copy-last"]["mse"], np.ndarray)
    assert result.rows.values["copy-last"]["mse"].shape == (6, 3)
