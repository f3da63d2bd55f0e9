"""The page of a dissection: factors of each layer, matches with heat maps, effects, artefacts, layers."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from vidgan.evaluation.dissection.concepts import DEFINITIONS
from vidgan.evaluation.dissection.dissect import Dissection
from vidgan.evaluation.dissection.effects import Effect, insertion_places
from vidgan.evaluation.dissection.matching import INTERPRETABLE, Match, Matches
from vidgan.evaluation.dissection.observing import Observation, Subject
from vidgan.metrics.statistics import Estimate
from vidgan.metrics.units import Split
from vidgan.report.blocks import Block, Cell, KeyValues, Notes, Player, Section, Table, Text
from vidgan.report.charts import Bar, BarChart, LineChart
from vidgan.report.clips import grid_clips, player_clip
from vidgan.report.formatting import heading, short
from vidgan.tasks.synthesis.layers import PANELS, layer_panels
from vidgan.tasks.synthesis.units import Intervention, intervening
from vidgan.types import ByteClip

__all__ = ["dissection_sections"]

STRIP_CLIPS: Final = 2
STRIPS: Final = 8  # concepts with heat maps
HEAT_PANELS: Final = ("clip", "activity", "active part", "label")
STRONGEST: Final = 5  # units per factor in the table
DIM: Final = 0.3  # brightness of pixels where a unit is below its threshold


def dissection_sections(subject: Subject, result: Dissection) -> list[Section]:
    """The sections of the page."""
    sections = [_overview(result), _factors(result), _concepts(result)]
    if result.given is not None and result.given_evaluation is not None:
        blocks = [_match_table(result.given), *_strips(result.given, result.given_evaluation)]
        sections.append(Section("Given masks", blocks))
    sections.append(_effects(subject, result))
    sections.append(_artefacts(result))
    if result.masks:
        sections.append(_layers(subject, result))
    return sections


def _overview(result: Dissection) -> Section:
    settings = result.settings
    facts: dict[str, Cell] = {
        "Units": sum(result.layers.values()),
        "Layers": len(result.layers),
        "Clips per set": settings.get("clips"),
        "Frames per clip": settings.get("frames"),
        "Seed": (settings.get("seeds") or [None])[0],
    }
    text = (
        "A unit is one channel of a layer of the frame generator. Thresholds are chosen on one set of clips and"
        " scored on another. Effects are shown beside those of random units of the same layer, matches beside the best"
        " match of an untrained generator and the best match with the labels of other clips."
    )
    return Section("Overview", [KeyValues(facts), Text(text)])


def _factors(result: Dissection) -> Section:
    names = ("content", "motion", "interaction")
    rows = result.layer_shares()
    series = {name: [(n, row[column]) for n, row in enumerate(rows.values(), 1)] for column, name in enumerate(names)}
    chart = LineChart(
        series,
        "What the layers follow",
        x_label="layer, from the code to the frame",
        x_from_zero=False,
        y_label="mean share of the variance",
        y_range=(0.0, 1.0),
        caption="Two-way split over all pairs of content and motion codes; the three parts add up to the variance.",
    )
    means = {layer: split.shares().mean(axis=0) for layer, split in result.means.items()}
    table = Table(
        [
            "Layer",
            "Units",
            *(heading(name) for name in names),
            *(f"Mean: {name}" for name in names),
        ],
        [[layer, result.layers[layer], *row, *map(float, means[layer])] for layer, row in rows.items()],
        caption="Mean over the units of a layer. Every place of the map is a variable, so position counts."
        " Mean: the map's mean over space, which says how much of a thing there is and not where.",
    )
    strongest: list[list[Cell]] = [
        [f"{heading(name)}: {_unit(layer, unit)}", *map(float, shares)]
        for column, name in enumerate(names)
        for layer, unit, shares in _strongest(result.places, column)
    ]
    units = Table(
        ["Unit", *(heading(name) for name in names)],
        strongest,
        caption="The units with the largest share of each factor.",
    )
    return Section("Content or motion", [chart, table, units])


def _strongest(places: dict[str, Split], column: int) -> list[tuple[str, int, np.ndarray]]:
    units = [
        (layer, unit, shares)
        for layer, split in places.items()
        for unit, shares in enumerate(split.shares())
        if split.total[unit] > 0
    ]
    return sorted(units, key=lambda entry: -entry[2][column])[:STRONGEST]


def _concepts(result: Dissection) -> Section:
    matches = result.matches
    blocks: list[Block] = [_match_table(matches), *_strips(matches, result.evaluation)]
    if matches.left_out:
        rare = ", ".join(f"{name} ({share:.2%})" for name, share in matches.left_out.items())
        blocks.append(Text(f"Left out, because too few or nearly all pixels show them: {rare}."))
    blocks.append(Notes([f"{name}: {text}" for name, text in DEFINITIONS.items()], "How pixels are labelled"))
    return Section("Units and concepts", blocks)


def _match_table(matches: Matches) -> Table:
    rows: list[list[Cell]] = []
    for concept, share in matches.concepts.items():
        best = matches.ranked(concept)[0]
        nulls = [table[concept][0] for table in matches.nulls.values()]
        unit = _unit(best.layer, best.unit)
        rows.append([concept, share, unit, best.iou, best.iqr, *nulls, matches.above_nulls(concept)])
    return Table(
        [
            "Concept",
            "Share of pixels",
            "Best unit",
            "IoU",
            "Ratio",
            *(f"{heading(n)}" for n in matches.nulls),
            "Units above",
        ],
        rows,
        caption="Best unit by the selection clips; IoU and information quality ratio (mutual information over joint"
        " entropy) on other clips. The nulls are the best ratios of any unit. Units above: those above both nulls and"
        f" {INTERPRETABLE}.",
    )


def _strips(matches: Matches, seen: Observation) -> list[Block]:
    """Heat maps of the best units that are above both nulls."""
    best = [
        match for match in (matches.ranked(concept)[0] for concept in matches.concepts) if matches.is_above_nulls(match)
    ]
    best.sort(key=lambda match: -match.iqr)
    return [
        _heat_clips(seen, match, f"{match.concept}: {_unit(match.layer, match.unit)}, IoU {short(match.iou, 2)}.")
        for match in best[:STRIPS]
    ]


def _heat_clips(seen: Observation, match: Match, caption: str) -> Player:
    """The clips that show the concept most, with the activity of the unit."""
    labels = seen.labels[match.concept]
    rows = labels.float().mean(dim=(1, 2, 3)).topk(min(STRIP_CLIPS, len(labels))).indices
    frames = seen.clips[rows][:, seen.times].float() / 255  # (N, S, 3, H, W)
    size = frames.shape[-2:]
    maps = rearrange(seen.maps[match.layer][rows, :, match.unit], "n s h w -> (n s) 1 h w")
    maps = F.interpolate(maps, size=size, mode="bilinear", align_corners=False)
    maps = rearrange(maps, "(n s) 1 h w -> n s 1 h w", n=len(rows))
    low, high = maps.min(), maps.max()
    heat = _heat((maps - low) / (high - low).clamp(min=1e-6))
    active = torch.where(maps > match.threshold, frames, DIM * frames)
    label = torch.where(labels[rows][:, :, None], frames, DIM * frames)
    grey = frames.mean(dim=2, keepdim=True)
    panels = torch.stack([frames, 0.35 * grey + 0.65 * heat, active, label])  # (4, N, S, 3, H, W)
    clips = rearrange((255 * panels).round().byte(), "p n s c h w -> (n p) s c h w")
    return _grid(clips, [f"clip {row}" for row in rows.tolist()], HEAT_PANELS, caption)


def _heat(level: Tensor) -> Tensor:
    """Levels (..., 1, H, W) in [0, 1] -> colours (..., 3, H, W) from black over red and yellow to white."""
    return torch.cat([(3 * level).clamp(0, 1), (3 * level - 1).clamp(0, 1), (3 * level - 2).clamp(0, 1)], dim=-3)


def _effects(subject: Subject, result: Dissection) -> Section:
    if not result.effects:
        return Section("Effects", [Text("No concept has a unit above both nulls, so nothing was changed.")])
    rows: list[list[Cell]] = [
        [
            effect.concept,
            f"{effect.layer}: {', '.join(map(str, effect.units))}",
            effect.before,
            effect.ablated,
            _interval(effect.random_ablated),
            effect.effect,
            _interval(effect.random_effect),
            effect.elsewhere,
        ]
        for effect in result.effects
    ]
    header = [
        "Concept",
        "Units",
        "Share",
        "Without",
        "Without random",
        "Effect at place",
        "Random at place",
        "Elsewhere",
    ]
    table = Table(
        header,
        rows,
        caption="Share of pixels with the concept: as rendered, without the units, without as many random units of the"
        " layer. Effect at place: share with the units switched on in a rectangle minus share with them off there, read"
        " in this rectangle. Elsewhere: the same change outside it. Random: mean, lowest and highest.",
    )
    largest = sorted(result.effects, key=lambda effect: -abs(effect.before - effect.ablated))[:STRIPS]
    return Section("Effects", [table, *(_effect_clips(subject, result, effect) for effect in largest)])


def _effect_clips(subject: Subject, result: Dissection, effect: Effect) -> Player:
    """One clip as rendered and after three changes of the units."""
    inputs = result.effect_inputs.rows(slice(0, 1))
    grid = result.evaluation.maps[effect.layer].shape[-2:]
    places = insertion_places(len(result.effect_inputs), grid, subject.seed)[:1]
    changes: dict[str, list[Intervention]] = {
        "as rendered": [],
        "without the units": [Intervention(effect.layer, effect.units)],
        "without random units": [Intervention(effect.layer, effect.others)],
        "units on in a rectangle": [Intervention(effect.layer, effect.units, effect.levels, places)],
    }
    clips = []
    for label, change in changes.items():
        with intervening(subject.model, change):
            clips.append(player_clip(label, subject.render(inputs)[0]))
    return Player(clips, f"{effect.concept}: units {', '.join(map(str, effect.units))} of {effect.layer}.")


def _artefacts(result: Dissection) -> Section:
    found = result.artefacts
    number = sum(map(len, found.units.values()))
    bars: dict[str, Bar] = {
        "as trained": (found.before, None, None),
        f"without {number} artefact units": (found.without, None, None),
        f"without {number} random units": (
            found.without_random.mean or 0.0,
            found.without_random.low,
            found.without_random.high,
        ),
        "real": (found.floor, None, None),
    }
    chart = BarChart(
        bars,
        "Set distance of clips of fresh codes",
        subject=f"without {number} artefact units",
        reference="real",
        note="lower is better",
        caption="Fréchet distance of hand-made features to held-out clips (docs/metrics.md). Whiskers: lowest and"
        " highest over random sets with as many units in each layer.",
    )
    listed = "; ".join(f"{layer}: {', '.join(map(str, units))}" for layer, units in found.units.items())
    text = (
        "Artefact units are those whose activity is highest in broken clips relative to other clips. Broken clips are"
        f" the fifth of the generated clips that is furthest from every real clip. Removed: {listed}. Their removal is"
        f" better than that of {found.better_than:.0%} of the random sets."
    )
    return Section("Artefact units", [Text(text), chart])


def _layers(subject: Subject, result: Dissection) -> Section:
    table = Table(
        [
            "Reference",
            "Clips",
            "IoU of the mask",
            "IoU of its inverse",
            "Background subtraction",
            "Mask",
            "Reference mask",
        ],
        [
            [m.reference, m.clips, m.mask, m.inverted, m.baseline, m.coverage, m.reference_coverage]
            for m in result.masks
        ],
        caption="Generated clips. An inverse above the mask means that the layers are swapped. Mask and reference mask:"
        " share of the frame.",
    )
    layers = subject.layers(result.effect_inputs.rows(slice(0, 2)))
    return Section("Layers", [table, _grid(layer_panels(layers), ["clip 1", "clip 2"], PANELS, "Two clips.")])


def _grid(clips: ByteClip, rows: Sequence[str], columns: Sequence[str], caption: str) -> Player:
    return Player(grid_clips(clips, rows, columns), caption, rows=rows, columns=columns)


def _unit(layer: str, unit: int) -> str:
    return f"{layer} unit {unit}"


def _interval(estimate: Estimate) -> str:
    values = ["-" if value is None else short(value, 3) for value in (estimate.mean, estimate.low, estimate.high)]
    return f"{values[0]} [{values[1]}, {values[2]}]"
