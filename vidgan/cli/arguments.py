"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

Out = Annotated[Path, typer.Option("--out", help="Where to write; an existing result is not overwritten.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace an existing result.")]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Same seed, same result.")]
Run = Annotated[Path | None, typer.Argument(help="A training run, or a folder written by save_pretrained.")]
RunAndVideo = Annotated[
    list[Path],
    typer.Argument(
        metavar="RUN VIDEO",
        help="A run or model folder (not with --pretrained), and a video file, folder of frames, strip or npy.",
    ),
]
Pretrained = Annotated[
    str | None,
    typer.Option(
        "--pretrained",
        metavar="NAME",
        help="In place of a run: weights that come with vidgan (`vidgan models` lists them), or owner/name on the hub.",
    ),
]


def chosen_model(run: Path | None, pretrained: str | None, kind: str | None = None) -> Path | str:
    """The model that a command is about: a run or model folder, the folder of shipped weights, or a name on the hub.

    Args:
        kind: class of the model, where a short name may mean several; None: of either, and none of the hub.

    Raises:
        typer.BadParameter: neither is given, or both. PretrainedError: no weights of that name ship.
    """
    if (run is None) == (pretrained is None):
        told = "neither is given" if run is None else f"{run} and --pretrained {pretrained} are given"
        raise typer.BadParameter(f"give a run, or --pretrained NAME: {told}")
    if pretrained is None:
        assert run is not None
        return run
    from vidgan.hub import find_shipped, shipped_folder

    on_hub = kind is not None and "/" in pretrained and find_shipped(pretrained) is None
    return pretrained if on_hub else shipped_folder(pretrained, kind)
