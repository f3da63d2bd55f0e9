"""The folder that `prepare` fills: whether it may be used, what in it is finished, and what is left from a crash."""

import fcntl
import json
import os
import shutil
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from vidgan.data.preparing.ledger import LEDGER_NAME, Ledger, Outcome, read_ledger
from vidgan.data.preparing.options import Options
from vidgan.data.sources.discovery import Source
from vidgan.data.store.index import INDEX_NAME
from vidgan.data.store.shards import check_shard, load_manifest, shards_folder
from vidgan.data.store.videos import VideoFacts
from vidgan.errors import DataError

ARRAY_FOLDERS: Final = ("clips", "flow")
PART_NAME: Final = "part.json"
"""Says that the part of a data set that lies in the folder is finished, as ``index.json`` does for a whole one."""


def check_folders(source: Path, out: Path) -> None:
    """Raise DataError unless there is a source, and `out` is new, empty or of an earlier run, and apart from it."""
    if not source.exists():
        raise DataError(f"{source}: no such folder or file")
    inside, outer = out.resolve(), source.resolve()
    if inside == outer or outer in inside.parents:
        raise DataError(f"out {out} lies in the source {source}, which stays untouched; choose a folder elsewhere")
    if out.exists() and not out.is_dir():
        raise DataError(f"out {out} is a file; give a folder")
    if out.is_dir() and not (out / LEDGER_NAME).is_file() and any(out.iterdir()):
        raise DataError(f"out {out} holds files that are not a prepared data set; choose a new or empty folder")


@contextmanager
def locked(out: Path) -> Iterator[None]:
    """Make `out` and keep other preparations out of it, also those of this process; a killed one leaves no lock behind.

    Raises DataError when another one is at work there. File systems without locks are trusted.
    """
    out.mkdir(parents=True, exist_ok=True)
    handle = os.open(out, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        raise DataError(f"out {out}: another preparation is writing into it; wait for it, or stop it") from None
    except OSError:
        pass
    try:
        yield
    finally:
        os.close(handle)


def open_ledger(out: Path, settings: dict[str, Any], options: Options, overwrite: bool) -> Ledger:
    """The ledger of `out`, new or from an earlier run; outcomes whose pixels would now differ are dropped from it.

    Raises DataError when `out` was prepared with other options and `overwrite` does not allow to change them.
    """
    ledger = read_ledger(out)
    if ledger is None:
        ledger = Ledger(out / LEDGER_NAME, settings)
    earlier = _settings_of_index(out) | ledger.settings
    now = options.as_json() | settings
    changes = [f"{name} {earlier[name]!r}, now {now.get(name)!r}" for name in earlier if earlier[name] != now.get(name)]
    if changes and not overwrite:
        raise DataError(f"out {out} was prepared with {'; '.join(changes)}; choose another folder, or allow overwrite")
    same_pixels = {**ledger.settings, "source": None} == {**settings, "source": None}
    if changes and options.store == "shards":  # shards are named by split, and their clips are nowhere else
        same_pixels = False
    ledger.rewrite(settings, ledger.outcomes.values() if same_pixels else ())
    for folder in ARRAY_FOLDERS:
        (out / folder).mkdir(exist_ok=True)
    return ledger


def _settings_of_index(out: Path) -> dict[str, Any]:
    """The settings of a finished data set; none for an unfinished one, which may be tried with others."""
    try:
        return dict(json.loads((out / INDEX_NAME).read_bytes())["settings"])
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def finished_sources(
    ledger: Ledger, sources: Iterable[Source], out: Path, options: Options, facts: VideoFacts, overwrite: bool
) -> list[str]:
    """Names of the sources that are unchanged since they were read, and whose files lie in `out` in full length.

    Raises DataError when a finished data set of shards would have to be packed anew, and `overwrite` does not allow it.
    """
    wanted = list(sources)
    packed = packed_clips(out) if options.store == "shards" else set()
    done = [s.name for s in wanted if _is_finished(ledger.outcomes.get(s.name), s, out, packed, facts)]
    if not packed or (len(done) == len(wanted) == len(ledger.outcomes)):
        return done
    if (out / INDEX_NAME).is_file() and not overwrite:
        raise DataError(
            f"out {out} holds finished shards and the source has changed since; choose another folder, or allow "
            "overwrite to read everything anew"
        )
    shutil.rmtree(shards_folder(out))
    return [s.name for s in wanted if _is_finished(ledger.outcomes.get(s.name), s, out, set(), facts)]


def packed_clips(out: Path) -> set[tuple[str, str]]:
    """Id and digest of the clips that lie in whole shards."""
    try:
        shards = load_manifest(out)
        for shard in shards:
            check_shard(out, shard)
    except DataError:
        return set()
    return {(clip.id, clip.digest) for shard in shards for clip in shard.clips}


def _is_finished(
    outcome: Outcome | None, source: Source, out: Path, packed: Collection[tuple[str, str]], facts: VideoFacts
) -> bool:
    if outcome is None or outcome.stamp != source.stamp or not outcome.clips:
        return False
    if outcome.has_facts and source.name not in facts:
        return False
    return all((clip.id, clip.digest) in packed or array_bytes(out, clip.id) == clip.nbytes for clip in outcome.clips)


def array_bytes(out: Path, clip_id: str) -> int:
    """The size of the files of a clip, pixels and flow."""
    files = [path for folder in ARRAY_FOLDERS if (path := out / folder / f"{clip_id}.npy").is_file()]
    return sum(path.stat().st_size for path in files)


def keep_only(ledger: Ledger, out: Path, finished: Collection[str], *, complete: bool) -> None:
    """Forget all other outcomes and delete their files, and what a crash has left; what changes is unfinished."""
    kept = set(finished)
    if ledger.outcomes.keys() - kept or not complete:
        for name in (INDEX_NAME, PART_NAME):
            (out / name).unlink(missing_ok=True)
    ledger.rewrite(ledger.settings, [ledger.outcomes[name] for name in finished])
    wanted = {f"{clip.id}.npy" for outcome in ledger.outcomes.values() for clip in outcome.clips}
    for folder in ARRAY_FOLDERS:
        for path in (out / folder).iterdir():
            if path.name not in wanted and path.suffix in (".npy", ".tmp"):
                path.unlink()
