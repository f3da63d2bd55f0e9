"""From whatever videos lie in a folder to a checked, indexed and split data set of small clips.

What it writes into the folder `out`::

    index.json           every clip, its group, category and split; settings; two digests (see `vidgan.data.store.index`)
    clips/<id>.npy       uint8 (T, H, W, 3) RGB; with store="shards" in shards/*.tar, with store="video" nowhere
    flow/<id>.npy        float16 (T-1, 2, H, W) backward flow in pixels, when asked for
    videos.jsonl         for every video file: times, key frames, size, rate, cuts, checksum (see `vidgan.data.store.videos`)
    contact_sheet.png    up to 16 clips, one a row: look at it before training
    quarantine.jsonl     every file that was refused, with the reason
    prepare.jsonl        what is finished, for the next run
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vidgan.data.preparing.assemble import Census, check_names
from vidgan.data.preparing.completion import check_share, count_reasons, finish, write_quarantine
from vidgan.data.preparing.cutting import Cutting
from vidgan.data.preparing.folder import check_folders, finished_sources, keep_only, locked, open_ledger
from vidgan.data.preparing.jobs import crashed, tasks_of
from vidgan.data.preparing.options import Options
from vidgan.data.preparing.parts import Part, mark_finished
from vidgan.data.preparing.pool import run_jobs
from vidgan.data.preparing.source_job import MAY_HAVE_CUTS, Plan, work
from vidgan.data.sources.discovery import discover
from vidgan.data.sources.entries import Findings, Refusal
from vidgan.data.sources.readers import ReadSettings
from vidgan.data.store.index import Index
from vidgan.data.store.videos import VideoFacts
from vidgan.errors import DataError
from vidgan.files import natural_key
from vidgan.video.resize import Fit, Resample

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class PreparedData:
    """What `prepare` did.

    Attributes:
        root: the folder `out`; of a part, its own folder in there.
        whole: what was written to ``index.json``, None for a part; `index` is the same, and not None.
        reused: sources that an earlier run had finished.
        prepared: sources read by this run.
        quarantined: the refused files, in natural order.
        part: which part this is, None for a whole data set.
    """

    root: Path
    whole: Index | None
    reused: int
    prepared: int
    quarantined: tuple[Refusal, ...]
    part: Part | None = None

    @property
    def index(self) -> Index:
        """What was written to ``index.json``; its `notices` say what a person should know. DataError for a part."""
        if self.whole is None:
            raise DataError(f"{self.root}: a part has no index; merge the parts when all of them are there")
        return self.whole


def prepare(
    source: Path | str,
    out: Path | str,
    *,
    size: tuple[int, int],
    fit: Fit = "crop",
    resample: Resample = "area",
    fps: float | None = None,
    every: int = 1,
    cuts: str = "auto",
    cut_threshold: float | None = None,
    cut_weights: Path | str | None = None,
    drop_still: bool = False,
    drop_black: bool = False,
    flow: str | None = None,
    store: str = "frames",
    shard_mb: int | None = None,
    categories: bool = False,
    group_by: str | None = None,
    layout: str = "auto",
    strip_frame: tuple[int, int] | None = None,
    holdout: float | None = None,
    test_pattern: str | None = None,
    protocol: str | None = None,
    seed: int = 0,
    min_frames: int = 2,
    max_bad_share: float = 0.5,
    part: tuple[int, int] | None = None,
    workers: int = 1,
    time_limit: float = 600.0,
    memory_limit: float = 8.0,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> PreparedData:
    """Read, check, resize and split all clips of a source. Run again after a stop, it goes on; nothing is read twice.

    Args:
        source: a folder of videos, folders of frames, strips, .npy / .npz arrays and archives, nested and mixed; a
            benchmark as it is downloaded (see `layout`); a manifest; or one such file. Nothing is written into it.
            Hidden and unrelated files are counted and left alone.
        out: where the data set goes; outside `source`; new, empty, or of an earlier run.
        size: (H, W) of the prepared frames in pixels.
        fit: ``"crop"`` cuts the centre to the aspect of `size`, ``"squash"`` does not keep the aspect, ``"cover"``
            scales until the frame covers `size` and cuts its centre.
        resample: filter of the scaling: ``"area"``, ``"bilinear"``, ``"bicubic"`` or ``"lanczos"``.
        fps: resample to so many frames a second, by presentation time (nearest frame); None keeps every frame.
            Sources without a clock are left as they are.
        every: take every how many-th frame (after `fps`, where both are given).
        cuts: how shot changes are found in videos and folders of frames, so that no clip spans one: ``"auto"`` by the
            differences between frames (`vidgan.video.shots`), ``"transnet"`` by TransNetV2 with the weights in
            `cut_weights`, ``"off"``. Always looked for at the source's own frame rate. Strips and arrays are cut
            already. The shots of a source are clips called ``name@start`` and share its group.
        cut_threshold: of the detector, None for its own.
        cut_weights: file of TransNetV2's weights.
        drop_still: leave out stretches in which nothing moves.
        drop_black: leave out black stretches.
        flow: store optical flow by ``"dis"``, ``"tvl1"`` or ``"auto"`` (the better one installed); None stores none.
        store: where training reads: ``"frames"``, one array a clip; ``"video"``, nothing is copied and the videos are
            decoded when they are needed, so they must stay where they are; ``"shards"``, the arrays in large tar files.
        shard_mb: most MiB of a shard; None for 256.
        categories: take the first folder level (or, where that is one folder, the folder that holds the clip) as class.
            Categories that a manifest or a benchmark brings along are always taken.
        group_by: what belongs together and must not be parted by the split: None, what the manifest or the benchmark
            says, or each file, folder of frames, or clip of a many-clip array by itself; ``"folder"``, the parent
            folder; ``"number//N"``, the number in the name divided by N, rounded down; or a regular expression
            searched for in the posix path below `source` (the first group is the name, or the whole match). Clips whose
            prepared frames are equal or mirrored are joined.
        layout: how the source lies on disk. ``"strips"`` or ``"frames"`` says what all images are, ``"videos"`` leaves
            images alone, ``"auto"`` looks at each folder; the others are benchmarks (`vidgan.data.sources.discovery.LAYOUTS`).
        strip_frame: (H, W) of a strip's frames, where they are not square.
        holdout: share of the clips to hold out for testing, in whole groups; 0 holds nothing out. None: the split that
            the manifest or the benchmark brings along, else 0.1.
        test_pattern: regular expression; the clips whose path it matches are the test split.
        protocol: name of the benchmark protocol whose settings these are; only written down.
        seed: of the choice of test groups.
        min_frames: shorter clips are refused, shorter shots of a longer video left out.
        max_bad_share: most refused files, as a share of all, before the whole source is refused.
        part: (I, N): read the I-th of N shares of the source only, into a folder below `out`; see
            `vidgan.data.preparing.parts.merge_parts`.
        workers: processes that read. Nothing is decoded in this process but the headers of a few images, so that a
            file which kills a decoder, hangs it or fills the memory costs itself alone.
        time_limit: seconds that reading one clip may take.
        memory_limit: GiB of memory that a reading process may take (on Linux).
        overwrite: allow other settings than those that `out` was made with; clips are kept where their pixels stay.
        progress: called with (done, total, name) after every source.

    Raises:
        DataError: an option, the source or the folder `out` cannot be used, or too few of the files can; another
            preparation is writing into `out`; the disk is full.
    """
    options = Options(
        size=size,
        fit=fit,
        resample=resample,
        fps=fps,
        every=every,
        cuts=cuts,
        cut_threshold=cut_threshold,
        cut_weights=None if cut_weights is None else str(cut_weights),
        drop_still=drop_still,
        drop_black=drop_black,
        flow=flow,
        store=store,
        shard_mb=shard_mb,
        protocol=protocol,
        categories=categories,
        group_by=group_by,
        layout=layout,
        strip_frame=strip_frame,
        holdout=holdout,
        test_pattern=test_pattern,
        seed=seed,
        min_frames=min_frames,
    ).checked()
    limits = _checked_limits(workers, time_limit, memory_limit)
    if not 0 <= max_bad_share <= 1:
        raise DataError(f"max_bad_share is {max_bad_share}; accepted: 0 to 1")
    source, out = Path(source), Path(out)
    mine = None if part is None else Part(*part).checked()
    folder = out if mine is None else mine.folder(out)
    check_folders(source, folder)
    root, findings = discover(source, layout=layout, strip_frame=strip_frame)
    _check_findings(source, findings, options)
    sources = findings.sources if mine is None else mine.share(findings.sources)
    settings = {"source": str(source.resolve()), **options.pixels()}
    weights = None if cut_weights is None else Path(cut_weights).absolute()  # reading processes have their own folder
    cutting = Cutting(cuts, cut_threshold, weights, drop_still, drop_black)
    reading = ReadSettings(size, fit, options.fps, strip_frame, resample, every)
    plan = Plan(root, folder.absolute(), reading, cutting, options.flow, min_frames, store)
    with locked(folder):
        ledger = open_ledger(folder, settings, options, overwrite)
        facts = VideoFacts(folder)
        finished = finished_sources(ledger, sources, folder, options, facts, overwrite)
        keep_only(ledger, folder, finished, complete=len(finished) == len(sources))
        for done, name in enumerate(finished, start=1):
            _report(progress, done, len(sources), name)
        todo = [found for found in sources if found.name not in ledger.outcomes]
        bad = len(findings.refusals)
        most = max_bad_share * (bad + len(sources))
        try:
            for outcome in run_jobs(work, tasks_of(todo, plan), crashed=crashed, **limits):
                if outcome.facts is not None:
                    facts.append(outcome.source, outcome.facts)
                ledger.append(outcome)
                _report(progress, len(ledger.outcomes), len(sources), outcome.source)
                bad += not outcome.clips
                if bad > most:
                    break
        except OSError as error:
            raise DataError(
                f"out {folder}: cannot be written ({error}); what is finished is kept, run again"
            ) from error
        refusals = findings.refusals + [refusal for outcome in ledger.outcomes.values() for refusal in outcome.refusals]
        refusals.sort(key=lambda refusal: natural_key(refusal.source))
        write_quarantine(folder, refusals)
        if mine is None or bad > most:  # a part may well be empty
            check_share(str(source), folder, refusals, bad, len(findings.refusals) + len(sources), max_bad_share)
        index = None
        if mine is None:
            census = Census(str(root), refusals, findings.ignored, findings.notices)
            index = finish(out, ledger.outcomes, options, census)
        else:
            mark_finished(folder, mine, options, settings, findings, root)
    return PreparedData(folder, index, len(finished), len(todo), tuple(refusals), mine)


def _checked_limits(workers: int, time_limit: float, memory_limit: float) -> dict[str, Any]:
    """The arguments for `run_jobs`."""
    if workers < 1:
        raise DataError(f"workers is {workers}; accepted: 1 or more")
    if not time_limit > 0:
        raise DataError(f"time_limit is {time_limit}; accepted: seconds above 0")
    if not memory_limit >= 0.5:
        raise DataError(f"memory_limit is {memory_limit}; accepted: 0.5 GiB or more")
    return {"workers": workers, "time_limit": float(time_limit), "memory_limit": int(memory_limit * (1 << 30))}


def _check_findings(source: Path, findings: Findings, options: Options) -> None:
    if not findings.sources:
        raise DataError(
            f"{source}: nothing usable in it; {findings.ignored} unrelated files, {count_reasons(findings.refusals)}. "
            "Accepted: videos, folders of frames, strips, .npy or .npz clips, and .tar or .zip archives of these"
        )
    kinds = {found.kind for found in findings.sources}
    if options.fps is not None and "video" not in kinds and not any(found.fps for found in findings.sources):
        raise DataError(f"fps={options.fps} has no effect: {source} holds no video file, other sources have no clock")
    if options.strip_frame is not None and "strip" not in kinds:
        raise DataError(f"strip_frame {options.strip_frame} has no effect: no folder of {source} holds such strips")
    asked = [name for name in ("cut_threshold", "cut_weights", "drop_still", "drop_black") if getattr(options, name)]
    if asked and not kinds & set(MAY_HAVE_CUTS):
        raise DataError(f"{asked[0]} has no effect: {source} holds no video file or folder of frames")
    if options.store == "video":
        for found in findings.sources:
            if found.kind != "video" or found.archive is not None:
                raise DataError(
                    f"{found.name}: store='video' reads video files only, outside archives; use store='frames'"
                )
    check_names(findings.sources, options)


def _report(progress: Progress | None, done: int, total: int, name: str) -> None:
    if progress is not None:
        progress(done, total, name)
