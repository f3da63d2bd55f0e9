"""Options of `vidgan single` and `vidgan single-edit`; `vidgan.commands.single` is imported only when they run."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from vidgan.cli.arguments import MAX_FRAMES, Fps, Overwrite, Seed

MAX_CLIPS, MAX_NOISE, MAX_SIDE = 1000, 100.0, 2048

Video = Annotated[Path, typer.Argument(help="A video file, folder of frames, strip or npy.")]
Segment = Annotated[
    str | None, typer.Option(metavar="START:COUNT", help="Frames of the video to use [default: the first 64].")
]
Side = Annotated[
    int, typer.Option(min=16, max=MAX_SIDE, help="Short side in pixels that larger frames are reduced to.")
]
TrainedRun = Annotated[
    Path | None,
    typer.Option("--run", help="Where the run of a method that trains is, or is made [default: OUT-METHOD]."),
]


class Method(StrEnum):
    """How clips are made."""

    patch = "patch"
    pyramid = "pyramid"
    forecast = "forecast"


class Edit(StrEnum):
    """What is changed."""

    harmonise = "harmonise"
    follow = "follow"
    rate = "rate"
    enlarge = "enlarge"


def single(
    video: Video,
    out: Annotated[Path | None, typer.Option(help="Output folder [default: VIDEO-single].")] = None,
    method: Annotated[
        Method, typer.Option(help="patch trains nothing; pyramid and forecast train on the clip first.")
    ] = Method.patch,
    run: TrainedRun = None,
    clips: Annotated[
        int | None, typer.Option(min=1, max=MAX_CLIPS, help="Number of different clips [default: 4; of forecast 1].")
    ] = None,
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
    segment: Segment = None,
    side: Side = 128,
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
        method=method.value,
        run=run,
        clips=clips or (1 if method is Method.forecast else 4),
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


def single_edit(
    video: Video,
    operation: Annotated[Edit, typer.Argument(help="harmonise, follow, rate or enlarge.")],
    out: Annotated[Path | None, typer.Option(help="Output mp4 file [default: VIDEO-OPERATION.mp4].")] = None,
    method: Annotated[Method, typer.Option(help="patch, or for harmonise and enlarge pyramid.")] = Method.patch,
    run: TrainedRun = None,
    composite: Annotated[
        Path | None, typer.Option(help="harmonise: the segment with an object pasted in, a video or an image.")
    ] = None,
    mask: Annotated[
        Path | None, typer.Option(help="harmonise: bright where the object is, a video or an image.")
    ] = None,
    image: Annotated[Path | None, typer.Option(help="follow: the edited frame.")] = None,
    at: Annotated[
        int | None, typer.Option(min=0, max=MAX_FRAMES, help="follow: its number in the segment, from 0.")
    ] = None,
    segment: Segment = None,
    side: Side = 128,
    fps: Fps = None,
    overwrite: Overwrite = False,
) -> None:
    """Change a clip by means of itself: fit in a pasted object, carry an edit to all frames, double rate or size."""
    from vidgan.commands.single import single_edit as run_edit

    out = out or Path(f"{video.stem}-{operation.value}.mp4")
    run_edit(
        video,
        operation.value,
        out,
        method=method.value,
        run=run,
        composite=composite,
        mask=mask,
        image=image,
        at=at,
        segment=segment,
        side=side,
        fps=fps,
        overwrite=overwrite,
    )
    typer.echo(out)
