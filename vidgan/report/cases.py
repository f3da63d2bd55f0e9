"""Clips of a run's results, for which the model is run again.

A result of a forecaster, or of a model that maps clips to clips, shows its best, median and worst window. A result of
generated clips shows the clips that are closest to a training clip, each next to that training clip. The score file
records windows and seeds, so the frames are recomputed rather than stored.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from vidgan.data.augmentation import check_window
from vidgan.data.store.index import Index, load_index
from vidgan.data.store.storage import open_store
from vidgan.errors import DataError
from vidgan.evaluation.mapping import mapping_functions
from vidgan.evaluation.models import CHECKPOINTS, TrainedModel, load_model
from vidgan.evaluation.nearest_clips import nearest_pairs
from vidgan.evaluation.predictors import forecast_any_size, join_forecasts
from vidgan.evaluation.windows import caption_of, read_window
from vidgan.files import read_json
from vidgan.metrics.values import EXACT_TEXT
from vidgan.report.blocks import Block, Player, Text
from vidgan.report.clips import forecast_clips, player_clip
from vidgan.runs import run_config
from vidgan.tasks.base import ForecastModel
from vidgan.tasks.forecast_images import forecast_rows
from vidgan.types import ByteClip, Forecast

Record = Mapping[str, Any]  # a part of a score file

PANELS = {"truth": "truth", "forecast P": "forecast", "error of P (x3)": "error x3", "flow f": "flow"}  # row -> label
FORECAST_FPS, NEAREST_FPS = 4.0, 8.0
FORECAST_TEXT = (
    "The best, median and worst window by the forecast's {metric}. Truth and forecast start with the last context"
    " frames. The error is brightened three times, and the hue of the flow is its direction."
)
MAPPING_TEXT = "The best, median and worst window by the {metric} of the output."
NEAREST_TEXT = (
    "Does the model copy its training clips? Of {clips} generated clips, those closest to a training clip, each next to"
    " that clip, the closest first. Relative: distance over the mean distance of held-out real clips to the training"
    " clips; far below 1 is a copy."
)
MISSING = "The animations of this result are not available"


class Cases:
    """Animations of a run's results, recomputed only when a score file changes.

    Args:
        run: the run directory.
        data: prepared data sets on which results may have been scored, in addition to the run's own.
    """

    def __init__(self, run: Path, *, data: Sequence[Path] = ()) -> None:
        self.run, self.data = run, data
        self.used: set[Path] = set()  # data sets on which a result was scored
        self._cache: dict[tuple[str, int], list[Block]] = {}

    def animations(self) -> dict[str, list[Block]]:
        """Name of a score file -> its animations, or a text that says why there are none."""
        blocks = {}
        for path in sorted((self.run / "scores").glob("*.json")):
            key = path.name, path.lstat().st_mtime_ns
            if key not in self._cache:
                self._cache[key] = self._build_or_explain(path)
            blocks[path.name] = self._cache[key]
        return blocks

    def _build_or_explain(self, path: Path) -> list[Block]:
        try:
            return self._build(read_json(path).get("result", {}))
        except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError) as error:
            return [Text(f"{MISSING}: the result is incomplete ({error!r}).")]
        except (OSError, ValueError) as error:
            return [Text(f"{MISSING}: {error}.")]

    def _build(self, result: Record) -> list[Block]:
        """The blocks of one result."""
        if not has_animations(result):
            return []
        root, index = self._find_data(result)
        return result_animations(result, self._find_model(result, root), index)

    def _find_model(self, result: Record, data: Path) -> TrainedModel:
        """The model of the run whose files have the hashes of the result, with that data."""
        window = run_config(self.run).data.window
        weights = result["provenance"]["weights"]
        checkpoints = [self.run / CHECKPOINTS / name.partition("/")[0] for name in weights]
        for path in (self.run, self.run / "best", *checkpoints):
            if path.is_dir():
                try:
                    subject = load_model(path, data=data)
                except (OSError, ValueError):
                    continue  # it cannot be loaded, so it is not the one that was scored
                if subject.weights == weights:
                    return replace(subject, crop=window)
        raise ValueError("the scored weights are no longer in the run; evaluate again")

    def _find_data(self, result: Record) -> tuple[Path, Index]:
        """The prepared data with the fingerprint of the result."""
        for root in (Path(run_config(self.run).data.root), *self.data):
            try:
                index = load_index(root)
            except (DataError, OSError):
                continue
            if index.fingerprint == result["fingerprint"]:
                self.used.add(root)
                return root, index
        name = result["provenance"]["data"]["root"]
        raise ValueError(f"the scored data ({name}) were moved, changed or deleted; give their folder with --data")


def has_animations(result: Record) -> bool:
    """Whether a result records windows or clips that can be rendered again."""
    return "nearest" in result.get("provenance", {}) or result.get("kind") in ("forecast", "mapping")


def result_animations(result: Record, subject: TrainedModel, index: Index) -> list[Block]:
    """The animations of one result.

    Args:
        result: as JSON.
        subject: the model that was scored, with the scored data.
        index: of these data.

    Raises:
        ValueError: an old result, or data that changed.
    """
    provenance = result["provenance"]
    if "nearest" in provenance:
        return nearest_blocks(subject, provenance["nearest"])
    frames = provenance.get("case_frames")
    if frames is None:
        raise ValueError("the result does not record the frames of its cases; evaluate again")
    store = open_store(subject.data, index, conditions=subject.reads_conditions)
    height, width = result["frame_size"]
    is_mapping = result["kind"] == "mapping"
    # Clips are mapped whole; a task may cut its target out of them.
    size = check_window(None if is_mapping else (height, width), index.size, subject.data)
    entries = {entry.source: entry for entry in index.clips}
    text = MAPPING_TEXT if is_mapping else FORECAST_TEXT
    blocks: list[Block] = [Text(text.format(metric=case["metric"])) for case in result["cases"][:1]]
    for case in result["cases"]:
        entry = entries[case["id"].rpartition(":")[0]]
        clip = read_window(store, entry, frames[case["id"]], size)  # (T+K, 3, H, W)
        if is_mapping:
            blocks.append(mapping_case(subject, clip, case, result, caption_of(entry)))
        else:
            blocks.append(case_animation(subject, clip, case, result))
    return blocks


def case_animation(subject: TrainedModel, clip: ByteClip, case: Record, result: Record) -> Player:
    """Truth, forecast, error and flow of one window, in step.

    Args:
        subject: the forecasting model.
        clip: the window, (T+K, 3, H, W) uint8.
        case: an entry of ``result["cases"]``.
        result: the forecast result, whose settings are repeated.
    """
    assert isinstance(subject.model, ForecastModel)
    context = result["context"]
    is_sampled = bool(result["samples"])
    if result["provenance"]["growing"]:
        forecast = _forecast_growing(subject.model, clip, context)
    else:
        seed = result["seed"] if is_sampled else None
        past, horizon = clip[None, :context], len(clip) - context
        forecast = forecast_any_size(subject.model, past, horizon, seed=seed, rows=[case["window"]])
    rows = forecast_rows(clip[:context], clip[context:], forecast)
    labels = {name: label for name, label in PANELS.items() if name in rows}  # not every model has a flow
    value = EXACT_TEXT if case["value"] is None else f"{case['metric']} {case['value']:.4g}"
    sample = "; the first of its samples" if is_sampled else ""
    caption = f"{case['which'].capitalize()}: {case['id']}, {value}{sample}"
    return Player(forecast_clips(rows, labels), caption, FORECAST_FPS)


def mapping_case(subject: TrainedModel, clip: ByteClip, case: Record, result: Record, caption: str = "") -> Player:
    """Input, output, baseline and target of one window, playing in step.

    Args:
        subject: the model that maps clips to clips.
        clip: the window of the prepared clip, (T, 3, H, W) uint8.
        case, result: as in `case_animation`.
        caption: of the clip, for a model that reads captions.
    """
    model, baseline = subject.clip_mapper, result["reference"]
    functions = mapping_functions(model, [caption], [case["id"]])
    given, target = model.pair(clip[None], seed=result["seed"], rows=[case["window"]])
    panels = {
        "input": getattr(model, "shown", lambda clips: clips)(given)[0],
        model.mapping_name: functions[model.mapping_name](given)[0],
        baseline: functions[baseline](given)[0],
    }
    if target is not None:
        panels["target"] = target[0]
    value = EXACT_TEXT if case["value"] is None else f"{case['metric']} {case['value']:.4g}"
    clips = [player_clip(name, clip) for name, clip in panels.items()]
    return Player(clips, f"{case['which'].capitalize()}: {case['id']}, {value}", FORECAST_FPS)


def nearest_blocks(subject: TrainedModel, nearest: Record) -> list[Block]:
    """The generated clips that are closest to a training clip, each next to that clip.

    Args:
        subject: the synthesis model, with the data on which it was scored.
        nearest: ``provenance["nearest"]`` of the result.

    Raises:
        DataError: a training clip is no longer in the data.
    """
    blocks: list[Block] = [Text(NEAREST_TEXT.format(clips=nearest["clips"]))]
    usual = nearest["held_out_distance"]
    for pair, (generated, training) in nearest_pairs(subject, nearest):
        relative = f", relative {pair['distance'] / usual:.2f}" if usual else ""
        mirrored = ", mirrored" if pair["mirrored"] else ""
        caption = (
            f"Clip {pair['clip']}, distance {pair['distance']:.4f}{relative}; {pair['video']}, frames"
            f" {pair['frames'][0]} to {pair['frames'][-1]}{mirrored}"
        )
        clips = [player_clip("generated", generated), player_clip("nearest training clip", training)]
        blocks.append(Player(clips, caption, NEAREST_FPS))
    return blocks


def _forecast_growing(model: ForecastModel, clip: ByteClip, context: int) -> Forecast:
    """Each frame from `context` on, forecast from all true frames before it."""
    parts = []
    for end in range(context, len(clip)):
        # A model needs two frames to see motion, so a single one is repeated, as in the evaluation.
        past = clip[:end] if end > 1 else clip[:1].expand(2, -1, -1, -1)
        parts.append(forecast_any_size(model, past[None], 1))
    return join_forecasts(parts, dim=1)
