"""`vidgan generate`: clips from a trained MoCoGAN."""

import json
import shutil
from pathlib import Path

import numpy as np
import torch
from PIL import Image

import vidgan
from vidgan.files import claim, replace_folder, write_text
from vidgan.hub import ModelFacts
from vidgan.tasks.synthesis.mocogan import MoCoGAN
from vidgan.types import ByteClip
from vidgan.video.encode import contact_sheet, tile, write_gif, write_mp4, write_png
from vidgan.video.resize import Fit, fit_image

RECORD = "generated.json"
OVERVIEW, SHEET = 64, 32  # clips at most in the animated and in the still picture


def generate(
    run: Path | str,
    out: Path,
    *,
    clips: int = 16,
    frames: int | None = None,
    category: str | None = None,
    first_frame: Path | None = None,
    seed: int = 0,
    fps: float = 8.0,
    overwrite: bool = False,
) -> ByteClip:
    """Write `clip-0000.mp4` and so on, `overview.gif`, `sheet.png` and `generated.json` into `out`.

    Args:
        run: whatever `MoCoGAN.from_pretrained` takes.

    Returns:
        (clips, frames, 3, H, W) uint8.

    Raises:
        PretrainedError: no such model. ValueError: what it cannot follow. FileExistsError: `out` holds something.
    """
    claim(out, overwrite=overwrite, marker=RECORD)
    model = MoCoGAN.from_pretrained(run)
    given = None
    if first_frame is not None:
        given = read_picture(first_frame, model.image_size, fit=ModelFacts.from_json(model.facts).fit)
    made = model.sample(clips, frames=frames, seed=seed, category=category, first_frame=given)
    new = out.with_name(f".{out.name}.new")
    shutil.rmtree(new, ignore_errors=True)
    for number, clip in enumerate(made):
        write_mp4(new / f"clip-{number:04d}.mp4", clip, fps=fps)
    write_gif(new / "overview.gif", tile(made[:OVERVIEW]), fps=min(fps, 50.0))
    write_png(new / "sheet.png", contact_sheet(made[:SHEET]))
    told = {
        "model": str(run),
        "facts": model.facts,
        "clips": clips,
        "frames": made.shape[1],
        "category": category,
        "first_frame": None if first_frame is None else str(first_frame),
        "seed": seed,
        "fps": fps,
        "weights": "moving average",
        "vidgan": vidgan.__version__,
    }
    write_text(new / RECORD, json.dumps(told, indent=2) + "\n")
    replace_folder(new, out)
    return made


def read_picture(path: Path, size: tuple[int, int], *, fit: Fit = "crop") -> torch.Tensor:
    """A picture, cropped and scaled to `size`: (3, H, W) uint8.

    Raises:
        ValueError: no readable picture there.
    """
    try:
        with Image.open(path) as image:
            pixels = np.array(image.convert("RGB"))
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(f"{path}: not a readable picture ({error})") from None
    return torch.tensor(fit_image(pixels, size, fit)).permute(2, 0, 1).contiguous()
