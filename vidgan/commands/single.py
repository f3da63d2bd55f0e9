"""`vidgan single`: new clips from one video. `vidgan single-edit` changes the clip itself."""

import json
import math
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from einops import rearrange

import vidgan
from vidgan.commands.edit import IMAGES
from vidgan.commands.output import appearing_together, claim_files, output_rate, report_full_disk, require_memory
from vidgan.commands.train import train
from vidgan.config import load_config, shipped_configs
from vidgan.data.frame_stream import open_stream
from vidgan.data.preparing.prepare import prepare
from vidgan.data.sources import images
from vidgan.data.sources.readers import ReadSettings
from vidgan.data.unprepared import read_one
from vidgan.errors import ConfigError, DataError, SourceError
from vidgan.evaluation.single_clip import DEFINITIONS, measure_clips
from vidgan.files import check_overwrite, replace_folder, temporary_folder, write_bytes, write_text
from vidgan.tasks import load_model
from vidgan.tasks.base import ForecastModel
from vidgan.tasks.single_clip.operations import ClipMaker, extend, harmonise, variations
from vidgan.tasks.single_clip.patch_edits import double_rate, double_size, follow_edit
from vidgan.tasks.single_clip.patches import PatchSettings, PatchSynthesis
from vidgan.tasks.single_clip.pyramid import pyramid_sizes
from vidgan.tasks.single_clip.scaling import ClipSize
from vidgan.tasks.single_clip.training import clip_digest
from vidgan.training.recorder import peak_memory
from vidgan.types import ByteClip
from vidgan.video.encode import contact_sheet, tile, webp_bytes, write_mp4, write_png
from vidgan.video.resize import fit_image

__all__ = ["EDITS", "METHODS", "SourceClip", "read_segment", "single", "single_edit"]

METHODS = ("patch", "pyramid", "forecast")
EDITS = ("harmonise", "follow", "rate", "enlarge")  # of `single_edit`

RECORD = "single.json"
SEGMENT = 64  # frames that are read at most, unless the option says otherwise
SIDE = 128  # pixels, the short side that larger frames are reduced to
MAX_CLIPS_SHOWN = 8
FORECAST_MULTIPLE = 16  # pixels, of the sides of frames that a forecaster reads
WORKING_BYTES = 400  # per pixel of the output: descriptions, fields and votes


class SourceClip(NamedTuple):
    """The segment of a video that new clips are made from."""

    frames: ByteClip  # (T, 3, H, W)
    fps: float | None  # None without a clock


