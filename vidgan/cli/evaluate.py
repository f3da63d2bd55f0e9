"""The options of `vidgan evaluate`, `vidgan compare` and `vidgan table`. Heavy imports happen when a command runs."""

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperArgument, TyperCommand

from vidgan.cli.arguments import AllowOwnCode, Pretrained, Seed, chosen_model

DATA, FORECASTS, CLIPS, METRICS, OUTPUT = (
    "Model and data", "Forecasting models", "Models that generate clips", "Protocol and metrics", "Output",
)  # fmt: skip
VIDEOS, SETS = "Videos", "Sets of clips (--unpaired)"

Protocol = Annotated[
    str | None, typer.Option(help="Preset of a benchmark, such as caltech-10to1.", rich_help_panel=METRICS)
]
AllowDeviation = Annotated[
    bool,
    typer.Option(
        "--allow-deviation",
        help="Score data that deviate from the preset; the name of the result says so.",
        rich_help_panel=METRICS,
    ),
]
Metrics = Annotated[
    str | None,
    typer.Option(help="Metrics that replace the default ones, such as psnr,ms_ssim.", rich_help_panel=METRICS),
]
Weights = Annotated[
    list[str] | None,
    typer.Option(
        help="A metric network: a name that `vidgan weights list` prints, or NAME=PATH such as i3d=FILE (repeatable).",
        rich_help_panel=METRICS,
    ),
]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
Published = Annotated[
    bool, typer.Option("--published", help="Append published rows of the preset.", rich_help_panel=OUTPUT)
]
Json = Annotated[bool, typer.Option("--json", help="Same as --format json.", rich_help_panel=OUTPUT)]
OutFile = Annotated[
    Path | None, typer.Option("--out", help="File to write the result to, as JSON.", rich_help_panel=OUTPUT)
]
Format = Annotated[
    str | None,
    typer.Option("--format", help="text [default], markdown, latex, csv or json.", rich_help_panel=OUTPUT),
]


class GroupedCommand(TyperCommand):
    """A command whose plain help lists options in groups, by their `rich_help_panel`."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write one section per group, in the order of the options."""
        groups: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                title = getattr(parameter, "rich_help_panel", None)
                title = title or ("Arguments" if isinstance(parameter, TyperArgument) else "Options")
                groups.setdefault(title, []).append(record)
        for title, records in groups.items():
            with formatter.section(title):
                formatter.write_dl(records)


def register(app: typer.Typer) -> None:
    """Add the commands to the app."""
    for command in (evaluate, compare, table, reproduce):
        app.command(cls=GroupedCommand)(command)


