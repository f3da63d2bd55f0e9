"""`vidgan export`: a trained model as a file that other programs run."""

import logging
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final, Literal

import torch

import vidgan
from vidgan.commands.forecast_files import DEFAULT_CONTEXT
from vidgan.commands.output import folder_beside
from vidgan.errors import ConfigError, PretrainedError
from vidgan.exporting.metadata import ExportedModel
from vidgan.exporting.parity import HALF_LEVELS, compare
from vidgan.exporting.runner import open_onnx
from vidgan.exporting.web_runtime import runtime_files
from vidgan.files import check_overwrite, write_text
from vidgan.hub import find_shipped, model_class_in
from vidgan.model_facts import ModelFacts
from vidgan.own_code import own_code
from vidgan.tasks import load_model, task_of_model
from vidgan.tasks.synthesis.mocogan import MoCoGAN

__all__ = ["EXPORTER", "Format", "describe", "export", "load_exportable"]

logger = logging.getLogger(__name__)

EXPORTER: Final = "2.10"  # the first torch whose exporters can follow the models
Format = Literal["onnx", "pt2", "html"]
SUFFIXES = {"onnx": ".onnx", "pt2": ".pt2", "html": ".html"}
EXPORTABLE = ("MoCoGAN", "DualMotionGAN")


def export(
    run: Path | str,
    out: Path,
    *,
    to: Format = "onnx",
    int8: bool = False,
    overwrite: bool = False,
    allow_own_code: bool = False,
    report: Callable[[str], None] = logger.info,
) -> ExportedModel:
    """Write a trained MoCoGAN or Dual Motion GAN as one file.

    The file gets its name only after it has drawn or continued 100 clips within one grey level of the model; otherwise
    nothing is written. The weights of a page are stored in half precision if its clips stay within 8 levels. The file
    takes any number of clips and any length.

    Args:
        run: a run or model folder of synthesis or forecasting, or the name of shipped weights.
        out: the file.
        to: "onnx" (`vidgan generate` and `vidgan predict` run it without torch), "pt2" (torch.export) or "html" (a page
            that runs the model in a browser, without a connection).
        int8: store weights in 8 bits; a generator's are also multiplied in 8 bits where ONNX Runtime can (dynamic
            quantisation). The loss is measured and reported, not limited.
        overwrite: replace an existing file.
        allow_own_code: follow the import paths of own parts of the model; importing runs the module.
        report: called with each line for the user: the differences that were measured.

    Returns:
        The metadata of the file.

    Raises:
        PretrainedError: no such model, or one of another task.
        ConfigError: an option that does not fit, a model that cannot be exported, a missing package or an old torch.
        WeightsError: the runtime of a page cannot be fetched.
        RunFailedError: the file's frames differ from the model's.
        FileExistsError: the file exists.
    """
    _check_options(out, to, int8=int8)
    check_overwrite(out, overwrite=overwrite)
    if torch.__version__ < EXPORTER:
        raise ConfigError(
            f"vidgan export needs torch {EXPORTER} or newer; installed is {torch.__version__}. Install a newer one and"
            " the torchvision that belongs to it"
        )
    with own_code(allowed=allow_own_code):
        model = load_exportable(run)
    with folder_beside(out) as folder:
        partial = folder / out.name
        write = {"onnx": _write_onnx, "pt2": _write_programs, "html": _write_page}[to]
        exported = write(model, partial, out, int8=int8, report=report)
        check_overwrite(out, overwrite=overwrite)
        partial.replace(out)
    return exported


def load_exportable(run: Path | str) -> Any:
    """The MoCoGAN or Dual Motion GAN in a run or model folder, or of shipped weights.

    Raises:
        PretrainedError: no such model, or another class.
    """
    folder = find_shipped(run) if isinstance(run, str) and model_class_in(run) is None else None
    name = model_class_in(folder or run)
    task = None if name is None else task_of_model(name)
    if task is None:
        return load_model(run, "clips")  # raises, or finds it on the hub
    if name not in EXPORTABLE:
        raise PretrainedError(f"{run}: holds a {name}; accepted are {' and '.join(EXPORTABLE)}")
    return load_model(folder or run, task.evaluation)


