"""End-point error of a forecaster's flow on moving shapes, whose true motion is known.

    python tools/flow_error.py dual_motion/shapes --work runs/flow-error --out flow-error.json
    python tools/flow_error.py runs/mine --data DATA

Renders clips that no recipe trains on (seed 1) and forecasts all their non-overlapping windows. The predicted flow f is
compared with zero flow and with constant velocity: the flow between the last two context frames (of DIS, or the true
one), fixed in place or carried along with itself. The stored flow of prepared clips (--data) is the ground
truth. Errors are in pixels, over all pixels and over pixels with true motion. Writes a table for results_tables.py.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from einops import rearrange

from vidgan import DualMotionGAN
from vidgan.data.preparing.shapes import prepare_shapes
from vidgan.evaluation.settings import ALL
from vidgan.evaluation.windows import Window, WindowSet
from vidgan.files import check_overwrite, write_text
from vidgan.hub import ModelFacts
from vidgan.metrics.flow import end_point_error
from vidgan.nn.warp import carry_flow
from vidgan.tasks.base import ForecastModel
from vidgan.types import ByteClip, Flow
from vidgan.video.optical_flow import estimate_flow

SEED = 1  # the recipes train on seed 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="a run, a model folder, or shipped weights by name")
    parser.add_argument("--work", type=Path, default=Path("runs/flow-error"), help="folder for the rendered clips")
    parser.add_argument("--data", type=Path, help="prepared clips with flow, instead of rendered ones")
    parser.add_argument("--clips", type=int, default=90)
    parser.add_argument("--horizon", type=int, default=5)
    parser.add_argument("--out", type=Path, help="the table, as JSON")
    options = parser.parse_args(arguments)
    if options.out:
        check_overwrite(options.out, overwrite=False)
    model = DualMotionGAN.from_pretrained(options.model)
    data = options.data or prepare_shapes(
        options.work, clips=options.clips, frames=32, size=model.image_size[0], seed=SEED, flow=True
    )
    facts = ModelFacts.from_json(model.facts)
    if facts.context is None:
        raise SystemExit(f"{options.model}: its facts record no context")
    windows = WindowSet(data, facts.context + options.horizon, split=ALL)
    errors = [window_errors(model, windows, window, facts.context) for window in windows.windows]
    table = summary({name: [window[name] for window in errors] for name in errors[0]}, options.horizon)
    table["title"] = (
        f"End-point error of the flow in pixels, {len(windows)} windows of {len(windows.index.clips)} clips,"
        f" {facts.context} context frames, {options.horizon} forecast; moving: pixels with true motion"
    )
    table["notes"] = [f"made by `python tools/flow_error.py {options.model}`, step {facts.step}"]
    for row in table["rows"]:
        print("  ".join([f"{row[0]:34}", *(f"{value:.3f}" for value in row[1:])]))
    if options.out:
        write_text(options.out, json.dumps(table, indent=1) + "\n")
    return 0


def window_errors(model: ForecastModel, windows: WindowSet, window: Window, context: int) -> dict[str, np.ndarray]:
    """name -> (2, K): the error of the flow of each forecast frame, over all pixels and over moving ones.

    Raises:
        SystemExit: the model predicts no flow.
    """
    clip = windows.read(window)  # (T, 3, H, W)
    first = window.frames[0]
    truth = torch.from_numpy(windows.store.flow(window.entry, first, len(clip) - 1))  # (T-1, 2, H, W)
    future = truth[context - 1 :]  # (K, 2, H, W)
    moving = future.abs().sum(dim=1) > 0  # (K, H, W)
    predicted = model.forecast(clip[None, :context], len(future)).flow
    if predicted is None:
        raise SystemExit("this model predicts no flow")
    candidates = {"predicted flow f": predicted[0], "no motion": torch.zeros_like(future)}
    for name, last in {"DIS": dis(clip[context - 1], clip[context - 2]), "true": truth[context - 2]}.items():
        candidates[f"last flow ({name}), in place"] = last.expand_as(future)
        candidates[f"last flow ({name}), carried"] = carried(last, len(future))
    return {
        name: np.stack([end_point_error(flow, future), end_point_error(flow, future, moving)])
        for name, flow in candidates.items()
    }


def dis(current: ByteClip, previous: ByteClip) -> Flow:
    """(2, H, W) backward flow between two frames (3, H, W), as the constant-velocity baseline estimates it."""
    pair = [rearrange(frame, "c h w -> h w c").contiguous().numpy() for frame in (current, previous)]
    return torch.from_numpy(np.ascontiguousarray(estimate_flow(*pair, method="dis"), dtype=np.float32))


def carried(flow: Flow, steps: int) -> Flow:
    """(steps, 2, H, W): the flow warped by itself, once more in each step."""
    moved = []
    for _ in range(steps):
        flow = carry_flow(flow[None])[0]
        moved.append(flow)
    return torch.stack(moved)


def summary(errors: dict[str, list[np.ndarray]], horizon: int) -> dict[str, Any]:
    """Means over windows: of the next frame and of the whole horizon, over all and over moving pixels."""
    columns = ["flow", "next frame", "next frame, moving", f"{horizon} frames", f"{horizon} frames, moving"]
    rows = []
    for name, windows in errors.items():
        mean = np.mean(windows, axis=0)  # (2, K)
        rows.append([name, *(round(float(value), 4) for value in (*mean[:, 0], *mean.mean(axis=1)))])
    return {"kind": "table", "columns": columns, "rows": rows}


if __name__ == "__main__":
    sys.exit(main())
