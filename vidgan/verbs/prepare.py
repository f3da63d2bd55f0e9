"""`vidgan prepare`: progress and a summary round `vidgan.data.prepare`."""

import re
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress

from vidgan.config import ConfigError
from vidgan.data.prepare import PreparedData, prepare


def parse_size(text: str, option: str = "--size") -> tuple[int, int]:
    """`64` -> (64, 64); `128x160` -> (128, 160), height first.

    Raises:
        ConfigError: neither form.
    """
    match = re.fullmatch(r"(\d+)(?:[xX](\d+))?", text.strip())
    if match is None:
        raise ConfigError(f"{option} {text}: write 64, or HEIGHTxWIDTH such as 128x160")
    return int(match[1]), int(match[2] or match[1])


def prepare_command(
    videos: Path, out: Path, *, size: str, strip_frame: str | None, flow: bool, flow_method: str | None, **options: Any
) -> PreparedData:
    """Prepare with a progress bar on a terminal, then say what there is and what was refused, and why."""
    console = Console(stderr=True)
    if flow_method is not None and not flow:
        raise ConfigError("--flow-method has no effect without --flow")
    method = (flow_method or "auto") if flow else None
    frame = None if strip_frame is None else parse_size(strip_frame, "--strip-frame")
    with Progress(console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("preparing", total=None)

        def show(done: int, total: int, name: str) -> None:
            bar.update(task, completed=done, total=total, description=name[-40:])

        prepared = prepare(videos, out, size=parse_size(size), strip_frame=frame, flow=method, progress=show, **options)
    print(summary(prepared, out), file=sys.stderr)
    return prepared


def summary(prepared: PreparedData, out: Path) -> str:
    """A few lines about a prepared data set."""
    index = prepared.index
    counts = {split: len(index.of_split(split)) for split in ("train", "test")}
    frames = sum(clip.frames for clip in index.clips)
    lines = [
        f"{out}: {counts['train']} clips to train on, {counts['test']} held out, {frames} frames of"
        f" {index.size[0]}x{index.size[1]}"
    ]
    if index.categories:
        lines.append(f"categories: {', '.join(index.categories)}")
    if index.flow:
        lines.append(f"label flow: {index.flow}")
    for reason, count in sorted(Counter(refusal.reason for refusal in prepared.quarantined).items()):
        lines.append(f"refused: {count} {reason} (see {out / 'quarantine.jsonl'})")
    lines += index.notices
    lines.append(f"look at {out / 'contact_sheet.png'}")
    return "\n".join(lines)
