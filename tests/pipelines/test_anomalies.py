"""Made videos with labels, and `vidgan evaluate --protocol anomaly` on them, from preparing to table and report."""

from pathlib import Path

import anomalies
import numpy as np
import pytest
import torch

from vidgan.commands.evaluate import evaluate
from vidgan.commands.report import report
from vidgan.commands.reproduce import reproduce
from vidgan.commands.table import table
from vidgan.data.frame_labels import read_frame_labels
from vidgan.data.preparing.prepare import prepare
from vidgan.errors import ConfigError
from vidgan.evaluation.anomaly import evaluate_anomalies
from vidgan.evaluation.models import find_model
from vidgan.evaluation.output import Output
from vidgan.evaluation.results import AnomalyScores
from vidgan.evaluation.settings import AnomalySettings
from vidgan.evaluation.tables import render


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    anomalies.make_shapes(folder / "videos", train=2, test=3, frames=24, size=32, seed=0)
    prepare(folder / "videos", folder / "data", size=(32, 32), cuts="off")
    return folder


def constant(context: torch.Tensor, horizon: int) -> torch.Tensor:
    """The last frame: what copy-last is."""
    return context[:, -1:].repeat(1, horizon, 1, 1, 1)


def score(made: Path, **options: object) -> AnomalyScores:
    given = {"model": constant, "data": made / "data", "labels": made / "videos", "protocol": "anomaly", "context": 4}
    scores = evaluate(**{**given, **options})  # type: ignore[arg-type]
    assert isinstance(scores, AnomalyScores)
    return scores


def test_inserted_squares_are_found(made: Path, tmp_path: Path) -> None:
    scores = score(made)
    assert scores.protocol == "anomaly-4to1" and (scores.videos, scores.frames) == (3, 3 * 20)
    labels = read_frame_labels(made / "videos")
    assert scores.anomalous == sum(int(labels.of(f"test/{n:03d}.mp4")[4:].sum()) for n in range(3)) == 18
    auc = scores.scores["copy-last"]["auc"].mean
    assert scores.scores["constant"]["auc"].mean == auc and scores.scores["chance"]["auc"].mean.mean == 0.5
    assert auc.mean is not None and auc.low is not None and auc.mean > 0.9 and auc.low > 0.8
    assert scores.scores["copy-last"]["score_gap"].mean.mean > 0.3  # type: ignore[operator]
    video = "test/000.mp4"
    curve = scores.curves[video]
    assert curve["label"] == labels.of(video)[4:].astype(float).tolist() and max(curve["constant"]) == 1.0
    shown = render(scores, "text")
    assert "18 anomalous" in shown and "chance" in shown and "auc, video by video" in shown
    for name in ("one", "two"):
        Output(out=tmp_path / f"{name}.json").show(scores)
    assert "two: constant" not in table([tmp_path / "one.json", tmp_path / "two.json"])  # equal rows appear once
    page = report(tmp_path / "one.json").read_text()
    assert all(f"Normality of the frames of test/00{n}.mp4" in page for n in range(3))


def test_a_result_is_repeated(made: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "def predict(context, horizon):\n    return context[:, -1:].repeat(1, horizon, 1, 1, 1)\n"
    )
    scores = score(made, model=f"{tmp_path}/mine.py:predict", allow_own_code=True)
    Output(out=tmp_path / "result.json").show(scores)
    assert reproduce(tmp_path / "result.json", allow_own_code=True).code == 0


def test_every_second_frame_has_the_labels_of_its_source(made: Path) -> None:
    prepare(made / "videos", made / "every", size=(32, 32), cuts="off", every=2)
    scores = score(made, data=made / "every")
    labels = read_frame_labels(made / "videos")
    assert scores.anomalous == sum(int(labels.of(f"test/{n:03d}.mp4")[::2][4:].sum()) for n in range(3))


def test_labels_and_data_that_do_not_fit_are_refused(made: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="needs --labels"):
        score(made, labels=None)
    with pytest.raises(ConfigError, match="--context"):
        score(made, context=None)
    with pytest.raises(ConfigError, match="--horizon has no effect on --protocol anomaly"):
        score(made, horizon=2)
    for n, text in enumerate(("0\n" * 23, "0\n" * 24)):
        folder = tmp_path / str(n) / "frame_labels" / "test"
        folder.mkdir(parents=True)
        for video in range(3):
            (folder / f"{video:03d}.txt").write_text(text)
    with pytest.raises(ConfigError, match=r"test/000.mp4 has 24 frames.*23 labels"):
        score(made, labels=tmp_path / "0")
    with pytest.raises(ConfigError, match="all 60 scored frames are normal"):
        score(made, labels=tmp_path / "1")
    prepare(made / "videos", made / "resampled", size=(32, 32), fps=6)
    with pytest.raises(ConfigError, match=r"fps 6.*cuts auto.*--cuts off"):
        score(made, data=made / "resampled")
    trained = find_model(None, constant, data=made / "data")
    with pytest.raises(ConfigError, match="its context is unknown"):
        evaluate_anomalies(trained, AnomalySettings(labels=made / "videos"))


def test_cuts_are_marked_where_they_are(made: Path, tmp_path: Path) -> None:
    source = tmp_path / "videos"
    for index in range(5):
        clip = np.full((24, 32, 32, 3), 40 * index + 20, dtype=np.uint8)
        anomalies.write_video(source / f"{index}.mp4", clip)
    anomalies.make_cuts(source, tmp_path / "cuts", share=0.4, size=32, frames=24, seed=0)
    prepare(tmp_path / "cuts", tmp_path / "data", size=(32, 32), cuts="off")
    scores = score(tmp_path, data=tmp_path / "data", labels=tmp_path / "cuts")
    assert scores.videos == 2 and scores.anomalous == 4
    assert scores.scores["copy-last"]["auc"].mean.mean == 1.0
    with pytest.raises(ValueError, match="four are needed"):
        anomalies.make_cuts(source, tmp_path / "more", share=0.4, size=32, frames=99, seed=0)
