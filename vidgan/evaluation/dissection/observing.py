"""Running a model on fixed codes and reading its units: what every part of a dissection starts from."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from vidgan.errors import ConfigError
from vidgan.evaluation.dissection.concepts import label_clips
from vidgan.seeding import derive_seed
from vidgan.tasks.synthesis.layers import Layers
from vidgan.tasks.synthesis.units import recording
from vidgan.types import ByteClip, Latents

__all__ = ["GRID", "MASK", "Inputs", "Observation", "Rule", "Subject", "observe"]

GRID: Final = 32  # largest side at which maps and labels are compared, pixels
BATCH: Final = 8  # clips rendered at once
FRAMES: Final = 4  # frames of each clip whose maps are kept

MASK: Final = "mask"  # the concept that a layered model draws itself

Rule: TypeAlias = Callable[[ByteClip], Tensor]
"""Clips (B, T, 3, H, W) uint8 -> (B, T, H, W) bool, the pixels that show a concept."""


@dataclass(frozen=True)
class Inputs:
    """What determines B clips."""

    latents: Latents
    first_frame: Tensor | None = None  # (B, 3, H, W) uint8, of an image-to-video model

    def __len__(self) -> int:
        return len(self.latents.content)

    def rows(self, chosen: Any) -> "Inputs":
        """Those of some clips."""
        first = None if self.first_frame is None else self.first_frame[chosen]
        return Inputs(Latents(*(part[chosen] for part in self.latents)), first)


@dataclass(frozen=True)
class Subject:
    """The model that is dissected, the length of its clips, real clips, and the user's own rules for concepts."""

    model: Any
    frames: int
    real: ByteClip  # (N, T, 3, H, W)
    seed: int
    rules: Mapping[str, Rule] = field(default_factory=dict)

    def draw(self, clips: int, purpose: str) -> Inputs:
        """Fresh inputs; each purpose has its own."""
        latents = self.model.latents(clips, self.frames, seed=derive_seed("dissect", self.seed, purpose))
        return self.continuing(latents)

    def continuing(self, latents: Latents) -> Inputs:
        """Latents, with first frames of real clips for an image-to-video model."""
        if not self.model.needs_first_frame:
            return Inputs(latents)
        rows = torch.arange(len(latents.content)) % len(self.real)
        return Inputs(latents, self.real[rows, 0])

    def render(self, inputs: Inputs, batch_size: int = BATCH) -> ByteClip:
        """(B, T, 3, H, W) uint8."""
        clips: ByteClip = self.model.render(inputs.latents, first_frame=inputs.first_frame, batch_size=batch_size)
        return clips

    def layers(self, inputs: Inputs) -> Layers:
        """The layers of a layered model's clips."""
        layers: Layers = self.model.render_layers(inputs.latents, first_frame=inputs.first_frame, batch_size=BATCH)
        return layers

    def segmentation(self, inputs: Inputs) -> Tensor:
        """The masks of a layered model's clips, without keeping all layers: (B, T, H, W) bool."""
        batches = (inputs.rows(slice(start, start + BATCH)) for start in range(0, len(inputs), BATCH))
        return torch.cat([self.layers(batch).segmentation() for batch in batches])

    def label(self, inputs: Inputs, clips: ByteClip, concepts: Sequence[str] | None = None) -> dict[str, Tensor]:
        """The pixels of rendered clips that show each concept, or some of them: name -> (B, T, H, W) bool.

        Raises:
            ConfigError: a rule returns something else.
        """
        rules = [name for name in self.rules if concepts is None or name in concepts]
        others = None if concepts is None else [name for name in concepts if name not in (*rules, MASK)]
        labels = label_clips(clips, others)
        for name in rules:
            labels[name] = self.rules[name](clips)
            if labels[name].dtype != torch.bool or labels[name].shape != (*clips.shape[:2], *clips.shape[3:]):
                raise ConfigError(
                    f"concept {name!r}: its rule returned {labels[name].dtype} {tuple(labels[name].shape)}; accepted is"
                    f" bool {(*clips.shape[:2], *clips.shape[3:])}, (clips, frames, height, width)"
                )
        if self.model.is_layered and (concepts is None or MASK in concepts):
            labels[MASK] = self.segmentation(inputs)
        return labels


@dataclass(frozen=True)
class Observation:
    """Clips, their labels and the units' maps at some frames of each."""

    clips: ByteClip  # (B, T, 3, H, W)
    times: Tensor  # (S,) frames whose maps and labels are kept
    maps: dict[str, Tensor]  # layer -> (B, S, C, h, w)
    labels: dict[str, Tensor]  # concept -> (B, S, H, W) bool

    @property
    def grid(self) -> tuple[int, int]:
        """The size at which maps and labels are compared."""
        height, width = self.clips.shape[-2:]
        factor = max(1, max(height, width) // GRID)
        return height // factor, width // factor

    def values(self, layer: str) -> Tensor:
        """Activations of a layer on the grid: (C, B * S * h * w)."""
        maps = rearrange(self.maps[layer], "b s c h w -> (b s) c h w")
        maps = F.interpolate(maps, size=self.grid, mode="bilinear", align_corners=False)
        return rearrange(maps, "n c h w -> c (n h w)").contiguous()

    def marks(self, concepts: tuple[str, ...], *, rolled: int = 0) -> Tensor:
        """Labels on the grid, (B * S * h * w, Q) bool; a cell shows a concept if half of its pixels do.

        Args:
            rolled: number of clips by which labels are moved on, so that they belong to other clips.
        """
        columns = []
        for name in concepts:
            label = rearrange(self.labels[name].roll(rolled, dims=0), "b s h w -> (b s) 1 h w").float()
            columns.append((F.adaptive_avg_pool2d(label, self.grid) >= 0.5).flatten())
        return torch.stack(columns, dim=1)


def observe(subject: Subject, inputs: Inputs, labels: Mapping[str, Tensor] | None = None) -> Observation:
    """Render clips, label them and keep the maps of `FRAMES` frames of each.

    Args:
        labels: (B, T, H, W) bool, instead of the concepts that `Subject.label` finds.

    Raises:
        ConfigError: no layer gave maps.
    """
    times = torch.linspace(1, subject.frames - 1, min(FRAMES, subject.frames - 1)).round().long()
    clips, parts = [], []
    for start in range(0, len(inputs), BATCH):
        batch = inputs.rows(slice(start, start + BATCH))
        with recording(subject.model) as maps:
            rendered = subject.render(batch)
        clips.append(rendered)
        parts.append({name: _at(maps[name], len(rendered), times) for name in maps})
    layers = [name for name, part in parts[0].items() if part.dim() == 5]
    if not layers:
        raise ConfigError("model.frame: none of its layers gave maps; name those that do in an attribute unit_layers")
    whole = torch.cat(clips)
    if labels is None:
        labels = subject.label(inputs, whole)
    return Observation(
        clips=whole,
        times=times,
        maps={name: torch.cat([part[name] for part in parts]) for name in layers},
        labels={name: label[:, times] for name, label in labels.items()},
    )


def _at(maps: Tensor, clips: int, times: Tensor) -> Tensor:
    return rearrange(maps, "(b t) c ... -> b t c ...", b=clips)[:, times].clone()