def single(
    video: Path,
    out: Path,
    *,
    method: str = "patch",
    run: Path | None = None,
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
        method: "patch" (nothing is trained), "pyramid" (a pyramid of generators is trained on the clip) or "forecast"
            (a small Dual Motion GAN is trained on it; only for `extend_by`).
        run: of the methods that train: where the run is, or is made; the same again resumes or uses it. Default: the
            name of `out` with `-METHOD` appended.
        clips: number of different clips.
        size: (H, W) of the new clips; default: that of the source. Things keep their size; there is more or less of
            them.
        frames: length of the new clips; default: that of the source. Motion keeps its speed.
        loop: the first frame follows the last as any other does.
        extend_by: keep the source and continue it by this many frames; "patch" and "forecast" only.
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
    _check_method(method, run, clips=clips, extend_by=extend_by, noise=noise)
    source = read_segment(video, segment, side, multiple=FORECAST_MULTIPLE if method == "forecast" else 1)
    wanted = _wanted_size(source.frames, size, frames, extend_by)
    require_memory(WORKING_BYTES * math.prod(wanted), "--size, --frames, --extend and --side")
    rate, rate_from = output_rate(fps, source.fps, "video")
    run = run or out.with_name(f"{out.name}-{method}")
    train_started = time.monotonic()
    trained: Any = None if method == "patch" else _trained(method, run, source.frames)
    started = time.monotonic()
    try:
        if method == "forecast":
            assert extend_by is not None
            made = _forecast(trained, source.frames, extend_by)
        else:
            maker: ClipMaker = PatchSynthesis(source.frames) if trained is None else trained
            if extend_by is not None:
                made = extend(maker, source.frames, extend_by, clips, noise=noise, seed=seed)
            else:
                made = variations(maker, clips, size=wanted, loop=loop, noise=noise, seed=seed)
    except ValueError as error:
        raise ConfigError(f"{video}: {error}") from None
    seconds = time.monotonic() - started
    scores = measure_clips(source.frames, made, seed=seed)
    cost = {
        "training_seconds": started - train_started if trained is not None else None,
        "seconds_per_clip": seconds / clips,
        "seconds_per_second_of_video": seconds / (clips * wanted.frames / rate),
        "peak_memory_gb": peak_memory(torch.device("cpu"))["memory/ram_gb"],
    }
    record = {
        "video": str(video),
        "segment": segment,
        "source_size": list(source.frames.shape),
        "method": method,
        "run": None if trained is None else str(run),
        "settings": PatchSettings().model_dump() if method == "patch" else None,
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


def single_edit(
    video: Path,
    operation: str,
    out: Path,
    *,
    method: str = "patch",
    run: Path | None = None,
    composite: Path | None = None,
    mask: Path | None = None,
    image: Path | None = None,
    at: int | None = None,
    segment: str | None = None,
    side: int = SIDE,
    fps: float | None = None,
    overwrite: bool = False,
) -> ByteClip:
    """Change a clip by means of itself; writes `out` (mp4) and a record of the options (json).

    Args:
        video: video file, folder of frames, strip image or npy file.
        operation: "harmonise" redraws a pasted object in the manner of the clip (`composite`, `mask`); "follow" carries
            the edit of one frame to all (`image`, `at`; patch only); "rate" puts a frame between every two (patch
            only); "enlarge" doubles height and width.
        method: "patch" or "pyramid".
        run: of the pyramid, as in `single`.
        composite: the same segment with the object pasted in: a video, or one image for all frames.
        mask: where the object is, bright: a video or one image.
        image: the edited frame.
        at: number of the edited frame in the segment, from 0.
        segment, side, fps, overwrite: as in `single`.

    Returns:
        (T', 3, H', W') uint8.

    Raises:
        As `single`; ConfigError also for an option that the operation needs or does not take.
    """
    if out.suffix.lower() != ".mp4":
        raise ConfigError(f"--out {out}: accepted is a file name that ends in .mp4")
    if operation not in EDITS:
        raise ConfigError(f"{operation!r}: no such operation; accepted are {', '.join(EDITS)}")
    if method not in METHODS[:2]:
        raise ConfigError(f"--method {method}: accepted for {operation} are patch and pyramid")
    if method == "pyramid" and operation in ("follow", "rate"):
        raise ConfigError(
            f"--method pyramid: {operation} is made by patch only; a pyramid draws detail, it knows no"
            f" {'correspondence of frames' if operation == 'follow' else 'other rate than that of its clip'}"
        )
    if method == "patch" and run is not None:
        raise ConfigError(f"--run {run} has no effect with --method patch, which trains nothing; remove it")
    needed = {"harmonise": ("composite", "mask"), "follow": ("image", "at")}.get(operation, ())
    for name, value in (("composite", composite), ("mask", mask), ("image", image), ("at", at)):
        if (value is not None) != (name in needed):
            raise ConfigError(f"--{name} {'is needed by' if name in needed else 'has no effect on'} {operation}")
    results = [out, out.with_suffix(".json")]
    claim_files(results, overwrite=overwrite)
    source = read_segment(video, segment, side)
    frames = source.frames
    run = run or out.with_name(f"{out.stem}-{method}")
    pyramid = _trained(method, run, frames) if method == "pyramid" else None
    try:
        if operation == "follow":
            assert image is not None and at is not None
            made = follow_edit(frames, at, _read_panel(image, frames[:1])[0])
        elif operation == "harmonise":
            assert composite is not None and mask is not None
            where = _read_panel(mask, frames).float().mean(dim=1) / 255
            maker: ClipMaker = PatchSynthesis(frames) if pyramid is None else pyramid
            made = harmonise(maker, _read_panel(composite, frames).expand(len(frames), -1, -1, -1), where)
        elif operation == "rate":
            made = double_rate(frames)
        else:
            made = double_size(frames) if pyramid is None else pyramid.double_size(frames)
    except ValueError as error:
        raise ConfigError(f"{video}: {error}") from None
    rate, rate_from = output_rate(fps, source.fps, "video")
    if operation == "rate" and rate_from != "option":
        rate *= 2
    record = {
        "video": str(video),
        "operation": operation,
        "method": method,
        "run": None if pyramid is None else str(run),
        "options": {"composite": composite and str(composite), "mask": mask and str(mask), "at": at},
        "image": image and str(image),
        "segment": segment,
        "source_size": list(frames.shape),
        "clip_size": list(made.shape),
        "fps": rate,
        "fps_from": rate_from,
        "vidgan": vidgan.__version__,
    }
    with appearing_together(out, results, overwrite=overwrite) as folder:
        write_mp4(folder / out.name, made, fps=rate)
        write_text((folder / out.name).with_suffix(".json"), json.dumps(record, indent=2) + "\n")
    return made


def _check_method(method: str, run: Path | None, *, clips: int, extend_by: int | None, noise: float | None) -> None:
    """Raise ConfigError for an option that the method does not support."""
    if method not in METHODS:
        raise ConfigError(f"--method {method}: accepted are {', '.join(METHODS)}")
    if method == "patch" and run is not None:
        raise ConfigError(f"--run {run} has no effect with --method patch, which trains nothing; remove it")
    if method == "pyramid" and extend_by is not None:
        raise ConfigError(
            "--extend: a pyramid keeps no frames of the source, so it cannot continue it; accepted with --method patch"
            " and forecast"
        )
    if method == "forecast":
        if extend_by is None:
            raise ConfigError("--method forecast: continues the source; set --extend to the number of new frames")
        if noise is not None:
            raise ConfigError("--noise has no effect with --method forecast, whose best guess is written; remove it")
        if clips != 1:
            raise ConfigError(f"--clips {clips}: --method forecast makes a single continuation; set --clips 1")


def _trained(method: str, run: Path, clip: ByteClip) -> Any:
    """The model of a run on this clip; it is trained, or its training resumed, if it is not finished.

    Raises:
        ConfigError: the run was trained on another clip, or is of another task.
    """
    frames, _, height, width = clip.shape
    data = run.with_name(f"{run.name}-data-{clip_digest(clip):016x}")
    if not data.exists():
        with temporary_folder() as folder:
            np.save(folder / "clip.npy", rearrange(clip, "t c h w -> t h w c").numpy())
            flow: Literal["auto"] | None = "auto" if method == "forecast" else None
            prepare(folder / "clip.npy", data, size=(height, width), flow=flow, holdout=0.0)
    changes = [f"data.root={data}", f"out={run.parent}", f"name={run.name}"]
    if method == "forecast":
        train(load_config(shipped_configs()["single_clip/forecast"], changes))
        return load_model(run, "forecast")
    changes.append(f"data.frames={frames}")
    config: Any = load_config(shipped_configs()["single_clip/pyramid"], changes)
    levels = len(pyramid_sizes(config.model, ClipSize(frames, height, width)))
    train(
        load_config(
            shipped_configs()["single_clip/pyramid"], [*changes, f"train.steps={levels * config.objective.scale_steps}"]
        )
    )
    return load_model(run, "clips", task="single_clip")


def _forecast(model: ForecastModel, source: ByteClip, frames: int) -> ByteClip:
    """The source and its forecast, (1, T + frames, 3, H, W)."""
    context = int(model.facts["context"])
    return torch.cat([source[None], model.predict(source[None, -context:], frames)], dim=1)


def _read_panel(path: Path, source: ByteClip) -> ByteClip:
    """A video or image that goes with the source, at its size: (T, 3, H, W), or (1, 3, H, W) of an image.

    Raises:
        DataError: it cannot be read, or has another number of frames.
    """
    size = (source.shape[-2], source.shape[-1])
    if path.suffix.lower() in IMAGES:
        try:
            pixels = fit_image(images.read_image(path), size, "squash")[None]
        except SourceError as error:
            raise DataError(f"{path}: {error.detail}") from None
    else:
        pixels = read_one(path, ReadSettings(size=size, fit="squash", max_frames=len(source))).frames
        if len(pixels) != len(source):
            raise DataError(
                f"{path}: has {len(pixels)} frames, the segment {len(source)}; accepted: as many, or an image"
            )
    return rearrange(torch.tensor(pixels), "t h w c -> t c h w").contiguous()


def read_segment(video: Path, segment: str | None, side: int, *, multiple: int = 1) -> SourceClip:
    """The frames of a video that clips are made from.

    Args:
        segment: `START:COUNT`, or None for the first 64 frames.
        side: short side in pixels that larger frames are reduced to.
        multiple: the sides are rounded to a multiple of this.

    Raises:
        ConfigError: not a segment, or the video ends before it. DataError, VideoError: the video cannot be read.
    """
    start, count = _parse_segment(segment)
    height, width = open_stream(video, frames=1).size
    shrink = min(1.0, side / min(height, width))
    rows, columns = (max(1, round(whole * shrink / multiple)) * multiple for whole in (height, width))
    size = (rows, columns)
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
