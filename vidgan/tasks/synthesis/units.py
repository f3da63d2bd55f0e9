"""Reading and changing the units of MoCoGAN's frame generator.

A unit is one channel of a layer's output. Which layers: those that the frame generator names in `unit_layers`, or every
convolution but the last of a generator that names none (a user's own).
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

__all__ = ["Intervention", "UnitError", "intervening", "parse_units", "recording", "unit_layers", "without_units"]


class UnitError(ValueError):
    """There is no such layer or unit."""


@dataclass(frozen=True)
class Intervention:
    """A change of units: x' = (1 - a) x + a v, with a = 1 at the chosen units and places and 0 elsewhere.

    Attributes:
        layer: name of the layer.
        units: numbers of its channels.
        values: v of each of `units`; None: 0 (ablation).
        places: (B, h, w) bool on the layer's grid, where each clip is changed; None: everywhere.
    """

    layer: str
    units: Sequence[int]
    values: Sequence[float] | None = None
    places: Tensor | None = None


def unit_layers(model: Any) -> dict[str, nn.Module]:
    """The layers of a MoCoGAN's frame generator by name, from input to output.

    Raises:
        ValueError: the frame generator has no convolution before its last one.
    """
    frame = model.frame
    named = dict(frame.named_modules())
    lists = getattr(frame, "unit_layers", None)
    if lists is not None:
        return {f"{name}.{n}": layer for name in lists for n, layer in enumerate(named[name].children())}
    convolutions = (nn.Conv2d, nn.ConvTranspose2d)
    layers: dict[str, nn.Module] = {name: layer for name, layer in named.items() if isinstance(layer, convolutions)}
    if len(layers) < 2:
        raise ValueError(
            f"{type(frame).__name__} has {len(layers)} convolutions; units are read from all but the last. Name other"
            " layers in an attribute `unit_layers`, a tuple of names of torch.nn.ModuleList"
        )
    layers.popitem()
    return layers


@contextmanager
def recording(model: Any) -> Iterator[dict[str, Tensor]]:
    """Record the layers' outputs inside: name -> (B * S, C, h, w) float32 of the latest call, on the CPU."""
    recorded: dict[str, Tensor] = {}

    def record(name: str) -> Any:
        def hook(_: nn.Module, __: Any, output: Tensor) -> None:
            recorded[name] = output.detach().float().cpu()

        return hook

    handles = [layer.register_forward_hook(record(name)) for name, layer in unit_layers(model).items()]
    try:
        yield recorded
    finally:
        _remove(handles)


@contextmanager
def intervening(model: Any, interventions: Sequence[Intervention]) -> Iterator[None]:
    """Apply interventions to whatever the model renders inside; the model is unchanged afterwards.

    Interventions with `places` need the clips of one call to be as many as the places.

    Raises:
        UnitError: no such layer or unit.
    """
    layers = unit_layers(model)
    handles = []
    try:
        for change in interventions:
            if change.layer not in layers:
                raise UnitError(f"there is no layer {change.layer!r}; accepted: {', '.join(layers)}")
            handles.append(layers[change.layer].register_forward_hook(_changer(change)))
        yield
    finally:
        _remove(handles)


def _changer(change: Intervention) -> Any:
    units = torch.tensor(list(change.units), dtype=torch.int64)

    def hook(_: nn.Module, __: Any, output: Tensor) -> Tensor:
        if len(units) and not 0 <= int(units.min()) <= int(units.max()) < output.shape[1]:
            raise UnitError(
                f"layer {change.layer}: units {list(change.units)} are not all among 0 to {output.shape[1] - 1}"
            )
        values = output.new_zeros(len(units)) if change.values is None else output.new_tensor(list(change.values))
        chosen = units.to(output.device)
        inserted = values[None, :, None, None].expand(len(output), -1, *output.shape[2:])
        if change.places is not None:
            places = change.places.to(output.device).repeat_interleave(len(output) // len(change.places), dim=0)
            inserted = torch.where(places[:, None], inserted, output[:, chosen])
        return output.index_copy(1, chosen, inserted)

    return hook


def without_units(model: Any, units: Mapping[str, Sequence[int]]) -> Any:
    """Context in which `model` renders without units (set to 0), given as layer -> channels.

    Example: `with without_units(model, {"layers.2": [5, 9]}): clips = model.render(latents)`.
    """
    return intervening(model, [Intervention(layer, chosen) for layer, chosen in units.items()])


def parse_units(texts: Sequence[str]) -> dict[str, list[int]]:
    """Read `layers.2:5,9` (layer, colon, channels) as {"layers.2": [5, 9]}.

    Raises:
        UnitError: a text of another form.
    """
    units: dict[str, list[int]] = {}
    for text in texts:
        layer, colon, numbers = text.rpartition(":")
        parts = numbers.split(",")
        if not colon or not layer or not all(part.isdecimal() for part in parts):
            raise UnitError(f"units {text!r}: accepted is LAYER:UNIT,UNIT such as layers.2:5,9")
        units.setdefault(layer, []).extend(int(part) for part in parts)
    return units


def _remove(handles: Sequence[RemovableHandle]) -> None:
    for handle in handles:
        handle.remove()
