"""Prepare a data set: from a folder of videos to checked, split, indexed clips of one size.

`prepare` runs the five stages LIST, READ, CUT, SPLIT and STORE (see `vidgan.data.preparing`) in `_run_stages`;
`merge_parts` continues with SPLIT and STORE on parts made by `prepare`. The folder `out` then contains::

    index.json           all clips with group, category and split; settings; two digests (see `vidgan.data.store.index`)
    clips/<id>.npy       uint8 (T, H, W, 3) RGB; in shards/*.tar for store="shards", absent for store="video"
    flow/<id>.npy        float16 (T-1, 2, H, W) backward flow in pixels, if requested
    videos.jsonl         metadata of every video file: times, key frames, size, rate, cuts, checksum
    contact_sheet.png    up to 16 clips, one per row: look at it before training
    quarantine.jsonl     every refused file with the reason
    prepare.jsonl        finished sources, for resuming
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from vidgan.data.preparing.cutting import read_and_cut, refuse_crashed
from vidgan.data.preparing.listing import check_sources, list_sources
from vidgan.data.preparing.options import Cuts, Flow, Options, Store
from vidgan.data.preparing.output_folder import Resumed, check_folders, finished_ledger, lock_folder, resume
from vidgan.data.preparing.parts import Part, collect_parts, finish_part, part_folders
from vidgan.data.preparing.quarantine import QUARANTINE_NAME, Quarantine
from vidgan.data.preparing.reading import Plan, read_tasks
from vidgan.data.preparing.shots import ShotSettings
from vidgan.data.preparing.splitting import split_clips
from vidgan.data.preparing.storing import store_clips
from vidgan.data.preparing.worker_processes import run_jobs
from vidgan.data.sources.readers import ReadSettings
from vidgan.data.sources.source import Refusal, Source
from vidgan.data.store.index import INDEX_NAME, Index, load_index
from vidgan.data.store.video import VideosFile
from vidgan.errors import DataError
from vidgan.video.resize import Fit, Resample

MEMORY_BYTES: Final = 512 << 20
"""Frames of a source in memory; longer videos and folders of frames are cut block by block, with the same result."""

Progress = Callable[[int, int, str], None]
"""Called with the number of finished sources, the number of all sources, and the name of the last finished one."""


@dataclass(frozen=True)
class PreparedData:
    """The result of `prepare`.

    Attributes:
        root: the folder `out`; for a part, its folder in there.
        whole: content of ``index.json``, None for a part; see also `index`.
        reused: number of sources finished by an earlier run.
        prepared: number of sources read by this run.
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
        """Content of ``index.json``; its `notices` are meant for people. Raises DataError for a part."""
        if self.whole is None:
            raise DataError(f"{self.root}: a part has no index; merge the parts first")
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
    cuts: Cuts = "auto",
    cut_threshold: float | None = None,
    cut_weights: Path | str | None = None,
    drop_still: bool = False,
    drop_black: bool = False,
    flow: Flow | None = None,
    store: Store = "frames",
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
    follow_links: bool = False,
    max_bad_share: float = 0.5,
    part: tuple[int, int] | None = None,
    workers: int = 1,
    time_limit: float = 600.0,
    memory_limit: float = 8.0,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> PreparedData:
    """Read, check, resize, cut and split all clips of a source. An interrupted run resumes; no file is read twice.

    Args:
        source: a folder of videos, folders of frames, strips, .npy / .npz arrays and archives, nested and mixed; a
            published data set as downloaded (see `layout`); a manifest; or one file. It is never modified. Hidden and
            unrelated files are counted and ignored.
        out: folder of the data set, outside `source`; new, empty, or from an earlier run.
        size: (H, W) of the prepared frames in pixels.
        fit: ``"crop"`` crops the centre to the aspect ratio of `size`, ``"squash"`` ignores the aspect ratio,
            ``"cover"`` scales until the frame covers `size` and crops its centre.
        resample: scaling filter: ``"area"``, ``"bilinear"``, ``"bicubic"``, ``"lanczos"`` or ``"nearest"``.
        fps: target frame rate in frames per second, by presentation time (nearest frame); None keeps every frame.
            Sources without a clock are not resampled.
        every: stride in frames, applied after `fps`.
        cuts: detection of shot changes in videos and folders of frames, which no clip spans: ``"auto"`` compares frames
            (`vidgan.video.shots`), ``"transnet"`` uses TransNetV2 with `cut_weights`, ``"off"`` disables it. Detection
            runs at the source's frame rate. Strips and arrays are single shots. Shots are clips named ``name@start``
            and share the group of their source.
        cut_threshold: threshold of the detector, None for its default.
        cut_weights: file of TransNetV2's weights.
        drop_still: exclude segments without motion.
        drop_black: exclude black segments.
        flow: optical flow to store: ``"dis"``, ``"tvl1"``, ``"auto"`` (the better one installed), or None.
        store: what training reads: ``"frames"``, one array per clip; ``"video"``, the source videos, decoded on demand,
            which must stay in place; ``"shards"``, the arrays in large tar files.
        shard_mb: maximum MiB of a shard; None for 256.
        categories: use the first folder level (or, if it is a single folder, the clip's own folder) as the class.
            Categories defined by a manifest or a published data set are always used.
        group_by: clips that the split must keep together. None: as defined by the manifest or data set, else each file,
            folder of frames, or clip of a multi-clip array is a group. ``"folder"``: the parent folder.
            ``"number//N"``: the number in the name divided by N, rounded down. Otherwise a regular expression,
            searched for in the path below `source` (group: its first capture group, or the whole match). Clips with
            equal or mirrored frames are always joined.
        layout: interpretation of the files. ``"strips"`` and ``"frames"`` apply to all images, ``"videos"`` ignores
            images, ``"auto"`` decides per folder; the others are published data sets
            (`vidgan.data.layouts.discovery.LAYOUTS`).
        strip_frame: (H, W) of one frame of a strip in pixels, None for square frames.
        holdout: fraction of the clips in the test split, in whole groups; 0 for none. None: the split of the manifest
            or data set, else 0.1.
        test_pattern: regular expression; clips whose path contains a match are the test split.
        protocol: name of the benchmark protocol of these settings; only recorded.
        seed: seed for the choice of test groups.
        min_frames: shorter clips are refused, shorter shots of a longer video excluded.
        follow_links: follow links that lead out of `source`; otherwise they are refused. Links within `source` are
            always followed.
        max_bad_share: maximum fraction of refused files; above it the whole source is refused.
        part: (I, N): read only the I-th of N shares of the source, into a folder below `out`; see `merge_parts`.
        workers: number of worker processes. Decoding happens only there, so that a file that crashes a decoder, hangs
            it or exhausts memory costs only itself.
        time_limit: maximum seconds to read one clip.
        memory_limit: maximum GiB of memory of a worker process (Linux).
        overwrite: allow other settings than those `out` was made with; clips with unchanged pixels are kept.
        progress: called after every source, see `Progress`.

    Raises:
        DataError: an option, the source or `out` is unusable; too many files are refused; another preparation writes
            to `out`; the disk is full.
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
        follow_links=follow_links,
    ).checked()
    # Options keep the digest of the weights; worker processes, which have another working directory, need their path.
    weights = None if cut_weights is None else Path(cut_weights).absolute()
    own_part = None if part is None else Part(*part).checked()
    run = _Run(
        source=Path(source),
        folder=Path(out) if own_part is None else own_part.folder(Path(out)),
        options=options,
        shots=ShotSettings(cuts, cut_threshold, weights, drop_still, drop_black),
        part=own_part,
        limits=_check_limits(workers, time_limit, memory_limit),
        max_bad_share=_check_share(max_bad_share),
        overwrite=overwrite,
        progress=progress or (lambda done, total, name: None),
    )
    return _run_stages(run)


@dataclass(frozen=True)
class _Run:
    """The checked arguments of `prepare`."""

    source: Path
    folder: Path  # what is written: `out`, or the folder of the part in it
    options: Options
    shots: ShotSettings
    part: Part | None
    limits: dict[str, Any]  # keyword arguments of `run_jobs`
    max_bad_share: float
    overwrite: bool
    progress: Progress

    @property
    def settings(self) -> dict[str, Any]:
        """The options that affect the stored clips, and the source."""
        return {"source": str(self.source.resolve()), **self.options.pixels()}

    def plan(self, root: Path) -> Plan:
        """What READ and CUT do with the sources below `root`."""
        o = self.options
        reading = ReadSettings(o.size, o.fit, o.fps, o.strip_frame, o.resample, o.every, MEMORY_BYTES)
        return Plan(root, self.folder.absolute(), reading, self.shots, o.flow, o.min_frames, o.store)


def _run_stages(run: _Run) -> PreparedData:
    """LIST, READ, CUT, SPLIT and STORE; a part ends after CUT."""
    folder, options, part = run.folder, run.options, run.part
    check_folders(run.source, folder)
    listed = list_sources(run.source, options)  # LIST
    if not listed.sources:
        with lock_folder(folder):
            Quarantine.of(listed, (), 0).write(folder)
    check_sources(run.source, listed, options, folder / QUARANTINE_NAME)
    sources = list(listed.sources) if part is None else part.share(listed.sources)
    with lock_folder(folder) as is_read:
        if is_read:  # by a training
            ledger = finished_ledger(folder, sources, run.settings, options)
            refusals = Quarantine.of(listed, ledger.cut.values(), len(sources)).refusals
            return PreparedData(folder, load_index(folder), len(sources), 0, refusals)
        state = resume(folder, sources, run.settings, options, overwrite=run.overwrite)
        todo = [source for source in sources if source.name not in state.ledger.cut]
        _read_and_cut(run, state, todo, run.plan(listed.root), len(sources), len(listed.refusals))  # READ, CUT
        cut = state.ledger.cut.values()
        quarantine = Quarantine.of(listed, cut, len(sources))
        quarantine.write(folder)
        if part is None or quarantine.num_bad > run.max_bad_share * quarantine.num_files:  # a part may be empty
            quarantine.check(str(run.source), folder, run.max_bad_share)
        if part is None:
            split = split_clips(cut, options)  # SPLIT
            index = store_clips(folder, listed, cut, split, options, quarantine.refusals)  # STORE
        else:
            index = None
            finish_part(folder, part, options, run.settings, listed)
    return PreparedData(folder, index, len(state.reused), len(todo), quarantine.refusals, part)


def _read_and_cut(
    run: _Run, state: Resumed, todo: list[Source], plan: Plan, num_sources: int, num_refused: int
) -> None:
    """READ and CUT the sources `todo` in worker processes, into the ledger; ends early if too many are refused.

    Args:
        run, plan: what to do.
        state: where to record it.
        todo: sources that no earlier run has finished.
        num_sources: number of all sources of this run.
        num_refused: number of files that LIST refused.
    """
    for done, name in enumerate(state.reused, start=1):
        run.progress(done, num_sources, name)
    num_bad = num_refused
    max_bad = run.max_bad_share * (num_refused + num_sources)
    try:
        for source in run_jobs(read_and_cut, read_tasks(todo, plan), crashed=refuse_crashed, **run.limits):
            if source.metadata is not None:
                state.videos.append(source.source, source.metadata)
            state.ledger.append(source)
            run.progress(len(state.ledger.cut), num_sources, source.source)
            num_bad += not source.clips
            if num_bad > max_bad:
                break
    except OSError as error:
        raise DataError(
            f"out {run.folder}: cannot be written ({error}); finished sources are kept, run the same command again"
        ) from error


def merge_parts(out: Path, *, max_bad_share: float = 0.5) -> Index:
    """Merge the parts in `out` into one data set, equal to that of one run, and remove their folders.

    Can be interrupted at any time and run again.

    Args:
        out: the folder passed for every part; copy parts made elsewhere into it first.
        max_bad_share: see `prepare`.

    Raises:
        DataError: parts are missing, unfinished, damaged, or of different sources or options.
    """
    folders = part_folders(out)
    if not folders:
        raise DataError(
            f"{out}: contains no parts; make them with `vidgan prepare VIDEOS --out {out} --part 1/N` to N/N"
        )
    with lock_folder(out):
        if (out / INDEX_NAME).is_file():  # merged, but interrupted while removing the parts
            index = load_index(out)
        else:
            parts = collect_parts(out, folders)  # LIST, READ and CUT are done
            cut, options = parts.cut.values(), parts.options
            quarantine = Quarantine.of(parts.listed, cut, len(cut))
            quarantine.check(parts.settings["source"], out, max_bad_share)
            parts.move_arrays(out)
            quarantine.write(out)
            split = split_clips(cut, options)  # SPLIT
            videos = [VideosFile(folder) for folder in folders]
            index = store_clips(out, parts.listed, cut, split, options, quarantine.refusals, videos)  # STORE
        for folder in folders:
            shutil.rmtree(folder)
    return index


def _check_limits(workers: int, time_limit: float, memory_limit: float) -> dict[str, Any]:
    """Keyword arguments of `run_jobs`."""
    if workers < 1:
        raise DataError(f"workers is {workers}; accepted: 1 or more")
    if not time_limit > 0:
        raise DataError(f"time_limit is {time_limit}; accepted: seconds above 0")
    if not memory_limit >= 0.5:
        raise DataError(f"memory_limit is {memory_limit}; accepted: 0.5 GiB or more")
    return {"workers": workers, "time_limit": float(time_limit), "memory_limit": int(memory_limit * (1 << 30))}


def _check_share(max_bad_share: float) -> float:
    if not 0 <= max_bad_share <= 1:
        raise DataError(f"max_bad_share is {max_bad_share}; accepted: 0 to 1")
    return max_bad_share
