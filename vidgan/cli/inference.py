"""Options of the commands that apply a trained model: `vidgan generate`, `vidgan predict` and `vidgan upscale`."""

from pathlib import Path
from typing import Annotated

import typer

from vidgan.cli.arguments import (
    MAX_FRAMES,
    MAX_SEED,
    AllowOwnCode,
    Context,
    Fps,
    Horizon,
    Overwrite,
    Pretrained,
    Run,
    RunAndVideo,
    Seed,
    Start,
    WithoutUnits,
    chosen_model,
    model_and_video,
)

MAX_CLIPS, MAX_SAMPLES = 1_000_000, 10_000


def generate(
    run: Run = None,
    pretrained: Pretrained = None,
    out: Annotated[Path | None, typer.Option(help="Output folder [default: MODEL-clips].")] = None,
    clips: Annotated[int, typer.Option(min=1, max=MAX_CLIPS, help="Number of clips.")] = 16,
    frames: Annotated[
        int | None, typer.Option(min=2, max=MAX_FRAMES, help="Frames per clip [default: as in training].")
    ] = None,
    category: Annotated[
        str | None, typer.Option(help="Name of the category of all clips [default: drawn for each clip].")
    ] = None,
    first_frame: Annotated[
        Path | None, typer.Option(help="Image that every clip continues; for image-to-video models only.")
    ] = None,
    layer: Annotated[
        str | None, typer.Option(help="Write this layer of a layered model: foreground, mask or background.")
    ] = None,
    without_units: WithoutUnits = None,
    upscale: Annotated[
        Path | None, typer.Option(help="A run of the task upscaling, or its model folder, that enlarges the clips.")
    ] = None,
    seed: Seed = 0,
    fps: Fps = None,
    overwrite: Overwrite = False,
    allow_own_code: AllowOwnCode = False,
) -> None:
    """Synthesise clips with a trained MoCoGAN: one mp4 each, an animated overview and a contact sheet."""
    from vidgan.commands.generate import generate as run_generate

    model = chosen_model(run, pretrained, "MoCoGAN")
    out = out or Path(f"{Path(model).name}-clips")
    run_generate(
        model,
        out,
        clips=clips,
        frames=frames,
        category=category,
        first_frame=first_frame,
        layer=layer,
        without_units=without_units or (),
        upscale=upscale,
        seed=seed,
        fps=fps,
        overwrite=overwrite,
        allow_own_code=allow_own_code,
    )
    typer.echo(out)


def predict(
    paths: RunAndVideo,
    pretrained: Pretrained = None,
    out: Annotated[Path | None, typer.Option(help="Output mp4 file [default: VIDEO-future.mp4].")] = None,
    context: Context = None,
    horizon: Horizon = 10,
    start: Start = 0,
    samples: Annotated[
        int,
        typer.Option(
            min=1, max=MAX_SAMPLES, help="More than 1: also draw this many different forecasts, and show their spread."
        ),
    ] = 1,
    seed: Annotated[
        int | None,
        typer.Option(min=0, max=MAX_SEED, help="Random seed of the samples; the same seed gives the same samples."),
    ] = None,
    fps: Fps = None,
    overwrite: Overwrite = False,
    allow_own_code: AllowOwnCode = False,
) -> None:
    """Forecast how a video continues with a trained Dual Motion GAN: an mp4, an image strip and a JSON record."""
    from vidgan.commands.predict import predict as run_predict

    model, video = model_and_video(paths, pretrained, "DualMotionGAN")
    out = out or Path(f"{video.stem}-future.mp4")
    run_predict(
        model,
        video,
        out,
        context=context,
        horizon=horizon,
        start=start,
        samples=samples,
        seed=seed,
        fps=fps,
        overwrite=overwrite,
        allow_own_code=allow_own_code,
    )
    typer.echo(out)


def upscale(
    paths: RunAndVideo,
    pretrained: Pretrained = None,
    out: Annotated[Path | None, typer.Option(help="Output mp4 file [default: VIDEO-upscaled.mp4].")] = None,
    frames: Annotated[
        int | None, typer.Option(min=1, help="Enlarge only the first frames, at most this many [default: all].")
    ] = None,
    fps: Fps = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    overwrite: Overwrite = False,
    allow_own_code: AllowOwnCode = False,
) -> None:
    """Enlarge a video of any length and size with a trained upscaler: an mp4 without sound and a JSON record."""
    from vidgan.commands.upscale import upscale as run_upscale

    model, video = model_and_video(paths, pretrained, "ClipUpscaler")
    out = out or Path(f"{video.stem}-upscaled.mp4")
    run_upscale(
        model,
        video,
        out,
        frames=frames,
        fps=fps,
        device=device,
        overwrite=overwrite,
        allow_own_code=allow_own_code,
    )
    typer.echo(out)
