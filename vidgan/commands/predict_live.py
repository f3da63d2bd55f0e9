"""`vidgan predict --live`: forecast a video while it arrives, from a file, standard input or a camera."""

import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any, Self

import torch
from einops import rearrange
from torch import Tensor

from vidgan.commands.forecast_files import DEFAULT_CONTEXT, reading_settings
from vidgan.commands.output import appearing_together, claim_files, clip_format, output_rate
from vidgan.commands.predict import frame_size
from vidgan.errors import ConfigError, VideoError
from vidgan.hub import ModelFacts
from vidgan.own_code import own_code
from vidgan.tasks import load_model
from vidgan.tasks.base import ForecastModel
from vidgan.tasks.streaming import Watcher
from vidgan.types import ByteClip
from vidgan.video.decode import fit_image
from vidgan.video.encode import write_clip
from vidgan.video.montage import tile
from vidgan.video.streams import open_stream

REPORT_SECONDS = 1.0


def predict_live(
    run: Path | str,
    source: str,
    out: Path | None = None,
    *,
    horizon: int = 1,
    fps: float | None = None,
    format: str | None = None,
    size: tuple[int, int] | None = None,
    overwrite: bool = False,
    allow_own_code: bool = False,
    report: Callable[[str], None] = print,
) -> int:
    """Forecast after each frame of a source, in constant memory, until it ends or the user interrupts.

    Once a second a line reports the latency of a frame (reading it into the model and forecasting), and by how much the
    last forecasts of that second, made `horizon` frames before, were better than the frame they were made from. Every
    frame of the source is used: the model's own frame rate does not apply.

    Args:
        run: as in `vidgan.commands.predict.predict`.
        source: a video file, `-` for standard input, or a camera such as /dev/video0.
        out: a file with each frame beside the forecast that was made `horizon` frames earlier; None: no file.
        horizon: frames ahead.
        fps: frame rate of the file; default: that of the source, or 8 if it has none.
        format: a key of `vidgan.video.encode.FORMATS`; default: by the suffix of `out`.
        size: (H, W) that frames are brought to, multiples of 16; default: that of the model's training.
        overwrite: replace an existing file.
        allow_own_code: as in `predict`.
        report: called with each line.

    Returns:
        The number of frames that were read.

    Raises:
        PretrainedError: no such model.
        ConfigError: an unsuitable option.
        VideoError: the source cannot be read, or ended before its third frame.
        FileExistsError: the file exists.
    """
    if out is None and format is not None:
        raise ConfigError(f"--format {format} has no effect without --out")
    if out is not None:
        format = clip_format(out, format)
        claim_files([out], overwrite=overwrite, folder=out if format == "png" else None)
    with own_code(allowed=allow_own_code):
        model: ForecastModel = load_model(run, "forecast")
    size = frame_size(model, size)
    session = _Session(model, horizon, report)
    with open_stream(source) as stream, _Interruption() as interruption:
        settings = reading_settings(ModelFacts.from_json(model.facts))
        images = (fit_image(image, size, fit=settings.fit, resample=settings.resample) for image in stream.frames)
        frames = (rearrange(torch.from_numpy(image), "h w c -> c h w") for image in images)
        pairs = session.run(interruption.until(frames))
        first = next(pairs, None)
        if first is None:
            raise VideoError(
                Path(source), "no-frames", f"{session.count} frames; a forecast of {horizon} frames ahead needs more"
            )
        rate, _ = output_rate(fps, stream.fps, "source")
        rest = _put_back(first, pairs)
        if out is None:
            for _ in rest:
                pass
        else:
            folder = out if format == "png" else None
            with appearing_together(out, [out], overwrite=overwrite, frame_folder=folder) as partial:
                write_clip(partial / out.name, rest, rate, format or "mp4")
    session.finish()
    return session.count


class _Session:
    """Forecasts frame after frame, and reports."""

    def __init__(self, model: ForecastModel, horizon: int, report: Callable[[str], None]) -> None:
        self.watcher = Watcher(model, ModelFacts.from_json(model.facts).context or DEFAULT_CONTEXT)
        self.horizon, self.report = horizon, report
        self.count = 0
        self._latencies: list[float] = []
        self._all_latencies = [0, 0.0]
        self._errors = torch.zeros(2, dtype=torch.float64)
        self._reported = time.monotonic()

    def run(self, frames: Iterator[Tensor]) -> Iterator[Tensor]:
        """Each frame beside the forecast of it, as soon as there is one: (3, H', W') uint8."""
        waiting: deque[tuple[Tensor, Tensor]] = deque()  # (frame that a forecast was made from, forecast)
        for frame in frames:
            self.count += 1
            start = time.perf_counter()
            self.watcher.see(frame)
            forecast = self.watcher.forecast(self.horizon)[-1] if self.count > 1 else None
            self._latencies.append(time.perf_counter() - start)
            due = waiting.popleft() if len(waiting) == self.horizon else None
            if forecast is not None:
                waiting.append((frame, forecast))
            if due is not None:
                self._errors += torch.tensor([_squared_error(due[1], frame), _squared_error(due[0], frame)])
                yield tile(torch.stack([frame, due[1]])[:, None], columns=2)[0]
            if time.monotonic() - self._reported >= REPORT_SECONDS:
                self._print()

    def finish(self) -> None:
        """Report what is left, and the mean over the session."""
        if self._latencies:
            self._print()
        number, seconds = self._all_latencies
        if number:
            self.report(f"{self.count} frames, {1000 * seconds / number:.1f} ms a frame on average")

    def _print(self) -> None:
        mean, most = sum(self._latencies) / len(self._latencies), max(self._latencies)
        line = f"frame {self.count}: {1000 * mean:.1f} ms a frame (at most {1000 * most:.1f}), {1 / mean:.1f} frames/s"
        forecast, copied = self._errors.tolist()
        if forecast > 0 and copied > 0:
            gain = 10 * float(torch.log10(self._errors[1] / self._errors[0]))
            line += f"; {self.horizon} ahead: {abs(gain):.1f} dB {'worse' if gain < 0 else 'better'} than copy-last"
        self.report(line)
        self._all_latencies = [
            self._all_latencies[0] + len(self._latencies),
            self._all_latencies[1] + sum(self._latencies),
        ]
        self._latencies, self._errors, self._reported = [], torch.zeros_like(self._errors), time.monotonic()


def _squared_error(forecast: ByteClip, frame: Tensor) -> float:
    return float((forecast.float() - frame.float()).square().mean())


class _Interruption:
    """Lets Ctrl-C end the source, so that the frames before it are forecast and the file is finished.

    While a frame is awaited, which may last forever, Ctrl-C ends the wait. At other moments it takes effect before the
    next frame. A second Ctrl-C raises KeyboardInterrupt as usual.
    """

    def __init__(self) -> None:
        self._waiting = self._requested = False
        self._previous: Any = None

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():  # only the main thread can set handlers
            self._previous = signal.signal(signal.SIGINT, self._handle)
        return self

    def __exit__(self, *exception: object) -> None:
        if self._previous is not None:
            signal.signal(signal.SIGINT, self._previous)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._waiting or self._requested:
            raise KeyboardInterrupt
        self._requested = True

    def until(self, frames: Iterator[Tensor]) -> Iterator[Tensor]:
        """The frames before the interruption."""
        while not self._requested:
            self._waiting = True
            try:
                frame = next(frames, None)
            except KeyboardInterrupt:
                return
            finally:
                self._waiting = False
            if frame is None:
                return
            yield frame


def _put_back(first: Tensor, rest: Iterator[Tensor]) -> Iterator[Tensor]:
    yield first
    yield from rest
