"""From whatever videos lie in a folder to a checked, indexed and split data set of small clips.

What it writes into the folder `out`::

    index.json           every clip, its group, category and split; settings; two digests (see `vidgan.data.index`)
    clips/<id>.npy       uint8 (T, H, W, 3) RGB
    flow/<id>.npy        float16 (T-1, 2, H, W) backward flow in pixels, when asked for
    contact_sheet.png    up to 16 clips, one a row: look at it before training
    quarantine.jsonl     every file that was refused, with the reason
    prepare.jsonl        what is finished, for the next run
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from vidgan.data.archives import ARCHIVE_ERRORS, Archive
from vidgan.data.assemble import assemble, check_names, write_contact_sheet
from vidgan.data.index import INDEX_NAME, Index, save_index
from vidgan.data.ledger import LEDGER_NAME, Ledger, Outcome, read_ledger
from vidgan.data.names import DataError, atomic_file, natural_key
from vidgan.data.options import Options
from vidgan.data.pool import run_jobs
from vidgan.data.readers import ReadSettings
from vidgan.data.sources import Findings, Refusal, Source, discover
from vidgan.data.work import Plan, Task, work
from vidgan.video.resize import Fit

QUARANTINE_NAME: Final = "quarantine.jsonl"
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
            group is the name, or the whole match). Clips whose prepared frames are equal or mirrored are joined.
        layout: ``"strips"`` or ``"frames"`` says what all images are, ``"videos"`` leaves images alone, ``"auto"``
            looks at each folder.
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
    _check_folders(source, out)
    root, findings = discover(source, layout=layout, strip_frame=strip_frame)
    _check_findings(source, findings, options)
    ledger = _open_ledger(out, {"source": str(source.resolve()), **options.pixels()}, options, overwrite)
    finished = [s.name for s in findings.sources if _is_finished(ledger.outcomes.get(s.name), s.stamp, out)]
    _keep_only(ledger, out, finished, complete=len(finished) == len(findings.sources))
    for done, name in enumerate(finished, start=1):
        _report(progress, done, findings, name)
    reading = ReadSettings(options.size, options.fit, options.fps, options.strip_frame)
    todo = [found for found in findings.sources if found.name not in ledger.outcomes]
    tasks = _tasks(todo, Plan(root, out, reading, options.flow, min_frames))
    outcomes = dict(ledger.outcomes)
    for outcome in run_jobs(work, tasks, workers=workers, crashed=_crashed):
        outcomes[outcome.source] = outcome
        if outcome.clips:
            ledger.append(outcome)
        _report(progress, len(outcomes), findings, outcome.source)
    refusals = findings.refusals + [refusal for outcome in outcomes.values() for refusal in outcome.refusals]
    refusals.sort(key=lambda refusal: natural_key(refusal.source))
    _write_quarantine(out, refusals)
    _check_share(source, out, refusals, sum(len(outcome.clips) for outcome in outcomes.values()), max_bad_share)
    index = assemble(findings.sources, outcomes, options, refusals=refusals, ignored=findings.ignored)
    write_contact_sheet(out, index)
    save_index(out, index)  # last: a folder with an index is finished
    return PreparedData(out, index, len(finished), len(todo), tuple(refusals))


def _check_folders(source: Path, out: Path) -> None:
    if not source.exists():
        raise DataError(f"{source}: no such folder or file")
    inside, outer = out.resolve(), source.resolve()
    if inside == outer or outer in inside.parents:
        raise DataError(f"out {out} lies in the source {source}, which stays untouched; choose a folder elsewhere")
    if out.exists() and not out.is_dir():
        raise DataError(f"out {out} is a file; give a folder")
    if out.is_dir() and not (out / LEDGER_NAME).is_file() and any(out.iterdir()):
        raise DataError(f"out {out} holds files that are not a prepared data set; choose a new or empty folder")


def _check_findings(source: Path, findings: Findings, options: Options) -> None:
    if not findings.sources:
        raise DataError(
            f"{source}: nothing usable in it; {findings.ignored} unrelated files, {_count(findings.refusals)}. "
            "Accepted: videos, folders of frames, strips, .npy or .npz clips, and .tar or .zip archives of these"
        )
    kinds = {found.kind for found in findings.sources}
    if options.fps is not None and "video" not in kinds:
        raise DataError(f"fps={options.fps} has no effect: {source} holds no video file, other sources have no clock")
    if options.strip_frame is not None and "strip" not in kinds:
        raise DataError(f"strip_frame {options.strip_frame} has no effect: no folder of {source} holds such strips")
    check_names(findings.sources, options)


def _open_ledger(out: Path, settings: dict[str, Any], options: Options, overwrite: bool) -> Ledger:
    """The ledger of `out`, new or from an earlier run; outcomes whose pixels would now differ are dropped from it."""
    ledger = read_ledger(out)
    if ledger is None:
        out.mkdir(parents=True, exist_ok=True)
        ledger = Ledger(out / LEDGER_NAME, settings)
    earlier = _settings_of_index(out) | ledger.settings
    now = options.as_json() | settings
    changes = [f"{name} {earlier[name]!r}, now {now.get(name)!r}" for name in earlier if earlier[name] != now.get(name)]
    if changes and not overwrite:
        raise DataError(f"out {out} was prepared with {'; '.join(changes)}; choose another folder, or allow overwrite")
    same_pixels = {**ledger.settings, "source": None} == {**settings, "source": None}
    ledger.rewrite(settings, ledger.outcomes.values() if same_pixels else ())
    for folder in _FOLDERS:
        (out / folder).mkdir(exist_ok=True)
    return ledger


def _settings_of_index(out: Path) -> dict[str, Any]:
    """The settings of a finished data set; none for an unfinished one, which may be tried with others."""
    try:
        return dict(json.loads((out / INDEX_NAME).read_bytes())["settings"])
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _is_finished(outcome: Outcome | None, stamp: str, out: Path) -> bool:
    """Whether the source is unchanged since, and its files lie there in full length."""
    if outcome is None or outcome.stamp != stamp:
        return False
    for clip in outcome.clips:
        files = [path for folder in _FOLDERS if (path := out / folder / f"{clip.id}.npy").is_file()]
        if sum(path.stat().st_size for path in files) != clip.nbytes:
            return False
    return True


def _keep_only(ledger: Ledger, out: Path, finished: list[str], *, complete: bool) -> None:
    """Forget all other outcomes and delete their files, and what a crash has left; while files change, no index."""
    stale = ledger.outcomes.keys() - set(finished)
    if stale or not complete:
        (out / INDEX_NAME).unlink(missing_ok=True)
    ledger.rewrite(ledger.settings, [ledger.outcomes[name] for name in finished])
    wanted = {f"{clip.id}.npy" for outcome in ledger.outcomes.values() for clip in outcome.clips}
    for folder in _FOLDERS:
        for path in (out / folder).iterdir():
            if path.name not in wanted and path.suffix in (".npy", ".tmp"):
                path.unlink()


def _tasks(todo: list[Source], plan: Plan) -> Iterator[Task]:
    """Files first, then archive by archive, each read once from front to back."""
    by_archive: dict[str | None, list[Source]] = {None: []}
    for source in todo:
        by_archive.setdefault(source.archive, []).append(source)
    for name, sources in by_archive.items():
        if name is None:
            yield from (Task(source, plan) for source in sources)
            continue
        try:
            archive = Archive(plan.root / name)
        except ARCHIVE_ERRORS as error:  # it was readable a moment ago
            yield from (Task(source, plan, failure=_unreadable(source, error)) for source in sources)
            continue
        with archive:
            places = {source.name: min(archive.positions.get(file, 0) for file in source.files) for source in sources}
            for source in sorted(sources, key=lambda source: places[source.name]):
                try:
                    content = dict(archive.stream(source.files))
                    task = Task(source, plan, tuple(content[file] for file in source.files))
                except (*ARCHIVE_ERRORS, KeyError) as error:
                    task = Task(source, plan, failure=_unreadable(source, error))
                yield task


def _unreadable(source: Source, error: Exception) -> Refusal:
    return Refusal(source.name, "unreadable-member", f"{type(error).__name__}: {error}")


def _crashed(task: Task) -> Outcome:
    detail = "the process that read it died, of a fault in a decoder or for want of memory"
    return Outcome(task.source.name, task.source.stamp, (), (Refusal(task.source.name, "worker-died", detail),))


def _report(progress: Progress | None, done: int, findings: Findings, name: str) -> None:
    if progress is not None:
        progress(done, len(findings.sources), name)


def _write_quarantine(out: Path, refusals: list[Refusal]) -> None:
    with atomic_file(out / QUARANTINE_NAME) as file:
        for refusal in refusals:
            file.write((json.dumps(asdict(refusal), ensure_ascii=True) + "\n").encode())


def _check_share(source: Path, out: Path, refusals: list[Refusal], clips: int, max_bad_share: float) -> None:
    share = len(refusals) / (len(refusals) + clips) if refusals else 0.0
    if clips and share <= max_bad_share:
        return
    problem = f"more than max_bad_share={max_bad_share:g} of the files are refused" if clips else "no file can be used"
    example = f"first: {refusals[0].source}: {refusals[0].detail}"
    raise DataError(f"{source}: {problem}: {_count(refusals)}; {example}; all are listed in {out / QUARANTINE_NAME}")


def _count(refusals: list[Refusal]) -> str:
    reasons = Counter(refusal.reason for refusal in refusals)
    listed = ", ".join(f"{count} {reason}" for reason, count in reasons.most_common())
    return f"{len(refusals)} refused" + (f" ({listed})" if listed else "")
