"""Fuzz the files that describe a run: hostile values in every field must be accepted or refused with one clear error.

    python tools/fuzz_runs.py                       1,300 cases
    python tools/fuzz_runs.py --count 100000        before a release

The files are config.yaml, a model's config.json and vidgan.json, a checkpoint's manifest.json and state.json,
journal.jsonl, starts.jsonl and the result files, all of a run that is made for this. The first cases put every hostile
value into every field; further ones change several fields at random. A fault is an exception that is no user error, an
error without a message, or a case that takes too long. Exit code 1 means a fault; the same --seed repeats the cases.
"""

import argparse
import copy
import hashlib
import itertools
import json
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from vidgan.build import build_algorithm, build_dataset, build_networks
from vidgan.commands.evaluate import evaluate
from vidgan.commands.table import table
from vidgan.commands.train import train
from vidgan.config import load_config, parse_config, shipped_configs
from vidgan.data.preparing.prepare import prepare
from vidgan.data.synthetic.shapes import render_shapes
from vidgan.report.page import render_page
from vidgan.report.run import run_sections
from vidgan.tasks.forecasting.dual_motion import DualMotionGAN
from vidgan.training.accelerator import build_accelerator
from vidgan.training.checkpoint import load_checkpoint
from vidgan.training.diagnostics import diagnose
from vidgan.training.guards import Guards
from vidgan.training.journal import read_journal
from vidgan.training.ranks import Ranks
from vidgan.training.run_state import RunState

SECONDS: Final = 10.0  # that a case may take
DROP: Final = object()  # remove the field
UNKNOWN: Final = object()  # add a field with an unknown name beside it
CHANGES: Final = [
    "model.widths=[4,4,4,4]",
    "model.dim_latent=4",
    "model.estimator.widths=[4,4,4]",
    "discriminators.frame.width=4",
    "discriminators.flow.width=4",
    "train.steps=1",
    "train.batch_size=2",
    "train.warmup=0",
    "every.log=1",
    "every.evaluate=1",
]


def hostile_values() -> list[Any]:
    """Values of every JSON type, at and beyond every limit."""
    deep: Any = []
    for _ in range(500):
        deep = [deep]
    numbers = [0, 1, -1, 2, 3, 2**31, 2**63, 10**12, 10**400, -(10**12), 0.5, -0.5, 1e308, -1e308, 1e-320]
    floats = [float("nan"), float("inf"), float("-inf")]
    texts = [
        "",
        "x",
        "a" * 100_000,
        "../../etc/passwd",
        "/dev/zero",
        "\x1b[2J\x00",
        "\ud800",
        "1",
        "nan",
        "${x}",
        "???",
    ]
    lists = [[], [1], ["x"], [[]], [None], list(range(1000)), {}, {"a": 1}, {"": None}, {"kind": "x"}, deep]
    return [None, True, False, *numbers, *floats, *texts, *lists, DROP, UNKNOWN]


