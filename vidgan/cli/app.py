"""The `vidgan` command: one short function per verb. Heavy imports happen inside, so that `--help` answers at once."""

from pathlib import Path
from typing import Annotated

import typer

from vidgan.cli import evaluate as evaluation
from vidgan.cli.arguments import Out, Overwrite, Pretrained, Run, RunAndVideo, Seed, chosen_model
from vidgan.cli.prepare import prepare

app = typer.Typer(
    name="vidgan",
    help="Video generation (MoCoGAN) and prediction (Dual Motion GAN): prepare, train, generate, predict, evaluate.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.command()
def demo(
    out: Out = Path("runs/demo"),
    seed: Seed = 0,
    quick: Annotated[bool, typer.Option("--quick", help="A few steps only: checks that all works here.")] = False,
    overwrite: Overwrite = False,
) -> None:
    """Render moving shapes, train both models, generate, forecast, score, and write a report (minutes on a CPU)."""
    from vidgan.commands.demo import demo as run_demo

    report = run_demo(out, seed=seed, quick=quick, overwrite=overwrite)
    typer.echo(report)


app.command()(prepare)


@app.command()
def train(
    config: Annotated[str, typer.Argument(help="A YAML file, or a shipped config such as mocogan/vidgan.")],
    overrides: Annotated[list[str] | None, typer.Argument(help="a.b=c, for example data.root=DATA.")] = None,
    processes: Annotated[int, typer.Option(min=1, help="Start this many processes on this machine (one per GPU).")] = 1,
    nodes: Annotated[int, typer.Option(min=1, help="Machines; run the same command on each, with its number.")] = 1,
    node_rank: Annotated[int | None, typer.Option(min=0, help="Number of this machine, from 0.")] = None,
    master_addr: Annotated[str | None, typer.Option(help="Name or address of machine 0, where all meet.")] = None,
    master_port: Annotated[int | None, typer.Option(min=1, max=65535, help="Its free port [29500].")] = None,
    restarts: Annotated[
        int,
        typer.Option(min=0, help="After a crash, go on from the last checkpoint; so often in a row."),
    ] = 0,
    on_nonfinite: Annotated[
        str | None, typer.Option(help="NaN or infinity: stop [default], or rollback: go back and leave the batch out.")
    ] = None,
    accept_changes: Annotated[
        bool, typer.Option("--accept-changes", help="Resume although the config differs from the run's.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress display.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what the run would compute, hold, read and send; train nothing.")
    ] = False,
    find_batch: Annotated[
        bool, typer.Option("--find-batch", help="Print the largest batch that fits this machine; train nothing.")
    ] = False,
) -> None:
    """Train; the same command again resumes. Ctrl-C saves first."""
    changes = [*(overrides or []), *([] if on_nonfinite is None else [f"guards.on_nonfinite={on_nonfinite}"])]
    if dry_run or find_batch:
        from vidgan.commands.plan import plan_command

        asked = {"dry_run": dry_run, "find_batch": find_batch}
        typer.echo(plan_command(config, changes, processes=processes, nodes=nodes, **asked))
        return
    if processes * nodes > 1 or restarts or node_rank is not None or master_addr or master_port:
        from vidgan.commands.launch import relaunch

        code = relaunch(
            config,
            changes,
            processes=processes,
            nodes=nodes,
            node_rank=node_rank,
            master_addr=master_addr,
            master_port=master_port,
            restarts=restarts,
        )
        raise typer.Exit(code)
    from vidgan.commands.train import train as run_training

    raise typer.Exit(run_training(config, changes, accept_changes=accept_changes, quiet=quiet).exit_code)


@app.command()
def generate(
    run: Run = None,
    pretrained: Pretrained = None,
    out: Annotated[Path | None, typer.Option(help="Folder to write; default: NAME-clips, of the run.")] = None,
    clips: Annotated[int, typer.Option(min=1, help="How many.")] = 16,
    frames: Annotated[int | None, typer.Option(min=2, help="Length; default: as trained.")] = None,
    category: Annotated[str | None, typer.Option(help="One category's name, for all clips.")] = None,
    first_frame: Annotated[Path | None, typer.Option(help="Picture to start from (image-to-video models).")] = None,
    seed: Seed = 0,
    fps: Annotated[float, typer.Option(min=0.1, help="Of the files that are written.")] = 8.0,
    overwrite: Overwrite = False,
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
        seed=seed,
        fps=fps,
        overwrite=overwrite,
    )
    typer.echo(out)


@app.command()
def predict(
    paths: RunAndVideo,
    pretrained: Pretrained = None,
    out: Annotated[Path | None, typer.Option(help="The mp4 to write; default: VIDEO-future.mp4.")] = None,
    context: Annotated[int | None, typer.Option(min=2, help="Frames given; default: as trained.")] = None,
    horizon: Annotated[int, typer.Option(min=1, help="Frames to forecast.")] = 10,
    start: Annotated[int, typer.Option(min=0, help="First frame of the context.")] = 0,
    samples: Annotated[int, typer.Option(min=1, help="More than one: several futures and their spread.")] = 1,
    seed: Annotated[int | None, typer.Option(min=0, help="Of the samples.")] = None,
    fps: Annotated[float, typer.Option(min=0.1, help="Of the file that is written.")] = 8.0,
    overwrite: Overwrite = False,
) -> None:
    """Forecast the future of a video with a trained Dual Motion GAN: an mp4 and a picture strip beside it."""
    from vidgan.commands.predict import predict as run_predict

    *run, video = paths
    if len(run) > 1:
        raise typer.BadParameter(f"{len(paths)} paths are given; give RUN VIDEO, or --pretrained NAME VIDEO")
    model = chosen_model(run[0] if run else None, pretrained, "DualMotionGAN")
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
    )
    typer.echo(out)


evaluation.register(app)


@app.command()
def report(
    run: Annotated[Path, typer.Argument(help="A training run.")],
    data: Annotated[
        list[Path] | None, typer.Option(help="Prepared data that the run was scored on, beside its own; repeat it.")
    ] = None,
) -> None:
    """Write the run's report.html: curves, previews, scores, best and worst cases, warnings; it opens offline."""
    from vidgan.commands.report import report as run_report

    typer.echo(run_report(run, data=data or []))


@app.command()
def watch(
    run: Annotated[Path, typer.Argument(help="A training run.")],
    every: Annotated[float, typer.Option(min=1, help="Seconds between two refreshes.")] = 30.0,
) -> None:
    """Rewrite a run's report.html while it trains, with a line on how far it is; Ctrl-C ends only the watching."""
    from vidgan.commands.watch import watch_command

    watch_command(run, every=every)


@app.command()
def doctor() -> None:
    """Check this machine: versions, codecs, GPU, space, one training step of each model."""
    from vidgan.commands.doctor import doctor as run_doctor

    raise typer.Exit(run_doctor())


@app.command()
def models() -> None:
    """List the models, discriminators, objectives and shipped configs."""
    from vidgan.commands.models import describe

    typer.echo(describe())
