"""Fuzz the readers of prepared data: hostile values in every field of every file must be refused by name, or read.

    python tools/fuzz_files.py                     700 cases, some seconds
    python tools/fuzz_files.py --count 100000      for a release
    python tools/fuzz_files.py --kind index.json   one kind of file

A case replaces or removes one value anywhere in a valid file. The data set is then opened, a batch and windows are read
from it, or the file is read as `vidgan prepare` reads it. Accepted are success and a user error (ValueError or OSError)
that names a file. Anything else is a fault: another exception, more than `SECONDS`, or more than `BYTES`.
Digests in an index are computed anew, as a stranger would.

`KINDS` lists the kinds of files; each makes its valid files once, and reads them after each change.
"""

import argparse
import copy
import json
import logging
import math
import resource
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from vidgan.data.dataset import ClipDataset
from vidgan.data.layouts.discovery import discover
from vidgan.data.loader import ClipLoader
from vidgan.data.preparing.ledger import read_ledger
from vidgan.data.preparing.parts import collect_parts, part_folders
from vidgan.data.preparing.prepare import prepare
from vidgan.data.store.index import FORMAT
from vidgan.files import digest_of
from vidgan.video.encode import write_mp4

SECONDS: Final = 2.0
BYTES: Final = 512 << 20
HOSTILE: Final[tuple[Any, ...]] = (
    *(None, True, False, 0, 1, -1, 2, 7, 10**6, 10**12, 2**63, -(2**63), 10**400, 1.5, -0.5, 1e308),
    *(math.nan, math.inf, "", "x", "train", "../x", "/etc/passwd", "a\0b", "\x1b[2J", "\ud800", "1", "é" * 5000),
    *([], [0], [1, 0], [-1, 1], [[]], {}, {"a": 1}, [None] * 3, ["x"] * 100_000, list(range(5)), [10**12] * 2),
)
REMOVE: Final = object()


class Kind(NamedTuple):
    """A kind of file.

    Attributes:
        make: writes a valid file and everything that it refers to below a folder; returns the file.
        read: reads the file in that folder as the library does; user errors pass through.
        load, dump: text of the file to its value, and back.
    """

    make: Callable[[Path], Path]
    read: Callable[[Path], None]
    load: Callable[[str], Any]
    dump: Callable[[Any], str]


