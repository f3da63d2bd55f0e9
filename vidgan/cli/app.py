"""The `vidgan` command. Each command imports what it needs when it runs, so that `--help` does not wait for torch."""

from pathlib import Path
from typing import Annotated

import typer

import vidgan
from vidgan.cli import config
from vidgan.cli.arguments import Pretrained, Seed, chosen_model
from vidgan.cli.inference import generate, predict
from vidgan.cli.inspect import demo, doctor, models, report, watch
from vidgan.cli.prepare import prepare
from vidgan.cli.train import train

app = typer.Typer(
    name="vidgan",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(is_requested: bool) -> None:
    if is_requested:
        typer.echo(vidgan.__version__)
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Video synthesis (MoCoGAN) and forecasting (Dual Motion GAN): prepare, train, generate, predict, evaluate."""


app.command()(demo)
app.command()(prepare)
app.command()(train)
app.command()(generate)
app.command()(predict)


@app.command()
def evaluate(
    subjects: Annotated[
        list[Path] | None,
        typer.Argument(help="A run, checkpoint or saved model; two folders of videos (predicted, true); or results."),
    ] = None,
    pretrained: Pretrained = None,
    data: Annotated[Path | None, typer.Option(help="Prepared data; default: the run's own, test split.")] = None,
    split: Annotated[str, typer.Option(help="test, or all clips of data that the model never saw.")] = "test",
    protocol: Annotated[str | None, typer.Option(help="A preset by name, such as caltech-10to1.")] = None,
    variant: Annotated[str | None, typer.Option(help="Of the preset: openstl, hkl, legacy, 10split.")] = None,
    allow_deviation: Annotated[
        bool, typer.Option("--allow-deviation", help="Score data that do not fit the preset; named so.")
    ] = False,
    context: Annotated[int | None, typer.Option(min=2, help="Forecasting: frames given.")] = None,
    horizon: Annotated[int | None, typer.Option(min=1, help="Forecasting: frames scored.")] = None,
    growing: Annotated[bool, typer.Option("--growing", help="Forecasting: each frame from all before it.")] = False,
    metrics: Annotated[str | None, typer.Option(help="In place of the usual ones, such as psnr,ms_ssim.")] = None,
    samples: Annotated[int | None, typer.Option(min=1, help="Forecasting: futures drawn a window.")] = None,
    best_by: Annotated[str | None, typer.Option(help="The metric that chooses best and worst; default: each.")] = None,
    clips: Annotated[int | None, typer.Option(min=4, help="Synthesis: clips compared on each side [256].")] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Synthesis: evaluation seeds, for mean and interval.")] = 1,
    mcs: Annotated[bool, typer.Option("--mcs", help="Synthesis: do clips show the category asked for?")] = False,
    flow_histograms: Annotated[
        bool, typer.Option("--flow-histograms", help="Synthesis: also compare how the clips move.")
    ] = False,
    weights: Annotated[
        list[str] | None, typer.Option(help="NAME=PATH: lpips-alex, i3d, c3d, inception, face, ...; repeat it.")
    ] = None,
    best: Annotated[bool, typer.Option("--best", help="The weights of the best evaluation, not the newest.")] = False,
    seed: Seed = 0,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    processes: Annotated[int, typer.Option(min=1, help="Forecasting: share the windows over processes.")] = 1,
    strip_frame: Annotated[str | None, typer.Option(help="Folders: frame size in strips, where not square.")] = None,
    frames: Annotated[
        str | None, typer.Option(help="Synthesis: clips of so many, longer than trained. Folders: FIRST:END.")
    ] = None,
    unpaired: Annotated[bool, typer.Option("--unpaired", help="Folders: two sets of clips, not pairs.")] = False,
    table: Annotated[bool, typer.Option("--table", help="The paths are results or runs: one table of all.")] = False,
    published: Annotated[bool, typer.Option("--published", help="Add published rows of the preset, quoted.")] = False,
    form: Annotated[str | None, typer.Option("--format", help="text, markdown, latex, csv or json.")] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Also write the result here (JSON; a table as text).")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON, not a table.")] = False,
) -> None:
    """Score a model on held-out data beside its baselines, one folder of videos against another, or compare results.

    \b
    vidgan evaluate RUN                     held-out windows, baselines, intervals
    vidgan evaluate RUN --protocol NAME     as a published benchmark fixes it
    vidgan evaluate RUN --frames 64         generated clips longer than trained
    vidgan evaluate --pretrained NAME       weights that come with vidgan, on the --data given
    vidgan evaluate PREDICTED TRUE          two folders of videos, paired by name
    vidgan evaluate MADE REAL --unpaired    two sets of clips
    vidgan evaluate --table RESULT RESULT   several results side by side

    Presets: kitti-prednet, caltech-10to1, mmnist-10to10, smmnist-5to20, kth-10to20, kth-10to40, kth-svg-10to30,
    human36m-4to4, bair-2to28, cityscapes, davis, vimeo, ucf-mathieu, ucf-dvf, ucf-full, folder; of sets of clips
    gen-fvd2048-16, gen-ucf-is. docs/metrics.md explains every metric.
    """
    from vidgan.commands.evaluate import evaluate_command
    from vidgan.commands.prepare import parse_size
    from vidgan.evaluation.folder_scoring import FolderSettings
    from vidgan.evaluation.settings import Settings, parse_frames, parse_weights

    if json and form is not None:
        raise typer.BadParameter("--json and --format both name the form; give one")
    shown = None if frames is None else parse_frames(frames)
    settings = Settings(
        data=data,
        split=split,
        protocol=protocol,
        variant=variant,
        allow_deviation=allow_deviation,
        best=best,
        context=context,
        horizon=horizon,
        growing=growing,
        metrics=tuple(name.strip() for name in metrics.split(",")) if metrics else (),
        samples=samples,
        best_by=best_by,
        clips=clips,
        frames=shown if isinstance(shown, int) else None,
        seed=seed,
        seeds=seeds,
        mcs=mcs,
        flow_histograms=flow_histograms,
        weights=parse_weights(weights or []),
        device=device,
    )
    folders = FolderSettings(
        strip_frame=None if strip_frame is None else parse_size(strip_frame, "--strip-frame"),
        frames=shown if isinstance(shown, tuple) else None,
        unpaired=unpaired,
    )
    if pretrained or not subjects:
        subjects = [Path(chosen_model(subjects[0] if subjects else None, pretrained))]
    text = evaluate_command(
        subjects,
        settings,
        folders,
        table=table,
        published=published,
        form="json" if json else form,
        processes=processes,
        out=out,
    )
    if isinstance(text, int):
        raise typer.Exit(text)
    typer.echo(text)


app.command()(report)
app.command()(watch)
app.command()(doctor)
app.command()(models)
app.add_typer(config.app, name="config")
