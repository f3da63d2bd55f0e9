"""`vidgan studio`: its options. `vidgan.commands.studio` implements it and is imported only when it runs."""

from pathlib import Path
from typing import Annotated

import typer


def studio(
    folders: Annotated[
        list[Path],
        typer.Argument(
            metavar="[RUNS...]",
            help="Runs, model folders, prepared data, videos, or folders of these; runs/ is added.",
        ),
    ] = [],  # noqa: B006 - typer reads the default
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0: any free one.")] = 7860,
    host: Annotated[
        str, typer.Option(help="Address to bind to; on any other than loopback the page needs a token.")
    ] = "127.0.0.1",
    share_token: Annotated[
        str | None,
        typer.Option(
            envvar="VIDGAN_STUDIO_TOKEN",
            help="Token that opens the page [default: none on loopback, a random one elsewhere].",
        ),
    ] = None,
) -> None:
    """Forecast, synthesise, compare and train in the browser; everything stays on this machine."""
    from vidgan.commands.studio import studio as serve

    serve(folders, host=host, port=port, token=share_token, echo=typer.echo)
