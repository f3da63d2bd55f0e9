"""What every measure of sets of clips can see: real clips against other real, and against damaged, real clips.

    python tools/sensitivity.py DATA... --out docs/results/sensitivity.json --page docs/sensitivity.md
    python tools/sensitivity.py --table docs/results/sensitivity.json --page docs/sensitivity.md

Each DATA is a prepared data set. Its clips are divided in two halves without a common source. Sets of n clips of the
second half, as they are and damaged, are compared with n clips of the first, in several random draws. A measure sees a
damage if its value lies beyond the floor (the other real clips) in every draw, in the direction that it calls worse; a
number without a direction counts by its distance from the value of the reference. Measures of fetched networks are
included where `vidgan weights fetch` has put them into the cache. The result is kept after each data set, and what
it holds of other data sets and numbers stays. The page is written from the JSON alone.
"""

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange

from vidgan.evaluation.networks import APPEARANCE, SMOOTHNESS, set_networks
from vidgan.evaluation.sensitivity import NOT_SEEING, REWARDING
from vidgan.evaluation.set_scores import (
    MeasuredSet,
    background_level,
    clip_values,
    compare_sets,
    halves,
    measure_set,
)
from vidgan.evaluation.settings import ALL
from vidgan.evaluation.windows import WindowSet
from vidgan.files import read_json, write_text
from vidgan.metrics.clip_statistics import CONTROLS
from vidgan.metrics.features import FeatureNet
from vidgan.metrics.motion_histograms import DISTANCES
from vidgan.pixels import to_byte, to_float
from vidgan.pretrained.cache import fetched_path
from vidgan.seeding import derive_seed, generator
from vidgan.types import ByteClip
from vidgan.video.optical_flow import default_method, estimate_flow

REFERENCE, OTHER, COPIED = "reference", "other real", "copied"
LOWER = ("motion_histogram", "frechet_inhouse", *DISTANCES)  # measures without a network of which lower is better
FEWEST_PIXELS = 3  # largest displacement of a jittered frame, in pixels
HUE = 60.0  # degrees
DIGITS = 6  # of a value in the result
MARGIN = 1.5  # clips on each side for one drawn, so that draws differ


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="*", help="prepared data sets")
    parser.add_argument("--clips", default="32,128,512", help="numbers of clips in each set")
    parser.add_argument("--network-clips", type=int, default=192, help="most clips of each half that networks read")
    parser.add_argument("--frames", type=int, default=8)
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--table", type=Path, help="write the page of this result, and measure nothing")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--page", type=Path, help="the table as Markdown")
    options = parser.parse_args(arguments)
    if options.table is not None:
        result = read_json(options.table)
    else:
        if not options.data:
            parser.error("DATA or --table is required")
        numbers = [int(number) for number in options.clips.split(",")]
        result = {"frames": options.frames, "draws": options.draws, "flow": default_method(), "data": {}}
        if options.out is not None and options.out.exists():
            result["data"] = read_json(options.out)["data"]
        for root in options.data:
            entry = measure_data(
                root,
                numbers,
                frames=options.frames,
                draws=options.draws,
                seed=options.seed,
                network_clips=options.network_clips,
            )
            earlier = result["data"].get(root.name, {"values": {}, "clips": {}, "better": {}})
            for part in ("values", "clips"):
                joined = earlier[part] | entry[part]
                entry[part] = {number: joined[number] for number in sorted(joined, key=int)}
            entry["better"] |= earlier["better"]
            result["data"][root.name] = entry
            if options.out is not None:
                write_text(options.out, json.dumps(result, indent=1) + "\n")
    text = page(result)
    if options.page is not None:
        write_text(options.page, text)
    blind, rewarded = marks(result)
    print(f"blind: {blind}\nrewarded: {rewarded}")
    return 0


@dataclass(frozen=True)
class Sides:
    """Real clips of two halves of a data set without a common source, (N, 2T-1, 3, H, W); T frames of each are used."""

    reference: ByteClip
    other: ByteClip


def read_sides(root: Path, frames: int, most: float, seed: int) -> Sides:
    """At most `most` clips on each side, of every second frame, so that half speed is the frames between."""
    windows = WindowSet(root, 2 * frames - 1, split=ALL, shifted=True, seed=seed)
    groups = [window.entry.group for window in windows.windows]
    first, second = halves(groups, np.random.default_rng(derive_seed("sensitivity", seed)))
    number = min(len(first), len(second), round(most))
    return Sides(*(windows.read_all([windows.windows[row] for row in rows[:number]]) for rows in (first, second)))