def evaluate(
    run: Annotated[
        Path | None,
        typer.Argument(help="A run, one of its checkpoints (RUN/checkpoints/step-...), or a saved model."),
    ] = None,
    pretrained: Pretrained = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="Score a model of your own: my.py:predict, my_module:predict, FILE.onnx or an entry point.",
            rich_help_panel=DATA,
        ),
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="Prepared data [the data of the run].", rich_help_panel=DATA)
    ] = None,
    split: Annotated[
        str,
        typer.Option(
            help="test, or all clips of data that the model was not trained on (not for generated clips).",
            rich_help_panel=DATA,
        ),
    ] = "test",
    best: Annotated[
        bool,
        typer.Option("--best", help="Use the weights of the best evaluation, not the newest.", rich_help_panel=DATA),
    ] = False,
    allow_own_code: AllowOwnCode = False,
    seed: Seed = 0,
    device: Device = "auto",
    protocol: Protocol = None,
    allow_deviation: AllowDeviation = False,
    weights: Weights = None,
    context: Annotated[
        int | None, typer.Option(min=2, help="Frames given [as trained].", rich_help_panel=FORECASTS)
    ] = None,
    horizon: Annotated[
        int | None, typer.Option(min=1, help="Frames forecast and scored [as trained].", rich_help_panel=FORECASTS)
    ] = None,
    growing: Annotated[
        bool,
        typer.Option("--growing", help="Forecast each frame from all frames before it.", rich_help_panel=FORECASTS),
    ] = False,
    metrics: Annotated[
        str | None,
        typer.Option(
            help="Metrics that replace the default ones, such as psnr,ms_ssim (not for generated clips).",
            rich_help_panel=FORECASTS,
        ),
    ] = None,
    samples: Annotated[
        int | None, typer.Option(min=1, help="Forecasts drawn per window [1].", rich_help_panel=FORECASTS)
    ] = None,
    best_by: Annotated[
        str | None,
        typer.Option(help="Metric that selects the best and worst sample [each its own].", rich_help_panel=FORECASTS),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(help="Labels of single frames, for --protocol anomaly.", rich_help_panel=FORECASTS),
    ] = None,
    processes: Annotated[
        int,
        typer.Option(min=1, help="Processes that share the windows, or network features.", rich_help_panel=FORECASTS),
    ] = 1,
    clips: Annotated[
        int | None, typer.Option(min=4, help="Clips compared on each side [256].", rich_help_panel=CLIPS)
    ] = None,
    frames: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Clip length, a multiple of the training length, or any of a clip-to-clip model [as trained].",
            rich_help_panel=CLIPS,
        ),
    ] = None,
    seeds: Annotated[
        int, typer.Option(min=1, help="Evaluation seeds, for mean and interval.", rich_help_panel=CLIPS)
    ] = 1,
    mcs: Annotated[
        bool, typer.Option("--mcs", help="Measure whether clips show the requested category.", rich_help_panel=CLIPS)
    ] = False,
    truncation: Annotated[
        str | None,
        typer.Option(
            help="Also score styles pulled toward the mean, a row for each PSI from 0 to 1: 0.5,0.7.",
            rich_help_panel=CLIPS,
        ),
    ] = None,
    flow_histograms: Annotated[
        bool, typer.Option("--flow-histograms", help="Compare how clips move.", rich_help_panel=CLIPS)
    ] = False,
    published: Published = False,
    form: Format = None,
    json: Json = False,
    out: OutFile = None,
) -> None:
    """Score a trained model on held-out data, with baselines or controls.

    \b
    vidgan evaluate RUN                     held-out windows, baselines, intervals
    vidgan evaluate RUN --protocol NAME     the windows and metrics of a benchmark
    vidgan evaluate RUN --frames 64         clips longer than the training clips, or longer windows
    vidgan evaluate --pretrained NAME --data DATA
    vidgan evaluate --model my.py:predict --data DATA --context 4 --horizon 5 --allow-own-code

    Protocols: kitti-prednet (kitti-prednet-hkl), caltech-10to1 (caltech-10to1-openstl), mmnist-10to10, smmnist-5to20,
    kth-10to20, kth-10to40, kth-svg-10to30, human36m-4to4 (human36m-4to4-legacy), bair-2to28, cityscapes, davis, vimeo,
    ucf-mathieu, ucf-dvf, ucf-full, folder; anomaly (frames against labels); for sets of clips
    gen-fvd2048-16, gen-ucf-is (gen-ucf-is-10split).
    docs/metrics.md explains every metric.
    """
    from vidgan.commands.evaluate import evaluate_command
    from vidgan.evaluation.settings import parse_weights

    options = {
        "model": model, "data": data, "best": best, "split": split, "protocol": protocol,
        "allow_deviation": allow_deviation, "context": context, "horizon": horizon, "growing": growing,
        "metrics": _names(metrics), "samples": samples,
        "best_by": best_by, "clips": clips, "frames": frames, "labels": labels, "seeds": seeds, "mcs": mcs,
        "truncation": _numbers(truncation), "flow_histograms": flow_histograms,
        "weights": parse_weights(weights or []), "seed": seed, "device": device,
        "allow_own_code": allow_own_code,
    }  # fmt: skip
    if model is not None and (run is not None or pretrained is not None):
        raise typer.BadParameter("RUN, --pretrained and --model exclude each other")
    scored = None if model is not None else Path(chosen_model(run, pretrained))
    shown = evaluate_command(scored, options, _output(form, json, published, out), processes=processes)
    _show(shown)


def compare(
    predicted: Annotated[Path, typer.Argument(help="Predicted or generated videos: a folder, file or pattern with *.")],
    true: Annotated[Path, typer.Argument(help="The true videos.")],
    unpaired: Annotated[
        bool,
        typer.Option("--unpaired", help="Compare two sets of clips, not pairs of one name.", rich_help_panel=VIDEOS),
    ] = False,
    strip_frame: Annotated[
        str | None,
        typer.Option(help="Frame size in strip images, HEIGHTxWIDTH [square frames].", rich_help_panel=VIDEOS),
    ] = None,
    frames: Annotated[
        str | None, typer.Option(help="Range of frames, FIRST:END (END excluded) [all].", rich_help_panel=VIDEOS)
    ] = None,
    seed: Seed = 0,
    device: Device = "auto",
    metrics: Metrics = None,
    weights: Weights = None,
    protocol: Annotated[
        str | None, typer.Option(help="gen-fvd2048-16, gen-ucf-is, gen-ucf-is-10split.", rich_help_panel=SETS)
    ] = None,
    allow_deviation: Annotated[
        bool,
        typer.Option(
            "--allow-deviation",
            help="Compare clips that deviate from the preset; the name of the result says so.",
            rich_help_panel=SETS,
        ),
    ] = False,
    clips: Annotated[
        int | None, typer.Option(min=4, help="Clips compared on each side [256].", rich_help_panel=SETS)
    ] = None,
    seeds: Annotated[
        int, typer.Option(min=1, help="Evaluation seeds, for mean and interval.", rich_help_panel=SETS)
    ] = 1,
    flow_histograms: Annotated[
        bool, typer.Option("--flow-histograms", help="Compare how clips move.", rich_help_panel=SETS)
    ] = False,
    processes: Annotated[
        int, typer.Option(min=1, help="Processes that share the features of networks.", rich_help_panel=SETS)
    ] = 1,
    published: Published = False,
    form: Format = None,
    json: Json = False,
    out: OutFile = None,
) -> None:
    """Score videos against the true ones, or compare two sets of clips. No model is needed.

    \b
    vidgan compare PREDICTED TRUE                   videos paired by name, frame by frame
    vidgan compare 'OUT/*_pred.png' 'DATA/*_true.png'   videos paired by the text that replaces *
    vidgan compare GENERATED REAL --unpaired        two sets of clips
    vidgan survey make GENERATED REAL --out PAGE    two sets of clips, compared blindly by people
    """
    from vidgan.commands.compare import compare_command
    from vidgan.commands.prepare import parse_size
    from vidgan.evaluation.settings import parse_frames, parse_weights

    options = {
        "unpaired": unpaired, "strip_frame": None if strip_frame is None else parse_size(strip_frame, "--strip-frame"),
        "frames": None if frames is None else parse_frames(frames), "metrics": _names(metrics), "protocol": protocol,
        "allow_deviation": allow_deviation, "clips": clips, "seeds": seeds, "flow_histograms": flow_histograms,
        "weights": parse_weights(weights or []), "seed": seed, "device": device,
    }  # fmt: skip
    _show(compare_command(predicted, true, options, _output(form, json, published, out), processes=processes))


