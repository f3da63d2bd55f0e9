"""Options of the commands that edit clips: `vidgan invert`, `train-encoder`, `edit` and `edit-flow`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from vidgan.cli.arguments import (
    MAX_FRAMES,
    AllowOwnCode,
    Context,
    Format,
    FormatOfFiles,
    Fps,
    Horizon,
    Out,
    Overwrite,
    Pretrained,
    Run,
    RunAndVideo,
    Seed,
    Start,
    WithoutUnits,
    chosen_model,
    model_and_video,
)

MAX_STEPS, MAX_STARTS, MAX_BATCH, MAX_AMOUNT = 1_000_000, 1000, 10_000, 1000.0


class Motion(StrEnum):
    """How motion is fitted."""

    inputs = "inputs"
    path = "path"


class Part(StrEnum):
    """What an edit changes."""

    content = "content"
    motion = "motion"
    both = "both"


def invert(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN CLIP...",
            help="A run or model folder (omit it with --pretrained), and video files or folders of them.",
        ),
    ],
    pretrained: Pretrained = None,
    out: Out = Path("codes.safetensors"),
    encoder: Annotated[
        Path | None, typer.Option(help="Encoder that gives the first start (`vidgan train-encoder`).")
    ] = None,
    motion: Annotated[
        Motion,
        typer.Option(
            help="Fit the inputs of the motion network (can be continued) or a free path (fits better, edits worse)."
        ),
    ] = Motion.inputs,
    starts: Annotated[
        int | None, typer.Option(min=1, max=MAX_STARTS, help="Number of starts [default: 6, with an encoder 2].")
    ] = None,
    steps: Annotated[int, typer.Option(min=1, max=MAX_STEPS, help="Optimisation steps of the best start.")] = 300,
    tune: Annotated[
        Path | None, typer.Option(help="Also tune the generator to the clips, and save it as this new model.")
    ] = None,
    seed: Seed = 0,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with code 1 if a reconstruction is frozen.")] = False,
    overwrite: Overwrite = False,
    allow_own_code: AllowOwnCode = False,
) -> None:
    """Find content, motion and category of real clips in a trained MoCoGAN, for `vidgan edit`."""
    from rich.console import Console

    from vidgan.commands.invert import InvertedClip
    from vidgan.commands.invert import invert as run_invert
    from vidgan.commands.prepare_progress import PrepareProgress

    run, clips = (None, paths) if pretrained is not None else (paths[0], paths[1:])
    if not clips:
        raise typer.BadParameter("no clip; accepted are RUN CLIP..., or --pretrained NAME CLIP...")
    with PrepareProgress(Console(stderr=True), unit="clips", waiting="reading the clips") as progress:

        def report(done: int, total: int, clip: InvertedClip) -> None:
            typer.echo(clip.line())
            progress.show(done, total, clip.name)

        found = run_invert(
            chosen_model(run, pretrained, "MoCoGAN"),
            clips,
            out,
            encoder=encoder,
            motion=motion.value,
            starts=starts,
            steps=steps,
            tune=tune,
            seed=seed,
            strict=strict,
            overwrite=overwrite,
            allow_own_code=allow_own_code,
            on_start=typer.echo,
            on_clip=report,
        )
    for clip in found if tune is not None else ():
        typer.echo(clip.line())
    typer.echo(out)


def train_encoder(
    run: Run = None,
    pretrained: Pretrained = None,
    out: Out = Path("encoder"),
    steps: Annotated[int, typer.Option(min=1, max=MAX_STEPS, help="Training steps.")] = 1000,
    batch_size: Annotated[int, typer.Option(min=2, max=MAX_BATCH, help="Clips of a step.")] = 8,
    seed: Seed = 0,
    overwrite: Overwrite = False,
    allow_own_code: AllowOwnCode = False,
) -> None:
    """Train the encoder of `vidgan invert` on clips that a MoCoGAN draws itself; no data are needed."""
    from rich.console import Console

    from vidgan.commands.invert import train_encoder as run_train
    from vidgan.commands.prepare_progress import PrepareProgress

    done = 0
    with PrepareProgress(Console(stderr=True), unit="steps", waiting="drawing clips") as progress:

        def report(losses: dict[str, float]) -> None:
            nonlocal done
            done += 1
            progress.show(done, steps, " ".join(f"{name} {value:.3f}" for name, value in losses.items()))

        run_train(
            chosen_model(run, pretrained, "MoCoGAN"),
            out,
            steps=steps,
            batch_size=batch_size,
            seed=seed,
            overwrite=overwrite,
            allow_own_code=allow_own_code,
            on_step=report,
        )
    typer.echo(out)


def edit(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN OPERATION CODES...",
            help="A run (omit it with --pretrained), an operation, and its codes: FILE, or FILE#CLIP for one clip.",
        ),
    ],
    pretrained: Pretrained = None,
    out: Annotated[Path | None, typer.Option(help="Output folder [default: OPERATION].")] = None,
    amount: Annotated[
        float | None,
        typer.Option(
            min=-MAX_AMOUNT, max=MAX_AMOUNT, help="Strength: morph, add, exaggerate, truncate; factor of slow."
        ),
    ] = None,
    part: Annotated[Part | None, typer.Option(help="What morph and add change [default: both].")] = None,
    frames: Annotated[
        int | None, typer.Option(min=1, max=MAX_FRAMES, help="Frames of retime; further frames of continue.")
    ] = None,
    category: Annotated[str | None, typer.Option(help="Category of the operation category.")] = None,
    level: Annotated[int | None, typer.Option(min=1, help="First level of the other style, for mix.")] = None,
    mask: Annotated[
        Path | None, typer.Option(help="Image or clip, white where the edit applies; the rest stays the original.")
    ] = None,
    original: Annotated[
        Path | None, typer.Option(help="Clip that stays outside the mask [default: the clip of the first codes].")
    ] = None,
    feather: Annotated[float, typer.Option(min=0, max=100, help="Blur of the mask's edge, pixels.")] = 2.0,
    without_units: WithoutUnits = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Random seed of continue.")] = None,
    fps: Fps = None,
    format: FormatOfFiles = "mp4",
    overwrite: Overwrite = False,
    allow_own_code: AllowOwnCode = False,
) -> None:
    """Edit clips through their codes: clip, side-by-side video, sheet and new codes.

    One clip A: reverse, slow, retime, exaggerate, loop, continue, category, truncate, none. Two clips: content (A's
    motion with B's content), motion (A's content with B's motion), morph, mix. Three: add (A changed by the difference
    from B to C).
    """
    from vidgan.commands.edit import edit as run_edit

    run, words = (None, words) if pretrained is not None else (Path(words[0]), words[1:])
    if len(words) < 2:
        raise typer.BadParameter("accepted are RUN OPERATION CODES..., or --pretrained NAME OPERATION CODES...")
    operation, *codes = words
    out = out or Path(operation)
    options = {"amount": amount, "part": part and part.value, "frames": frames, "category": category, "level": level}
    run_edit(
        chosen_model(run, pretrained, "MoCoGAN"),
        operation,
        codes,
        out,
        mask=mask,
        original=original,
        feather=feather,
        without_units=without_units or (),
        fps=fps,
        format=format,
        overwrite=overwrite,
        allow_own_code=allow_own_code,
        **{name: value for name, value in (options | {"seed": seed}).items() if value is not None},
    )
    typer.echo(out)


def edit_flow(
    paths: RunAndVideo,
    pretrained: Pretrained = None,
    out: Annotated[Path | None, typer.Option(help="Output file [default: VIDEO-edited.mp4].")] = None,
    scale: Annotated[
        float,
        typer.Option(min=-MAX_AMOUNT, max=MAX_AMOUNT, help="Factor of the flow: 0.5 slower, 0 stopped, -1 reversed."),
    ] = 0.0,
    region: Annotated[
        Path | None, typer.Option(help="Image, white where the flow is scaled [default: everything that moves].")
    ] = None,
    context: Context = None,
    horizon: Horizon = 10,
    start: Start = 0,
    fps: Fps = None,
    format: Format = None,
    overwrite: Overwrite = False,
    allow_own_code: AllowOwnCode = False,
) -> None:
    """Forecast a video with the predicted motion of a region scaled, reversed or stopped."""
    from vidgan.commands.edit_flow import edit_flow as run_edit
    from vidgan.commands.output import file_suffix

    model, video = model_and_video(paths, pretrained, "DualMotionGAN")
    out = out or Path(f"{video.stem}-edited{file_suffix(format)}")
    run_edit(
        model,
        video,
        out,
        scale=scale,
        region=region,
        context=context,
        horizon=horizon,
        start=start,
        fps=fps,
        format=format,
        overwrite=overwrite,
        allow_own_code=allow_own_code,
    )
    typer.echo(out)
