"""`vidgan edit`: change clips through their codes and render them again."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import vidgan
from vidgan.commands.generate import read_image
from vidgan.commands.invert import load_editable, read_start
from vidgan.commands.output import file_suffix, folder_beside, output_rate, report_full_disk
from vidgan.commands.unit_options import rendering_without
from vidgan.errors import ConfigError, DataError
from vidgan.files import check_overwrite, replace_folder, write_text
from vidgan.hub import ModelFacts
from vidgan.sections import nearest
from vidgan.tasks.synthesis.codes import Codes, load_codes, render_codes, save_codes
from vidgan.tasks.synthesis.editing import EDITS, paste
from vidgan.types import ByteClip
from vidgan.video.encode import contact_sheet, tile, write_clip, write_png

__all__ = ["edit", "read_mask", "select_codes", "side_by_side"]

RECORD = "edit.json"
IMAGES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff")


def edit(
    run: Path | str,
    operation: str,
    codes: Sequence[str | Path],
    out: Path,
    *,
    mask: Path | None = None,
    original: Path | None = None,
    feather: float = 2.0,
    without_units: Sequence[str] = (),
    fps: float | None = None,
    format: str = "mp4",
    overwrite: bool = False,
    allow_own_code: bool = False,
    **options: Any,
) -> ByteClip:
    """Write `clip.mp4`, `side-by-side.mp4` (the clips of all codes, then the result), `sheet.png`, `codes.safetensors`
    and `edit.json` into the folder `out`.

    From Python, the functions of `vidgan.tasks.synthesis.editing` do the same on `Codes` objects.

    Args:
        run: the model that the codes belong to.
        operation: a key of `vidgan.tasks.synthesis.editing.EDITS`.
        codes: codes files in the order of the operation; `FILE#CLIP` for one clip of several.
        mask: image or clip of the model's frame size, white where the edit applies. The rest is `original`. The codes
            that are written are those of the edit, without the mask.
        original: clip that stays outside the mask; default: the clip of the first codes.
        feather: standard deviation of the blur of the mask's edge, pixels.
        without_units: units of the frame generator to set to 0 in the edited clip, as `LAYER:UNIT,UNIT`.
        fps: frame rate of the files; default: that of the training clips, or 8 if it is unknown.
        format: a key of `vidgan.video.encode.FORMATS`.
        options: those that the operation takes: amount, part, frames, category, level, seed.

    Returns:
        (T, 3, H, W) uint8, the clip.

    Raises:
        ConfigError: an unknown operation, a wrong number of codes, a missing option or one without effect.
        DataError: unreadable codes or a mask, or codes of another model. FileExistsError: a result exists.
    """
    suffix = file_suffix(format)
    check_overwrite(out, overwrite=overwrite, marker=RECORD)
    _check_call(operation, codes, options)
    if original is not None and mask is None:
        raise ConfigError("--original has no effect without --mask")
    model = load_editable(run, allow_own_code=allow_own_code)
    sources = [select_codes(str(reference), model) for reference in codes]
    edited = EDITS[operation].function(model, *sources, **options)
    shown = [render_codes(model, one) for one in sources]
    with rendering_without(model, without_units):
        clip = render_codes(model, edited)
    if mask is not None:
        under = shown[0]
        if original is not None:
            under = read_start(original, model)
            shown = [under, *shown]
        clip = paste(clip, under, read_mask(mask, model), feather)
    facts = ModelFacts.from_json(model.facts)
    fps, fps_from = output_rate(fps, facts.frame_rate or facts.sampled_fps, "training clips")
    record = {
        "model": str(run),
        "operation": operation,
        "codes": [str(reference) for reference in codes],
        "options": options,
        "mask": None if mask is None else str(mask),
        "original": None if original is None else str(original),
        "feather": None if mask is None else feather,
        "without_units": list(without_units),
        "frames": len(clip),
        "fps": fps,
        "fps_from": fps_from,
        "format": format,
        "vidgan": vidgan.__version__,
    }
    row = side_by_side([*shown, clip])
    with folder_beside(out) as partial, report_full_disk(out, partial, 5):
        write_clip(partial / f"clip{suffix}", clip, fps, format)
        write_clip(partial / f"side-by-side{suffix}", tile(row, columns=len(row)), fps, format)
        write_png(partial / "sheet.png", contact_sheet(row))
        save_codes(partial / "codes.safetensors", {operation: edited})
        write_text(partial / RECORD, json.dumps(record, indent=2) + "\n")
        replace_folder(partial, out)
    return clip


def _check_call(operation: str, codes: Sequence[object], options: dict[str, Any]) -> None:
    if operation not in EDITS:
        raise ConfigError(f"unknown operation {operation!r}{nearest(operation, EDITS)}")
    facts = EDITS[operation]
    if len(codes) != facts.codes:
        raise ConfigError(f"{operation} makes {facts.summary}: it takes {facts.codes} codes, got {len(codes)}")
    if missing := [f"--{name}" for name in facts.required if name not in options]:
        raise ConfigError(f"{operation} needs {' and '.join(missing)}")
    if useless := [f"--{name}" for name in options if name not in facts.options]:
        accepted = ", ".join(f"--{name}" for name in facts.options) or "none"
        raise ConfigError(f"{operation}: {', '.join(useless)} has no effect; accepted: {accepted}")


def select_codes(reference: str, model: Any) -> Codes:
    """The codes of one clip, `FILE` or `FILE#CLIP` (name or number)."""
    file, _, clip = reference.partition("#")
    held = load_codes(Path(file), model)
    names = list(held)
    if not clip and len(names) == 1:
        return held[names[0]]
    if clip in held:
        return held[clip]
    if clip.isascii() and clip.isdigit() and int(clip) < len(names):
        return held[names[int(clip)]]
    listed = ", ".join(f"{number}: {name}" for number, name in enumerate(names[:20]))
    what = f"no clip {clip!r}" if clip else f"{len(names)} clips"
    raise DataError(f"{file}: holds {what}; accepted: {file}#CLIP with a name or number of: {listed}")


def read_mask(path: Path, model: Any) -> Tensor:
    """The mask in an image (H, W) or in a clip (T, H, W), 0 to 1, fitted to the model's frames as its clips are.

    Raises:
        DataError: it cannot be read.
    """
    if path.suffix.lower() in IMAGES:
        image = read_image(path, model.image_size, fit=ModelFacts.from_json(model.facts).fit)
        return image.float().mean(dim=0) / 255
    return read_start(path, model).float().mean(dim=1) / 255


def side_by_side(clips: Sequence[ByteClip]) -> ByteClip:
    """Clips of one length: shorter ones hold their last frame, (N, T, 3, H, W)."""
    frames = max(len(clip) for clip in clips)
    return torch.stack([torch.cat([clip, clip[-1:].expand(frames - len(clip), -1, -1, -1)]) for clip in clips])
