"""`vidgan prepare`: options from the command line and from a protocol, progress, and a summary."""

import re
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from typer import Context

from vidgan.commands.prepare_progress import Pace
from vidgan.data.preparing.parts import merge_parts
from vidgan.data.preparing.prepare import PreparedData, prepare
from vidgan.data.store.index import Index
from vidgan.errors import ConfigError
from vidgan.evaluation.protocols import find_protocol

_FOR_MERGING: Final = ("out", "merge", "max_bad_share")
_SIZE: Final = (64, 64)


def parse_size(text: str, option: str = "--size") -> tuple[int, int]:
    """`64` -> (64, 64); `128x160` -> (128, 160), height first.

    Raises:
        ConfigError: neither form.
    """
    match = re.fullmatch(r"(\d+)(?:[xX](\d+))?", text.strip())
    if match is None:
        raise ConfigError(f"{option} {text}: write 64, or HEIGHTxWIDTH such as 128x160")
    return int(match[1]), int(match[2] or match[1])


def parse_part(text: str) -> tuple[int, int]:
    """`1/4` -> (1, 4).

    Raises:
        ConfigError: another form.
    """
    match = re.fullmatch(r"(\d+)/(\d+)", text.strip())
    if match is None:
        raise ConfigError(f"--part {text}: write I/N such as 1/4, the first of four parts")
    return int(match[1]), int(match[2])


def given_options(context: Context) -> dict[str, Any]:
    """The options that were written on the command line; all others are left to the defaults of `prepare`."""
    sources = {name: context.get_parameter_source(name) for name in context.params}
    return {name: context.params[name] for name, source in sources.items() if source and source.name != "DEFAULT"}


def run_prepare(given: Mapping[str, Any]) -> None:
    """Prepare a source or merge parts, with a progress display, then say what there is and what was refused, and why.

    Args:
        given: options that the command line gives, by the names that `vidgan.cli.app` has for them.

    Raises:
        ConfigError: options that contradict each other or the protocol.
    """
    out = given["out"]
    if given.get("merge"):
        if extra := [name for name in given if name not in _FOR_MERGING]:
            raise ConfigError(f"{_spelt(extra[0])} has no effect with --merge: the parts are prepared already")
        index = merge_parts(out, **{name: given[name] for name in given if name == "max_bad_share"})
        print(summary(index, out), file=sys.stderr)
        return
    options = prepare_options(given)
    try:
        with Pace(Console(stderr=True)) as pace:
            prepared = prepare(given["videos"], out, progress=pace.show, **options)
    except KeyboardInterrupt:
        print(f"stopped; what is finished lies in {out}: the same command goes on from there", file=sys.stderr)
        raise
    print(summary_of_part(prepared, out) if prepared.part else summary(prepared.index, out), file=sys.stderr)


def prepare_options(given: Mapping[str, Any]) -> dict[str, Any]:
    """Keyword arguments for `prepare` from options of the command line.

    Raises:
        ConfigError: as in `run_prepare`.
    """
    if "videos" not in given:
        raise ConfigError("give the folder of videos to prepare, or --merge to join parts")
    options = {name: value for name, value in given.items() if name not in ("videos", "out", "merge", "flow_method")}
    if "flow_method" in given and not given.get("flow"):
        raise ConfigError("--flow-method has no effect without --flow")
    if options.pop("flow", False):
        options["flow"] = given.get("flow_method", "auto")
    for name, parse in (("size", parse_size), ("part", parse_part)):
        if name in options:
            options[name] = parse(options[name])
    if "strip_frame" in options:
        options["strip_frame"] = parse_size(options["strip_frame"], "--strip-frame")
    if "protocol" in given:
        options = _with_protocol(given["protocol"], options)
    return {"size": _SIZE, **options}


def _with_protocol(name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options with all that the protocol fixes; what contradicts it is refused."""
    preparation = find_protocol(name).preparation
    if preparation is None:
        raise ConfigError(f"--protocol {name} does not say how data are prepared; leave it out here")
    fixed: dict[str, Any] = dict.fromkeys(("group_by", "test_pattern", "holdout", "fps", "size", "strip_frame"))
    fixed |= {"cuts": "off", "drop_still": False, "drop_black": False, **preparation.options()}
    free = {"categories"} if preparation.size else {"categories", "size"}  # labels more than needed do no harm
    for option, value in options.items():
        if option in fixed and option not in free and value != fixed[option]:
            wanted = "none" if fixed[option] in (None, False) else fixed[option]
            detail = f"contradicts --protocol {name}, which has {wanted}; leave it out"
            raise ConfigError(f"{_spelt(option)} {value} {detail}")
    return {option: value for option, value in {**fixed, **options}.items() if value is not None}


def _spelt(name: str) -> str:
    return "VIDEOS" if name == "videos" else "--" + name.replace("_", "-")


def summary(index: Index, out: Path) -> str:
    """A few lines about a prepared data set."""
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
    for reason, count in index.quarantined.items():
        lines.append(f"refused: {count} {reason} (see {out / 'quarantine.jsonl'})")
    lines += index.notices
    lines.append(f"look at {out / 'contact_sheet.png'}")
    return "\n".join(lines)


def summary_of_part(prepared: PreparedData, out: Path) -> str:
    """What a part holds, and what to do when all of them are there."""
    assert prepared.part is not None
    number, total = prepared.part
    lines = [f"{prepared.root}: part {number} of {total}, {prepared.reused + prepared.prepared} sources"]
    for reason, count in sorted(Counter(refusal.reason for refusal in prepared.quarantined).items()):
        lines.append(f"refused: {count} {reason} (see {prepared.root / 'quarantine.jsonl'})")
    lines.append(f"when all {total} parts lie in {out}: vidgan prepare --merge --out {out}")
    return "\n".join(lines)
