"""`vidgan single`: its options. `vidgan.commands.single` implements it and is imported only when it runs."""

from pathlib import Path
from typing import Annotated

import typer

from vidgan.cli.arguments import MAX_FRAMES, Fps, Overwrite, Seed

MAX_CLIPS, MAX_NOISE, MAX_SIDE = 1000, 100.0, 2048


def single(
    video: Annotated[Path, typer.Argument(help="A video file, folder of frames, strip or npy.")],
    out: Annotated[Path | None, typer.Option(help="Output folder [default: VIDEO-single].")] = None,
    clips: Annotated[int, typer.Option(min=1, max=MAX_CLIPS, help="Number of different clips.")] = 4,
    size: Annotated[
        str | None, typer.Option(help="Frame size of the new clips, HEIGHTxWIDTH [default: of the source].")
    ] = None,
    frames: Annotated[
        int | None, typer.Option(min=4, max=MAX_FRAMES, help="Length of the new clips [default: of the source].")
    ] = None,
    loop: Annotated[bool, typer.Option("--loop", help="Make clips that play seamlessly in a loop.")] = False,
    extend: Annotated[
        int | None, typer.Option(min=1, max=MAX_FRAMES, help="Keep the source and continue it by N frames.")
    ] = None,
    noise: Annotated[
        float | None, typer.Option(min=0, max=MAX_NOISE, help="Strength of the variation; 0 gives the source back.")
    ] = None,
    segment: Annotated[
        str | None, typer.Option(metavar="START:COUNT", help="Frames of the video to use [default: the first 64].")
    ] = None,
    side: Annotated[
        int, typer.Option(min=16, max=MAX_SIDE, help="Short side in pixels that larger frames are reduced to.")
    ] = 128,
    seed: Seed = 0,
    fps: Fps = None,
    overwrite: Overwrite = False,
) -> None:
    """Make new clips from one video, without other data: variations, other sizes and lengths, loops, continuations."""
    from vidgan.commands.prepare import parse_size
    from vidgan.commands.single import single as run_single

    out = out or Path(f"{video.stem}-single")
    run_single(
        video,
        out,
        clips=clips,
        size=None if size is None else parse_size(size),
        frames=frames,
        loop=loop,
        extend_by=extend,
        noise=noise,
        segment=segment,
        side=side,
        seed=seed,
        fps=fps,
        overwrite=overwrite,
        report=typer.echo,
    )
    typer.echo(out)
