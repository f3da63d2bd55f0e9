"""Options of the commands that take a generator or its clips apart: `vidgan dissect` and `vidgan layers`."""

from pathlib import Path
from typing import Annotated

import typer

from vidgan.cli.arguments import AllowOwnCode, FormatOfFiles, Fps, Overwrite, Pretrained, Run, Seed, chosen_model


def dissect(
    run: Run = None,
    pretrained: Pretrained = None,
    data: Annotated[
        Path | None, typer.Option(help="Prepared clips like the training clips [default: the data of the run].")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Output folder [default: MODEL-dissection].")] = None,
    clips: Annotated[
        int, typer.Option(min=8, max=10_000, help="Generated clips of each set: thresholds, scores, set distance.")
    ] = 48,
    random_sets: Annotated[
        int,
        typer.Option(min=2, max=1000, help="Sets of random units that removed units are compared with."),
    ] = 20,
    masks: Annotated[
        Path | None,
        typer.Option(help="Own masks CONCEPT/clip-0000.npy of clips that `vidgan generate` made with the same seed."),
    ] = None,
    seed: Seed = 0,
    overwrite: Overwrite = False,
    allow_own_code: AllowOwnCode = False,
) -> None:
    """Find what each unit of MoCoGAN's frame generator does: an HTML page with heat maps, and a JSON result."""
    from vidgan.commands.dissect import dissect as run_dissect

    model = chosen_model(run, pretrained, "MoCoGAN")
    out = out or Path(f"{Path(model).name}-dissection")
    run_dissect(
        model,
        out,
        data=data,
        clips=clips,
        random_sets=random_sets,
        masks=masks,
        seed=seed,
        overwrite=overwrite,
        allow_own_code=allow_own_code,
    )
    typer.echo(out)


def layers(
    run: Annotated[Path, typer.Argument(help="A run or model folder of a MoCoGAN with model.layers.")],
    codes: Annotated[str, typer.Argument(help="Codes of `vidgan invert`: FILE, or FILE#CLIP for one clip.")],
    out: Annotated[Path, typer.Option(help="Output folder.")] = Path("layers"),
    background: Annotated[
        str | None, typer.Option(help="Other codes FILE.safetensors#CLIP, or a video, to put the object on.")
    ] = None,
    fps: Fps = None,
    format: FormatOfFiles = "mp4",
    overwrite: Overwrite = False,
    allow_own_code: AllowOwnCode = False,
) -> None:
    """Segment a clip, remove its object or give it another background, with a layered MoCoGAN."""
    from vidgan.commands.layers import layers as run_layers

    run_layers(
        run,
        codes,
        out,
        background=background,
        fps=fps,
        format=format,
        overwrite=overwrite,
        allow_own_code=allow_own_code,
    )
    typer.echo(out)
