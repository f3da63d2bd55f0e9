"""Options of the commands that show what there is: the demo, runs, models and this machine."""

from pathlib import Path
from typing import Annotated

import typer

from vidgan.cli.arguments import AllowOwnCode, Out, Overwrite, Seed, TrainingRun


def demo(
    out: Out = Path("runs/demo"),
    seed: Seed = 0,
    quick: Annotated[
        bool, typer.Option("--quick", help="Train for a few steps only, to check that everything works here.")
    ] = False,
    overwrite: Overwrite = False,
) -> None:
    """Render moving shapes, train both models, generate, forecast, score and write a report (minutes on a CPU)."""
    from vidgan.commands.demo import demo as run_demo

    typer.echo(run_demo(out, seed=seed, quick=quick, overwrite=overwrite))


def report(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A training run, or a result file of --out.")],
    data: Annotated[
        list[Path] | None,
        typer.Option(help="Prepared data that the run was scored on, in addition to its own; repeatable."),
    ] = None,
    allow_own_code: AllowOwnCode = False,
) -> None:
    """Write report.html into a run: curves, previews, scores, best and worst cases, warnings. It opens offline.

    Of a result file of `vidgan evaluate --out`, the page is RESULT.html beside it.
    """
    from vidgan.commands.report import report as run_report
    from vidgan.own_code import own_code

    with own_code(allowed=allow_own_code):
        typer.echo(run_report(run, data=data or []))


def watch(
    run: TrainingRun,
    every: Annotated[float, typer.Option(min=1, max=86_400, help="Seconds between two refreshes.")] = 30.0,
) -> None:
    """Rewrite report.html while a run trains, and print its progress. Ctrl-C stops watching; training continues."""
    from vidgan.commands.watch import watch as run_watch

    try:
        run_watch(run, every=every, echo=typer.echo)
    except KeyboardInterrupt:
        typer.echo("stopped watching; the run continues", err=True)


def doctor() -> None:
    """Check this machine: versions, codecs, GPU, disk space, one training step of each model."""
    from vidgan.commands.doctor import doctor as run_doctor

    raise typer.Exit(run_doctor())


def models() -> None:
    """List the models, discriminators, objectives, shipped configs and shipped weights."""
    from vidgan.commands.models import models as describe_models

    typer.echo(describe_models())
