"""What a result speaks of as pictures that play: the model is run again.

Of forecasts the best, median and worst windows, of generated clips those that are nearest to training clips.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from vidgan.data.augmentation import check_window
from vidgan.data.store.index import Index, load_index
from vidgan.data.store.storage import open_store
from vidgan.errors import DataError
from vidgan.evaluation.models import CHECKPOINTS, TrainedModel, load_model
from vidgan.evaluation.nearest_clips import nearest_pairs
from vidgan.evaluation.predictors import forecast_any_size, join_forecasts
from vidgan.evaluation.windows import read_window
from vidgan.report import Animation, Block, Text
from vidgan.runs import run_config
from vidgan.tasks.forecasting.prediction import Forecaster
from vidgan.tasks.pictures import forecast_animation, forecast_rows
from vidgan.types import ByteClip, Forecast
from vidgan.video.encode import webp_bytes

SHOWN = {"truth": "truth", "forecast P": "forecast", "error of P (x3)": "error x3", "flow f": "flow"}  # row -> column
EXPLAINED = (
    "The best, median and worst window, by the forecast's {metric}. Truth and forecast play the last frames of their"
    " context first; the error is three times as bright, the flow's hue is its direction."
)
FPS = 4.0
LEAST_WIDTH = 96  # pixels across, to which smaller frames are enlarged
NEAREST_FPS = 8.0
NEAREST_WIDTH = 128  # pixels across, to which smaller frames are enlarged
NEAREST = (
    "Is it copied? The generated clips that are nearest to a training clip, each beside that clip (the nearest first,"
    " of {clips}). Relative: distance over the mean distance of held-out real clips to the training clips; far below 1"
    " is a copy."
)
MISSING = "The pictures of this result are not shown"


class Cases:
    """Pictures of a run's results. What was drawn for a result is kept until its file changes.

    Args:
        run: the training run.
        data: prepared data that results may have been scored on, beside the run's own.
    """

    def __init__(self, run: Path, *, data: Sequence[Path] = ()) -> None:
        self.run, self.data = run, data
        self.used: set[Path] = set()  # those of `data` that a result was scored on
        self._drawn: dict[tuple[str, int], list[Block]] = {}

    def pictures(self) -> dict[str, list[Block]]:
        """Name of the result's file -> an animation a case, or why there is none."""
        found = {}
        for path in sorted((self.run / "scores").glob("*.json")):
            key = path.name, path.stat().st_mtime_ns
            if key not in self._drawn:
                try:
                    self._drawn[key] = self._of(path)
                except (LookupError, TypeError, AttributeError) as error:
                    self._drawn[key] = [Text(f"{MISSING}: the result is incomplete ({error!r}).")]
                except (OSError, ValueError) as error:
                    self._drawn[key] = [Text(f"{MISSING}: {error}.")]
            found[path.name] = self._drawn[key]
        return found

    def _of(self, path: Path) -> list[Block]:
        result = json.loads(path.read_text(encoding="utf-8")).get("result", {})
        told = result.get("provenance", {})
        if "nearest" in told:
            root, _ = self._prepared(result["fingerprint"], told["data"]["root"])
            return nearest_blocks(replace(self._subject(told["weights"]), data=root), told["nearest"])
        if result.get("kind") != "forecast":
            return []
        frames = result["provenance"].get("case_frames")  # a result without provenance is incomplete
        if frames is None:
            raise ValueError("the result does not say which frames they are; evaluate again")
        root, index = self._prepared(result["fingerprint"], told["data"]["root"])
        subject = self._subject(told["weights"])
        store = open_store(root, index)
        height, width = result["frame_size"]
        size = check_window((height, width), index.size, root)
        entries = {entry.source: entry for entry in index.clips}
        blocks: list[Block] = [Text(EXPLAINED.format(metric=case["metric"])) for case in result["cases"][:1]]
        for case in result["cases"]:
            entry = entries[case["id"].rpartition(":")[0]]
            clip = read_window(store, entry, frames[case["id"]], size)  # (T+K, 3, H, W)
            blocks.append(self._picture(subject, clip, case, result, growing=told["growing"]))
        return blocks

    def _subject(self, weights: Mapping[str, str]) -> TrainedModel:
        """The model whose files have these hashes."""
        checkpoints = [self.run / CHECKPOINTS / name.partition("/")[0] for name in weights]
        for path in (self.run, self.run / "best", *checkpoints):
            if path.is_dir():
                try:
                    subject = load_model(path)
                except (OSError, ValueError):
                    continue  # a model that cannot be loaded is none that was scored
                if subject.weights == weights:
                    return subject
        raise ValueError("the weights that were scored are no longer in the run; evaluate again")

    def _prepared(self, fingerprint: str, name: str) -> tuple[Path, Index]:
        """The data with this fingerprint."""
        for root in (Path(run_config(self.run).data.root), *self.data):
            try:
                index = load_index(root)
            except (DataError, OSError):
                continue
            if index.fingerprint == fingerprint:
                self.used.add(root)
                return root, index
        raise ValueError(f"the data that were scored ({name}) are not found unchanged; give their folder with --data")

    def _picture(
        self,
        subject: TrainedModel,
        clip: ByteClip,
        case: Mapping[str, Any],
        result: Mapping[str, Any],
        *,
        growing: bool,
    ) -> Animation:
        """One window: (T+K, 3, H, W) uint8."""
        assert isinstance(subject.model, Forecaster)
        context = result["context"]
        sampled = bool(result["samples"])
        seed = result["seed"] if sampled else None
        prediction = _forecast(subject.model, clip, context, growing=growing, seed=seed, row=case["window"])
        rows = forecast_rows(clip[:context], clip[context:], prediction)
        shown = {"context": rows["context"], **{name: rows[name] for name in SHOWN}}
        value = "identical to the truth" if case["value"] is None else f"{case['metric']} {case['value']:.4g}"
        first = "; the first of its samples" if sampled else ""
        return Animation(
            webp_bytes(forecast_animation(shown), fps=FPS, scale=max(1, LEAST_WIDTH // clip.shape[-1])),
            f"{case['which'].capitalize()}: {case['id']}, {value}{first}",
            columns=list(SHOWN.values()),
        )


def _forecast(
    model: Forecaster, clip: ByteClip, context: int, *, growing: bool, seed: int | None, row: int
) -> Forecast:
    """The forecast of one clip as it was scored; `growing`: each frame from all true ones before it."""
    if not growing:
        return forecast_any_size(model, clip[None, :context], len(clip) - context, seed=seed, rows=[row])
    parts = []
    for end in range(context, len(clip)):
        # Motion needs two frames: a single one is handed over twice, as in the evaluation.
        seen = clip[:end] if end > 1 else clip[:1].expand(2, -1, -1, -1)
        parts.append(forecast_any_size(model, seen[None], 1))
    return join_forecasts(parts, dim=1)


def nearest_blocks(trained: TrainedModel, nearest: Mapping[str, Any]) -> list[Block]:
    """The generated clips of a result and their nearest training clips, playing side by side."""
    blocks: list[Block] = [Text(NEAREST.format(clips=nearest["clips"]))]
    for pair, clips in nearest_pairs(trained, nearest):
        usual = nearest["held_out_distance"]
        relative = f", relative {pair['distance'] / usual:.2f}" if usual else ""
        first, last = pair["frames"][0], pair["frames"][-1]
        scale = max(1, NEAREST_WIDTH // clips[0].shape[-1])
        blocks.append(
            Animation(
                webp_bytes(torch.cat(clips, dim=-1), fps=NEAREST_FPS, scale=scale),
                f"Clip {pair['clip']}, distance {pair['distance']:.4f}{relative}; {pair['video']}, frames {first} to"
                f" {last}{', mirrored' if pair['mirrored'] else ''}",
                columns=["generated", "nearest training clip"],
            )
        )
    return blocks
