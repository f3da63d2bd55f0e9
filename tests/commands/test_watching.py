"""`vidgan report` shows the best, median and worst window of a run's results; `vidgan watch` follows a training run."""

import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import small_config
from typer.testing import CliRunner

from vidgan.cli.app import app
from vidgan.commands import watch as watching
from vidgan.commands.evaluate import evaluate
from vidgan.commands.report import report
from vidgan.commands.train import train
from vidgan.commands.watch import progress, watch
from vidgan.data.dataset import ClipDataset
from vidgan.errors import ConfigError
from vidgan.report import Player, Text
from vidgan.report.cases import Cases
from vidgan.tasks.forecast_images import error_images
from vidgan.tasks.forecasting.dual_motion import DualMotionGAN
from vidgan.training.lock import RunLock, is_held

RESULT = "held-out-3to3-metrics-mse.json"


@pytest.fixture(scope="module")
def trained(shapes_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of four steps that was evaluated with a horizon of three frames."""
    config = small_config("dual_motion", shapes_data, tmp_path_factory.mktemp("trained"), every__evaluate=2)
    train(config, quiet=True)
    evaluate(config.run_dir, horizon=3, metrics=("mse",))
    return config.run_dir


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(trained, tmp_path / "run"))


def test_each_case_plays_the_scored_window(run: Path, shapes_data: Path) -> None:
    explanation, *animations = Cases(run).animations()[RESULT]
    assert isinstance(explanation, Text) and "mse" in explanation.text
    cases = json.loads((run / "scores" / RESULT).read_text())["result"]["cases"]
    model = DualMotionGAN.from_pretrained(run)
    windows = {w.source: w for w in ClipDataset(shapes_data, split="test", frames=6).windows(6, 20)}
    for case, block in zip(cases, animations, strict=True):
        assert isinstance(block, Player)
        assert [clip.label for clip in block.clips] == ["truth", "forecast", "error x3", "flow"]
        assert block.caption.startswith(f"{case['which'].capitalize()}: {case['id']}, mse ")
        source, first = case["id"].rpartition(":")[::2]
        if int(first):
            continue
        clip = windows[source].clip
        forecast = model.predict(clip[None, :3], 3)[0]
        assert ((forecast.float() - clip[3:].float()) / 255).square().mean() == pytest.approx(case["value"], rel=1e-4)
        # Truth and forecast play the context, then the horizon; error and flow begin with the horizon.
        assert [(len(c.frames), c.context, c.start) for c in block.clips] == [
            (6, 3, 0),
            (6, 3, 0),
            (3, 0, 3),
            (3, 0, 3),
        ]
        expected = (clip, torch.cat([clip[:3], forecast]), error_images(forecast, clip[3:]))
        for displayed, shown in zip(block.clips, expected, strict=False):
            np.testing.assert_array_equal(displayed.frames, shown.permute(0, 2, 3, 1))


def test_sampled_results_of_the_best_weights_are_rendered_again(run: Path) -> None:
    evaluate(run, horizon=1, samples=2, best=True, metrics=("mse",))
    blocks_of = Cases(run).animations()
    (name,) = blocks_of.keys() - {RESULT}
    assert len(blocks_of[name]) == 4 and "sample" in blocks_of[name][1].caption  # type: ignore[union-attr]


def only_text(run: Path) -> str:
    (text,) = Cases(run).animations()[RESULT]
    assert isinstance(text, Text)
    return text.text


def test_the_page_reports_missing_data_and_weights(run: Path, shapes_data: Path, tmp_path: Path) -> None:
    moved = Path(shutil.copytree(shapes_data, tmp_path / "moved"))
    config = run / "config.yaml"
    config.write_text(config.read_text().replace(str(shapes_data), str(tmp_path / "gone")))
    assert "--data" in only_text(run)
    assert "--data" in report(run).read_text()
    page = report(run, data=[moved]).read_text()
    assert page.count('class="vidgan-player"') == 3
    shutil.rmtree(run / "model")
    shutil.rmtree(run / "best")
    config.write_text(config.read_text().replace(str(tmp_path / "gone"), str(shapes_data)))
    assert "weights" in only_text(run)


def test_results_without_frames_or_of_another_kind_have_no_animation(run: Path) -> None:
    path = run / "scores" / RESULT
    document = json.loads(path.read_text())
    del document["result"]["provenance"]["case_frames"]
    path.write_text(json.dumps(document))
    assert "frames" in only_text(run)
    path.write_text(json.dumps({"result": {"kind": "forecast"}}))
    assert "incomplete" in only_text(run)
    path.write_text(json.dumps({"result": {"kind": "synthesis"}}))
    assert Cases(run).animations() == {RESULT: []}


def test_data_without_effect_is_refused(run: Path, shapes_data: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(shapes_data, tmp_path / "other"))
    with pytest.raises(ConfigError, match=f"--data {re.escape(str(other))} "):
        report(run, data=[other])
    assert not (run / "report.html").exists()


def test_animations_are_rendered_once(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cases = Cases(run)
    first = cases.animations()
    monkeypatch.setattr(Cases, "_build", lambda *_: pytest.fail("rendered again"))
    assert cases.animations() == first


def test_the_page_shows_restarts_and_a_damaged_journal(run: Path) -> None:
    (starts,) = [json.loads(line) for line in (run / "starts.jsonl").read_text().splitlines()]
    assert (starts["step"], starts["processes"]) == (0, 1)
    with (run / "starts.jsonl").open("a") as file:
        file.write(json.dumps(starts | {"step": 4}) + "\n")
    journal = run / "journal.jsonl"
    journal.write_text("broken\n" + journal.read_text())
    page = report(run).read_text()
    assert "Restarted" in page and "Damaged journal" in page and "Losses of the generator" in page


def test_a_finished_run_is_reported_once(run: Path) -> None:
    lines: list[str] = []
    path = watch(run, every=60, echo=lines.append)
    assert lines[0].startswith("step 4 of 4, ") and "loss" not in lines[0] and "generator/fused" in lines[0]
    assert len(lines) == 2 and lines[1] == f"finished: {path}"
    assert 'http-equiv="refresh"' not in path.read_text()


def test_a_run_is_followed_until_it_ends(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page reloads while a process holds the lock; watching ends when the lock is free twice in a row."""
    journal = run / "journal.jsonl"
    lines_before = journal.read_text().splitlines()
    journal.write_text("".join(line + "\n" for line in lines_before if json.loads(line)["step"] <= 2))
    page = run / "report.html"
    lock = RunLock(run)
    lock.__enter__()
    assert is_held(run)

    def release() -> None:
        assert 'http-equiv="refresh" content="7"' in page.read_text()
        lock.__exit__(None, None, None)

    def check_released() -> None:
        assert not is_held(run) and 'http-equiv="refresh"' in page.read_text()

    events: Iterator[Callable[[], None]] = iter([release, check_released])
    monkeypatch.setattr(watching.time, "sleep", lambda seconds: next(events)())
    lines: list[str] = []
    watch(run, every=7, echo=lines.append)
    assert [line[:11] for line in lines[:3]] == ["step 2 of 4"] * 3
    assert len(lines) == 4 and str(page) in lines[3] and "finished" not in lines[3]
    assert 'http-equiv="refresh"' not in page.read_text()


def test_a_killed_training_holds_no_lock(tmp_path: Path) -> None:
    assert not is_held(tmp_path)
    (tmp_path / ".lock").write_text(json.dumps({"pid": 1, "host": "h", "started": "then"}))
    assert not is_held(tmp_path)


def test_ctrl_c_stops_watching_without_an_error(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (run / "journal.jsonl").write_text("")

    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(watching.time, "sleep", interrupt)
    result = CliRunner().invoke(app, ["watch", str(run), "--every", "2"])
    assert result.exit_code == 0 and "step 0 of 4" in result.output and "the run continues" in result.output


def test_progress_contains_the_time_left() -> None:
    records = [
        {"step": step, "seconds": 2.0, "clips_per_second": 4.0, "data_wait_share": 0.25, "loss/g/fused": 1 / step}
        for step in (10, 20)
    ]
    assert progress(records, 110) == "step 20 of 110, about 3 min 00 s left, 4.0 clips/s, data wait 25%, g/fused 0.05"
    assert progress([{"step": 0, "observed": []}], 5) == "step 0 of 5"
