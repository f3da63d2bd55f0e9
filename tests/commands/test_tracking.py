"""Scalars and clips reach each tracking service; they are read back from its own files."""

import io
import json
import sqlite3
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import small_config
from PIL import Image

from vidgan.commands import tracking
from vidgan.commands.tracking import TensorBoardTracker, open_trackers, require_trackers, tracking_id
from vidgan.commands.train import train
from vidgan.config import parse_config
from vidgan.errors import ConfigError
from vidgan.training.trackers import Trackers
from vidgan.types import ByteClip
from vidgan.video import read_video


def brightening_clip() -> ByteClip:
    """Five uniform frames of increasing brightness: (5, 3, 16, 32) uint8."""
    return torch.arange(40, 240, 40, dtype=torch.uint8).view(5, 1, 1, 1).expand(5, 3, 16, 32).contiguous()


def brightness(path: Path) -> list[int]:
    """The mean pixel value of each frame of a video file, rounded to a multiple of ten."""
    frames = read_video(path).frames
    return [round(float(frame.mean()), -1) for frame in np.asarray(frames)]  # type: ignore[misc]


def read_events(folder: Path) -> tuple[dict[str, list[tuple[int, float]]], dict[str, list[tuple[int, bytes]]]]:
    """Scalars and images by tag, as TensorBoard reads them."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder), size_guidance={"scalars": 0, "images": 0}).Reload()
    scalars = {tag: [(e.step, e.value) for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]}
    return scalars, {
        tag: [(e.step, e.encoded_image_string) for e in events.Images(tag)] for tag in events.Tags()["images"]
    }


def test_tensorboard_stores_scalars_and_animated_clips(tmp_path: Path) -> None:
    tracker = TensorBoardTracker(tmp_path)
    tracker.log(1, {"loss/generator/fused": 0.5, "lr/generator": 2e-4})
    tracker.log(2, {"loss/generator/fused": 0.25})
    tracker.video(2, "samples", brightening_clip(), 10.0)
    tracker.close()
    scalars, images = read_events(tmp_path)
    assert scalars == {"loss/generator/fused": [(1, 0.5), (2, 0.25)], "lr/generator": [(1, pytest.approx(2e-4))]}
    ((step, encoded),) = images["samples"]
    with Image.open(io.BytesIO(encoded)) as image:
        assert (step, image.format, image.size, image.n_frames) == (2, "GIF", (32, 16), 5)
        assert image.info["duration"] == 100
        image.seek(4)
        assert image.convert("RGB").getpixel((0, 0)) == (200, 200, 200)


def test_tensorboard_discards_steps_after_the_checkpoint(tmp_path: Path) -> None:
    """After a rollback in one process and a resume in another, no step appears twice."""
    first = TensorBoardTracker(tmp_path)
    for step, value in ((1, 1.0), (2, 2.0), (3, 3.0), (2, 20.0), (3, 30.0)):
        first.log(step, {"loss": value})
    first.close()
    second = TensorBoardTracker(tmp_path)
    second.log(3, {"loss": 33.0})
    second.close()
    assert read_events(tmp_path)[0] == {"loss": [(1, 1.0), (2, 20.0), (3, 33.0)]}


def test_training_sends_scalars_and_previews(shapes_data: Path, tmp_path: Path) -> None:
    config = small_config("dual_motion", shapes_data, tmp_path, track=["tensorboard"], every__preview=2)
    train(config, quiet=True)
    scalars, images = read_events(config.run_dir / "tensorboard")
    journal = [json.loads(line) for line in (config.run_dir / "journal.jsonl").read_text().splitlines()]
    losses = [(r["step"], pytest.approx(r["loss/generator/fused"])) for r in journal if "loss/generator/fused" in r]
    assert scalars["loss/generator/fused"] == losses and len(losses) == 4
    assert {"grad_norm/generator", "clips_per_second", "data_wait_share", "ema_distance"} <= scalars.keys()
    assert [step for step, _ in images["forecast/0"]] == [2, 4]


def test_trackio_stores_scalars_and_clips(shapes_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    pytest.importorskip("trackio")  # reads TRACKIO_DIR at import
    config = small_config("mocogan", shapes_data, tmp_path, track="trackio")
    (tracker,) = open_trackers(config)
    tracker.log(7, {"loss/frame": 0.5})
    tracker.video(7, "samples", brightening_clip(), 8.0)
    tracker.close()
    with sqlite3.connect(tmp_path / "trackio" / "vidgan.db") as database:
        rows = database.execute("select step, metrics from metrics order by id").fetchall()
    assert rows[0][0] == 7 and json.loads(rows[0][1]) == {"loss/frame": 0.5}
    assert json.loads(rows[1][1])["samples"]["_type"] == "trackio.video"
    (video,) = (tmp_path / "trackio" / "media").rglob("*.mp4")
    assert brightness(video) == [40, 80, 120, 160, 200]


def test_wandb_stores_scalars_and_clips(shapes_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    config = small_config("mocogan", shapes_data, tmp_path, track="wandb")
    config.run_dir.mkdir(parents=True)
    (tracker,) = open_trackers(config)
    tracker.log(7, {"loss/frame": 0.5})
    tracker.log(3, {"loss/frame": 0.6})  # as after a rollback
    tracker.video(3, "samples", brightening_clip(), 8.0)
    tracker.close()
    run_id = (config.run_dir / "tracking_id").read_text().strip()
    (folder,) = (config.run_dir / "wandb").glob(f"offline-run-*-{run_id}")
    (video,) = folder.rglob("*.mp4")
    assert brightness(video) == [40, 80, 120, 160, 200]
    written = folder / f"run-{run_id}.wandb"
    deadline = time.monotonic() + 30
    while b"samples" not in written.read_bytes() and time.monotonic() < deadline:
        time.sleep(0.1)  # written by a process of W&B
    assert b"loss/frame" in written.read_bytes() and b"samples" in written.read_bytes()


def test_only_scalars_are_sent(tmp_path: Path) -> None:
    tracker = TensorBoardTracker(tmp_path)
    trackers = Trackers([tracker])
    trackers.log({"step": 1, "loss/g": 0.5, "observed": ["preview"]})
    trackers.log({"step": 1, "warning": "saturation", "holds": True, "since": 1, "message": "stuck"})
    trackers.log({"step": 1, "rollback": {"failed": 2}})
    trackers.close()
    assert read_events(tmp_path)[0] == {"loss/g": [(1, 0.5)]}


def test_the_tracking_id_of_a_run_is_constant(tmp_path: Path) -> None:
    assert len({tracking_id(tmp_path / run) for run in ("a", "a", "b")}) == 2


def test_missing_and_failing_services_are_named(
    shapes_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracking, "find_spec", lambda name: None if name == "trackio" else object())
    require_trackers(["tensorboard"])
    with pytest.raises(ConfigError, match=r"track: trackio .*vidgan\[track\]"):
        require_trackers(["tensorboard", "trackio"])
    config = small_config("mocogan", shapes_data, tmp_path, track="tensorboard")
    config.run_dir.mkdir(parents=True)
    (config.run_dir / "tensorboard").write_text("a file, not a folder")
    with pytest.raises(ConfigError, match="track: tensorboard"):
        open_trackers(config)


@pytest.mark.parametrize(
    ("track", "key"),
    [("tensorbord", "track"), (["wandb", "wandb"], "wandb, wandb")],
)
def test_names_of_services_are_checked(track: object, key: str, shapes_data: Path, tmp_path: Path) -> None:
    values = small_config("mocogan", shapes_data, tmp_path).model_dump()
    with pytest.raises(ConfigError, match=key):
        parse_config(values | {"track": track}, "small")
