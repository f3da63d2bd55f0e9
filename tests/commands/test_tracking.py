"""Measurements and videos arrive at each service: read back from its own files."""

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
from vidgan.commands.tracking import TensorBoard, open_trackers, require_trackers
from vidgan.commands.train import train
from vidgan.config import parse_config
from vidgan.errors import ConfigError
from vidgan.training.trackers import Trackers
from vidgan.types import ByteClip
from vidgan.video import read_video


def grey_steps() -> ByteClip:
    """Five frames that get lighter: (5, 3, 16, 32)."""
    return torch.arange(40, 240, 40, dtype=torch.uint8).view(5, 1, 1, 1).expand(5, 3, 16, 32).contiguous()


def levels(path: Path) -> list[int]:
    """The mean grey of each frame of a video file, to the nearest ten."""
    frames = read_video(path).frames
    return [round(float(frame.mean()), -1) for frame in np.asarray(frames)]  # type: ignore[misc]


def read_events(folder: Path) -> tuple[dict[str, list[tuple[int, float]]], dict[str, list[tuple[int, bytes]]]]:
    """Scalars and images by tag, as TensorBoard itself shows them."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder), size_guidance={"scalars": 0, "images": 0}).Reload()
    scalars = {tag: [(e.step, e.value) for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]}
    return scalars, {
        tag: [(e.step, e.encoded_image_string) for e in events.Images(tag)] for tag in events.Tags()["images"]
    }


def test_tensorboard_holds_scalars_and_clips_that_play(tmp_path: Path) -> None:
    tracker = TensorBoard(tmp_path)
    tracker.log(1, {"loss/generator/fused": 0.5, "lr/generator": 2e-4})
    tracker.log(2, {"loss/generator/fused": 0.25})
    tracker.video(2, "samples", grey_steps(), 10.0)
    tracker.close()
    scalars, images = read_events(tmp_path)
    assert scalars == {"loss/generator/fused": [(1, 0.5), (2, 0.25)], "lr/generator": [(1, pytest.approx(2e-4))]}
    ((step, encoded),) = images["samples"]
    with Image.open(io.BytesIO(encoded)) as image:
        assert (step, image.format, image.size, image.n_frames) == (2, "GIF", (32, 16), 5)
        assert image.info["duration"] == 100
        image.seek(4)
        assert image.convert("RGB").getpixel((0, 0)) == (200, 200, 200)


def test_tensorboard_forgets_what_came_after_the_checkpoint(tmp_path: Path) -> None:
    """A rollback in the same process, then a resume in another: no step is shown twice."""
    first = TensorBoard(tmp_path)
    for step, value in ((1, 1.0), (2, 2.0), (3, 3.0), (2, 20.0), (3, 30.0)):
        first.log(step, {"loss": value})
    first.close()
    second = TensorBoard(tmp_path)
    second.log(3, {"loss": 33.0})
    second.close()
    assert read_events(tmp_path)[0] == {"loss": [(1, 1.0), (2, 20.0), (3, 33.0)]}


def test_training_sends_its_measurements_and_previews(shapes_data: Path, tmp_path: Path) -> None:
    config = small_config("dual_motion", shapes_data, tmp_path, track=["tensorboard"], every__preview=2)
    train(config, quiet=True)
    scalars, images = read_events(config.run_dir / "tensorboard")
    journal = [json.loads(line) for line in (config.run_dir / "journal.jsonl").read_text().splitlines()]
    told = [(r["step"], pytest.approx(r["loss/generator/fused"])) for r in journal if "loss/generator/fused" in r]
    assert scalars["loss/generator/fused"] == told and len(told) == 4
    assert {"grad_norm/generator", "clips_per_second", "data_wait_share", "ema_distance"} <= scalars.keys()
    assert [step for step, _ in images["forecast/0"]] == [2, 4]


def test_trackio_holds_scalars_and_clips(shapes_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    pytest.importorskip("trackio")  # reads its folder when it is imported
    config = small_config("mocogan", shapes_data, tmp_path, track="trackio")
    (tracker,) = open_trackers(config)
    tracker.log(7, {"loss/frame": 0.5})
    tracker.video(7, "samples", grey_steps(), 8.0)
    tracker.close()
    with sqlite3.connect(tmp_path / "trackio" / "vidgan.db") as database:
        rows = database.execute("select step, metrics from metrics order by id").fetchall()
    assert rows[0][0] == 7 and json.loads(rows[0][1]) == {"loss/frame": 0.5}
    assert json.loads(rows[1][1])["samples"]["_type"] == "trackio.video"
    (video,) = (tmp_path / "trackio" / "media").rglob("*.mp4")
    assert levels(video) == [40, 80, 120, 160, 200]


def test_wandb_holds_clips(shapes_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    config = small_config("mocogan", shapes_data, tmp_path, track="wandb")
    config.run_dir.mkdir(parents=True)
    (tracker,) = open_trackers(config)
    tracker.log(7, {"loss/frame": 0.5})
    tracker.log(3, {"loss/frame": 0.6})  # back to a checkpoint
    tracker.video(3, "samples", grey_steps(), 8.0)
    tracker.close()
    identity = (config.run_dir / "tracking_id").read_text().strip()
    (folder,) = (config.run_dir / "wandb").glob(f"offline-run-*-{identity}")
    (video,) = folder.rglob("*.mp4")
    assert levels(video) == [40, 80, 120, 160, 200]
    written = folder / f"run-{identity}.wandb"
    deadline = time.monotonic() + 30
    while b"samples" not in written.read_bytes() and time.monotonic() < deadline:
        time.sleep(0.1)  # a process of W&B's own writes it
    assert b"loss/frame" in written.read_bytes() and b"samples" in written.read_bytes()


def test_only_measurements_are_sent(tmp_path: Path) -> None:
    tracker = TensorBoard(tmp_path)
    told = Trackers([tracker])
    told.log({"step": 1, "loss/g": 0.5, "observed": ["preview"]})
    told.log({"step": 1, "warning": "saturation", "holds": True, "since": 1, "message": "stuck"})
    told.log({"step": 1, "rollback": {"failed": 2}})
    told.close()
    assert read_events(tmp_path)[0] == {"loss/g": [(1, 0.5)]}


def test_a_run_keeps_its_name_at_the_services(tmp_path: Path) -> None:
    names = {tracking._identity(tmp_path / run) for run in ("a", "a", "b")}
    assert len(names) == 2


def test_what_is_not_installed_or_does_not_start_is_told(
    shapes_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracking, "find_spec", lambda name: None if name == "trackio" else object())
    require_trackers(["tensorboard"])
    with pytest.raises(ConfigError, match=r"track: trackio is not installed; pip install 'vidgan\[track\]'"):
        require_trackers(["tensorboard", "trackio"])
    config = small_config("mocogan", shapes_data, tmp_path, track="tensorboard")
    config.run_dir.mkdir(parents=True)
    (config.run_dir / "tensorboard").write_text("a file in its place")
    with pytest.raises(ConfigError, match="track: tensorboard does not start"):
        open_trackers(config)


@pytest.mark.parametrize(
    ("track", "message"),
    [("tensorbord", "track"), (["wandb", "wandb"], "names a service twice: wandb, wandb")],
)
def test_names_are_checked(track: object, message: str, shapes_data: Path, tmp_path: Path) -> None:
    values = small_config("mocogan", shapes_data, tmp_path).model_dump()
    with pytest.raises(ConfigError, match=message):
        parse_config(values | {"track": track}, "small")