def paths_in(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The places of all values in a JSON value; of long lists, only the first and last items."""
    yield path
    if isinstance(value, dict):
        for key in value:
            yield from paths_in(value[key], (*path, key))
    elif isinstance(value, list):
        for place in sorted({0, 1, len(value) - 1} & set(range(len(value)))):
            yield from paths_in(value[place], (*path, place))


def changed(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """A copy of `value` with another value at `path`, or without it."""
    if not path:
        return None if new is REMOVE else new
    whole = copy.deepcopy(value)
    inner = whole
    for key in path[:-1]:
        inner = inner[key]
    if new is REMOVE:
        del inner[path[-1]]
    else:
        inner[path[-1]] = new
    return whole


def with_digests(index: Any) -> Any:
    """An index with the digests that belong to its content, where they can be computed."""
    try:
        clips = sorted((c["source"], c["digest"], c["frames"], c["category"]) for c in index["clips"])
        fingerprint = digest_of(FORMAT, list(index["size"]), index["flow"], index["categories"], clips)
        splits = digest_of(FORMAT, sorted((c["source"], c["split"]) for c in index["clips"]))
    except (KeyError, TypeError, ValueError, RecursionError):
        return index
    return {**index, "fingerprint": fingerprint, "split_hash": splits}


def _lines(text: str) -> list[Any]:
    return [json.loads(line) for line in text.splitlines()]


def _joined(lines: Any) -> str:
    return "".join(json.dumps(line) + "\n" for line in (lines if isinstance(lines, list) else [lines]))


def _prepared(store: str, **options: Any) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        source = folder / "source"
        source.mkdir(parents=True)
        rng = np.random.default_rng(0)
        for i in range(3):
            frames = rng.integers(0, 256, (6, 4, 4, 3), dtype=np.uint8).repeat(4, 1).repeat(4, 2)
            if store == "video":
                write_mp4(source / f"{i}.mp4", frames, fps=10)
            else:
                np.save(source / f"{i}.npy", frames)
        return prepare(source, folder / "data", size=(16, 16), store=store, cuts="off", **options).root

    return make


def _read_data(folder: Path) -> None:
    """Open the data set, and read a batch and windows, by frames and by time."""
    for fps in (None, 5.0) if (folder / "data" / "videos.jsonl").exists() else (None,):
        dataset = ClipDataset(folder / "data", frames=3, fps=fps)
        if dataset.num_categories > 1000:
            raise AssertionError("categories without clips")
        next(ClipLoader(dataset, batch_size=2, seed=0).batches())
        next(iter(dataset.windows(3, 1)))


def _read_ledger(folder: Path) -> None:
    ledger = read_ledger(folder / "data")
    for source in () if ledger is None else ledger.cut.values():
        for clip in source.clips:
            if "/" in clip.id or clip.frames < 1:
                raise AssertionError(f"unchecked clip {clip}")


def _make_parts(folder: Path) -> Path:
    _prepared("frames", part=(1, 1))(folder)
    return folder / "data" / "part-1-of-1"


def _make_manifest(name: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        _prepared("frames")(folder)
        rows = [
            {"path": "source/0.npy", "start": 0, "end": 4, "category": "a", "group": "g", "split": "train", "fps": 5},
            {"path": "source/1.npy", "start_time": None, "end_time": None, "category": 3},
        ]
        (folder / name).write_text(_joined(rows))
        return folder

    return make


def _read_manifest(folder: Path) -> None:
    discover(folder / "list.jsonl")


def _in(make: Callable[[Path], Path], *names: str) -> Callable[[Path], Path]:
    return lambda folder: make(folder).joinpath(*names)


KINDS: Final = {
    "index.json": Kind(_in(_prepared("frames"), "index.json"), _read_data, json.loads, json.dumps),
    "index.json of shards": Kind(_in(_prepared("shards"), "index.json"), _read_data, json.loads, json.dumps),
    "index.json of videos": Kind(_in(_prepared("video"), "index.json"), _read_data, json.loads, json.dumps),
    "manifest.json": Kind(_in(_prepared("shards"), "shards", "manifest.json"), _read_data, json.loads, json.dumps),
    "videos.jsonl": Kind(_in(_prepared("video"), "videos.jsonl"), _read_data, _lines, _joined),
    "prepare.jsonl": Kind(_in(_prepared("frames"), "prepare.jsonl"), _read_ledger, _lines, _joined),
    "part.json": Kind(
        _in(_make_parts, "part.json"),
        lambda folder: (collect_parts(folder / "data", part_folders(folder / "data")), None)[1],
        json.loads,
        json.dumps,
    ),
    "list.jsonl": Kind(_in(_make_manifest("list.jsonl"), "list.jsonl"), _read_manifest, _lines, _joined),
}


class Fuzzer:
    """Changes the file of one kind, made in `folder`, and reads it."""

    def __init__(self, name: str, folder: Path) -> None:
        self.kind = KINDS[name]
        self.folder = folder
        self.file = self.kind.make(folder)
        self.text = self.file.read_text()
        self.value = self.kind.load(self.text)
        self.places = list(paths_in(self.value))
        self.kind.read(folder)

    def __len__(self) -> int:
        """Number of single changes."""
        return len(self.places) * (len(HOSTILE) + 1)

    def text_of(self, case: int, rng: np.random.Generator) -> str:
        """The file after change number `case`; beyond the single changes, after two random ones."""
        numbers = [case] if case < len(self) else rng.integers(0, len(self), 2).tolist()
        value = self.value
        for number in numbers:
            place, new = self.places[number % len(self.places)], [REMOVE, *HOSTILE][number // len(self.places)]
            try:
                value = changed(value, place, new)
            except (KeyError, IndexError, TypeError):
                continue  # the first change removed the place of the second
        return self.kind.dump(with_digests(value) if self.file.name == "index.json" else value)

    def outcome(self, text: str) -> str:
        """Read the changed file: ``read``, ``refused``, or ``fault: ...``."""
        self.file.write_text(text, encoding="utf-8", errors="surrogatepass")
        started, before = time.monotonic(), _peak_bytes()
        try:
            self.kind.read(self.folder)
            result = "read"
        except (ValueError, OSError) as error:
            result = "refused" if "/" in str(error) else f"fault: no file is named: {type(error).__name__}: {error}"
        except Exception as error:
            result = f"fault: {type(error).__name__}: {error}"
        if time.monotonic() - started > SECONDS:
            return f"fault: {time.monotonic() - started:.1f} s"
        return f"fault: {_peak_bytes() - before} bytes" if _peak_bytes() - before > BYTES else result


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def fuzz(name: str, count: int, seed: int) -> Iterator[tuple[int, str, str]]:
    """Number, changed text and outcome of `count` cases of one kind, spread over all single changes."""
    folder = Path(tempfile.mkdtemp())
    try:
        fuzzer = Fuzzer(name, folder)
        rng = np.random.default_rng(seed)
        singles = rng.permutation(len(fuzzer))[:count]
        for case in [*singles.tolist(), *range(len(fuzzer), len(fuzzer) + count - len(singles))]:
            text = fuzzer.text_of(case, rng)
            yield case, text, fuzzer.outcome(text)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def main(arguments: list[str] | None = None) -> int:
    """Run the fuzzer from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--count", type=int, default=700, help="number of cases over all kinds (default 700)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kind", choices=KINDS, help="one kind of file; default: all")
    options = parser.parse_args(arguments)
    names = [options.kind] if options.kind else list(KINDS)
    if options.count < len(names):
        parser.error(f"--count must be at least {len(names)}, got {options.count}")
    started, faults = time.monotonic(), 0
    for name in names:
        outcomes: Counter[str] = Counter()
        for case, _, outcome in fuzz(name, options.count // len(names), options.seed):
            outcomes[outcome.split(":")[0]] += 1
            if outcome.startswith("fault"):
                faults += 1
                print(f"{name} case {case}: {outcome[:300]}", file=sys.stderr, flush=True)
        print(f"{name}: " + ", ".join(f"{number} {outcome}" for outcome, number in outcomes.most_common()))
    print(f"{options.count} cases in {time.monotonic() - started:.1f} s, {faults} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    logging.getLogger("vidgan").setLevel(logging.ERROR)  # damaged data are expected here
    sys.exit(main())
