"""Options of the commands that apply a trained model: `vidgan generate`, `vidgan predict` and `vidgan upscale`."""

from pathlib import Path
from typing import Annotated

import typer

from vidgan.cli.arguments import (
    MAX_FRAMES,
    MAX_SEED,
    AllowOwnCode,
    Context,
    Format,
    FormatOfFiles,
    Fps,
    Overwrite,
    Pretrained,
    Run,
    RunAndVideo,
    Seed,
    Start,
    WithoutUnits,
    chosen_model,
    is_onnx,
    model_and_video,
    refuse_options,
)

MAX_CLIPS, MAX_SAMPLES = 1_000_000, 10_000


def generate(
    run: Run = None,
    pretrained: Pretrained = None,
    out: Annotated[Path | None, typer.Option(help="Output folder [default: MODEL-clips].")] = None,
    clips: Annotated[int, typer.Option(min=1, max=MAX_CLIPS, help="Number of clips, of each text.")] = 16,
    frames: Annotated[
        int | None, typer.Option(min=2, max=MAX_FRAMES, help="Frames per clip [default: as in training].")
    ] = None,
    category: Annotated[
        str | None, typer.Option(help="Name of the category of all clips [default: drawn for each clip].")
    ] = None,
    text: Annotated[
        list[str] | None,
        typer.Option(help="What the clips show, for models that read captions. Repeat it for a row of clips each."),
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
    truncation: Annotated[
        float | None,
        typer.Option(
            min=0, max=1, help="Pull looks toward the mean one: 1 not at all, 0 all alike; modulated models only."
        ),
    ] = None,
    seed: Seed = 0,
    fps: Fps = None,
    format: FormatOfFiles = "mp4",
    layout: Annotated[
        str, typer.Option(help="single: a file per clip; grid or side: one file with all clips in a grid or in a row.")
    ] = "single",
    overwrite: Overwrite = False,
    allow_own_code: AllowOwnCode = False,
) -> None:
    """Synthesise clips with a trained MoCoGAN: one file each, an animated overview and a contact sheet."""
    if run is not None and is_onnx(run):
        refuse_options(
            run,
            layer=layer,
            without_units=without_units,
            upscale=upscale,
            pretrained=pretrained,
            truncation=truncation is not None,
            allow_own_code=allow_own_code,
        )
        from vidgan.commands.onnx_models import generate_onnx

        out = out or Path(f"{run.stem}-clips")
        generate_onnx(
            run,
            out,
            clips=clips,
            frames=frames,
            category=category,
            text=text or None,
            first_frame=first_frame,
            seed=seed,
            fps=fps,
            format=format,
            layout=layout,
            overwrite=overwrite,
        )
        typer.echo(out)
        return
    from vidgan.commands.generate import generate as run_generate

    model = chosen_model(run, pretrained, "MoCoGAN")
    out = out or Path(f"{Path(model).name}-clips")
    run_generate(
        model,
        out,
        clips=clips,
        frames=frames,
        category=category,
        text=text or None,
        first_frame=first_frame,
        layer=layer,
        without_units=without_units or (),
        upscale=upscale,
        truncation=truncation,
        seed=seed,
        fps=fps,
        format=format,
        layout=layout,
        overwrite=overwrite,
        allow_own_code=allow_own_code,
    )
    typer.echo(out)


def predict(
    context: typer.Context,
    paths: RunAndVideo = [],  # noqa: B006 - typer reads the default
    pretrained: Pretrained = None,
    live: Annotated[
        str | None,
        typer.Option(
            metavar="SOURCE",
            help="Forecast while frames arrive, instead of a VIDEO: a file, - for standard input, or /dev/video0.",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Output file [default: VIDEO-future.mp4; with --live: no file].")
    ] = None,
    context_frames: Context = None,
    horizon: Annotated[
        int | None, typer.Option(min=1, max=MAX_FRAMES, help="Frames to forecast [default: 10; with --live: 1].")
    ] = None,
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
    size: Annotated[
        str | None,
        typer.Option(help="Frame size, HEIGHTxWIDTH in multiples of 16 [default: as in training]."),
    ] = None,
    fps: Fps = None,
    format: Format = None,
    layout: Annotated[
        str,
        typer.Option(help="single: the forecast; side: beside the true frames; grid: also the parts it is made of."),
    ] = "single",
    overwrite: Overwrite = False,
    allow_own_code: AllowOwnCode = False,
) -> None:
    """Forecast how a video continues with a trained Dual Motion GAN: a video, an image strip and a JSON record.

    The trust is printed too: how much better than repeating the last frame and than carrying its motion on the model is
    on known frames of the same video.
    """
    from vidgan.commands.output import file_suffix

    def report(line: str) -> None:
        typer.echo(line, err=True)

    if paths and is_onnx(paths[0]):
        refuse_options(
            paths[0],
            live=live,
            size=size,
            pretrained=pretrained,
            layout=layout != "single",
            allow_own_code=allow_own_code,
        )
        if len(paths) != 2:
            raise typer.BadParameter(f"{len(paths)} paths; accepted are FILE.onnx VIDEO")
        from vidgan.commands.onnx_models import predict_onnx

        out = out or Path(f"{paths[1].stem}-future{file_suffix(format)}")
        predict_onnx(
            paths[0],
            paths[1],
            out,
            context=context_frames,
            horizon=horizon or 10,
            start=start,
            samples=samples,
            seed=seed,
            fps=fps,
            format=format,
            overwrite=overwrite,
            report=report,
        )
        typer.echo(out)
        return
    from vidgan.commands.predict import predict as run_predict
    from vidgan.commands.predict_live import predict_live
    from vidgan.commands.prepare import parse_size

    frame_size = None if size is None else parse_size(size)

    if live is not None:
        _refuse_with_live(context)
        if len(paths) > 1:
            raise typer.BadParameter(
                f"{len(paths)} paths; accepted are RUN --live SOURCE, or --pretrained NAME --live SOURCE"
            )
        predict_live(
            chosen_model(paths[0] if paths else None, pretrained, "DualMotionGAN"),
            live,
            out,
            horizon=horizon or 1,
            fps=fps,
            format=format,
            size=frame_size,
            overwrite=overwrite,
            allow_own_code=allow_own_code,
            report=report,
        )
        if out is not None:
            typer.echo(out)
        return
    if not paths:
        raise typer.BadParameter("VIDEO is required (or --live SOURCE)")
    model, video = model_and_video(paths, pretrained, "DualMotionGAN")
    out = out or Path(f"{video.stem}-future{file_suffix(format)}")
    run_predict(
        model,
        video,
        out,
        context=context_frames,
        horizon=horizon or 10,
        start=start,
        samples=samples,
        seed=seed,
        fps=fps,
        format=format,
        layout=layout,
        size=frame_size,
        overwrite=overwrite,
        allow_own_code=allow_own_code,
        report=report,
    )
    typer.echo(out)


def _refuse_with_live(context: typer.Context) -> None:
    """Raise BadParameter for an option that has no effect on a live forecast."""
    for name, option in (
        ("context_frames", "--context"),
        ("start", "--start"),
        ("samples", "--samples"),
        ("seed", "--seed"),
        ("layout", "--layout"),
    ):
        if (source := context.get_parameter_source(name)) is not None and source.name == "COMMANDLINE":
            raise typer.BadParameter(f"{option} has no effect with --live; remove one of them")


def upscale(
    paths: RunAndVideo,
    pretrained: Pretrained = None,
    out: Annotated[Path | None, typer.Option(help="Output file [default: VIDEO-upscaled.mp4].")] = None,
    text: Annotated[
        str | None, typer.Option(help="What the video shows; required by models that read captions.")
    ] = None,
    frames: Annotated[
        int | None, typer.Option(min=1, help="Enlarge only the first frames, at most this many [default: all].")
    ] = None,
    fps: Fps = None,
    format: Format = None,
    layout: Annotated[str, typer.Option(help="single: the result; side: the input to its left.")] = "single",
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    overwrite: Overwrite = False,
    allow_own_code: AllowOwnCode = False,
) -> None:
    """Enlarge a video of any length and size with a trained upscaler: a video without sound and a JSON record."""
    from vidgan.commands.output import file_suffix
    from vidgan.commands.upscale import upscale as run_upscale

    model, video = model_and_video(paths, pretrained, "ClipUpscaler")
    out = out or Path(f"{video.stem}-upscaled{file_suffix(format)}")
    run_upscale(
        model,
        video,
        out,
        text=text,
        frames=frames,
        fps=fps,
        format=format,
        layout=layout,
        device=device,
        overwrite=overwrite,
        allow_own_code=allow_own_code,
    )
    typer.echo(out)
