"""`vidgan survey`: a blind comparison by people, and the scores of their votes."""

from pathlib import Path
from typing import Annotated

import typer

from vidgan.cli.arguments import Seed

app = typer.Typer(
    no_args_is_help=True,
    help="Ask people which of two or more sets of clips is better, blindly, and score the votes.",
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.command()
def make(
    sets: Annotated[
        list[Path], typer.Argument(metavar="A B ...", help="Folders of videos; videos of one name are shown together.")
    ],
    out: Annotated[Path, typer.Option("--out", help="The page; its key is written beside it, as NAME.key.json.")],
    pairs: Annotated[int, typer.Option(min=1, max=1000, help="Pairs of clips.")] = 32,
    catch: Annotated[int, typer.Option(min=0, max=200, help="Catch trials: a clip beside the same clip, damaged.")] = 8,
    frames: Annotated[int | None, typer.Option(min=2, help="Frames shown of each clip [all].")] = None,
    fps: Annotated[float, typer.Option(min=0.1, max=100, help="Frames per second.")] = 8.0,
    question: Annotated[str, typer.Option(help="Asked of each pair.")] = "Which clip looks more like a real video?",
    seed: Seed = 0,
) -> None:
    """Write one self-contained page that people vote on by keyboard. It works offline; keep the key to yourself."""
    from vidgan.commands.survey import make as make_survey

    typer.echo(make_survey(sets, out, pairs=pairs, catch=catch, frames=frames, fps=fps, question=question, seed=seed))


@app.command()
def read(
    votes: Annotated[list[Path], typer.Argument(metavar="VOTES...", help="Files that the page saved, one per voter.")],
    key: Annotated[Path, typer.Option(help="The key that `make` wrote beside the page.")],
    keep_failed: Annotated[
        bool, typer.Option("--keep-failed", help="Count the votes of voters who failed the catch trials.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the scores as JSON.")] = False,
) -> None:
    """Print Bradley-Terry scores with intervals, and which voters failed the catch trials."""
    from dataclasses import asdict
    from json import dumps

    from vidgan.commands.survey import read as read_survey

    scores = read_survey(votes, key=key, keep_failed=keep_failed)
    typer.echo(dumps(asdict(scores), indent=2) if json else scores.text)
