"""`vidgan layers`: segment a clip, remove its object, or give it another background, with a layered MoCoGAN."""

import json
from pathlib import Path

import numpy as np
import torch

import vidgan
from vidgan.commands.edit import select_codes
from vidgan.commands.invert import load_editable, read_start
from vidgan.commands.output import file_suffix, folder_beside, output_rate, report_full_disk
from vidgan.errors import ConfigError
from vidgan.files import check_overwrite, replace_folder, write_text
from vidgan.hub import ModelFacts
from vidgan.pixels import to_byte, to_float
from vidgan.tasks.synthesis.codes import layers_of
from vidgan.tasks.synthesis.layers import PANELS, Layers, layer_panels, paste, swap_background
from vidgan.video.encode import contact_sheet, write_clip, write_png

__all__ = ["layers"]

RECORD = "layers.json"


def layers(
    run: Path | str,
    codes: str | Path,
    out: Path,
    *,
    background: str | Path | None = None,
    fps: float | None = None,
    format: str = "mp4",
    overwrite: bool = False,
    allow_own_code: bool = False,
) -> Layers:
    """Write the layers of a clip into the folder `out`.

    `clip.mp4` is the clip that the codes draw, `foreground.mp4` its object on grey, `mask.mp4` and `mask.npy` (T, H, W,
    bool) its segmentation, `background.mp4` the clip without its object, `sheet.png` all of them, and with `background`
    `composed.mp4` the object on another background.

    Args:
        run: a layered MoCoGAN that the codes belong to (`model.layers`).
        codes: codes file of `vidgan invert`; `FILE#CLIP` for one clip of several.
        background: other codes, `FILE#CLIP`, whose background is taken, or a video, over which the object is pasted.
        fps: frame rate of the files; default: that of the training clips, or 8 if it is unknown.
        format: a key of `vidgan.video.encode.FORMATS`.
        overwrite: replace an earlier result of this command.
        allow_own_code: follow the import paths of own parts of the model; importing runs the module.

    Returns:
        The layers, a batch of one, float32; with `background` composed of the new one.

    Raises:
        ConfigError: a model without layers, or a background of another length. DataError: unreadable codes or video.
        FileExistsError: `out` is not empty and may not be replaced.
    """
    suffix = file_suffix(format)
    check_overwrite(out, overwrite=overwrite, marker=RECORD)
    model = load_editable(run, allow_own_code=allow_own_code)
    if not model.is_layered:
        raise ConfigError(f"{run}: this model draws whole frames; accepted is one that was trained with model.layers")
    found = layers_of(model, select_codes(str(codes), model))
    panels = dict(zip(PANELS, layer_panels(found), strict=True))  # each (T, 3, H, W)
    result = found
    if background is not None:
        num_frames = found.mask.shape[1]
        if str(background).partition("#")[0].endswith(".safetensors"):
            other = layers_of(model, select_codes(str(background), model))
            if other.mask.shape[1] != num_frames:
                raise ConfigError(f"--background {background}: {other.mask.shape[1]} frames; accepted: {num_frames}")
            composed = swap_background(found, other)
            result = found._replace(background=other.background)
        else:
            clip = to_float(read_start(Path(background), model))[None]
            if clip.shape[1] != num_frames:
                raise ConfigError(f"--background {background}: {clip.shape[1]} frames; accepted: {num_frames}")
            composed = paste(found, clip)
            result = found._replace(background=clip)
        panels["composed"] = to_byte(composed)[0]
    facts = ModelFacts.from_json(model.facts)
    fps, fps_from = output_rate(fps, facts.frame_rate or facts.sampled_fps, "training clips")
    record = {
        "model": str(run),
        "codes": str(codes),
        "background": None if background is None else str(background),
        "coverage": float(found.mask.mean()),
        "frames": found.mask.shape[1],
        "fps": fps,
        "fps_from": fps_from,
        "format": format,
        "vidgan": vidgan.__version__,
    }
    with folder_beside(out) as partial, report_full_disk(out, partial, len(panels) + 3):
        for name, clip in panels.items():
            write_clip(partial / f"{name}{suffix}", clip, fps, format)
        np.save(partial / "mask.npy", found.segmentation()[0].numpy())
        write_png(partial / "sheet.png", contact_sheet(torch.stack(list(panels.values()))))
        write_text(partial / RECORD, json.dumps(record, indent=2) + "\n")
        replace_folder(partial, out)
    return result