def describe(model: Any) -> ExportedModel:
    """The metadata of an exported model, before anything was measured."""
    facts = ModelFacts.from_json(model.facts)
    generates = isinstance(model, MoCoGAN)
    return ExportedModel(
        kind="clips" if generates else "forecast",
        model=EXPORTABLE[0 if generates else 1],
        architecture=model.architecture,
        facts=model.facts,
        image_size=model.image_size,
        frames=facts.frames,
        context=None if generates else facts.context or DEFAULT_CONTEXT,
        warm_up=model.warm_up if generates else 0,
        categories=model.num_categories if generates else 0,
        noise=model.noise_places if generates else 0,
        codes={name: code.model_dump() for name, code in model.codes.codes.items()} if generates else {},
        vocabulary=model.tokeniser.words if generates else (),
        precision="float32",
        parity=None,
        vidgan=vidgan.__version__,
    )


def _check_options(out: Path, to: str, *, int8: bool) -> None:
    if to not in SUFFIXES:
        raise ConfigError(f"--to {to}: accepted are {', '.join(SUFFIXES)}")
    if out.suffix.lower() != SUFFIXES[to]:
        raise ConfigError(f"--out {out}: accepted with --to {to} is a file name that ends in {SUFFIXES[to]}")
    if int8 and to == "pt2":
        raise ConfigError("--int8 has no effect with --to pt2; accepted with --to onnx")


def _write_onnx(model: Any, path: Path, out: Path, *, int8: bool, report: Callable[[str], None]) -> ExportedModel:
    """Write an ONNX file that equals the model, or its quantised form."""
    try:
        from vidgan.exporting import onnx_file
        from vidgan.exporting.smaller import with_int8_weights
    except ImportError as error:
        raise ConfigError(f"--to onnx needs {error.name}; install it with pip install 'vidgan[export]'") from error
    exported = describe(model)
    graph = onnx_file.onnx_graph(model)
    onnx_file.write_onnx(graph, path, exported)
    measured = compare(model, open_onnx(path))
    report(f"float32, {_megabytes(path)}: {measured}")
    measured.require(out)
    if int8:
        graph = onnx_file.quantised(graph) if exported.kind == "clips" else with_int8_weights(graph)
        exported = replace(exported, precision="int8")
        onnx_file.write_onnx(graph, path, exported)
        measured = compare(model, open_onnx(path))
        report(f"int8, {_megabytes(path)}: {measured}")
    exported = replace(exported, parity=asdict(measured))
    onnx_file.write_onnx(graph, path, exported)
    return exported


def _write_page(model: Any, path: Path, out: Path, *, int8: bool, report: Callable[[str], None]) -> ExportedModel:
    """Write a page around an ONNX file that is quantised, or in half precision if that changes little."""
    runtime = runtime_files()
    file = path.with_suffix(".onnx")
    exported = _write_onnx(model, file, out, int8=int8, report=report)
    from vidgan.exporting.onnx_file import read_onnx, write_onnx
    from vidgan.exporting.smaller import halved
    from vidgan.exporting.web_page import model_page

    if not int8:
        half, smaller = file.with_stem("half"), halved(read_onnx(file))
        write_onnx(smaller, half, exported)
        measured = compare(model, open_onnx(half))
        report(f"float16, {_megabytes(half)}: {measured}")
        if measured.levels <= HALF_LEVELS:
            exported = replace(exported, precision="float16", parity=asdict(measured))
            write_onnx(smaller, file, exported)
        else:
            report(f"more than {HALF_LEVELS} levels: the page keeps float32")
        half.unlink()
    write_text(path, model_page(file.read_bytes(), open_onnx(file), runtime))
    file.unlink()
    report(f"page, {_megabytes(path)}")
    return exported


def _write_programs(model: Any, path: Path, out: Path, *, int8: bool, report: Callable[[str], None]) -> ExportedModel:
    """Write an archive of torch.export programs that equals the model."""
    from vidgan.exporting.program_file import open_programs, programs_of, write_programs

    programs, names = programs_of(model)
    write_programs(programs, names, path, describe(model))
    measured = compare(model, open_programs(path))
    report(f"float32, {_megabytes(path)}: {measured}")
    measured.require(out)
    exported = replace(describe(model), parity=asdict(measured))
    write_programs(programs, names, path, exported)
    return exported


def _megabytes(path: Path) -> str:
    return f"{path.stat().st_size / 1e6:.1f} MB"
