"""Clips in which nothing moves: every forecast is exact, so decibel metrics have no finite mean."""

from pathlib import Path

import numpy as np
import pytest
from helpers import small_config

from vidgan.commands.evaluate import evaluate
from vidgan.commands.report import report
from vidgan.commands.train import train
from vidgan.commands.training_hooks import PERFECT_SCORE
from vidgan.data.preparing.prepare import prepare
from vidgan.training.checkpoint import load_best
from vidgan.training.diagnostics import diagnose
from vidgan.training.journal import read_journal


@pytest.fixture(scope="module")
def still_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight prepared clips of one colour each, 20 frames of 32x32."""
    folder = tmp_path_factory.mktemp("still")
    (folder / "clips").mkdir()
    for number in range(8):
        np.save(folder / "clips" / f"{number}.npy", np.full((20, 32, 32, 3), 30 * number, np.uint8))
    prepare(folder / "clips", folder / "data", size=(32, 32), flow="auto", holdout=0.3)
    return folder / "data"


def test_exact_forecasts_are_counted_and_make_the_best_model(still_data: Path, tmp_path: Path) -> None:
    config = small_config("dual_motion", still_data, tmp_path, train__steps=2, every__evaluate=1)
    config = config.model_copy(
        update={"optimizers": {n: o.model_copy(update={"lr": 1e-12}) for n, o in config.optimizers.items()}}
    )
    run = train(config, quiet=True).run_dir
    observed = [record for record in read_journal(run) if "evaluation/score" in record]
    assert len(observed) == 2
    for record in observed:
        assert "evaluation/copy_last/psnr" not in record and record["evaluation/copy_last/exact_frames"] > 0
        if "evaluation/forecast/psnr" not in record:
            assert record["evaluation/score"] == PERFECT_SCORE
    best = load_best(run / "checkpoints")
    assert best is not None and best.step == max(observed, key=lambda r: r["evaluation/score"])["step"]
    diagnose(read_journal(run))
    assert evaluate(run).scores["copy-last"]["psnr"].mean.mean is None
    assert "exact" in report(run).read_text()


def test_a_generator_is_evaluated_on_still_clips(still_data: Path, tmp_path: Path) -> None:
    changes = {"objective__category_source": None, "objective__weights__category": None}
    config = small_config("mocogan", still_data, tmp_path, train__steps=1, every__evaluate=1, **changes)
    run = train(config, quiet=True).run_dir
    assert any("observed" in record for record in read_journal(run))
    report(run)
