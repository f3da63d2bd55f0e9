"""The folder that `prepare` writes: whether it may be used, its lock, and what an earlier run has finished in it."""

import fcntl
import os
import shutil
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, NamedTuple

from vidgan.data.preparing.cutting import CutSource
from vidgan.data.preparing.ledger import LEDGER_NAME, Ledger, read_ledger
from vidgan.data.preparing.options import Options
from vidgan.data.preparing.quarantine import QUARANTINE_NAME
from vidgan.data.sources.source import Source
from vidgan.data.store.index import INDEX_NAME
from vidgan.data.store.shards import packed_clips, shards_folder
from vidgan.data.store.video import VideosFile
from vidgan.errors import DataError
from vidgan.files import read_json

ARRAY_FOLDERS: Final = ("clips", "flow")
PART_NAME: Final = "part.json"
"""Marks a finished part of a data set, as ``index.json`` marks a finished data set."""


def check_folders(source: Path, out: Path) -> None:
    """Raise DataError unless `source` exists and `out` is outside it and new, empty or from an earlier run."""
    if not source.exists():
        raise DataError(f"{source}: no such folder or file")
    inside, outer = out.resolve(), source.resolve()
    if inside == outer or outer in inside.parents:
        raise DataError(f"out {out} is inside the source {source}; accepted: a folder outside it")
    if out.exists() and not out.is_dir():
        raise DataError(f"out {out} is a file; accepted: a folder")
    others = {path.name for path in out.iterdir()} - {QUARANTINE_NAME} if out.is_dir() else set()
    if others and not (out / LEDGER_NAME).is_file():
        raise DataError(f"out {out} contains files that are not a prepared data set; accepted: a new or empty folder")


@contextmanager
def lock_folder(out: Path) -> Iterator[bool]:
    """Create `out` and lock it against other preparations, also of this process. The lock ends with the process.

    Yields whether a training is reading the folder (`vidgan.data.store.clip_store.reading_lock`), so that nothing may
    change in it. File systems without locks are not protected. Raises DataError when another preparation has the lock.
    """
    out.mkdir(parents=True, exist_ok=True)
    handle = os.open(out, os.O_RDONLY | os.O_CLOEXEC)
    is_read = False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
            is_read = True
        except BlockingIOError:
            os.close(handle)
            raise DataError(f"out {out}: another preparation is writing to it; wait for it or stop it") from None
    except OSError:
        pass
    try:
        yield is_read
    finally:
        os.close(handle)


class Resumed(NamedTuple):
    """The state of a folder at the start of a run."""

    ledger: Ledger
    videos: VideosFile
    reused: list[str]  # names of the sources that an earlier run has finished


def resume(
    out: Path,
    sources: Collection[Source],
    settings: dict[str, Any],
    options: Options,
    *,
    overwrite: bool,
) -> Resumed:
    """Open the ledger of `out`, keep the sources that are finished and unchanged, and delete all other files.

    Args:
        out: folder of the data set, locked.
        sources: all sources of this run.
        settings: the options that affect the pixels, and the source.
        options: all options.
        overwrite: allow other settings than those of the earlier run.

    Raises:
        DataError: `out` was made with other settings, or its finished shards would have to be packed again, and
            `overwrite` is off.
    """
    ledger = _open_ledger(out, settings, options, overwrite)
    videos = VideosFile(out)
    reused = _finished_sources(ledger, sources, out, options, videos, overwrite)
    for source in sources:  # labels may have changed since the pixels were read
        if (cut := ledger.cut.get(source.name)) is not None:
            ledger.cut[source.name] = replace(cut, category=source.category, group=source.group, split=source.split)
    _remove_others(ledger, out, reused, is_complete=len(reused) == len(sources))
    return Resumed(ledger, videos, reused)


def finished_ledger(out: Path, sources: Collection[Source], settings: Mapping[str, Any], options: Options) -> Ledger:
    """The ledger of `out`, if it is finished with the same sources and options, so that nothing needs to change.

    Raises DataError otherwise: a training is reading the data set.
    """
    ledger = read_ledger(out)
    earlier, now = _index_settings(out), {**options.as_json(), **settings}
    stamps = {} if ledger is None else {name: _stamp(cut) for name, cut in ledger.cut.items()}
    is_same = ledger is not None and bool(earlier) and not _changes(earlier | ledger.settings, now)
    if ledger is None or not is_same or stamps != {s.name: _stamp(s) for s in sources}:
        raise DataError(
            f"out {out}: a training is reading this data set, which would change; wait for it, stop it, or choose "
            "another --out"
        )
    return ledger


