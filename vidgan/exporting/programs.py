"""Models as torch.export programs, with any number of clips and any length."""

from typing import Any

import torch
from torch import nn
from torch.export import Dim, ExportedProgram

from vidgan.errors import ConfigError
from vidgan.exporting.clip_renderer import ClipRenderer
from vidgan.exporting.forecast_step import Forecasting, ForecastStep, Observing

__all__ = ["forecast_programs", "render_program"]

MAX_BATCH, MAX_STEPS, MAX_WORDS = 4096, 1 << 20, 4096


def render_program(renderer: ClipRenderer) -> ExportedProgram:
    """The program of a MoCoGAN: codes -> clips.

    Raises:
        ConfigError: the model cannot be exported.
    """
    batch = Dim("batch", min=1, max=MAX_BATCH)
    lengths = {"motion": Dim("steps", min=3, max=MAX_STEPS), "tokens": Dim("words", min=1, max=MAX_WORDS)}
    free = {name: {0: batch} | ({1: lengths[name]} if name in lengths else {}) for name in renderer.input_names}
    return _exported(renderer, renderer.example(5, 11), (tuple(free.values()),))


def forecast_programs(step: ForecastStep) -> dict[str, ExportedProgram]:
    """The programs "observe" and "forecast" of a forecaster's step.

    Raises:
        ConfigError: the model cannot be exported.
    """
    batch = Dim("batch", min=1, max=MAX_BATCH)
    frame, *others = step.example(5)
    shapes: Any = ({0: batch}, tuple({0: batch} for _ in others))
    halves: dict[str, nn.Module] = {"observe": Observing(step), "forecast": Forecasting(step)}
    return {name: _exported(half, (frame, *others), shapes) for name, half in halves.items()}


def _exported(module: nn.Module, example: tuple[torch.Tensor, ...], shapes: Any) -> ExportedProgram:
    try:
        module.eval().requires_grad_(False)
        with torch.no_grad():
            module(*example)  # fills caches of constants; while tracing, they would be filled with traces
            return torch.export.export(module, example, dynamic_shapes=shapes)
    except Exception as error:  # whatever a part of the network raises under tracing
        reason = " ".join(str(error).split())[:300]
        raise ConfigError(
            f"this model cannot be exported ({type(error).__name__}: {reason}); own parts must be made of operations"
            " that torch.export follows, and must not depend on the number of clips or frames"
        ) from error
