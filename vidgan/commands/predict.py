"""`vidgan predict`: the future of a given video, with a trained Dual Motion GAN."""

import json
import logging
from pathlib import Path
from typing import Any

import torch

import vidgan
from vidgan.data.sources.single import read_one
from vidgan.errors import ConfigError
from vidgan.files import claim, write_text
from vidgan.hub import ModelFacts
from vidgan.pixels import to_byte
from vidgan.tasks.forecasting.dual_motion import DualMotionGAN
from vidgan.tasks.pictures import forecast_rows, forecast_strip, spread_picture
from vidgan.types import ByteClip
from vidgan.video.encode import contact_sheet, write_mp4, write_png

logger = logging.getLogger(__name__)

DEFAULT_CONTEXT = 10  # frames, for weights whose facts do not record a context


def predict(
    run: Path | str,
    video: Path,
    out: Path,
    *,
    context: int | None = None,
    horizon: int = 10,
    start: int = 0,
    samples: int = 1,
    seed: int | None = None,
    fps: float = 8.0,
    overwrite: bool = False,
) -> ByteClip:
    """Write context and forecast as `out` (mp4), a picture strip beside it (png), and what was done (json).

    The strip shows context, forecast, its parts and, where the video goes on, the truth and the error. Several samples
    add `-sample-N.mp4` files and the per-pixel spread.

    Args:
        run: whatever `DualMotionGAN.from_pretrained` takes.

    Returns:
        (horizon, 3, H, W) uint8 at the model's frame size; (samples, horizon, 3, H, W) for several samples.

    Raises:
        PretrainedError: no such model. DataError, VideoError: no such video, or it is too short.
        FileExistsError: a result exists.
    """
    if out.suffix.lower() != ".mp4":
        raise ValueError(f"--out {out}: the forecast is written as .mp4")
    model = DualMotionGAN.from_pretrained(run)
    facts = ModelFacts.from_json(model.facts)
    if seed is not None and samples == 1:
        raise ConfigError("--seed has no effect on a single forecast, the posterior's mean; ask for --samples")
    given = context or facts.context or DEFAULT_CONTEXT
    pixels = read_one(video, size=model.image_size, **as_trained(facts))
    frames = torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous()  # (T, 3, H, W)
    frames = frames[start:] if facts.sampled_fps else frames[start :: facts.stride]
    if len(frames) < given:
        raise ValueError(
            f"{video}: {len(frames)} frames from frame {start} on, but --context is {given}; start earlier or give less"
        )
    seen = frames[:given]
    truth = frames[given : given + horizon] if len(frames) >= given + horizon else None
    paths = [out, out.with_suffix(".png"), out.with_suffix(".json")]
    paths += [out.with_name(f"{out.stem}-sample-{n}.mp4") for n in range(samples if samples > 1 else 0)]
    paths += [out.with_name(f"{out.stem}-spread.png")] if samples > 1 else []
    for path in paths:
        claim(path, overwrite=overwrite)

    if facts.trained_on is not None:
        logger.warning("these weights were trained only on %s: expect little of other videos", facts.trained_on)
    prediction = model.forecast(seen[None], horizon)
    best = to_byte(prediction.frames[0])
    write_mp4(out, torch.cat([seen, best]), fps=fps, overwrite=overwrite)
    write_png(out.with_suffix(".png"), forecast_strip(forecast_rows(seen, truth, prediction)), overwrite=overwrite)
    result = best
    if samples > 1:
        result = model.predict(seen[None], horizon, samples=samples, seed=seed)[:, 0]
        for number, future in enumerate(result):
            write_mp4(
                out.with_name(f"{out.stem}-sample-{number}.mp4"),
                torch.cat([seen, future]),
                fps=fps,
                overwrite=overwrite,
            )
        rows = torch.stack([*result, spread_picture(result)])  # (N+1, K, 3, H, W)
        write_png(out.with_name(f"{out.stem}-spread.png"), contact_sheet(rows, columns=1), overwrite=overwrite)
    told = {
        "model": str(run),
        "facts": model.facts,
        "video": str(video),
        "start": start,
        "context": given,
        "horizon": horizon,
        "samples": samples,
        "seed": seed,
        "fps": fps,
        "frame_size": list(model.image_size),
        "vidgan": vidgan.__version__,
    }
    write_text(out.with_suffix(".json"), json.dumps(told, indent=2) + "\n")
    return result


def as_trained(facts: ModelFacts) -> dict[str, Any]:
    """Options that read a video as the training clips were read: at another frame rate the motion would differ."""
    return {
        "fit": facts.fit,
        "resample": facts.resample,
        "fps": facts.sampled_fps or facts.fps,
        "every": 1 if facts.sampled_fps else facts.every,
    }