def _stamp(source: Source | CutSource) -> tuple[str | None, ...]:
    return source.stamp, source.category, source.group, source.split


def _changes(earlier: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    return [f"{name} {earlier[name]!r}, now {now.get(name)!r}" for name in earlier if earlier[name] != now.get(name)]


def _open_ledger(out: Path, settings: dict[str, Any], options: Options, overwrite: bool) -> Ledger:
    """The ledger of `out`, new or from an earlier run, without the sources whose pixels would now differ."""
    ledger = read_ledger(out)
    if ledger is None:
        ledger = Ledger(out / LEDGER_NAME, settings)
    changes = _changes(_index_settings(out) | ledger.settings, options.as_json() | settings)
    if changes and not overwrite:
        raise DataError(f"out {out} was prepared with {'; '.join(changes)}; use another folder, or overwrite")
    same_pixels = {**ledger.settings, "source": None} == {**settings, "source": None}
    if changes and options.store == "shards":  # shards are named by split and are the only copy of their clips
        same_pixels = False
    ledger.rewrite(settings, ledger.cut.values() if same_pixels else ())
    for folder in ARRAY_FOLDERS:
        (out / folder).mkdir(exist_ok=True)
    return ledger


def _index_settings(out: Path) -> dict[str, Any]:
    """The settings of a finished data set; empty for an unfinished one, whose settings may still change."""
    try:
        return dict(read_json(out / INDEX_NAME, max_bytes=1 << 29)["settings"])
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _finished_sources(
    ledger: Ledger, sources: Collection[Source], out: Path, options: Options, videos: VideosFile, overwrite: bool
) -> list[str]:
    """Names of the sources that are unchanged since they were read and whose files are complete."""
    packed = packed_clips(out) if options.store == "shards" else set()
    done = [s.name for s in sources if _is_finished(ledger.cut.get(s.name), s, out, packed, videos)]
    if not packed or (len(done) == len(sources) == len(ledger.cut)):
        return done
    if (out / INDEX_NAME).is_file() and not overwrite:
        raise DataError(
            f"out {out} contains finished shards and the source has changed since; use another folder, or overwrite to "
            "read everything again"
        )
    shutil.rmtree(shards_folder(out))
    return [s.name for s in sources if _is_finished(ledger.cut.get(s.name), s, out, set(), videos)]


def _is_finished(
    cut: CutSource | None, source: Source, out: Path, packed: Collection[tuple[str, str]], videos: VideosFile
) -> bool:
    if cut is None or cut.stamp != source.stamp or not cut.clips:
        return False
    if cut.has_metadata and source.name not in videos:
        return False
    return all((clip.id, clip.digest) in packed or array_bytes(out, clip.id) == clip.nbytes for clip in cut.clips)


def array_bytes(out: Path, clip_id: str) -> int:
    """Total size of the arrays of a clip, pixels and flow."""
    files = [path for folder in ARRAY_FOLDERS if (path := out / folder / f"{clip_id}.npy").is_file()]
    return sum(path.stat().st_size for path in files)


def _remove_others(ledger: Ledger, out: Path, finished: Collection[str], *, is_complete: bool) -> None:
    """Remove all other sources and their files, and leftovers of a crash. A folder that changes is unfinished."""
    if ledger.cut.keys() - set(finished) or not is_complete:
        for name in (INDEX_NAME, PART_NAME):
            (out / name).unlink(missing_ok=True)
    ledger.rewrite(ledger.settings, [ledger.cut[name] for name in finished])
    needed = {f"{clip.id}.npy" for source in ledger.cut.values() for clip in source.clips}
    for folder in ARRAY_FOLDERS:
        for path in (out / folder).iterdir():
            if path.name not in needed and path.suffix in (".npy", ".tmp"):
                path.unlink()
