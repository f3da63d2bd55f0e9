"""`vidgan single`: new clips from one video."""

import json
import math
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from einops import rearrange

import vidgan
from vidgan.commands.output import output_rate, report_full_disk, require_memory
from vidgan.data.frame_stream import open_stream
from vidgan.data.sources.readers import ReadSettings
from vidgan.data.unprepared import read_one
from vidgan.errors import ConfigError
from vidgan.evaluation.single_clip import DEFINITIONS, measure_clips
from vidgan.files import check_overwrite, replace_folder, write_bytes, write_text
from vidgan.tasks.single_clip.operations import ClipMaker, extend, variations
from vidgan.tasks.single_clip.patches import PatchSettings, PatchSynthesis
from vidgan.tasks.single_clip.scaling import ClipSize
from vidgan.training.recorder import peak_memory
from vidgan.types import ByteClip
from vidgan.video.encode import contact_sheet, tile, webp_bytes, write_mp4, write_png

__all__ = ["SourceClip", "read_segment", "single"]

RECORD = "single.json"
SEGMENT = 64  # frames that are read at most, unless the option says otherwise
SIDE = 128  # pixels, the short side that larger frames are reduced to
MAX_CLIPS_SHOWN = 8
WORKING_BYTES = 400  # per pixel of the output: descriptions, fields and votes


class SourceClip(NamedTuple):
    """The segment of a video that new clips are made from."""

    frames: ByteClip  # (T, 3, H, W)
    fps: float | None  # None without a clock


def single(
    video: Path,
    out: Path,
    *,
    clips: int = 4,
    size: tuple[int, int] | None = None,
    frames: int | None = None,
    loop: bool = False,
    extend_by: int | None = None,
    noise: float | None = None,
    segment: str | None = None,
    side: int = SIDE,
    seed: int = 0,
    fps: float | None = None,
    overwrite: bool = False,
    report: Callable[[str], None] = lambda line: None,
) -> ByteClip:
    """Write `clip-0000.mp4` etc., `source.mp4`, `overview.webp`, `sheet.png` and `single.json` into the folder `out`.

    `overview.webp` plays the source and the clips side by side, `sheet.png` shows their frames, and `single.json` holds
    the options and the scores (`vidgan.evaluation.single_clip`).

    Args:
        video: video file, folder of frames, strip image or npy file.
        clips: number of different clips.
        size: (H, W) of the new clips; default: that of the source. Things keep their size; there is more or less of
            them.
        frames: length of the new clips; default: that of the source. Motion keeps its speed.
        loop: the first frame follows the last as any other does.
        extend_by: keep the source and continue it by this many frames.
        noise: strength of the variation; 0 gives the source back. Default: that of the method.
        segment: `START:COUNT` in frames; default: the first 64 frames.
        side: short side in pixels that larger frames are reduced to.
        seed: of the first clip; clip i has the seed + i.
        fps: frame rate of the files; default: that of the video, or 8 without a clock.
        overwrite: replace an earlier result of this command.
        report: called with each line for the user.

    Returns:
        (clips, T, 3, H, W) uint8.

    Raises:
        ConfigError: options that exclude each other, or a clip or result that is too small or too large.
        DataError, VideoError: no such video, or it cannot be read. FileExistsError: `out` may not be replaced.
    """
    check_overwrite(out, overwrite=overwrite, marker=RECORD)
    if extend_by is not None:
        for option, is_set in (("--size", size is not None), ("--frames", frames is not None), ("--loop", loop)):
            if is_set:
                raise ConfigError(f"{option} has no effect with --extend, which keeps the source; remove one of them")
    source = read_segment(video, segment, side)
    wanted = _wanted_size(source.frames, size, frames, extend_by)
    require_memory(WORKING_BYTES * math.prod(wanted), "--size, --frames, --extend and --side")
    rate, rate_from = output_rate(fps, source.fps, "video")
    started = time.monotonic()
    try:
        maker: ClipMaker = PatchSynthesis(source.frames)
        if extend_by is None:
            made = variations(maker, clips, size=wanted, loop=loop, noise=noise, seed=seed)
        else:
            made = extend(maker, source.frames, extend_by, clips, noise=noise, seed=seed)
    except ValueError as error:
        raise ConfigError(f"{video}: {error}") from None
    seconds = time.monotonic() - started
    scores = measure_clips(source.frames, made, seed=seed)
    cost = {
        "seconds_per_clip": seconds / clips,
        "seconds_per_second_of_video": seconds / (clips * wanted.frames / rate),
        "peak_memory_gb": peak_memory(torch.device("cpu"))["memory/ram_gb"],
    }
    record = {
        "video": str(video),
        "segment": segment,
        "source_size": list(source.frames.shape),
        "method": "patch",
        "settings": PatchSettings().model_dump(),
        "clips": clips,
        "clip_size": list(wanted),
        "loop": loop,
        "extend": extend_by,
        "noise": noise,
        "seed": seed,
        "fps": rate,
        "fps_from": rate_from,
        "scores": scores,
        "definitions": DEFINITIONS,
        "cost": cost,
        "vidgan": vidgan.__version__,
    }
    report(", ".join(f"{name} {value:.3f}" for name, value in scores.items() if value is not None))
    write_clips(out, source.frames, made, rate, record)
    return made