def damages(sides: Sides) -> dict[str, Callable[[], ByteClip]]:
    """Name -> the clips of the second side with that damage; those of the first side are copied."""
    clips = sides.other[:, ::2]
    half = clips.shape[1] // 2
    return {
        OTHER: lambda: clips,
        **{name: partial(damage, clips) for name, damage in CONTROLS.items()},
        "jittered": lambda: jitter(clips),
        "half speed": lambda: sides.other[:, : clips.shape[1]],
        "looped": lambda: clips[:, :half].repeat(1, 2, 1, 1, 1),
        "hue-shifted": lambda: shift_hue(clips),
        COPIED: lambda: sides.reference[:, ::2],
    }


def jitter(clips: ByteClip) -> ByteClip:
    """Move every frame by up to `FEWEST_PIXELS` pixels to each side at random, the border repeated."""
    pad = FEWEST_PIXELS
    height, width = clips.shape[-2:]
    padded = F.pad(rearrange(clips, "n t c h w -> (n t) c h w").float(), [pad] * 4, mode="replicate").to(torch.uint8)
    moves = torch.randint(0, 2 * pad + 1, (len(padded), 2), generator=generator("jittered", 0))
    moved = [frame[:, y : y + height, x : x + width] for frame, (y, x) in zip(padded, moves.tolist(), strict=True)]
    return torch.stack(moved).reshape(clips.shape)


def shift_hue(clips: ByteClip) -> ByteClip:
    """Turn every colour by `HUE` degrees about the grey axis of the RGB cube."""
    angle = np.deg2rad(HUE)
    cosine, sine = np.cos(angle), np.sin(angle)
    turn = np.full((3, 3), (1 - cosine) / 3) + cosine * np.eye(3)
    turn += sine / np.sqrt(3) * np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]])
    return to_byte(torch.einsum("dc,ntchw->ntdhw", torch.from_numpy(turn).float(), to_float(clips)).clamp(-1, 1))


def measure_data(
    root: Path, numbers: Sequence[int], *, frames: int, draws: int, seed: int, network_clips: int
) -> dict[str, Any]:
    """The measures of all sets of one data set.

    Returns:
        `values`: number -> measure -> set -> one value per draw; `clips`: number -> clips on each side that the draws
        are taken from; the size of a frame and the direction of each measure.
    """
    sides = read_sides(root, frames, MARGIN * max(numbers), seed)
    available = len(sides.reference)
    chosen = [number for number in numbers if MARGIN * number <= available]
    if not chosen:
        raise SystemExit(f"{root}: {available} clips on each side; at least {MARGIN * min(numbers):.0f} are needed")
    background = background_level(sides.reference)
    flow = partial(estimate_flow, method=default_method())
    few = Sides(sides.reference[:network_clips], sides.other[:network_clips])
    nets = fetched_networks()
    runs: list[tuple[Sides, Mapping[str, FeatureNet], list[int]]] = [
        (few, nets, [number for number in chosen if MARGIN * number <= network_clips]),
        (sides, {}, [number for number in chosen if MARGIN * number > network_clips]),
    ]
    values: dict[str, dict[str, dict[str, list[float]]]] = {}
    better: dict[str, str] = dict.fromkeys(LOWER, "lower")
    for clips, networks, wanted in runs:
        if not wanted:
            continue
        measure = partial(measure_set, background=background, flow=flow, nets=networks)
        reference = measure(clips.reference[:, ::2])
        sets: dict[str, MeasuredSet] = {}
        for name, damaged in damages(clips).items():
            print(f"{root.name}: {len(clips.other)} clips, {name}", file=sys.stderr, flush=True)
            sets[name] = reference if name == COPIED else measure(damaged())
        for net in networks.values():
            better |= dict.fromkeys(net.distances or (), "lower") | dict(net.of_sets.better if net.of_sets else {})
        for number in wanted:
            table = values.setdefault(str(number), {})
            for draw in range(draws):
                random = np.random.default_rng(derive_seed("sensitivity draw", seed, number, draw))
                first, second = (random.permutation(len(clips.other))[:number] for _ in range(2))
                for key, name, value in compare_all(reference[first], sets, first, second, networks):
                    table.setdefault(key, {}).setdefault(name, []).append(float(f"{value:.{DIGITS}g}"))
    few_clips = len(few.reference)
    sizes = {str(number): few_clips if MARGIN * number <= network_clips else available for number in chosen}
    return {"clips": sizes, "size": list(sides.other.shape[-2:]), "better": better, "values": values}


