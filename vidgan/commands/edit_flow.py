"""`vidgan edit-flow`: forecast a video with the predicted motion of a region scaled, reversed or stopped."""

import json
from pathlib import Path

import torch

import vidgan
from vidgan.commands.edit import read_mask
from vidgan.commands.forecast_files import DEFAULT_CONTEXT
from vidgan.commands.output import appearing_together, claim_files, clip_format, output_rate, result_name
from vidgan.commands.predict import read_context
from vidgan.errors import ConfigError
from vidgan.files import write_text
from vidgan.hub import ModelFacts
from vidgan.own_code import own_code
from vidgan.pixels import to_byte
from vidgan.tasks import load_model
from vidgan.tasks.base import ForecastModel
from vidgan.tasks.forecast_images import flow_images
from vidgan.tasks.forecasting.flow_editing import edit_flow as edit_model_flow
from vidgan.types import ByteClip
from vidgan.video.encode import contact_sheet, tile, write_clip, write_png

__all__ = ["edit_flow"]


def edit_flow(
    run: Path | str,
    video: Path,
    out: Path,
    *,
    scale: float = 0.0,
    region: Path | None = None,
    context: int | None = None,
    horizon: int = 10,
    start: int = 0,
    fps: float | None = None,
    format: str | None = None,
    overwrite: bool = False,
    allow_own_code: bool = False,
) -> ByteClip:
    """Write context, unedited and edited forecast side by side as `out`, a sheet (png) and a record (json).

    Args:
        run: a run or model folder, the name of shipped weights, or one on the hub.
        video: video file, folder of frames, strip image or npy file.
        scale: of the region's flow: 0.5 half as fast, 0 stopped, -1 reversed.
        region: image of the last context frame, white where the flow is scaled; default: everything that moves.
        context: frames given to the model; default: as in training.
        horizon: frames to forecast.
        start: first frame of the context.
        fps: frame rate of the video; default: that of the frames that the model reads, or 8 without a clock.
        format: a key of `vidgan.video.encode.FORMATS`; default: by the suffix of `out`.

    Returns:
        (horizon, 3, H, W) uint8, the edited forecast.

    Raises:
        PretrainedError: no such model. ConfigError, ValueError: a model without flow, or a video that is too short.
        DataError: an unreadable video or region. FileExistsError: a result exists.
    """
    format = clip_format(out, format)
    results = [out, result_name(out, format, ".png"), result_name(out, format, ".json")]
    frame_folder = out if format == "png" else None
    claim_files(results, overwrite=overwrite, folder=frame_folder)
    with own_code(allowed=allow_own_code):
        model: ForecastModel = load_model(run, "forecast")
    num_context = context or ModelFacts.from_json(model.facts).context or DEFAULT_CONTEXT
    observed, _, source_fps = read_context(video, model, num_context, horizon, start)
    mask = None if region is None else read_mask(region, model)
    if mask is not None and mask.ndim != 2:
        raise ConfigError(f"--region {region}: accepted is one image, of the last context frame")
    edited = edit_model_flow(model, observed[None], horizon, scale=scale, region=mask)
    fps, fps_from = output_rate(fps, source_fps, "video")
    unedited, frames = to_byte(edited.parts["unedited"][0]), to_byte(edited.frames[0])
    assert edited.flow is not None
    clips = torch.stack([torch.cat([observed, part]) for part in (unedited, frames)])
    rows = [unedited, frames, flow_images(edited.flow[0])]
    record = {
        "model": str(run),
        "video": str(video),
        "scale": scale,
        "region": None if region is None else str(region),
        "context": num_context,
        "horizon": horizon,
        "start": start,
        "fps": fps,
        "fps_from": fps_from,
        "format": format,
        "vidgan": vidgan.__version__,
    }
    with appearing_together(out, results, overwrite=overwrite, frame_folder=frame_folder) as folder:
        write_clip(folder / out.name, tile(clips, columns=2), fps, format)
        write_png(folder / results[1].name, contact_sheet(torch.stack(rows), columns=1, frames=horizon))
        write_text(folder / results[2].name, json.dumps(record, indent=2) + "\n")
    return frames
