"""`vidgan prepare`: its options. `vidgan.commands.prepare` implements it and is imported only when the command runs."""

from pathlib import Path
from typing import Annotated

import typer

from vidgan.cli.arguments import Out, Overwrite, Seed


def prepare(
    context: typer.Context,
    out: Out,
    videos: Annotated[
        Path | None,
        typer.Argument(
            help="Folder of videos, frame folders, strips or arrays; a benchmark; a manifest; a tar or zip."
        ),
    ] = None,
    size: Annotated[str | None, typer.Option(help="Frame size: 64, or HEIGHTxWIDTH such as 128x160 [64].")] = None,
    fit: Annotated[
        str | None,
        typer.Option(help="crop [default]: centre crop to the aspect ratio; squash: ignore it; cover: scale and crop."),
    ] = None,
    resample: Annotated[
        str | None, typer.Option(help="Scaling filter: area [default], bilinear, bicubic, lanczos, nearest.")
    ] = None,
    conditions: Annotated[
        Path | None,
        typer.Option(help="Folder of label maps, masks or clips with the names of VIDEOS: pairs for translation."),
    ] = None,
    condition_resample: Annotated[
        str | None, typer.Option(help="Scaling filter of --conditions: nearest [default], or as --resample.")
    ] = None,
    fps: Annotated[
        float | None, typer.Option(help="Target frame rate, nearest frame; default: keep all frames.")
    ] = None,
    every: Annotated[int | None, typer.Option(help="Keep every N-th frame.")] = None,
    cuts: Annotated[
        str | None,
        typer.Option(
            help="Shot detection, so that no clip spans a cut: auto [default], off, transnet (--cut-weights)."
        ),
    ] = None,
    cut_threshold: Annotated[
        float | None, typer.Option(help="Threshold of the detector; lower finds more cuts.")
    ] = None,
    cut_weights: Annotated[
        Path | None, typer.Option(help="TransNetV2's weights: transnetv2 (fetched), or a file.")
    ] = None,
    drop_still: Annotated[bool, typer.Option("--drop-still", help="Exclude segments without motion.")] = False,
    drop_black: Annotated[bool, typer.Option("--drop-black", help="Exclude black segments.")] = False,
    flow: Annotated[
        bool, typer.Option("--flow", help="Store optical flow, the flow labels of Dual Motion GAN.")
    ] = False,
    flow_method: Annotated[
        str | None, typer.Option(help="Flow estimator: auto, dis (needs vidgan[flow]) or tvl1.")
    ] = None,
    store: Annotated[
        str | None,
        typer.Option(help="frames [default]: one array per clip; video: decode in training; shards: large tar files."),
    ] = None,
    shard_mb: Annotated[int | None, typer.Option(help="Maximum MiB per shard [256].")] = None,
    categories: Annotated[bool, typer.Option("--categories", help="Use folder names as categories.")] = False,
    group_by: Annotated[
        str | None,
        typer.Option(help="Groups that the split keeps together: a regex, 'folder', or 'number//N'."),
    ] = None,
    holdout: Annotated[
        float | None,
        typer.Option(min=0.0, max=0.9, help="Fraction of the clips in the test split [the source's split, else 0.1]."),
    ] = None,
    test_pattern: Annotated[
        str | None, typer.Option(help="Regex of the paths of test clips, instead of a fraction.")
    ] = None,
    layout: Annotated[
        str | None, typer.Option(help="Layout of the source: auto [default], frames, strips, videos, or a benchmark.")
    ] = None,
    strip_frame: Annotated[str | None, typer.Option(help="Frame size inside strips, if not square.")] = None,
    protocol: Annotated[str | None, typer.Option(help="Use the settings of this benchmark protocol.")] = None,
    min_frames: Annotated[int | None, typer.Option(help="Minimum clip length; shorter clips are excluded [2].")] = None,
    follow_links: Annotated[
        bool, typer.Option("--follow-links", help="Follow links that lead out of VIDEOS; otherwise they are refused.")
    ] = False,
    seed: Seed = 0,
    workers: Annotated[int, typer.Option(min=1, help="Number of worker processes.")] = 1,
    time_limit: Annotated[float | None, typer.Option(help="Maximum seconds to read one clip [600].")] = None,
    memory_limit: Annotated[float | None, typer.Option(help="Maximum GiB of memory per worker process [8].")] = None,
    max_bad_share: Annotated[
        float | None, typer.Option(help="Maximum fraction of refused files before the run fails [0.5].")
    ] = None,
    part: Annotated[
        str | None, typer.Option(help="I/N: prepare only the I-th of N shares, into its own folder below --out.")
    ] = None,
    merge: Annotated[bool, typer.Option("--merge", help="Merge all parts in --out; without VIDEOS.")] = False,
    overwrite: Overwrite = False,
) -> None:
    """Turn a folder of videos into checked, split clips of one size; bad files are listed in quarantine.jsonl.

    On several machines: run it with --part 1/N to N/N, then once with --merge.
    """
    from vidgan.commands.prepare import explicit_options, run_prepare

    run_prepare(explicit_options(context))
