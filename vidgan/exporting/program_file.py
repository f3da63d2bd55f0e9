"""Models as `.pt2` archives of torch.export programs, with the metadata."""

import json
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import numpy as np
import torch
from torch.export import ExportedProgram
from torch.export.pt2_archive._package import load_pt2, package_pt2

from vidgan.errors import PretrainedError
from vidgan.exporting.clip_renderer import ClipRenderer
from vidgan.exporting.forecast_step import forecast_step
from vidgan.exporting.metadata import PROPERTY, ExportedModel
from vidgan.exporting.onnx_file import CONDITION
from vidgan.exporting.programs import forecast_programs, render_program
from vidgan.exporting.runner import OnnxForecaster, OnnxGenerator
from vidgan.tasks.synthesis.mocogan import MoCoGAN

__all__ = ["open_programs", "programs_of", "write_programs"]

RENDER, OBSERVE, FORECAST = "render", "observe", "forecast"
_INPUTS: Final = "inputs"  # key of the names and shapes of the inputs in the metadata


def programs_of(model: Any) -> tuple[dict[str, ExportedProgram], list[str]]:
    """The programs of a model ("render", or "observe" and "forecast"), and the names of their inputs.

    Raises:
        ConfigError: the model cannot be exported.
    """
    if isinstance(model, MoCoGAN):
        renderer = ClipRenderer(model)
        return {RENDER: render_program(renderer)}, renderer.input_names
    step = forecast_step(model)
    return forecast_programs(step), step.input_names


def write_programs(
    programs: Mapping[str, ExportedProgram], names: list[str], path: Path, exported: ExportedModel
) -> None:
    """Write an archive.

    Args:
        programs, names: see `programs_of`.
        path: ends in .pt2.
        exported: metadata.
    """
    program = next(iter(programs.values()))
    placeholders = {node.name: node.meta["val"] for node in program.graph.nodes if node.op == "placeholder"}
    shapes = [[*map(_size, placeholders[name].shape)] for name in program.graph_signature.user_inputs]
    content = exported.to_json() | {_INPUTS: dict(zip(names, shapes, strict=True))}
    package_pt2(str(path), exported_programs=dict(programs), extra_files={PROPERTY: json.dumps(content)})


def _size(side: Any) -> int | str:
    return side if isinstance(side, int) else "free"


def open_programs(path: Path) -> OnnxGenerator | OnnxForecaster:
    """Open an archive with the interface of the ONNX reader; it needs torch.

    Raises:
        PretrainedError: not such an archive.
    """
    try:
        archive = load_pt2(str(path))
        content = json.loads(archive.extra_files[PROPERTY])
        shapes = content.pop(_INPUTS)
    except Exception as error:  # torch raises what its parser raises
        raise PretrainedError(f"{path}: no archive that vidgan exported ({type(error).__name__}: {error})") from None
    exported = ExportedModel.from_text(json.dumps(content), path)
    modules = {name: program.module() for name, program in archive.exported_programs.items()}
    session = _ProgramSession(modules, shapes)
    return OnnxGenerator(session, exported) if exported.kind == "clips" else OnnxForecaster(session, exported)


class _ProgramSession:
    """Programs with the two methods of a session of ONNX Runtime that the readers use."""

    def __init__(self, modules: Mapping[str, Any], shapes: Mapping[str, list[int | str]]) -> None:
        self._modules, self._shapes = modules, shapes

    def get_inputs(self) -> list[SimpleNamespace]:
        """Names and shapes of the inputs."""
        return [SimpleNamespace(name=name, shape=shape) for name, shape in self._shapes.items()]

    def run(self, outputs: None, inputs: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        """The results for arrays by name."""
        half = RENDER
        if CONDITION in inputs:
            half = OBSERVE if inputs[CONDITION] else FORECAST
        arguments = [torch.from_numpy(np.ascontiguousarray(inputs[name])) for name in self._shapes]
        with torch.no_grad():
            results = self._modules[half](*arguments)
        return [value.numpy() for value in ((results,) if isinstance(results, torch.Tensor) else results)]