def field_paths(value: Any, prefix: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The keys that lead to every field, sections included."""
    members: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, member in itertools.islice(members, 40):
        yield (*prefix, key)
        yield from field_paths(member, (*prefix, key))


def with_value(content: Any, path: tuple[str | int, ...], value: Any) -> Any:
    """A copy of `content` with another value at `path`; unchanged where an earlier change removed the path."""
    result = copy.deepcopy(content)
    section = result
    try:
        for key in path[:-1]:
            section = section[key]
        if value is DROP:
            del section[path[-1]]
        elif value is UNKNOWN:
            section["surprise"] = 1
        else:
            section[path[-1]] = value
    except (LookupError, TypeError):
        return result
    return result


class Target(NamedTuple):
    """One kind of file: its content as JSON, and the function that writes a changed content and reads it back."""

    name: str
    content: Any
    read: Callable[[Any], object]


def make_run(folder: Path) -> Path:
    """Train one step of a small forecaster and score it, so that every kind of file exists."""
    render_shapes(folder / "videos", clips=9, frames=16, size=32, seed=0)
    prepare(folder / "videos", folder / "data", size=(32, 32), flow="auto", categories=True, holdout=0.4)
    changes = [f"data.root={folder / 'data'}", f"out={folder / 'runs'}", "name=r", *CHANGES]
    run = train(load_config(shipped_configs()["dual_motion/demo"], changes), quiet=True).run_dir
    evaluate(run)
    return run


def make_targets(run: Path) -> list[Target]:
    """The files of the run, with the functions that read them."""
    config = load_config(run / "config.yaml")
    dataset = build_dataset(config)
    accelerator = build_accelerator("cpu")
    state = RunState(
        build_algorithm(config, build_networks(config, dataset), accelerator),
        ranks=Ranks(accelerator),
        checkpoints=run / "checkpoints",
        record={},
        export=lambda step, best: None,
        keep=2,
        max_rollbacks=0,
    )
    checkpoint = next((run / "checkpoints").glob("step-*"))
    result = next((run / "scores").glob("*.json"))

    def read_yaml(content: Any) -> object:
        (run / "config.yaml").write_text(json.dumps(content))  # JSON is YAML
        return load_config(run / "config.yaml")

    def read_model(name: str) -> Callable[[Any], object]:
        def read(content: Any) -> object:
            original = (run / "model" / name).read_bytes()
            try:
                (run / "model" / name).write_text(json.dumps(content))
                return DualMotionGAN.from_pretrained(run / "model")
            finally:
                (run / "model" / name).write_bytes(original)

        return read

    def read_checkpoint(name: str) -> Callable[[Any], object]:
        def read(content: Any) -> object:
            manifest = json.loads((checkpoint / "manifest.json").read_text())
            originals = {file: (checkpoint / file).read_bytes() for file in ("manifest.json", "state.json")}
            try:
                if name == "state.json":
                    payload = json.dumps(content).encode()
                    (checkpoint / name).write_bytes(payload)
                    entry = {"sha256": hashlib.sha256(payload).hexdigest(), "bytes": len(payload)}
                    manifest["files"][name] = entry
                else:
                    manifest = content
                if isinstance(manifest, dict):
                    body = {key: value for key, value in manifest.items() if key != "checksum"}
                    text = json.dumps(body, sort_keys=True)
                    manifest = {**body, "checksum": hashlib.sha256(text.encode()).hexdigest()}
                (checkpoint / "manifest.json").write_text(json.dumps(manifest))
                return state.restore(load_checkpoint(checkpoint))
            finally:
                for file, original in originals.items():
                    (checkpoint / file).write_bytes(original)

        return read

    def read_lines(name: str) -> Callable[[Any], object]:
        def read(content: Any) -> object:
            original = (run / name).read_bytes()
            try:
                (run / name).write_text("".join(json.dumps(line) + "\n" for line in content))
                page = render_page(title="r", sections=run_sections(run))
                records = read_journal(run)
                diagnose(records)
                list(Guards(history=records).check(1))
                return page
            finally:
                (run / name).write_bytes(original)

        return read

    def read_result(content: Any) -> object:
        original = result.read_bytes()
        try:
            result.write_text(json.dumps(content))
            return render_page(title="r", sections=run_sections(run)), table([result])
        finally:
            result.write_bytes(original)

    def lines(name: str) -> Any:
        return [json.loads(line) for line in (run / name).read_text().splitlines()]

    events = [
        {"step": 1, "warning": "frozen_clips", "holds": True, "since": 1, "message": "m"},
        {"step": 1, "rollback": {"failed": 2, "skipped": [1], "reason": "r"}},
    ]
    values = config.model_dump(mode="json")
    return [
        Target("config", values, lambda content: parse_config(content, "config.yaml")),
        Target("config.yaml", values, read_yaml),
        *(
            Target(n, json.loads((run / "model" / n).read_text()), read_model(n))
            for n in ("config.json", "vidgan.json")
        ),
        *(
            Target(n, json.loads((checkpoint / n).read_text()), read_checkpoint(n))
            for n in ("manifest.json", "state.json")
        ),
        Target("journal.jsonl", [*lines("journal.jsonl"), *events], read_lines("journal.jsonl")),
        Target("starts.jsonl", lines("starts.jsonl"), read_lines("starts.jsonl")),
        Target("result", json.loads(result.read_text()), read_result),
    ]


# Share of the cases of each kind of file: the number of its fields, and what reading it costs.
SHARES: Final = {"config": 12, "config.json": 2, "vidgan.json": 2, "state.json": 1, "journal.jsonl": 2}


def cases(targets: list[Target], count: int, seed: int) -> Iterator[tuple[Target, list[tuple[Any, Any]]]]:
    """(file, changes) of each case."""
    total = sum(SHARES.get(target.name, 1) for target in targets)
    values = hostile_values()
    for target in targets:
        generator = random.Random(f"{seed} {target.name}")
        number = count * SHARES.get(target.name, 1) // total
        paths = [*field_paths(target.content)]
        single = [[(path, value)] for path, value in itertools.product(paths, values)]
        generator.shuffle(single)
        yield from ((target, changes) for changes in single[:number])
        for _ in range(number - len(single)):
            changed = generator.sample(paths, k=min(len(paths), generator.randint(2, 4)))
            yield target, [(path, generator.choice(values)) for path in changed]


def run_case(target: Target, changes: list[tuple[Any, Any]]) -> tuple[str, str]:
    """ "read", "refused" or "fault", and what happened."""
    content = target.content
    for path, value in changes:
        content = with_value(content, path, value)
    started = time.monotonic()
    try:
        target.read(content)
        outcome, detail = "read", ""
    except (ValueError, OSError) as error:
        outcome, detail = ("refused", str(error)) if str(error) else ("fault", "an error without a message")
    except Exception as error:  # whatever else is raised would be a traceback
        outcome, detail = "fault", f"{type(error).__name__}: {error}"
    if time.monotonic() - started > SECONDS:
        outcome, detail = "fault", f"took {time.monotonic() - started:.0f} s"
    return outcome, detail


def main(arguments: list[str] | None = None) -> int:
    """Run the cases and print the counts and the faults."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1300, help="number of cases")
    parser.add_argument("--seed", type=int, default=0, help="of the cases")
    options = parser.parse_args(arguments)
    folder = Path(tempfile.mkdtemp(prefix="fuzz-runs-"))
    try:
        counts: Counter[str] = Counter()
        for target, changes in cases(make_targets(make_run(folder)), options.count, options.seed):
            outcome, detail = run_case(target, changes)
            counts[outcome] += 1
            if outcome == "fault":
                shown = [(path, ascii(value)[:60]) for path, value in changes]
                print(f"{target.name} {shown}: {ascii(detail)[:200]}", file=sys.stderr)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"{sum(counts.values())} cases: {counts['read']} read, {counts['refused']} refused, {counts['fault']} faults")
    return int(counts["fault"] > 0)


if __name__ == "__main__":
    sys.exit(main())
