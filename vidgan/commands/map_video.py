"""What the commands that map a video frame by frame share (`vidgan upscale`, `vidgan translate`)."""

import json
import logging
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

import vidgan
from vidgan.commands.output import appearing_together, claim_files, output_rate
from vidgan.data.frame_stream import FrameStream, open_stream
from vidgan.errors import ConfigError, DataError
from vidgan.evaluation.progress import with_progress
from vidgan.evaluation.settings import Settings
from vidgan.files import write_text
from vidgan.hub import ModelFacts
from vidgan.tasks.base import ClipMapper
from vidgan.video.encode import write_mp4_frames

__all__ = ["MappedVideo", "map_video"]

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
    device: str = "auto",
    overwrite: bool = False,
    record: Mapping[str, Any] | None = None,
) -> MappedVideo:
    """Map a video of any length to `out` (mp4) and a record of the options (json); memory holds a few frames.

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
        device: "auto", "cpu" or "cuda".
        overwrite: replace existing files.
        record: further entries of the json file.

    Raises:
        ConfigError: an option without effect. DataError, VideoError: no such video, or one that cannot be mapped.
        FileExistsError: a result exists.
    """
    if out.suffix.lower() != ".mp4":
        raise ConfigError(f"--out {out}: accepted is a file name that ends in .mp4")
    results = [out, out.with_suffix(".json")]
    claim_files(results, overwrite=overwrite)
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
    written = _Count()
    tensors = (prepare(torch.from_numpy(image).permute(2, 0, 1).contiguous()) for image in stream)
    total = (stream.frames - 1) * rate + 1
    mapped = (mapping or model.map_frames)(tensors)
    outputs = written.counting(with_progress(mapped, total=total, description="mapping"))
    with appearing_together(out, results, overwrite=overwrite) as folder:
        partial = folder / out.name
        write_mp4_frames(partial, outputs, output_fps)
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
            "notes": list(stream.notes),
            **(record or {}),
            "vidgan": vidgan.__version__,
        }
        write_text(partial.with_suffix(".json"), json.dumps(content, indent=2) + "\n")
    return MappedVideo(out, written.frames, written.size, output_fps)


class _Count:
    """Number and size of the frames that passed."""

    def __init__(self) -> None:
        self.frames = 0
        self.size = (0, 0)

    def counting(self, frames: Iterator[Tensor]) -> Iterator[Tensor]:
        for frame in frames:
            self.frames += 1
            self.size = (frame.shape[-2], frame.shape[-1])
            yield frame