def fetched_networks() -> dict[str, FeatureNet]:
    """The networks whose weights are in the cache. (Faces are left out: the data sets show few.)"""
    paths = {name: fetched_path(name) for name in (APPEARANCE, SMOOTHNESS)}
    return set_networks({name: path for name, path in paths.items() if path is not None}, torch.device("cpu"))


def compare_all(
    reference: MeasuredSet,
    sets: Mapping[str, MeasuredSet],
    first: np.ndarray,
    second: np.ndarray,
    networks: Mapping[str, FeatureNet],
) -> list[tuple[str, str, float]]:
    """(measure, set, value) of all sets; copies are the clips of the reference itself."""
    spread = reference.description.features.std(axis=0)
    rows = [(key, REFERENCE, float(column.mean())) for key, column in clip_values(reference, networks).items()]
    for name, whole in sets.items():
        drawn = whole[first if name == COPIED else second]
        compared = compare_sets(drawn, reference=reference, known=None, spread=spread, nets=networks)
        single = {key: float(column.mean()) for key, column in clip_values(drawn, networks).items()}
        rows += [(key, name, value) for key, value in (compared | single).items()]
    return rows


def verdict(values: Mapping[str, Sequence[float]], damage: str, better: str | None) -> str:
    """Whether a measure sees a damage.

    Returns:
        "yes": worse than every floor in every draw; "better": better than every floor in every draw, so that the damage
        is rewarded; "no" otherwise.
    """
    floor, found = (badness(values, name, better) for name in (OTHER, damage))
    if min(found) > max(floor):
        return "yes"
    return "better" if better is not None and max(found) < min(floor) else "no"


def badness(values: Mapping[str, Sequence[float]], name: str, better: str | None) -> np.ndarray:
    """One number per draw, larger is worse.

    Without a direction it is the distance from the value of the reference. A number that has none there, because it
    compares sets, counts by its distance from that of the other real clips, whose floor is its range over the draws.
    """
    row, other = np.array(values[name]), np.array(values[OTHER])
    if better is not None:
        return row if better == "lower" else 1 - row
    if REFERENCE in values:
        return np.abs(row - np.array(values[REFERENCE]))
    return np.full(len(row), np.ptp(other)) if name == OTHER else np.abs(row - other)


def first_number(entry: Mapping[str, Any], measure: str, damage: str) -> str:
    """Cell of the page: the number of clips from which on the measure sees the damage in every larger set as well.

    "-" if it does not in the largest sets, "!" if it calls the damage better than real clips there, empty if the
    measure was not taken.
    """
    numbers = [number for number, table in entry["values"].items() if measure in table]
    if not numbers or damage not in entry["values"][numbers[-1]][measure]:
        return ""
    cell = "-"
    for number in reversed(numbers):
        seen = verdict(entry["values"][number][measure], damage, entry["better"].get(measure))
        if seen != "yes":
            return "!" if cell == "-" and seen == "better" else cell
        cell = number
    return cell


def summary(result: Mapping[str, Any]) -> dict[str, dict[str, int]]:
    """Measure -> damage -> number of data sets in which the measure sees it in the largest sets."""
    counts: dict[str, dict[str, int]] = {}
    for entry in result["data"].values():
        for measure, damage in cells(entry):
            seen = first_number(entry, measure, damage) not in ("", "-", "!")
            counts.setdefault(measure, {}).setdefault(damage, 0)
            counts[measure][damage] += seen
    return counts


def marks(result: Mapping[str, Any]) -> tuple[list[str], dict[str, list[str]]]:
    """What `vidgan.evaluation.sensitivity` holds.

    Returns:
        The measures that see no damage (for measures of copying, not even a copy) in more than half of the data sets;
        and measure -> damages that it calls better than other real clips in a data set, copies left out.
    """
    half = len(result["data"]) / 2
    blind = [measure for measure, row in summary(result).items() if max(row.values()) <= half]
    rewarded: dict[str, list[str]] = {}
    for entry in result["data"].values():
        for measure, damage in cells(entry):
            names = rewarded.setdefault(measure, [])
            if damage != COPIED and damage not in names and first_number(entry, measure, damage) == "!":
                names.append(damage)
    return blind, {measure: sorted(names) for measure, names in rewarded.items() if names}


