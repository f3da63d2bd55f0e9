"""`vidgan evaluate` from model to result: models, protocols, processes, weights, sets, tables."""

import itertools
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from helpers import second_process, small_config

from vidgan.commands.evaluate import evaluate
from vidgan.commands.table import table
from vidgan.commands.train import train
from vidgan.data.preparing.prepare import prepare
from vidgan.data.store.index import load_index
from vidgan.errors import ConfigError, DataError, WeightsError
from vidgan.evaluation.clips import real_windows
from vidgan.evaluation.forecasts import choose_measures, plan_forecasts
from vidgan.evaluation.masks import motion_masks
from vidgan.evaluation.measure import measure_forecasts
from vidgan.evaluation.models import load_model
from vidgan.evaluation.predictors import model_predictors, model_samplers
from vidgan.evaluation.requests import EvaluationRequest
from vidgan.evaluation.results import ForecastScores, SynthesisScores
from vidgan.evaluation.rows import load_rows, rows_path
from vidgan.evaluation.settings import ForecastSettings
from vidgan.evaluation.windows import WindowSet
from vidgan.report import Player
from vidgan.report.cases import Cases


@pytest.fixture(scope="module")
def forecast_run(shapes_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    changes = {"train__steps": 1, "every__checkpoint": 1, "every__evaluate": 1}
    return train(small_config("dual_motion", shapes_data, folder, **changes), quiet=True).run_dir


@pytest.fixture(scope="module")
def clips_run(shapes_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    return train(small_config("mocogan", shapes_data, folder, train__steps=1), quiet=True).run_dir


@pytest.fixture(scope="module")
def result(forecast_run: Path) -> ForecastScores:
    scores = evaluate(forecast_run)
    assert isinstance(scores, ForecastScores)
    return scores


def test_run_checkpoint_and_saved_model_give_the_same_scores(
    forecast_run: Path, result: ForecastScores, shapes_data: Path, tmp_path: Path
) -> None:
    checkpoint = evaluate(forecast_run / "checkpoints" / "step-00000001")
    assert checkpoint.scores == result.scores and checkpoint.provenance["step"] == 1
    assert [*checkpoint.provenance["weights"]] == ["step-00000001/ema.safetensors"]
    assert load_model(forecast_run / "checkpoints" / "best").name == "small/step-00000001"
    load_model(forecast_run).model.save_pretrained(tmp_path / "saved")
    with pytest.raises(ConfigError, match="saved: .*--data"):
        evaluate(tmp_path / "saved")
    saved = evaluate(tmp_path / "saved", data=shapes_data)
    assert saved.scores == result.scores
    with pytest.raises(ConfigError, match="--best"):
        evaluate(forecast_run / "checkpoints" / "best", best=True)


def test_a_checkpoint_needs_no_training_data(shapes_data: Path, tmp_path: Path) -> None:
    """Scored on other data while its own are missing; the report repeats the forecasts of the cases all the same."""
    own, other = tmp_path / "own", tmp_path / "other"
    shutil.copytree(shapes_data, own)
    shutil.copytree(shapes_data, other)
    changes = {"train__steps": 1, "every__checkpoint": 1}
    run = train(small_config("dual_motion", own, tmp_path / "runs", **changes), quiet=True).run_dir
    before = evaluate(run, data=other)
    shutil.rmtree(own)
    scores = evaluate(run / "checkpoints" / "step-00000001", data=other)
    assert scores.scores == before.scores and scores.provenance["step"] == 1
    animations = Cases(run, data=[other]).animations()
    assert len(animations) == 2
    for blocks in animations.values():
        assert sum(isinstance(block, Player) for block in blocks) == 3


def test_a_result_records_how_it_was_made(forecast_run: Path, result: ForecastScores) -> None:
    provenance = result.provenance
    assert provenance["data"]["split_hash"] and provenance["data"]["fingerprint"] == result.fingerprint
    assert len(provenance["weights"]["model/model.safetensors"]) == 64 and provenance["seeds"] == [0]
    assert provenance["counts"]["windows"] == result.windows == 5 * 4  # 20 frames hold 4 windows of 5
    written = forecast_run / "scores" / "held-out-3to2.json"
    rows = load_rows(rows_path(written))
    assert rows.windows == result.rows.windows and rows.windows[1].endswith(":5")
    np.testing.assert_array_equal(rows.values["fused P"]["mse"], result.rows.values["fused P"]["mse"])
    names = {
        "fused P", "warped W", "direct A", "copy-last", "context mean", "linear extrapolation",
        "constant-velocity warp", "constant-velocity, carried",
    }  # fmt: skip
    assert result.scores.keys() == names


def test_batches_of_one_and_of_eight_give_the_same_forecasts(forecast_run: Path) -> None:
    trained = load_model(forecast_run)
    windows = WindowSet(trained.data, 5)
    measures = choose_measures(["mse", "psnr"])
    one, eight = (
        measure_forecasts(
            model_predictors(trained.forecast_model, brief=True),
            model_samplers(trained.forecast_model, 2, seed=3),
            windows.batches(size=size, limit=9),
            measures,
            context=3,
            horizon=2,
        )
        for size in (1, 8)
    )
    assert one.ids == eight.ids
    for name, columns in one.values.items():
        for metric, values in columns.items():
            np.testing.assert_array_equal(values, eight.values[name][metric], err_msg=f"{name} {metric}")


def test_sets_of_real_clips_start_anywhere(shapes_data: Path) -> None:
    """A clip of 20 frames has thirteen possible starts of a window of eight frames."""
    front, shifted = (WindowSet(shapes_data, 8, split="all", shifted=choice) for choice in (False, True))
    assert {window.frames[0] for window in front.windows} == {0, 8}
    starts = [window.frames[0] for window in shifted.windows]
    assert len(set(starts)) > 8 and max(starts) <= 12
    for entry in shifted.index.clips:
        frames = [window.frames for window in shifted.windows if window.entry == entry]
        assert frames and frames[0][0] < 8
        assert all(later[0] - earlier[0] == 8 for earlier, later in itertools.pairwise(frames))
    assert shifted.windows == WindowSet(shapes_data, 8, split="all", shifted=True).windows


@pytest.mark.parametrize("count", [1, 7, 35, 36, 1000])
def test_chosen_windows_are_spread_over_all(shapes_data: Path, count: int) -> None:
    windows = WindowSet(shapes_data, 8, split="all")
    chosen = [windows.windows.index(window) for window in windows.spread(count)]
    assert len(chosen) == min(count, len(windows)) and chosen[0] == 0
    steps = np.diff([*chosen, len(windows)])
    assert steps.min() >= 1 and steps.max() - steps.min() <= 1


def test_growing_contexts_hold_all_earlier_true_frames(forecast_run: Path) -> None:
    scores = evaluate(forecast_run, context=2, horizon=3, growing=True, metrics=("mse",))
    assert isinstance(scores, ForecastScores) and scores.protocol == "held-out-2to3-growing"
    trained = load_model(forecast_run)
    clip = next(iter(WindowSet(trained.data, 5).batches(size=1))).clips  # (1, 5, 3, H, W)
    for step in range(3):
        frame = trained.forecast_model.predict(clip[:, : 2 + step], horizon=1)[:, 0]
        difference = (frame.double() - clip[:, 2 + step].double()) / 255
        measured = scores.rows.values["fused P"]["mse"][0, step]
        assert measured == pytest.approx(float(difference.square().mean()), abs=1e-12)
    with pytest.raises(ConfigError, match="--growing.*--protocol kitti-prednet"):
        evaluate(forecast_run, protocol="kitti-prednet", growing=True)


def test_a_run_is_scored_on_the_crop_that_it_was_trained_on(shapes_data: Path, tmp_path: Path) -> None:
    """A forecaster whose flow needs no labels, on the centre of larger frames, with augmentation."""
    changes = {
        "data__window": [16, 32],
        "data__augment": ["camera", "tone", "grey", "blur"],
        "model__estimator": {"kind": "lucas_kanade"},
        "model__fusion": {"kind": "blend"},
        "objective": {"weights": {"fused": 1.0, "implied_flow": 0.1}},
        "discriminators": {},
        "optimizers": {"generator": {}},
        "train__steps": 1,
        "every__evaluate": 1,
    }
    run = train(small_config("dual_motion", shapes_data, tmp_path, **changes), quiet=True).run_dir
    scores = evaluate(run)
    assert isinstance(scores, ForecastScores) and scores.frame_size == (16, 32)
    trained = load_model(run)
    crop, whole = (next(iter(WindowSet(shapes_data, 5, crop=c).batches(size=1))).clips for c in ((16, 32), None))
    assert torch.equal(crop, whole[..., 8:24, :]) and trained.crop == (16, 32)
    (blocks,) = Cases(run).animations().values()
    assert sum(isinstance(block, Player) for block in blocks) == len(scores.cases) > 0
    assert evaluate(run, data=shapes_data).frame_size == (32, 32)  # type: ignore[union-attr]


RANK_ONE = """
import sys
from vidgan.commands.evaluate import evaluate
evaluate(sys.argv[1], samples=2, metrics=("mse", "psnr"))
"""


def test_two_processes_measure_what_one_does(forecast_run: Path) -> None:
    """This process has rank 0 and starts rank 1 as a launcher would; each measures every other batch."""
    options: dict[str, Any] = {"samples": 2, "metrics": ("mse", "psnr")}
    alone = evaluate(forecast_run, **options)
    with second_process(RANK_ONE, forecast_run):
        together = evaluate(forecast_run, **options)
    assert isinstance(alone, ForecastScores) and isinstance(together, ForecastScores)
    assert together.scores == alone.scores and together.calibration == alone.calibration
    assert together.rows.windows == alone.rows.windows
    for name, columns in alone.rows.values.items():
        for metric, values in columns.items():
            np.testing.assert_array_equal(values, together.rows.values[name][metric], err_msg=f"{name} {metric}")


def test_each_process_has_its_own_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    assert ForecastSettings().torch_device() == torch.device("cuda", 0)
    monkeypatch.setenv("LOCAL_RANK", "3")
    assert ForecastSettings().torch_device() == torch.device("cuda", 3)
    assert ForecastSettings(device="cpu").torch_device() == torch.device("cpu")


def test_more_processes_than_batches_are_refused(forecast_run: Path) -> None:
    with pytest.raises(ConfigError, match=r"--processes 4: .*1 to 3"):
        plan_forecasts(load_model(forecast_run), ForecastSettings(), 4)


def test_a_preset_checks_how_the_data_were_prepared(forecast_run: Path) -> None:
    with pytest.raises(ConfigError, match="mmnist-10to10.*layout is auto, not moving-mnist.*--allow-deviation"):
        evaluate(forecast_run, protocol="mmnist-10to10")
    found = evaluate(forecast_run, protocol="mmnist-10to10", allow_deviation=True)
    assert isinstance(found, ForecastScores)
    assert found.protocol == "mmnist-10to10-deviating" and (found.context, found.horizon) == (10, 10)
    assert any("frames are 32x32, not 64x64" in note for note in found.notes)
    assert any("3 context frames" in note and "10" in note for note in found.notes)
    assert found.windows == 5 and "one channel" in found.definitions["mse_frame"]
    with pytest.raises(ConfigError, match="--horizon.*--protocol davis"):
        evaluate(forecast_run, protocol="davis", horizon=3)
    with pytest.raises(ConfigError, match="--protocol gen-ucf-is"):
        evaluate(forecast_run, protocol="gen-ucf-is")


def test_masks_come_from_the_true_frames() -> None:
    """A textured square moves right by 3 pixels per frame over a static texture."""
    random = torch.Generator().manual_seed(0)
    scene, square = (
        F.interpolate(torch.rand(1, 3, n // 4, n // 4, generator=random), size=n, mode="bicubic")[0].clamp(0, 1) * 255
        for n in (64, 24)
    )
    clip = scene.to(torch.uint8).expand(1, 3, -1, -1, -1).clone()  # (1, T, 3, 64, 64)
    for t in range(3):
        clip[0, t, :, 20:44, 14 + 3 * t : 38 + 3 * t] = square.to(torch.uint8)
    masks, note = motion_masks()
    mask = masks(clip[:, :2], clip[:, 2:])
    assert mask.shape == (1, 1, 1, 64, 64) and "authors' flow pictures" in note
    assert mask[..., 22:42, 22:42].float().mean() > 0.9
    assert mask[..., :12, :].float().mean() < 0.05
    # Faster motion in another window of the batch changes nothing: each flow image has its own scale.
    fast = torch.stack([clip[0, 0].roll(8 * t, dims=2) for t in range(3)])[None]  # (1, T, 3, 64, 64)
    together = torch.cat([clip, fast])
    assert torch.equal(masks(together[:, :2], together[:, 2:])[:1], mask)


def test_missing_weights_are_reported_before_anything_runs(forecast_run: Path, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"missing\.pth"):
        evaluate(forecast_run, weights={"lpips-alex": tmp_path / "missing.pth"})
    with pytest.raises(ConfigError, match="--weights i3d .*lpips-alex"):
        evaluate(forecast_run, weights={"i3d": tmp_path / "i3d.pt"})


def test_clips_of_both_splits_are_for_unseen_data(forecast_run: Path, shapes_data: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--split all"):
        evaluate(forecast_run, split="all")
    np.save(tmp_path / "one.npy", np.random.default_rng(0).integers(0, 256, (11, 32, 32, 3), np.uint8))
    prepare(tmp_path / "one.npy", tmp_path / "data", size=(32, 32))
    with pytest.raises(DataError, match="test split.*--split all"):
        evaluate(forecast_run, data=tmp_path / "data")
    found = evaluate(forecast_run, data=tmp_path / "data", split="all", metrics=("mse",))
    assert isinstance(found, ForecastScores) and (found.protocol, found.windows) == ("all-3to2", 2)
    assert (forecast_run / "scores" / "all-3to2-data-data-split-all-metrics-mse.json").is_file()


def test_real_windows_of_a_preset_have_the_frame_rate_of_the_model(clips_run: Path) -> None:
    trained = load_model(clips_run)
    stored = load_index(trained.data).clips[0].fps
    assert stored is not None
    settings: list[tuple[dict[str, Any], int]] = [({"stride": 2}, 2), ({"sampled_fps": stored / 2}, 2), ({}, 1)]
    for changes, step in settings:
        changed = replace(trained, facts=replace(trained.facts, **changes))
        windows = [window for _, window in real_windows(changed, 4, seed=0)]
        assert len(windows) == len({window.entry.id for window in windows}) > 4
        assert all(np.diff(window.frames).tolist() == [step] * 3 for window in windows)
        assert len({window.frames[0] for window in windows}) > 1  # random starts


@pytest.mark.parametrize(
    ("kind", "options", "named"),
    [
        ("forecasts", {"seeds": 3, "mcs": True}, "--seeds, --mcs"),
        ("forecasts", {"frames": 20}, "--frames"),
        ("forecasts", {"best_by": "psnr"}, "--best-by.*--samples"),
        ("forecasts", {"samples": 3, "growing": True}, "--samples.*--growing"),
        ("forecasts", {"allow_deviation": True}, "--allow-deviation.*--protocol"),
        ("forecasts", {"split": "train"}, "--split train: .*test, all"),
        ("forecasts", {"device": "gpu"}, "--device gpu: .*auto, cpu, cuda"),
        ("clips", {"samples": 3}, "--samples.*--clips"),
        ("clips", {"split": "all"}, "--split"),
        ("clips", {"protocol": "caltech-10to1"}, "--protocol caltech-10to1"),
        ("clips", {"protocol": "gen-ucf-is", "mcs": True}, "--mcs.*gen-ucf-is"),
        ("clips", {"truncation": (0.5,)}, "--truncation.*modulated"),
        ("clips", {"weights": {"c3d": Path("x.npz")}}, "--weights c3d"),
        ("clips", {"weights": {"stlpips": Path("x.pth")}}, "--weights stlpips"),
        ("clips", {"frames": 26, "seeds": 2}, "--seeds"),
    ],
)
def test_options_that_do_not_apply_are_refused(
    forecast_run: Path, clips_run: Path, kind: str, options: dict[str, Any], named: str
) -> None:
    with pytest.raises(ConfigError, match=named):
        evaluate(forecast_run if kind == "forecasts" else clips_run, **options)


class Stub(torch.nn.Module):
    """Replaces the I3D file: 400 numbers per clip, with the same signature."""

    def forward(self, x: torch.Tensor, rescale: bool, resize: bool, return_features: bool) -> torch.Tensor:
        return x.float().flatten(1)[:, :400] / 255.0


class Levels(torch.nn.Module):
    """Replaces a face network: four numbers per frame."""

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        return frames.flatten(1)[:, :4]


@pytest.fixture(scope="module")
def i3d(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "i3d_torchscript.pt"
    torch.jit.script(Stub()).save(str(path))
    return path


def test_a_generation_preset_on_a_run(clips_run: Path, i3d: Path) -> None:
    with pytest.raises(WeightsError, match=r"gen-fvd2048-16 .*--weights i3d=PATH.*i3d_torchscript\.pt"):
        evaluate(clips_run, protocol="gen-fvd2048-16", clips=4, allow_deviation=True)
    options: dict[str, Any] = {"protocol": "gen-fvd2048-16", "allow_deviation": True, "weights": {"i3d": i3d}}
    with pytest.raises(DataError, match=r"2048 clips.* 18 real.*--clips 18"):
        evaluate(clips_run, **options)
    found = evaluate(clips_run, clips=8, seeds=2, **options)
    assert isinstance(found, SynthesisScores)
    assert found.protocol == "gen-fvd2048-16-deviating" and (found.clips, found.seeds) == (8, [0, 1])
    assert {"fvd", "kvd"} <= found.scores["generated"].keys() & found.scores["real"].keys()
    floor, made = (found.scores[row]["fvd"].mean for row in ("real", "generated"))
    assert floor.mean < made.mean and made.low < made.mean < made.high  # type: ignore[operator]
    assert len(found.provenance["metric_weights"]["i3d_torchscript.pt"]) == 64


def test_tables_of_runs_and_files(forecast_run: Path, result: ForecastScores, tmp_path: Path) -> None:
    text = table([forecast_run], protocol="held-out-3to2", format="csv")
    assert f"fused P,mse,lower,{result.scores['fused P']['mse'].mean.mean}" in text
    with pytest.raises(ConfigError, match="--published.*held-out-3to2"):
        table([forecast_run], protocol="held-out-3to2", published=True)
    with pytest.raises(ConfigError, match=tmp_path.name):
        table([tmp_path])
    (tmp_path / "x.json").write_text('{"kind": "other"}')
    with pytest.raises(ConfigError, match=r"x\.json"):
        table([tmp_path / "x.json"])


def test_content_distance_by_a_network(clips_run: Path, tmp_path: Path) -> None:
    torch.jit.script(Levels()).save(str(tmp_path / "faces.pt"))
    found = evaluate(clips_run, clips=4, weights={"face": tmp_path / "faces.pt"})
    assert {"acd_embedding"} <= found.scores["generated"].keys() & found.scores["real"].keys()
    assert "faces.pt" in found.definitions["acd_embedding"] and "faces.pt" in found.provenance["metric_weights"]


def test_motion_control_is_measured_by_a_classifier(clips_run: Path) -> None:
    found = evaluate(clips_run, mcs=True, clips=6)
    assert isinstance(found, SynthesisScores)
    made, real = (found.scores[row]["mcs"].mean.mean for row in ("generated", "real"))
    assert made is not None and real is not None and 0 <= made <= 1
    assert "held-out real accuracy" in found.definitions["mcs"] and "mcs_circle" in found.scores["generated"]


def test_truncation_adds_a_row_of_the_same_latents_for_each_psi(shapes_data: Path, tmp_path: Path) -> None:
    frame = {"kind": "modulated", "width": 4, "max_width": 8, "mapping_width": 8}
    run = train(
        small_config("mocogan", shapes_data, tmp_path, train__steps=1, model__frame=frame), quiet=True
    ).run_dir  # fmt: skip
    found = evaluate(run, clips=4, truncation=(0.0, 1.0))
    assert isinstance(found, SynthesisScores)
    rows = {"generated", "real", "frozen", "shuffled", "reversed", "blurred", "truncation 0", "truncation 1"}
    assert found.scores.keys() == rows
    whole, made = found.scores["truncation 1"], found.scores["generated"]
    assert {"frechet_inhouse", "diversity", "motion_energy"} < whole.keys() <= made.keys()
    assert all(score == made[key] for key, score in whole.items())
    diversity = {row: found.scores[row]["diversity"].mean.mean for row in ("generated", "truncation 0")}
    assert diversity["truncation 0"] < diversity["generated"]  # type: ignore[operator]
    assert found.provenance["request"]["options"]["truncation"] == [0.0, 1.0]
    assert EvaluationRequest.of_result(found, run).arguments["truncation"] == (0.0, 1.0)
    with pytest.raises(ConfigError, match=r"--truncation 1\.5"):
        evaluate(run, clips=4, truncation=(1.5,))
