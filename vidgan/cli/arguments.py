"""Arguments and options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

Out = Annotated[Path, typer.Option("--out", help="Output path; an existing result is kept unless --overwrite is set.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace an existing result.")]
MAX_SEED = 2**63 - 1
MAX_FRAMES, MAX_START = 100_000, 1_000_000_000
Seed = Annotated[
    int, typer.Option("--seed", min=0, max=MAX_SEED, help="Random seed; the same seed gives the same result.")
]
Fps = Annotated[
    float | None,
    typer.Option(
        "--fps", min=0.1, max=1000, help="Frame rate of the output files [default: of the video or training clips]."
    ),
]
Format = Annotated[
    str | None,
    typer.Option(
        "--format",
        help="mp4, webp, gif, png (a folder of frames), npz, or ffv1 (lossless mkv) [default: by --out, else mp4].",
    ),
]
FormatOfFiles = Annotated[
    str,
    typer.Option("--format", help="Of the clips: mp4, webp, gif, png (folders of frames), npz, ffv1 (lossless mkv)."),
]
WithoutUnits = Annotated[
    list[str] | None,
    typer.Option(
        "--without-units", metavar="LAYER:UNIT,UNIT", help="Set these units of the frame generator to 0; repeatable."
    ),
]
AllowOwnCode = Annotated[
    bool,
    typer.Option(
        "--allow-own-code", help="Import the modules that a config names (my_module:MyClass); this runs them."
    ),
]
Run = Annotated[Path | None, typer.Argument(help="A training run, or a folder written by save_pretrained.")]
TrainingRun = Annotated[Path, typer.Argument(metavar="RUN", help="A training run.")]
RunAndVideo = Annotated[
    list[Path],
    typer.Argument(
        metavar="RUN VIDEO",
        help="A run or model folder (omit it with --pretrained), and a video file, folder of frames, strip or npy.",
    ),
]
Context = Annotated[
    int | None,
    typer.Option("--context", min=2, max=MAX_FRAMES, help="Frames given to the model [default: as in training]."),
]
Horizon = Annotated[int, typer.Option("--horizon", min=1, max=MAX_FRAMES, help="Frames to forecast.")]
Start = Annotated[int, typer.Option("--start", min=0, max=MAX_START, help="First frame of the context.")]
Pretrained = Annotated[
    str | None,
    typer.Option(
        "--pretrained",
        metavar="NAME",
        help="Use these weights instead of a run: a name that `vidgan models` lists, or owner/name on the hub.",
    ),
]


def chosen_model(run: Path | None, pretrained: str | None, kind: str | None = None) -> Path | str:
    """Return the model that a command is to use: RUN, the folder of shipped weights, or a name on the hub.

    Args:
        kind: class that the model must have, needed to resolve a short name; None: any class, but not from the hub.

    Raises:
        typer.BadParameter: not exactly one of RUN and --pretrained is set. PretrainedError: no weights have that name.
    """
    if run is None and pretrained is None:
        raise typer.BadParameter("RUN or --pretrained NAME is required; neither is set")
    if run is not None and pretrained is not None:
        raise typer.BadParameter(f"RUN and --pretrained exclude each other; both are set: {run}, {pretrained}")
    if pretrained is None:
        assert run is not None
        return run
    from vidgan.hub import find_shipped, shipped_folder

    on_hub = kind is not None and "/" in pretrained and find_shipped(pretrained) is None
    return pretrained if on_hub else shipped_folder(pretrained, kind)


def model_and_video(paths: list[Path], pretrained: str | None, kind: str) -> tuple[Path | str, Path]:
    """The model and the video of the arguments RUN VIDEO, or --pretrained NAME VIDEO.

    Raises:
        typer.BadParameter: another number of paths; otherwise as `chosen_model`.
    """
    *run, video = paths
    if len(run) > 1:
        raise typer.BadParameter(f"{len(paths)} paths; accepted are RUN VIDEO, or --pretrained NAME VIDEO")
    return chosen_model(run[0] if run else None, pretrained, kind), video


def is_onnx(path: Path) -> bool:
    """Whether a model argument names an exported file instead of a folder."""
    return path.suffix.lower() == ".onnx"


def refuse_options(file: Path, **options: object) -> None:
    """Raise BadParameter for options (by parameter name) that were given and that an exported file does not have."""
    for name, value in options.items():
        if value:
            raise typer.BadParameter(f"--{name.replace('_', '-')}: not with an exported file ({file}); use the run")
