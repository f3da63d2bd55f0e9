"""From whatever videos lie in a folder to a checked, indexed and split data set of small clips.

What it writes into the folder `out`::

    index.json           every clip, its group, category and split; settings; two digests (see `vidgan.data.index`)
    clips/<id>.npy       uint8 (T, H, W, 3) RGB
    flow/<id>.npy        float16 (T-1, 2, H, W) backward flow in pixels, when asked for
    contact_sheet.png    up to 16 clips, one a row: look at it before training
    quarantine.jsonl     every file that was refused, with the reason
    prepare.jsonl        what is finished, for the next run
"""

import contextlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any, Final

from vidgan.data.archives import ARCHIVE_ERRORS, Archive
from vidgan.data.assemble import assemble
from vidgan.data.contact import write_contact_sheet
from vidgan.data.index import INDEX_NAME, Index, save_index
from vidgan.data.ledger import LEDGER_NAME, Ledger, Outcome, Record, read_ledger
from vidgan.data.names import DataError, atomic_file
from vidgan.data.options import Options
from vidgan.data.pool import run_jobs
from vidgan.data.readers import ReadSettings
from vidgan.data.sources import Findings, Refusal, Source, discover
from vidgan.data.work import Task, work
from vidgan.video.resize import Fit

Progress = Callable[[int, int, str], None]
_FOLDERS: Final = ("clips", "flow")


@dataclass(frozen=True)
class PreparedData:
    """What `prepare` did.

    Attributes:
        root: the folder `out`.
        index: what was written to ``index.json``; its `notices` say what a person should know.
        reused: sources that an earlier run had finished.
        prepared: sources read by this run.
        quarantined: the refused files, in natural order.
    """

    root: Path
    index: Index
    reused: int
    prepared: int
    quarantined: tuple[Refusal, ...]


def prepare(
    source: Path | str,
    out: Path | str,
    *,
    size: tuple[int, int],
    fit: Fit = "crop",
    fps: float | None = None,
    flow: str | None = None,
    categories: bool = False,
    group_by: str | None = None,
    layout: str = "auto",
    strip_frame: tuple[int, int] | None = None,
    holdout: float = 0.1,
    test_pattern: str | None = None,
    seed: int = 0,
    min_frames: int = 2,
    max_bad_share: float = 0.5,
    workers: int = 1,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> PreparedData:
    """Read, check, resize and split all clips of a source. Run again after a stop, it goes on; nothing is read twice.

    Args:
        source: a folder of videos, folders of frames, strips, .npy / .npz arrays and archives, nested and mixed; or one
            such file. Nothing is written into it. Hidden and unrelated files are counted and left alone.
        out: where the data set goes; outside `source`; new, empty, or of an earlier run.
        size: (H, W) of the prepared frames in pixels.
        fit: ``"crop"`` cuts the centre to the aspect of `size`, ``"squash"`` does not keep the aspect.
        fps: resample videos to so many frames a second, by time; None keeps every frame. Other sources have no clock.
        flow: store optical flow by ``"dis"``, ``"tvl1"`` or ``"auto"`` (the better one installed); None stores none.
        categories: take the first folder level (or, where that is one folder, the folder that holds the clip) as class.
        group_by: what belongs together and must not be parted by the split: None, each file, folder of frames, or clip
            of a many-clip array by itself; ``"folder"``, the parent folder; ``"number//N"``, the number in the name
            divided by N, rounded down; or a regular expression searched for in the posix path below `source` (the first
            group is the name, or the whole match). Exact copies and mirror images are always joined.
        layout: ``"strips"`` or ``"frames"`` says what all images are; ``"auto"`` looks at each folder.
        strip_frame: (H, W) of a strip's frames, where they are not square.
        holdout: share of the clips to hold out for testing, in whole groups; 0 holds nothing out.
        test_pattern: regular expression; the clips whose path it matches are the test split, `holdout` is not used.
        seed: of the choice of test groups.
        min_frames: shorter clips are refused.
        max_bad_share: most refused files, as a share of all, before the whole source is refused.
        workers: processes. Above 1, call from under ``if __name__ == "__main__"``, as processes are spawned.
        overwrite: allow other settings than those that `out` was made with; clips are kept where their pixels stay.
        progress: called with (done, total, name) after every source.

    Raises:
        DataError: an option, the source or the folder `out` cannot be used, or too few of the files can.
    """
    options = Options(
        size=size,
        fit=fit,
        fps=fps,
        flow=flow,
        categories=categories,
        group_by=group_by,
        layout=layout,
        strip_frame=strip_frame,
        holdout=holdout,
        test_pattern=test_pattern,
        seed=seed,
        min_frames=min_frames,
    ).checked()
    if workers < 1:
        raise DataError(f"workers is {workers}; accepted: 1 or more")
    if not 0 <= max_bad_share <= 1:
        raise DataError(f"max_bad_share is {max_bad_share}; accepted: 0 to 1")
    source, out = Path(source), Path(out)
    _check_out(source, out)
    root, findings = discover(source, layout=layout, strip_frame=strip_frame)
    _check_findings(source, findings, options)
    ledger = _open_ledger(out, options.as_json(source.resolve()), options.pixels(), overwrite)
    kept = {s.name for s in findings.sources if _is_finished(ledger.outcomes.get(s.name), s, out, options.flow)}
    _forget(ledger, out, kept)
    done = 0
    for done, name in enumerate(sorted(kept), start=1):
        _report(progress, done, len(findings.sources), name)
    outcomes = {name: ledger.outcomes[name] for name in kept}
    todo = [found for found in findings.sources if found.name not in kept]
    reading = ReadSettings(options.size, options.fit, options.fps, options.strip_frame)
    blank = Task(todo[0], root, out, reading, options.flow, options.min_frames) if todo else None
    tasks = _tasks(todo, blank, root, outcomes) if blank else iter(())
    for outcome in run_jobs(work, tasks, workers=workers, crashed=_crashed):
        if outcome.clips:
            ledger.append(outcome)
        outcomes[outcome.source] = outcome
        done += 1
        _report(progress, done, len(findings.sources), outcome.source)
    return _finish(out, findings, outcomes, options, source, max_bad_share, len(kept))
