"""The `vidgan` command. Each command imports what it needs when it runs, so that `--help` does not wait for torch."""

from typing import Annotated

import typer

import vidgan
from vidgan.cli import config, survey, weights
from vidgan.cli import evaluate as evaluation
from vidgan.cli.dissect import dissect, layers
from vidgan.cli.editing import edit, edit_flow, invert, train_encoder
from vidgan.cli.export import export, publish
from vidgan.cli.inference import generate, predict, upscale
from vidgan.cli.inspect import demo, doctor, models, report, watch
from vidgan.cli.prepare import prepare
from vidgan.cli.single import single, single_edit
from vidgan.cli.studio import studio
from vidgan.cli.train import train
from vidgan.cli.translate import translate

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
app.command()(dissect)
app.command()(translate)
app.command()(upscale)
app.command()(single)
app.command("single-edit")(single_edit)
app.command()(layers)
app.command("train-encoder")(train_encoder)
app.command()(invert)
app.command()(edit)
app.command("edit-flow")(edit_flow)
evaluation.register(app)
app.command()(export)
app.command()(publish)
app.command()(report)
app.command()(watch)
app.command()(studio)
app.command()(doctor)
app.command()(models)
app.add_typer(config.app, name="config")
app.add_typer(weights.app, name="weights")
app.add_typer(survey.app, name="survey")
