"""What the commands that map a video frame by frame share (`vidgan upscale`, `vidgan translate`)."""

import json
import logging
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor, nn

import vidgan
from vidgan.commands.output import (
    appearing_together,
    check_layout,
    claim_files,
    clip_format,
    output_rate,
    result_name,
)
from vidgan.data.frame_stream import FrameStream, open_stream
from vidgan.errors import ConfigError, DataError
from vidgan.evaluation.progress import with_progress
from vidgan.evaluation.settings import Settings
from vidgan.files import write_text
from vidgan.hub import ModelFacts
from vidgan.tasks.base import ClipMapper
from vidgan.video.encode import tile, write_clip
from vidgan.video.resize import fit_image

__all__ = ["MappedVideo", "OnFrame", "map_video"]

OnFrame: TypeAlias = Callable[[int, int], None]

LAYOUTS = ("single", "side")

logger = logging.getLogger(__name__)


class MappedVideo(NamedTuple):
    """The result of mapping a video."""

    path: Path
    frames: int
    size: tuple[int, int]  # (H, W) of a frame
    fps: float


def map_video(
    model: ClipMapper,
    video: Path,
    out: Path,
    *,
    name: str,
    prepare: Callable[[Tensor], Tensor] = lambda frame: frame,
    mapping: Callable[[Iterator[Tensor]], Iterator[Tensor]] | None = None,
    rate: int = 1,
    check: Callable[[FrameStream], None] = lambda stream: None,
    frames: int | None = None,
    fps: float | None = None,
    format: str | None = None,
    layout: str = "single",
    device: str = "auto",
    overwrite: bool = False,
    record: Mapping[str, Any] | None = None,
    on_frame: OnFrame = lambda done, total: None,
) -> MappedVideo:
    """Map a video of any length to `out` and a record of the options (json); memory holds a few frames.

    Both files appear when the whole video has been written, and none after an error.

    Args:
        model: maps frames (C, h, w) to frames (3, H, W).
        video: video file, folder of frames, strip image or npy file; read at its own size.
        name: of the model, for the record.
        prepare: makes the model's input (C, h, w) uint8 from a frame (3, h, w) uint8.
        mapping: maps the prepared frames; default: the model's `map_frames`.
        rate: r, where the mapping puts r - 1 frames between every two; (N - 1) r + 1 frames for N.
        check: raises ConfigError or DataError for a video that the model cannot map.
        frames: map only the first of them; None: all.
        fps: frame rate of the output; default: that of the video, or 8 without a clock.
        format: a key of `vidgan.video.encode.FORMATS`; default: by the suffix of `out`.
        layout: "single", or "side" with the model's input, scaled to the size of the output, to the left of the output.
        device: "auto", "cpu" or "cuda".
        overwrite: replace existing files.
        record: further entries of the json file.
        on_frame: called after each frame with the number of finished frames and of all frames; may raise to stop.

    Raises:
        ConfigError: an option without effect. DataError, VideoError: no such video, or one that cannot be mapped.
        FileExistsError: a result exists.
    """
    format = clip_format(out, format)
    check_layout(layout, LAYOUTS)
    record_file = result_name(out, format, ".json")
    results = [out, record_file]
    frame_folder = out if format == "png" else None
    claim_files(results, overwrite=overwrite, folder=frame_folder)
    chosen = Settings(device=device).torch_device()
    stream = open_stream(video, frames=frames)
    if out.exists() and out.samefile(video):
        raise ConfigError(f"--out {out}: is the input video; choose another name")
    check(stream)
    if stream.notes:
        logger.warning("%s: %s", video, ", ".join(stream.notes))
    facts = ModelFacts.from_json(model.facts)
    if facts.trained_on is not None:
        logger.warning("the weights were trained only on %s; expect less of other videos", facts.trained_on)
    if isinstance(model, nn.Module):
        model.to(chosen)
    output_fps, fps_from = output_rate(fps, None if stream.fps is None else stream.fps * rate, "video")
    total = (stream.frames - 1) * rate + 1
    written = _Count(lambda done: on_frame(done, total))
    inputs = _Beside(prepare(torch.from_numpy(image).permute(2, 0, 1).contiguous()) for image in stream)
    mapped = (mapping or model.map_frames)(inputs.remembered() if layout == "side" else inputs.frames)
    outputs = written.counting(with_progress(mapped, total=total, description="mapping"))
    with appearing_together(out, results, overwrite=overwrite, frame_folder=frame_folder) as folder:
        shown = inputs.beside(outputs, rate) if layout == "side" else outputs
        write_clip(folder / out.name, shown, output_fps, format)
        if written.frames != total:
            raise DataError(f"{video}: {total} frames were expected and {written.frames} written; the file changed")
        content = {
            "model": name,
            "facts": model.facts,
            "video": str(video),
            "frames": written.frames,
            "input_size": list(stream.size),
            "frame_size": list(written.size),
            "fps": output_fps,
            "fps_from": fps_from,
            "format": format,
            "layout": layout,
            "notes": list(stream.notes),
            **(record or {}),
            "vidgan": vidgan.__version__,
        }
        write_text(folder / record_file.name, json.dumps(content, indent=2) + "\n")
    return MappedVideo(out, written.frames, written.size, output_fps)


class _Count:
    """Number and size of the frames that passed; calls `on_frame` with the number."""

    def __init__(self, on_frame: Callable[[int], None]) -> None:
        self.on_frame = on_frame
        self.frames = 0
        self.size = (0, 0)

    def counting(self, frames: Iterator[Tensor]) -> Iterator[Tensor]:
        for frame in frames:
            self.frames += 1
            self.size = (frame.shape[-2], frame.shape[-1])
            yield frame
            self.on_frame(self.frames)


class _Beside:
    """Frames that go into a mapping, kept until the output of each has been seen."""

    def __init__(self, frames: Iterator[Tensor]) -> None:
        self.frames = frames
        self._waiting: deque[Tensor] = deque()

    def remembered(self) -> Iterator[Tensor]:
        """The frames, each of them kept."""
        for frame in self.frames:
            self._waiting.append(frame)
            yield frame

    def beside(self, outputs: Iterator[Tensor], rate: int) -> Iterator[Tensor]:
        """Each output to the right of the frame that it was made from: (3, H', W'), `rate` outputs for every frame."""
        for number, output in enumerate(outputs):
            if number and number % rate == 0:
                self._waiting.popleft()
            image = self._waiting[0].permute(1, 2, 0).numpy()  # (h, w, 3)
            size = (output.shape[-2], output.shape[-1])
            scaled = torch.from_numpy(fit_image(image, size, "squash", resample="nearest").copy()).permute(2, 0, 1)
            yield tile(torch.stack([scaled, output])[:, None], columns=2)[0]
