"""Tracking services that a run can also write to: TensorBoard, Trackio, Weights & Biases. Scalars and videos arrive.

Every clip is handed over as a finished file of our own encoder (GIF for TensorBoard, whose image page plays it, MP4 for
the others): torch's `add_video` needs a moviepy that no longer exists, and Trackio's encoding an ffmpeg program.
"""

import contextlib
import os
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from vidgan.config import RunConfig
from vidgan.errors import ConfigError
from vidgan.files import write_text
from vidgan.training.trackers import Tracker
from vidgan.types import ByteClip
from vidgan.video.encode import write_gif, write_mp4

PROJECT = "vidgan"
FLUSH_SECONDS = 10
GIF_FPS = 50.0  # more is not kept in a GIF


class TensorBoard:
    """Event files in a folder; `tensorboard --logdir` of a run or of all runs shows them."""

    def __init__(self, folder: Path) -> None:
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        self._writer = EventFileWriter(str(folder), flush_secs=FLUSH_SECONDS)
        self._last: int | None = None

    def log(self, step: int, scalars: Mapping[str, float]) -> None:
        """See `Tracker`."""
        from tensorboard.compat.proto.summary_pb2 import Summary

        self._add(step, [Summary.Value(tag=name, simple_value=value) for name, value in scalars.items()])

    def video(self, step: int, name: str, clip: ByteClip, fps: float) -> None:
        """See `Tracker`."""
        from tensorboard.compat.proto.summary_pb2 import Summary

        with _as_file("clip.gif", clip, min(fps, GIF_FPS)) as path:
            encoded = path.read_bytes()
        image = Summary.Image(height=clip.shape[-2], width=clip.shape[-1], colorspace=3, encoded_image_string=encoded)
        self._add(step, [Summary.Value(tag=name, image=image)])

    def close(self) -> None:
        """See `Tracker`."""
        self._writer.close()

    def _add(self, step: int, values: list[Any]) -> None:
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog
        from tensorboard.compat.proto.summary_pb2 import Summary

        if self._last is None or step < self._last:
            # Readers then forget what the steps from here on looked like before a resume or a rollback.
            begun = SessionLog(status=SessionLog.START)
            self._writer.add_event(Event(wall_time=time.time(), step=step, session_log=begun))
        self._last = step
        self._writer.add_event(Event(wall_time=time.time(), step=step, summary=Summary(value=values)))


class Trackio:
    """A run of the project "vidgan" in Trackio's local database (or its space, by its own environment variables)."""

    def __init__(self, config: RunConfig, identity: str) -> None:
        import trackio

        settings = config.model_dump(mode="json")
        with contextlib.redirect_stdout(sys.stderr):
            self._run = trackio.init(project=PROJECT, name=f"{config.name}-{identity}", resume="allow", config=settings)

    def log(self, step: int, scalars: Mapping[str, float]) -> None:
        """See `Tracker`."""
        self._run.log(dict(scalars), step=step)

    def video(self, step: int, name: str, clip: ByteClip, fps: float) -> None:
        """See `Tracker`."""
        import trackio

        with _as_file("clip.mp4", clip, fps) as path:
            self._run.log({name: trackio.Video(path, format="mp4")}, step=step)

    def close(self) -> None:
        """See `Tracker`."""
        with contextlib.redirect_stdout(sys.stderr):
            self._run.finish()


class WandB:
    """A run of the project "vidgan" (or `WANDB_PROJECT`), continued when the training resumes.

    Its own step counter cannot fall, as ours does after a rollback; "step" is therefore a measurement of its own, and
    the x axis of all others.
    """

    def __init__(self, config: RunConfig, identity: str) -> None:
        import wandb

        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            name=config.name,
            id=identity,
            resume="allow",
            dir=str(config.run_dir),
            config=config.model_dump(mode="json"),
            settings=wandb.Settings(console="off"),
        )
        self._run.define_metric("*", step_metric="step")

    def log(self, step: int, scalars: Mapping[str, float]) -> None:
        """See `Tracker`."""
        self._run.log({"step": step, **scalars})

    def video(self, step: int, name: str, clip: ByteClip, fps: float) -> None:
        """See `Tracker`."""
        import wandb

        with _as_file("clip.mp4", clip, fps) as path:
            self._run.log({"step": step, name: wandb.Video(str(path), format="mp4")})

    def close(self) -> None:
        """See `Tracker`."""
        self._run.finish()


TRACKERS: dict[str, Callable[[RunConfig], Tracker]] = {
    "tensorboard": lambda config: TensorBoard(config.run_dir / "tensorboard"),
    "trackio": lambda config: Trackio(config, _identity(config.run_dir)),
    "wandb": lambda config: WandB(config, _identity(config.run_dir)),
}


def require_trackers(names: Collection[str]) -> None:
    """Raise ConfigError unless the packages of these services are installed."""
    for name in names:
        if find_spec(name) is None:
            raise ConfigError(f"track: {name} is not installed; pip install 'vidgan[track]', or leave it out")


def open_trackers(config: RunConfig) -> list[Tracker]:
    """The services that the config names, ready to be written to. Only the main process opens them.

    Raises:
        ConfigError: a service cannot be reached or wants a login; the message is its own.
    """
    opened: list[Tracker] = []
    for name in config.track:
        try:
            opened.append(TRACKERS[name](config))
        except Exception as error:  # whatever a service's client raises
            for tracker in opened:
                tracker.close()
            raise ConfigError(f"track: {name} does not start: {error}") from error
    return opened


def _identity(run_dir: Path) -> str:
    """What names this run at a service, the same after a resume: made once and kept in the run."""
    path = run_dir / "tracking_id"
    if not path.is_file():
        write_text(path, uuid.uuid4().hex[:8] + "\n")
    return path.read_text().strip()


@contextlib.contextmanager
def _as_file(name: str, clip: ByteClip, fps: float) -> Iterator[Path]:
    """The clip as a file that is gone afterwards; the services copy it."""
    with tempfile.TemporaryDirectory() as folder:
        write = write_gif if name.endswith(".gif") else write_mp4
        yield write(Path(folder) / name, clip, fps)