def cells(entry: Mapping[str, Any]) -> list[tuple[str, str]]:
    """All pairs of measure and damage of a data set."""
    tables = list(entry["values"].values())
    measures = list(dict.fromkeys(measure for table in tables for measure in table))
    damaged = [name for name in next(iter(tables[0].values())) if name not in (REFERENCE, OTHER)]
    return [(measure, damage) for measure in measures for damage in damaged]


def page(result: Mapping[str, Any]) -> str:
    """The page of the docs, from the JSON alone."""
    counts = summary(result)
    columns = list(next(iter(counts.values())))
    blind, rewarded = marks(result)

    def marked(measure: str) -> str:
        return f"`{measure}`{NOT_SEEING * (measure in blind)}{REWARDING * (measure in rewarded)}"

    parts = [
        INTRODUCTION.format(frames=result["frames"], draws=result["draws"], flow=result["flow"]),
        f"## In how many of {len(result['data'])} data sets\n",
        _table(
            columns,
            [(marked(measure), [str(row.get(name, "")) for name in columns]) for measure, row in counts.items()],
        ),
    ]
    if unseen := [name for name in columns if not any(row.get(name) for row in counts.values())]:
        parts.append(f"\n**No measure sees** {', '.join(unseen)} clips.")
    if rewarded:
        named = "; ".join(f"`{measure}`: {', '.join(names)}" for measure, names in rewarded.items())
        parts.append(f"\n{REWARDING} **calls damaged clips better than real ones** in a data set: {named}.")
    for name, entry in result["data"].items():
        parts += [
            f"\n## {name}\n",
            f"{_sizes(entry)}\n",
            _table(
                columns,
                [(marked(measure), [first_number(entry, measure, damage) for damage in columns]) for measure in counts],
            ),
        ]
    return "\n".join(parts) + "\n"


INTRODUCTION = """# What the set measures can see

Made by `python tools/sensitivity.py` from `docs/results/sensitivity.json`; do not edit.

Clips of {frames} frames, every second stored one, at equal numbers n on both sides. The reference and the other clips
share no source. {draws} random draws for each n. Optical flow: {flow}. The data sets *actions*, *natural* and *sky* are
prepared as in the [recipes](guide_recipes.md), at 64x64; *shapes* are moving shapes that vidgan renders (seed 5).

- **A number** is the smallest tested n from which on the measure sees the damage: worse than other real clips in every
  draw, and for every larger n.
- **-**: not seen at the largest n. **!**: called better than other real clips in every draw.
- Measures without a direction count by their distance from the value of the reference.
- **†** after a measure: it sees no damage in more than half of the data sets. **‡**: in a data set it calls a damage
  better than real clips, at the largest n tested there. Every table of vidgan that shows such a measure marks it.

Damages: *frozen* repeats the first frame. *Shuffled* and *reversed* change the order. *Blurred* averages 5x5 pixels.
*Jittered* moves every frame by up to 3 pixels at random. *Half speed* takes every stored frame instead of every second.
*Looped* plays the first half twice. *Hue-shifted* turns every colour by 60 degrees, which leaves grey clips as they
are. *Copied* are the reference clips themselves, which only a measure of copying should call worse.

A measure that does not see a damage says nothing about it, however good the number. What is not seen among 32 clips may
be seen among more, as on shapes, where sets have up to 512: the table holds for the tested numbers.
"""


def _sizes(entry: Mapping[str, Any]) -> str:
    """Which numbers of clips were compared, and how many there were to draw from."""
    drawn: dict[int, list[str]] = {}
    for number, available in entry["clips"].items():
        drawn.setdefault(available, []).append(number)
    sets = "; ".join(f"sets of {', '.join(numbers)} from {available} clips" for available, numbers in drawn.items())
    read = [number for number, table in entry["values"].items() if "appearance_frechet" in table]
    networks = f". Networks only in sets of {', '.join(read)}" if read and len(read) < len(entry["values"]) else ""
    return f"Frames of {'x'.join(map(str, entry['size']))}; {sets} on each side{networks}."


def _table(columns: Sequence[str], rows: Sequence[tuple[str, Sequence[str]]]) -> str:
    lines = [f"| measure | {' | '.join(columns)} |", f"|---|{'---|' * len(columns)}"]
    lines += [f"| {name} | {' | '.join(values)} |" for name, values in rows if any(values)]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
