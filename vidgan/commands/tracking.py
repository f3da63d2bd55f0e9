"""Send the scalars and preview clips of a run to tracking services: TensorBoard, Trackio, Weights & Biases.

Clips are passed as files of our own encoder: GIF for TensorBoard, whose image page plays it, MP4 for the others.
torch's `add_video` needs a version of moviepy that no longer exists, and Trackio's encoding needs an ffmpeg program.
"""

import contextlib
import os
import sys
import time
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from vidgan.config import RunConfig
from vidgan.errors import ConfigError
from vidgan.files import temporary_folder, write_text
from vidgan.training.trackers import Tracker
from vidgan.types import ByteClip
from vidgan.video.encode import write_gif, write_mp4

PROJECT = "vidgan"
TRACKING_ID = "tracking_id"  # file of the run
FLUSH_SECONDS = 10
MAX_GIF_FPS = 50.0  # the GIF format has no shorter delays


class TensorBoardTracker:
    """Writes event files into a folder; `tensorboard --logdir` displays those of one run or of all runs."""

    def __init__(self, folder: Path) -> None:
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        self._writer = EventFileWriter(str(folder), flush_secs=FLUSH_SECONDS)
        self._last_step: int | None = None

    def log(self, step: int, scalars: Mapping[str, float]) -> None:
        """See `Tracker`."""
        from tensorboard.compat.proto.summary_pb2 import Summary

        self._add(step, [Summary.Value(tag=name, simple_value=value) for name, value in scalars.items()])

    def video(self, step: int, name: str, clip: ByteClip, fps: float) -> None:
        """See `Tracker`."""
        from tensorboard.compat.proto.summary_pb2 import Summary

        with _encoded("clip.gif", clip, min(fps, MAX_GIF_FPS)) as path:
            content = path.read_bytes()
        image = Summary.Image(height=clip.shape[-2], width=clip.shape[-1], colorspace=3, encoded_image_string=content)
        self._add(step, [Summary.Value(tag=name, image=image)])

    def close(self) -> None:
        """See `Tracker`."""
        self._writer.close()

    def _add(self, step: int, values: list[Any]) -> None:
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog
        from tensorboard.compat.proto.summary_pb2 import Summary

        if self._last_step is None or step < self._last_step:
            # Makes readers discard the values of this and later steps from before a resume or a rollback.
            start = SessionLog(status=SessionLog.START)
            self._writer.add_event(Event(wall_time=time.time(), step=step, session_log=start))
        self._last_step = step
        self._writer.add_event(Event(wall_time=time.time(), step=step, summary=Summary(value=values)))


class TrackioTracker:
    """Writes a run of the project "vidgan" to Trackio's local database, or to the space that its environment names."""

    def __init__(self, config: RunConfig, run_id: str) -> None:
        import trackio

        settings = config.model_dump(mode="json")
        with contextlib.redirect_stdout(sys.stderr):
            self._run = trackio.init(project=PROJECT, name=f"{config.name}-{run_id}", resume="allow", config=settings)

    def log(self, step: int, scalars: Mapping[str, float]) -> None:
        """See `Tracker`."""
        self._run.log(dict(scalars), step=step)

    def video(self, step: int, name: str, clip: ByteClip, fps: float) -> None:
        """See `Tracker`."""
        import trackio

        with _encoded("clip.mp4", clip, fps) as path:
            self._run.log({name: trackio.Video(path, format="mp4")}, step=step)

    def close(self) -> None:
        """See `Tracker`."""
        with contextlib.redirect_stdout(sys.stderr):
            self._run.finish()


class WandbTracker:
    """Writes a run of the project "vidgan" (or `WANDB_PROJECT`) to Weights & Biases and continues it after a resume.

    The step counter of W&B cannot decrease, as ours does after a rollback. Therefore "step" is a scalar of its own, and
    the x axis of all others.
    """

    def __init__(self, config: RunConfig, run_id: str) -> None:
        import wandb

        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            name=config.name,
            id=run_id,
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

        with _encoded("clip.mp4", clip, fps) as path:
            self._run.log({"step": step, name: wandb.Video(str(path), format="mp4")})

    def close(self) -> None:
        """See `Tracker`."""
        self._run.finish()


TRACKERS: dict[str, Callable[[RunConfig], Tracker]] = {
    "tensorboard": lambda config: TensorBoardTracker(config.run_dir / "tensorboard"),
    "trackio": lambda config: TrackioTracker(config, tracking_id(config.run_dir)),
    "wandb": lambda config: WandbTracker(config, tracking_id(config.run_dir)),
}


def require_trackers(names: Collection[str]) -> None:
    """Raise ConfigError unless the packages of these services are installed."""
    for name in names:
        if find_spec(name) is None:
            raise ConfigError(f"track: {name} is not installed; pip install 'vidgan[track]', or remove it from track")


def open_trackers(config: RunConfig) -> list[Tracker]:
    """Open the services that the config names. Only the main process calls this.

    Raises:
        ConfigError: a service cannot be reached or needs a login; the message contains the service's own.
    """
    trackers: list[Tracker] = []
    is_first = not (config.run_dir / TRACKING_ID).exists()
    for name in config.track:
        try:
            trackers.append(TRACKERS[name](config))
        except Exception as error:  # a service's client may raise anything
            for tracker in trackers:
                tracker.close()
            if is_first:  # a refused start leaves nothing behind
                (config.run_dir / TRACKING_ID).unlink(missing_ok=True)
            raise ConfigError(f"track: {name} does not start: {error}") from error
    return trackers


def tracking_id(run_dir: Path) -> str:
    """Return the name of this run at a service, created once and stored in the run, so that a resume continues it."""
    path = run_dir / TRACKING_ID
    if not path.is_file():
        write_text(path, uuid.uuid4().hex[:8] + "\n")
    return path.read_text().strip()


@contextlib.contextmanager
def _encoded(name: str, clip: ByteClip, fps: float) -> Iterator[Path]:
    """Encode a clip as a temporary GIF or MP4 file, by the suffix of `name`; the services copy it."""
    with temporary_folder() as folder:
        write = write_gif if name.endswith(".gif") else write_mp4
        yield write(folder / name, clip, fps)
