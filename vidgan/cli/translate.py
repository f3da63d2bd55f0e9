"""`vidgan translate`: its options. `vidgan.commands.translate` implements it and is imported only when it runs."""

from pathlib import Path
from typing import Annotated

import typer

from vidgan.cli.arguments import AllowOwnCode, Format, Fps, Overwrite, Run


def translate(
    run: Run,
    video: Annotated[Path, typer.Argument(help="A video file, folder of frames, strip or npy of any length.")],
    out: Annotated[Path | None, typer.Option(help="Output file [default: VIDEO-translated.mp4].")] = None,
    mask: Annotated[
        Path | None,
        typer.Option(help="Holes to fill: a video or folder of as many frames, or one frame; bright is a hole."),
    ] = None,
    reverse: Annotated[
        bool, typer.Option("--reverse", help="Unpaired models: from the second domain to the first.")
    ] = False,
    own_size: Annotated[
        bool, typer.Option("--own-size", help="Keep the video's frame size instead of that of the training.")
    ] = False,
    frames: Annotated[
        int | None, typer.Option(min=1, max=1_000_000_000, help="Translate only the first N frames.")
    ] = None,
    fps: Fps = None,
    format: Format = None,
    layout: Annotated[str, typer.Option(help="single: the result; side: the input to its left.")] = "single",
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    overwrite: Overwrite = False,
    allow_own_code: AllowOwnCode = False,
) -> None:
    """Translate a video with a trained model: colourise, denoise, fill holes, interpolate, or into another domain."""
    from vidgan.commands.output import file_suffix
    from vidgan.commands.translate import translate as run_translate

    assert run is not None, "RUN is required"
    out = out or Path(f"{video.stem}-translated{file_suffix(format)}")
    run_translate(
        run,
        video,
        out,
        mask=mask,
        reverse=reverse,
        own_size=own_size,
        frames=frames,
        fps=fps,
        format=format,
        layout=layout,
        device=device,
        overwrite=overwrite,
        allow_own_code=allow_own_code,
    )
    typer.echo(out)
