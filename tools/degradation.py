"""How a forecaster degrades on videos of any kind: no worse than its baselines, or where.

    python tools/degradation.py MODEL VIDEOS --out degradation --pattern "dashcam|natural"

Every video is read at its own frame rate and at 10 frames per second. In windows spread evenly over it, each frame
ahead is compared with copy-last and with the constant-velocity warp. The table has, per frame ahead, the share of
windows whose error is at most 1.05 times that of the better baseline, and mean PSNR. Writes OUT.json, a table for
results_tables.py, and OUT.png, the worst windows: context and truth above context and forecast.
"""

import argparse
import json
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from einops import rearrange

from vidgan.data.unprepared import list_clips
from vidgan.evaluation.trust import window_errors
from vidgan.files import check_overwrite, write_text
from vidgan.tasks import load_model
from vidgan.tasks.base import ForecastModel
from vidgan.types import ByteClip
from vidgan.video.decode import read_video
from vidgan.video.encode import contact_sheet, write_png

TOLERANCE = 1.05
RATES = (None, 10.0)  # frames per second; None: the video's own
SHOWN = 8  # worst windows


@dataclass(frozen=True)
class Window:
    """A window and its errors."""

    source: str
    start: int
    rate: float | None
    clip: ByteClip  # (context + horizon, 3, H, W)
    errors: np.ndarray  # (3, horizon), see `vidgan.evaluation.trust.window_errors`

    @property
    def excess(self) -> np.ndarray:
        """(horizon,) error relative to the better baseline."""
        return self.errors[0] / np.maximum(self.errors[1:].min(axis=0), 1.0)  # below one squared level all are equal


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="a run, a model folder, or shipped weights")
    parser.add_argument("videos", type=Path, help="folder of videos")
    parser.add_argument("--out", type=Path, required=True, help="name of the results, without a suffix")
    parser.add_argument("--pattern", default="", help="regular expression that the paths of the videos contain")
    parser.add_argument("--context", type=int, default=4)
    parser.add_argument("--horizon", type=int, default=10)
    parser.add_argument("--windows", type=int, default=4, help="per video and frame rate")
    options = parser.parse_args(arguments)
    results = options.out.with_suffix(".json"), options.out.with_suffix(".png")
    for path in results:
        check_overwrite(path, overwrite=False)
    model = load_model(options.model, "forecast")
    length = options.context + options.horizon
    windows: list[Window] = []
    for name, rate, frames in read_videos(options.videos, options.pattern, model.image_size):
        if len(frames) < length:
            continue
        for start in sorted({round(place) for place in np.linspace(0, len(frames) - length, options.windows)}):
            clip = frames[start : start + length]
            windows.append(Window(name, start, rate, clip, window_errors(model, clip, options.context)))
        print(f"{name} at {rate or 'its own'} frames/s: {np.round(windows[-1].excess, 2)}", flush=True)
    if not windows:
        raise SystemExit(f"{options.videos}: no video that matches {options.pattern!r} has {length} frames")
    text = json.dumps(table(windows, options), indent=1)
    write_text(results[0], text)
    write_png(results[1], worst_windows(model, windows, options.context))
    print(text)
    return 0


def read_videos(folder: Path, pattern: str, size: tuple[int, int]) -> Iterator[tuple[str, float | None, ByteClip]]:
    """Name, frame rate and frames (T, 3, H, W) of each matching video, at each rate that is below its own."""
    root, sources = list_clips(folder, size=size)
    for source in sources:
        if source.kind != "video" or not re.search(pattern, source.name):
            continue
        for rate in RATES:
            video = read_video(root / source.name, size=size, fps=rate)
            if video.repeated == 0 and (rate is None or video.info.fps > 1.2 * rate):
                frames = rearrange(torch.from_numpy(video.frames), "t h w c -> t c h w").contiguous()
                yield source.name, rate, frames


def table(windows: Sequence[Window], options: argparse.Namespace) -> dict[str, object]:
    """Share of windows within the tolerance, and mean PSNR, per frame ahead."""
    excess = np.stack([window.excess for window in windows])  # (N, K)
    errors = np.stack([window.errors for window in windows])  # (N, 3, K)
    psnr = (10 * np.log10(255**2 / np.maximum(errors, 1e-3))).mean(axis=0)  # (3, K)
    shares = (excess <= TOLERANCE).mean(axis=0)
    rows = [[str(k + 1), f"{share:.1%}", *(f"{value:.2f}" for value in psnr[:, k])] for k, share in enumerate(shares)]
    sources = {window.source for window in windows}
    return {
        "kind": "table",
        "title": f"{len(windows)} windows of {len(sources)} videos, at their own rate and at 10 frames/s",
        "columns": ["frame ahead", f"within {TOLERANCE} of the better baseline", "forecast PSNR", "copy-last PSNR",
                    "warp PSNR"],
        "rows": rows,
        "notes": [f"made by `python tools/degradation.py`, {options.context} frames of context"],
    }  # fmt: skip


def worst_windows(model: ForecastModel, windows: Sequence[Window], context: int) -> torch.Tensor:
    """One image of the windows with the largest mean excess: truth, then context and forecast, frame beside frame."""
    worst = sorted(windows, key=lambda window: -float(window.excess.mean()))[:SHOWN]
    rows = []
    for window in worst:
        seen = window.clip[:context]
        rows += [window.clip, torch.cat([seen, model.predict(seen[None], len(window.clip) - context)[0]])]
        rate = window.rate or "its own"
        print(f"{window.source} from frame {window.start} at {rate} frames/s: {window.excess.mean():.2f}")
    return contact_sheet(torch.stack(rows), columns=1, frames=8)


if __name__ == "__main__":
    sys.exit(main())
