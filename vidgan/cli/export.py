"""Options of `vidgan export` and `vidgan publish`: trained models outside of vidgan."""

from pathlib import Path
from typing import Annotated

import typer

from vidgan.cli.arguments import AllowOwnCode, Overwrite, Pretrained, Run, chosen_model


def export(
    run: Run = None,
    pretrained: Pretrained = None,
    to: Annotated[str, typer.Option(help="onnx (runs without torch), pt2 (torch.export) or html (a page).")] = "onnx",
    out: Annotated[Path | None, typer.Option(help="Output file [default: MODEL.onnx, ...].")] = None,
    int8: Annotated[
        bool, typer.Option("--int8", help="Store weights in 8 bits, and measure the loss; for onnx and html.")
    ] = False,
    overwrite: Overwrite = False,
    allow_own_code: AllowOwnCode = False,
) -> None:
    """Write a trained MoCoGAN or Dual Motion GAN as one file, after checking it on 100 clips.

    `vidgan generate FILE.onnx` and `vidgan predict FILE.onnx VIDEO` run the file without torch. A page (--to html)
    draws clips or continues a video in the browser, without a connection.
    """
    from vidgan.commands.export import export as run_export

    model = chosen_model(run, pretrained)
    out = out or Path(f"{Path(model).name}.{to}")
    run_export(
        model,
        out,
        to=to,  # type: ignore[arg-type]  # checked there
        int8=int8,
        overwrite=overwrite,
        allow_own_code=allow_own_code,
        report=lambda line: typer.echo(line, err=True),
    )
    typer.echo(out)


def publish(
    run: Annotated[Path, typer.Argument(help="A training run, a model folder, or the name of shipped weights.")],
    repository: Annotated[str, typer.Argument(metavar="OWNER/NAME", help="Repository on the Hugging Face hub.")],
    out: Annotated[Path | None, typer.Option(help="Folder to write [default: NAME-repository].")] = None,
    licence: Annotated[
        str | None, typer.Option(help="Licence of the weights, such as MIT [default: as recorded].")
    ] = None,
    data_licence: Annotated[
        str | None, typer.Option(help="Terms of the training data, in words [default: as recorded].")
    ] = None,
    video: Annotated[
        Path | None, typer.Option(help="Video that a forecaster's sample continues; it must be free to publish.")
    ] = None,
    space: Annotated[bool, typer.Option("--space", help="Also write a Space with the studio and this model.")] = False,
    upload: Annotated[bool, typer.Option("--upload", help="Create the repository and upload it.")] = False,
    overwrite: Overwrite = False,
    allow_own_code: AllowOwnCode = False,
) -> None:
    """Write a model repository with card, scores and sample; nothing is uploaded without --upload."""
    from vidgan.commands.publish import publish as run_publish

    done = run_publish(
        run if run.exists() else str(run),
        repository,
        out=out,
        licence=licence,
        data_licence=data_licence,
        video=video,
        space=space,
        upload=upload,
        overwrite=overwrite,
        allow_own_code=allow_own_code,
        report=lambda line: typer.echo(line, err=True),
    )
    for line in done.addresses or [str(done.folder)]:
        typer.echo(line)
