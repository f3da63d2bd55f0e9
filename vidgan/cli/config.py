"""`vidgan config`: read the shipped configs and the reference of all keys."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    no_args_is_help=True,
    help="Show or copy a shipped config, or list every key of a task.",
    context_settings={"help_option_names": ["-h", "--help"]},
)
Name = Annotated[str, typer.Argument(help="A shipped config such as mocogan/vidgan, or a YAML file.")]


@app.command()
def show(
    name: Name,
    overrides: Annotated[list[str] | None, typer.Argument(help="Settings to change, as a.b=c.")] = None,
) -> None:
    """Print a complete config: every key with its value, defaults included."""
    from vidgan.config import dump_config, find_config, load_config

    typer.echo(dump_config(load_config(find_config(name), overrides or [], template=True)), nl=False)


@app.command()
def copy(name: Name, path: Annotated[Path, typer.Argument(help="File to write; an existing one is kept.")]) -> None:
    """Copy a config with its comments, to change and train from."""
    from vidgan.config import find_config
    from vidgan.errors import ConfigError
    from vidgan.files import write_text

    if path.exists():
        raise ConfigError(f"{path} exists; choose another path")
    write_text(path, find_config(name).read_text())
    typer.echo(path)


@app.command()
def keys(task: Annotated[str, typer.Argument(help="Name of a task: synthesis, forecasting or upscaling.")]) -> None:
    """Print the reference of a task's config: key, type, default, meaning and unit."""
    from vidgan.config import config_keys

    for key, kind, default, meaning in config_keys(task):
        shown = f" = {default}" if default else ""
        typer.echo(f"{key}: {kind}{shown}")
        if meaning:
            typer.echo(f"    {meaning}")
