"""`vidgan generate`: synthesise clips with a trained MoCoGAN."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from einops import rearrange

import vidgan
from vidgan.commands.clip_files import LAYOUTS, RECORD, read_pixels, write_clips
from vidgan.commands.output import check_layout, file_suffix, output_rate, require_memory
from vidgan.commands.unit_options import rendering_without
from vidgan.errors import ConfigError
from vidgan.files import check_overwrite
from vidgan.hub import ModelFacts
from vidgan.own_code import own_code
from vidgan.tasks import load_model
from vidgan.tasks.base import ClipModel
from vidgan.tasks.synthesis.layers import PANELS, layer_panels
from vidgan.tasks.synthesis.mocogan import MoCoGAN
from vidgan.tasks.upscaling.upscaler import ClipUpscaler
from vidgan.types import ByteClip, Latents
from vidgan.video.resize import Fit


def generate(
    run: Path | str,
    out: Path,
    *,
    clips: int = 16,
    frames: int | None = None,
    category: str | None = None,
    text: str | Sequence[str] | None = None,
    first_frame: Path | None = None,
    layer: str | None = None,
    without_units: Sequence[str] = (),
    upscale: Path | str | None = None,
    truncation: float | None = None,
    seed: int = 0,
    fps: float | None = None,
    format: str = "mp4",
    layout: str = "single",
    overwrite: bool = False,
    allow_own_code: bool = False,
) -> ByteClip:
    """Write the clips, `overview.gif`, `sheet.png` and `generated.json` into the folder `out`.

    The clips are `clip-0000.mp4` etc., or `clips.mp4` in a layout of one file. Of a model that reads captions, single
    clips come with the `captions.jsonl` that `vidgan prepare` reads. The folder appears when all of it has been
    written, and not at all after an error.

    Args:
        run: a run or model folder of any task that synthesises clips, the name of shipped weights, or one on the hub.
        clips: number of clips, of each text if there are several.
        frames: length of each clip; default: as in training.
        category: name of the category of all clips; default: each clip draws its own.
        text: one text or several, for a model that reads captions; the overview then has one row for each. Clips of
            the same number differ between texts in what the texts say alone. Default: captions of its training clips.
        first_frame: image file that every clip continues; required by image-to-video models, refused by others.
        layer: of a layered model, write this layer instead of the clips: "foreground" (on grey), "mask" or "background"
            (the clips without their objects).
        without_units: units of the frame generator to set to 0, as `LAYER:UNIT,UNIT`; `vidgan dissect` lists them.
        upscale: a run or model folder of the task upscaling, which enlarges the clips; each by its caption, if that
            model reads captions too.
        truncation: 0 to 1, of a model with frame.kind=modulated: how far each clip's look may differ from the mean one.
        fps: frame rate of the files; default: that of the training clips, or 8 if it is unknown.
        format: a key of `vidgan.video.encode.FORMATS`.
        layout: "single", one file per clip; "grid" or "side", one file `clips` with all clips in a grid or in a row.
        overwrite: replace an earlier result of this command.
        allow_own_code: follow the import paths of own parts of the model; importing runs the module.

    Returns:
        (clips, frames, 3, H, W) uint8, after enlarging; of several texts `clips` each, one text after another.

    Raises:
        PretrainedError: no such model, or one of another task.
        ConfigError, ValueError: an option that the model does not support, a word that it or the enlarging model does
            not know, or an unreadable first frame.
        FileExistsError: `out` is not empty and may not be replaced.
    """
    file_suffix(format)  # refuses an unknown one
    check_layout(layout, LAYOUTS)
    check_overwrite(out, overwrite=overwrite, marker=RECORD)
    with own_code(allowed=allow_own_code):
        model: ClipModel = load_model(run, "clips")
        upscaler: ClipUpscaler | None = None if upscale is None else load_model(upscale, "mapping", task="upscaling")
    image = None
    if first_frame is not None:
        image = read_image(first_frame, model.image_size, fit=ModelFacts.from_json(model.facts).fit)
    _check_first_frame(model, first_frame)
    texts = _checked_texts(model, text)
    captions = model.captions(clips, seed=seed, text=texts or None) if isinstance(model, MoCoGAN) else []
    by_caption = _told(upscaler, upscale, captions)
    if truncation is not None and (layer is not None or not hasattr(getattr(model, "frame", None), "styles")):
        raise ConfigError("--truncation: accepted for whole clips of a model with frame.kind=modulated")
    facts = ModelFacts.from_json(model.facts)
    num_frames = frames or facts.frames
    scale = 1 if upscaler is None else upscaler.scale
    pixels = scale**2 * math.prod(model.image_size)
    require_memory(clips * max(1, len(texts)) * num_frames * 3 * pixels, f"--clips {clips} --frames {num_frames}")
    fps, fps_from = output_rate(fps, facts.frame_rate or facts.sampled_fps, "training clips")
    chosen: dict[str, Any] = {"text": texts} if texts else {}
    with rendering_without(model, without_units):
        if layer is None:
            pulled: dict[str, Any] = {} if truncation is None else {"truncation": truncation}
            samples = model.sample(
                clips, frames=frames, seed=seed, category=category, first_frame=image, **chosen, **pulled
            )
        else:
            latents = model.latents(clips, num_frames, seed=seed, category=category, **chosen)
            samples = _render_layer(model, layer, latents, image)
    if upscaler is not None:
        samples = upscaler.map_clips(samples, **by_caption)
    record = {
        "model": str(run),
        "facts": model.facts,
        "clips": clips,
        "frames": samples.shape[1],
        "category": category,
        "text": texts,
        "first_frame": None if first_frame is None else str(first_frame),
        "layer": layer,
        "without_units": list(without_units),
        "upscale": None if upscale is None else str(upscale),
        "truncation": truncation,
        "seed": seed,
        "fps": fps,
        "fps_from": fps_from,
        "format": format,
        "layout": layout,
        "weights": "moving average",
        "vidgan": vidgan.__version__,
    }
    columns = clips if len(texts) > 1 else None
    write_clips(out, samples, fps, record, format, layout, columns=columns, captions=captions)
    return samples


def _render_layer(model: ClipModel, layer: str, latents: Latents, first_frame: torch.Tensor | None) -> ByteClip:
    """One layer of a layered model's clips.

    Raises:
        ConfigError: no such layer, or a model without layers.
    """
    if layer not in PANELS[1:]:
        raise ConfigError(f"--layer {layer}: accepted are {', '.join(PANELS[1:])}")
    if not isinstance(model, MoCoGAN) or not model.is_layered:
        raise ConfigError(
            f"--layer {layer}: this model draws whole frames; only one trained with model.layers has layers"
        )
    panels = layer_panels(model.render_layers(latents, first_frame=first_frame))
    return panels[PANELS.index(layer) :: len(PANELS)]


def _checked_texts(model: ClipModel, text: str | Sequence[str] | None) -> list[str]:
    """The texts, of which there are none without `text`. Raises ConfigError for a model that reads no captions."""
    if text is None:
        return []
    if not isinstance(model, MoCoGAN) or not model.reads_captions:
        raise ConfigError("--text: this model reads no captions; only one trained with model.text does")
    return [text] if isinstance(text, str) else list(text)


def _told(upscaler: ClipUpscaler | None, name: Path | str | None, captions: Sequence[str]) -> dict[str, Any]:
    """The captions as the enlarging model takes them, {} for one that reads none.

    Raises:
        ConfigError: there are none, or one has a word that the model does not know.
    """
    if upscaler is None or not upscaler.reads_captions:
        return {}
    if not captions:
        raise ConfigError(f"--upscale {name}: this model reads captions, and the clips are made without any")
    try:
        upscaler.tokeniser.numbers(captions)
    except ConfigError as error:
        raise ConfigError(f"--upscale {name}: {error}") from None
    return {"text": captions}


def _check_first_frame(model: ClipModel, first_frame: Path | None) -> None:
    """Raise ConfigError unless a first frame is given exactly where the model needs one."""
    if model.needs_first_frame and first_frame is None:
        raise ConfigError("--first-frame: required, because this model continues a given frame (image-to-video)")
    if first_frame is not None and not model.needs_first_frame:
        raise ConfigError("--first-frame: this model was not trained image-to-video (model.encoder)")


def read_image(path: Path, size: tuple[int, int], *, fit: Fit = "crop") -> torch.Tensor:
    """Read an image as `prepare` does, upright, cropped and scaled to `size`: (3, H, W) uint8.

    Raises:
        DataError: no readable image, or a file with several images.
    """
    return rearrange(torch.tensor(read_pixels(path, size, fit=fit)), "h w c -> c h w").contiguous()
