"""The options of `vidgan prepare`; what they do is in `vidgan.commands.prepare`, imported when it is run."""

from pathlib import Path
from typing import Annotated

import typer

from vidgan.cli.arguments import Out, Overwrite, Seed


def prepare(
    context: typer.Context,
    out: Out,
    videos: Annotated[
        Path | None,
        typer.Argument(help="Folder of videos, frame folders, strips, arrays; a benchmark; a manifest; a tar or zip."),
    ] = None,
    size: Annotated[str | None, typer.Option(help="Frame size: 64, or HEIGHTxWIDTH such as 128x160 [64].")] = None,
    fit: Annotated[
        str | None,
        typer.Option(help="crop [default]: cut the centre to the aspect; squash: stretch; cover: scale and cut."),
    ] = None,
    resample: Annotated[str | None, typer.Option(help="Scaling: area [default], bilinear, bicubic, lanczos.")] = None,
    fps: Annotated[
        float | None, typer.Option(help="Resample in time (nearest frame); default: keep all frames.")
    ] = None,
    every: Annotated[int | None, typer.Option(help="Take every N-th frame.")] = None,
    cuts: Annotated[
        str | None,
        typer.Option(help="Shot changes, which no clip may span: auto [default], off, transnet (with --cut-weights)."),
    ] = None,
    cut_threshold: Annotated[float | None, typer.Option(help="Of the detector; lower finds more.")] = None,
    cut_weights: Annotated[Path | None, typer.Option(help="File of TransNetV2's weights.")] = None,
    drop_still: Annotated[bool, typer.Option("--drop-still", help="Leave out stretches without motion.")] = False,
    drop_black: Annotated[bool, typer.Option("--drop-black", help="Leave out black stretches.")] = False,
    flow: Annotated[bool, typer.Option("--flow", help="Store label flow, which Dual Motion GAN is taught by.")] = False,
    flow_method: Annotated[str | None, typer.Option(help="auto, dis (needs vidgan[flow]) or tvl1.")] = None,
    store: Annotated[
        str | None,
        typer.Option(help="frames [default]: an array a clip; video: decode in training; shards: large tar files."),
    ] = None,
    shard_mb: Annotated[int | None, typer.Option(help="MiB of a shard [256].")] = None,
    categories: Annotated[bool, typer.Option("--categories", help="Folder names are categories.")] = False,
    group_by: Annotated[
        str | None,
        typer.Option(help="Clips of one group stay on one side of the split: a regex, 'folder', or 'number//N'."),
    ] = None,
    holdout: Annotated[
        float | None,
        typer.Option(min=0.0, max=0.9, help="Share of the clips to test on [the source's own split, else 0.1]."),
    ] = None,
    test_pattern: Annotated[str | None, typer.Option(help="Regex of paths to hold out, in place of a share.")] = None,
    layout: Annotated[
        str | None, typer.Option(help="How the source lies: auto [default], frames, strips, videos, or a benchmark.")
    ] = None,
    strip_frame: Annotated[str | None, typer.Option(help="Frame size inside strips where not square.")] = None,
    protocol: Annotated[str | None, typer.Option(help="Prepare as this benchmark protocol asks.")] = None,
    min_frames: Annotated[int | None, typer.Option(help="Shorter clips are left out [2].")] = None,
    seed: Seed = 0,
    workers: Annotated[int, typer.Option(min=1, help="Parallel processes.")] = 1,
    time_limit: Annotated[float | None, typer.Option(help="Seconds that reading one clip may take [600].")] = None,
    memory_limit: Annotated[float | None, typer.Option(help="GiB that a reading process may take [8].")] = None,
    max_bad_share: Annotated[
        float | None, typer.Option(help="Stop where a larger share of the files is refused [0.5].")
    ] = None,
    part: Annotated[
        str | None, typer.Option(help="I/N: only the I-th of N shares, into a folder of its own below --out.")
    ] = None,
    merge: Annotated[bool, typer.Option("--merge", help="Join all parts that lie in --out; without VIDEOS.")] = False,
    overwrite: Overwrite = False,
) -> None:
    """Index, check, cut and cache a folder of videos as clips; bad files are listed in quarantine.jsonl.

    On several machines: run it with --part 1/N to N/N, then once with --merge.
    """
    from vidgan.commands.prepare import given_options, run_prepare

    run_prepare(given_options(context))
