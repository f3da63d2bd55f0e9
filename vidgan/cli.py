"""The `vidgan` command: one short function per verb. Heavy imports happen inside, so that `--help` answers at once."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    name="vidgan",
    help="Video generation (MoCoGAN) and prediction (Dual Motion GAN): prepare, train, generate, predict, evaluate.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Out = Annotated[Path, typer.Option("--out", help="Where to write; an existing result is not overwritten.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace an existing result.")]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Same seed, same result.")]
Run = Annotated[Path, typer.Argument(help="A training run, or a folder written by save_pretrained.")]


@app.command()
def demo(
    out: Out = Path("runs/demo"),
    seed: Seed = 0,
    quick: Annotated[bool, typer.Option("--quick", help="A few steps only: checks that all works here.")] = False,
    overwrite: Overwrite = False,
) -> None:
    """Render moving shapes, train both models, generate, forecast, score, and write a report (minutes on a CPU)."""
    from vidgan.verbs.demo import demo as run_demo

    report = run_demo(out, seed=seed, quick=quick, overwrite=overwrite)
    typer.echo(report)


@app.command()
def prepare(
    videos: Annotated[Path, typer.Argument(help="Folder of videos, frame folders, strips, npy files; or a tar / zip.")],
    out: Out,
    size: Annotated[str, typer.Option(help="Frame size: 64, or HEIGHTxWIDTH such as 128x160.")] = "64",
    fit: Annotated[str, typer.Option(help="crop: centre crop to the aspect ratio; squash: stretch.")] = "crop",
    fps: Annotated[
        float | None, typer.Option(help="Resample in time (nearest frame); default: keep all frames.")
    ] = None,
    flow: Annotated[bool, typer.Option("--flow", help="Store label flow, which Dual Motion GAN is taught by.")] = False,
    flow_method: Annotated[str | None, typer.Option(help="auto, dis (needs vidgan[flow]) or tvl1.")] = None,
    categories: Annotated[bool, typer.Option("--categories", help="Folder names are categories.")] = False,
    group_by: Annotated[
        str | None,
        typer.Option(help="Clips of one group stay on one side of the split: a regex, 'folder', or 'number//N'."),
    ] = None,
    holdout: Annotated[float, typer.Option(min=0.0, max=0.9, help="Share of the clips held out for testing.")] = 0.1,
    test_pattern: Annotated[str | None, typer.Option(help="Regex of paths to hold out, in place of a share.")] = None,
    layout: Annotated[str, typer.Option(help="What images are: auto, frames or strips.")] = "auto",
    strip_frame: Annotated[str | None, typer.Option(help="Frame size inside strips where not square.")] = None,
    seed: Seed = 0,
    workers: Annotated[int, typer.Option(min=1, help="Parallel processes.")] = 1,
    overwrite: Overwrite = False,
) -> None:
    """Index, check and cache a folder of videos as clips; bad files are listed in quarantine.jsonl."""
    from vidgan.verbs.prepare import prepare_command

    prepare_command(
        videos,
        out,
        size=size,
        fit=fit,
        fps=fps,
        flow=flow,
        flow_method=flow_method,
        categories=categories,
        group_by=group_by,
        holdout=holdout,
        test_pattern=test_pattern,
        layout=layout,
        strip_frame=strip_frame,
        seed=seed,
        workers=workers,
        overwrite=overwrite,
    )


@app.command()
def train(
    config: Annotated[str, typer.Argument(help="A YAML file, or a shipped config such as mocogan/vidgan.")],
    overrides: Annotated[list[str] | None, typer.Argument(help="a.b=c, for example data.root=DATA.")] = None,
    processes: Annotated[int, typer.Option(min=1, help="Start this many processes (one per GPU).")] = 1,
    accept_changes: Annotated[
        bool, typer.Option("--accept-changes", help="Resume although the config differs from the run's.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress display.")] = False,
) -> None:
    """Train; the same command again resumes. Ctrl-C saves first."""
    if processes > 1:
        from vidgan.verbs.launch import relaunch

        raise typer.Exit(relaunch(processes, config, [*(overrides or [])]))
    from vidgan.verbs.train import train as run_training

    raise typer.Exit(run_training(config, overrides or [], accept_changes=accept_changes, quiet=quiet).exit_code)


@app.command()
def generate(
    run: Run,
    out: Out,
    clips: Annotated[int, typer.Option(min=1, help="How many.")] = 16,
    frames: Annotated[int | None, typer.Option(min=2, help="Length; default: as trained.")] = None,
    category: Annotated[str | None, typer.Option(help="One category's name, for all clips.")] = None,
    first_frame: Annotated[Path | None, typer.Option(help="Picture to start from (image-to-video models).")] = None,
    seed: Seed = 0,
    fps: Annotated[float, typer.Option(min=0.1, help="Of the files that are written.")] = 8.0,
    overwrite: Overwrite = False,
) -> None:
    """Synthesise clips with a trained MoCoGAN: one mp4 each, an animated overview and a contact sheet."""
    from vidgan.verbs.generate import generate as run_generate

    run_generate(
        run,
        out,
        clips=clips,
        frames=frames,
        category=category,
        first_frame=first_frame,
        seed=seed,
        fps=fps,
        overwrite=overwrite,
    )
    typer.echo(out)


@app.command()
def predict(
    run: Run,
    video: Annotated[Path, typer.Argument(help="Video file, folder of frames, strip or npy.")],
    out: Out,
    context: Annotated[int | None, typer.Option(min=2, help="Frames given; default: as trained.")] = None,
    horizon: Annotated[int, typer.Option(min=1, help="Frames to forecast.")] = 10,
    start: Annotated[int, typer.Option(min=0, help="First frame of the context.")] = 0,
    samples: Annotated[int, typer.Option(min=1, help="More than one: several futures and their spread.")] = 1,
    seed: Annotated[int | None, typer.Option(min=0, help="Of the samples.")] = None,
    fps: Annotated[float, typer.Option(min=0.1, help="Of the file that is written.")] = 8.0,
    overwrite: Overwrite = False,
) -> None:
    """Forecast the future of a video with a trained Dual Motion GAN: an mp4 and a picture strip beside it."""
    from vidgan.verbs.predict import predict as run_predict

    run_predict(
        run,
        video,
        out,
        context=context,
        horizon=horizon,
        start=start,
        samples=samples,
        seed=seed,
        fps=fps,
        overwrite=overwrite,
    )
    typer.echo(out)


@app.command()
def evaluate(
    subject: Annotated[Path, typer.Argument(help="A training run, or a folder of videos.")],
    reference: Annotated[Path | None, typer.Argument(help="With a folder of videos: the true ones.")] = None,
    data: Annotated[Path | None, typer.Option(help="Prepared data; default: the run's own, test split.")] = None,
    context: Annotated[int | None, typer.Option(min=2, help="Forecasting: frames given.")] = None,
    horizon: Annotated[int | None, typer.Option(min=1, help="Forecasting: frames scored.")] = None,
    clips: Annotated[int | None, typer.Option(min=8, help="Synthesis: clips compared on each side [256].")] = None,
    protocol: Annotated[str | None, typer.Option(help="Forecasting: context, horizon and metrics by name.")] = None,
    best: Annotated[bool, typer.Option("--best", help="The weights of the best evaluation, not the newest.")] = False,
    samples: Annotated[int, typer.Option(min=1, help="Forecasting: futures drawn a window.")] = 1,
    seed: Seed = 0,
    strip_frame: Annotated[str | None, typer.Option(help="Folders: frame size in strips, where not square.")] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Also write the result as JSON here.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON, not a table.")] = False,
) -> None:
    """Score a run on held-out data beside its baselines, or one folder of videos against another."""
    from vidgan.verbs.evaluate import evaluate_command
    from vidgan.verbs.prepare import parse_size

    text = evaluate_command(
        subject,
        reference,
        data=data,
        context=context,
        horizon=horizon,
        clips=clips,
        protocol=protocol,
        best=best,
        samples=samples,
        seed=seed,
        strip_frame=None if strip_frame is None else parse_size(strip_frame, "--strip-frame"),
        out=out,
        as_json=json,
    )
    typer.echo(text)


@app.command()
def report(run: Annotated[Path, typer.Argument(help="A training run.")]) -> None:
    """Write the run's report.html: curves, previews, scores, warnings; one file that opens offline."""
    from vidgan.verbs.report import report as run_report

    typer.echo(run_report(run))


@app.command()
def doctor() -> None:
    """Check this machine: versions, codecs, GPU, space, one training step of each model."""
    from vidgan.verbs.doctor import doctor as run_doctor

    raise typer.Exit(run_doctor())


@app.command()
def models() -> None:
    """List the models, discriminators, objectives and shipped configs."""
    from vidgan.verbs.models import describe

    typer.echo(describe())