def read_segment(video: Path, segment: str | None, side: int) -> SourceClip:
    """The frames of a video that clips are made from.

    Args:
        segment: `START:COUNT`, or None for the first 64 frames.
        side: short side in pixels that larger frames are reduced to.

    Raises:
        ConfigError: not a segment, or the video ends before it. DataError, VideoError: the video cannot be read.
    """
    start, count = _parse_segment(segment)
    height, width = open_stream(video, frames=1).size
    shrink = min(1.0, side / min(height, width))
    size = (round(height * shrink), round(width * shrink))
    clip = read_one(video, ReadSettings(size=size, fit="squash", max_frames=start + count))
    frames = rearrange(torch.from_numpy(clip.frames), "t h w c -> t c h w")[start:].contiguous()
    if segment is not None and len(frames) < count:
        raise ConfigError(f"--segment {segment}: {video} has {len(clip.frames)} frames; choose a segment inside it")
    return SourceClip(frames, clip.fps)


def write_clips(out: Path, source: ByteClip, clips: ByteClip, fps: float, record: dict[str, Any]) -> None:
    """Write the folder of a result at once; nothing is left after an error."""
    partial = out.with_name(f".{out.name}.new")
    shutil.rmtree(partial, ignore_errors=True)
    shown = clips[:MAX_CLIPS_SHOWN]
    try:
        with report_full_disk(out, partial, len(clips) + 4):
            write_mp4(partial / "source.mp4", source, fps=fps)
            for number, clip in enumerate(clips):
                write_mp4(partial / f"clip-{number:04d}.mp4", clip, fps=fps)
            side_by_side = [shown] if source.shape != shown.shape[1:] else [source[None], shown]
            panels = torch.cat(side_by_side)
            write_bytes(partial / "overview.webp", webp_bytes(tile(panels), fps=fps))
            write_png(partial / "sheet.png", contact_sheet(panels))
            write_text(partial / RECORD, json.dumps(record, indent=2) + "\n")
            replace_folder(partial, out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _parse_segment(text: str | None) -> tuple[int, int]:
    if text is None:
        return 0, SEGMENT
    match = re.fullmatch(r"(\d{1,9}):(\d{1,6})", text.strip())
    if match is None or int(match[2]) < 1:
        raise ConfigError(f"--segment {text}: accepted is START:COUNT in frames, such as 30:64")
    return int(match[1]), int(match[2])


def _wanted_size(source: ByteClip, size: tuple[int, int] | None, frames: int | None, extend_by: int | None) -> ClipSize:
    height, width = size or (source.shape[-2], source.shape[-1])
    return ClipSize(len(source) + extend_by if extend_by else frames or len(source), height, width)
