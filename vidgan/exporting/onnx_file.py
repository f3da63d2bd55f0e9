"""Models as ONNX files: `torch.onnx.export` with the dynamo exporter, and the metadata."""

import contextlib
import io
import json
import logging
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import onnx
import onnx_ir as ir
import torch
from onnx_ir.passes import common as passes
from onnxscript.optimizer import fold_constants
from torch.export import ExportedProgram

import vidgan
from vidgan.errors import ConfigError
from vidgan.exporting.clip_renderer import ClipRenderer
from vidgan.exporting.forecast_step import forecast_step
from vidgan.exporting.merging import merged
from vidgan.exporting.metadata import PROPERTY, ExportedModel
from vidgan.exporting.programs import forecast_programs, render_program
from vidgan.files import temporary_folder, write_bytes
from vidgan.tasks.synthesis.mocogan import MoCoGAN

__all__ = ["CONDITION", "onnx_graph", "quantised", "read_onnx", "write_onnx"]

CONDITION = "observing"
MAX_BYTES = 2**31 - 1  # of a protobuf message


def onnx_graph(model: Any) -> onnx.ModelProto:
    """The ONNX graph of a model. The halves of a forecaster's step are the branches of an `If`.

    Raises:
        ConfigError: the model cannot be exported.
    """
    if isinstance(model, MoCoGAN):
        renderer = ClipRenderer(model)
        graph = _converted(render_program(renderer), renderer.input_names, ["clips"])
        return _with_named_sizes(graph, {"motion": {1: "steps"}, "tokens": {1: "words"}, "clips": {1: "frames"}})
    step = forecast_step(model)
    programs = forecast_programs(step)
    outputs = ["forecast", *(f"new_{name}" for name in step.state_shapes)]
    halves = [
        _with_named_sizes(_converted(programs[half], step.input_names, outputs), {}) for half in ("observe", "forecast")
    ]
    return merged(CONDITION, *halves)


def quantised(graph: onnx.ModelProto) -> onnx.ModelProto:
    """The graph with weights of 8 bits where ONNX Runtime multiplies integers, activations quantised as it runs.

    Raises:
        ConfigError: onnxruntime is missing.
    """
    try:
        from onnxruntime.quantization import QuantType, quantize_dynamic
    except ImportError as error:
        raise ConfigError("--int8 needs onnxruntime; install it with pip install 'vidgan[export]'") from error
    with temporary_folder() as folder, _quiet():
        quantize_dynamic(graph, folder / "graph.onnx", per_channel=True, weight_type=QuantType.QUInt8)
        model = ir.load(folder / "graph.onnx")
    model.graph.sort()  # the quantiser's order ignores what inner graphs (Scan) read
    return ir.to_proto(model)


def write_onnx(model: onnx.ModelProto, path: Path, exported: ExportedModel) -> None:
    """Write a file with metadata.

    Raises:
        ConfigError: the model is too large for one file.
    """
    model.producer_name, model.producer_version = "vidgan", vidgan.__version__
    onnx.helper.set_model_props(model, {PROPERTY: json.dumps(exported.to_json())})
    if (size := model.ByteSize()) > MAX_BYTES:
        raise ConfigError(f"{path}: the model has {size / 1e9:.1f} GB; accepted by ONNX are 2 GB in one file")
    onnx.checker.check_model(model)
    write_bytes(path, model.SerializeToString())


def read_onnx(path: Path) -> onnx.ModelProto:
    """The graph in a file."""
    model: onnx.ModelProto = onnx.load(path)
    return model


def _converted(program: ExportedProgram, inputs: Sequence[str], outputs: Sequence[str]) -> onnx.ModelProto:
    with _quiet():
        converted: Any = torch.onnx.export(
            program, dynamo=True, verbose=False, optimize=False, input_names=[*inputs], output_names=[*outputs]
        )
        _simplify(converted.model)
        for value, name in zip(converted.model.graph.outputs, outputs, strict=True):
            value.name = name  # a copy of an equal output got another name
    model: onnx.ModelProto = converted.model_proto
    assert [value.name for value in model.graph.input] == [*inputs]
    assert [value.name for value in model.graph.output] == [*outputs]
    return model


def _simplify(model: ir.Model) -> None:
    """Fold constants and merge equal nodes, in place.

    torch's own `optimize=True` matches a hundred patterns against every node. The step of a coarse-to-fine forecaster
    has 9000 nodes, and this took minutes; merging equal nodes first leaves 3200 within a second. ONNX Runtime fuses
    nodes when it opens a file.
    """
    ir.passes.Sequential(
        passes.InlinePass(),
        passes.IdentityEliminationPass(),
        passes.CommonSubexpressionEliminationPass(),
        passes.RemoveUnusedNodesPass(),
    )(model)
    fold_constants(model)
    ir.passes.Sequential(
        passes.RemoveUnusedNodesPass(),
        passes.RemoveUnusedFunctionsPass(),
        passes.RemoveUnusedOpsetsPass(),
        passes.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0),
        passes.LiftSubgraphInitializersToMainGraphPass(),
        passes.DeduplicateInitializersPass(),
        passes.CommonSubexpressionEliminationPass(),
        passes.OutputFixPass(),
        passes.NameFixPass(),
    )(model)


def _with_named_sizes(model: onnx.ModelProto, free: dict[str, dict[int, str]]) -> onnx.ModelProto:
    """The model with its variable sizes called "batch" (the first of each value), and as in `free`."""
    del model.graph.value_info[:]
    del model.metadata_props[:]
    for value in (*model.graph.input, *model.graph.output):
        for place, name in ({0: "batch"} | free.get(value.name, {})).items():
            value.type.tensor_type.shape.dim[place].dim_param = name
    for node in model.graph.node:
        del node.metadata_props[:]  # traces of this machine's source files
        node.doc_string = ""
    return model


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Hide the exporter's progress; errors are raised."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