def table(
    results: Annotated[
        list[Path], typer.Argument(help="Result files (of --out, or in RUN/scores), or runs with one result.")
    ],
    protocol: Annotated[str | None, typer.Option(help="Selects a result of each run by its protocol.")] = None,
    published: Annotated[bool, typer.Option("--published", help="Append published rows of the preset.")] = False,
    form: Annotated[str, typer.Option("--format", help="text, markdown, latex or csv.")] = "text",
    seed: Seed = 0,
    out: Annotated[Path | None, typer.Option("--out", help="File to write the table to.")] = None,
) -> None:
    """Compare earlier results in one table, with paired differences on the same windows."""
    from vidgan.commands.table import table as make_table
    from vidgan.evaluation.output import check_new
    from vidgan.files import write_text

    check_new(out)
    text = make_table(results, protocol=protocol, published=published, format=form, seed=seed)
    if out is not None:
        write_text(out, text + "\n")
    typer.echo(text)


def reproduce(
    result: Annotated[
        Path, typer.Argument(metavar="RESULT", help="A result file, or a training run, whose first steps are repeated.")
    ],
    steps: Annotated[
        int | None, typer.Option(min=1, help="Steps of a run to train again [to its first checkpoint, or 20].")
    ] = None,
    run: Annotated[Path | None, typer.Option(help="The run or model, if it was moved.")] = None,
    model: Annotated[str | None, typer.Option(help="The model of --model, if it was moved.")] = None,
    data: Annotated[Path | None, typer.Option(help="The prepared data, if they were moved.")] = None,
    predicted: Annotated[Path | None, typer.Option(help="The predicted videos, if they were moved.")] = None,
    true: Annotated[Path | None, typer.Option(help="The true videos, if they were moved.")] = None,
    allow_own_code: AllowOwnCode = False,
) -> None:
    """Make a result again and say whether it is equal, or what differs first and why.

    \b
    vidgan reproduce RUN/scores/NAME.json   data, split, weights and versions are checked, the evaluation is repeated
    vidgan reproduce RUN --steps 50         the first steps are trained again: journal and weights

    Exit code: 0 equal, 3 other data, 4 other weights (not repeated in both cases), 5 other numbers with other versions
    or hardware, 6 other numbers although all that was recorded is equal.
    """
    from vidgan.commands.reproduce import reproduce as run_reproduce

    found = run_reproduce(
        result, steps=steps, run=run, model=model, data=data, predicted=predicted, true=true,
        allow_own_code=allow_own_code,
    )  # fmt: skip
    typer.echo(found.text)
    raise typer.Exit(found.code)


def _show(shown: str | int) -> None:
    """Print a text, or exit with a code."""
    if isinstance(shown, int):
        raise typer.Exit(shown)
    typer.echo(shown)


def _names(text: str | None) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",")) if text else ()


def _numbers(text: str | None) -> tuple[float, ...]:
    try:
        return tuple(float(number) for number in _names(text))
    except ValueError:
        raise typer.BadParameter(f"--truncation {text}: accepted are numbers from 0 to 1, such as 0.5,0.7") from None


def _output(form: str | None, json: bool, published: bool, out: Path | None) -> Any:
    from vidgan.evaluation.output import Output

    if json and form is not None:
        raise typer.BadParameter("--json and --format exclude each other")
    return Output(format="json" if json else form or "text", published=published, out=out)
