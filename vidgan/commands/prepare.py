"""`vidgan prepare`: options from the command line and from a protocol, progress, and a summary."""

import re
import signal
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, Final

from rich.console import Console
from typer import Context

from vidgan.commands.prepare_progress import PrepareProgress
from vidgan.data.preparing.conditions import prepare_pairs
from vidgan.data.preparing.prepare import PreparedData, merge_parts, prepare
from vidgan.data.store.index import Index
from vidgan.errors import ConfigError
from vidgan.evaluation.protocols import find_protocol
from vidgan.files import escape_controls
from vidgan.pretrained.cache import require_fetched

SHOTS: Final = "transnetv2"  # name of the fetched weights that --cut-weights takes instead of a path
_MERGE_OPTIONS: Final = ("out", "merge", "max_bad_share")
_DEFAULT_SIZE: Final = (64, 64)


def parse_size(text: str, option: str = "--size") -> tuple[int, int]:
    """`64` -> (64, 64); `128x160` -> (128, 160), height first.

    Raises:
        ConfigError: the text has neither form.
    """
    match = re.fullmatch(r"(\d+)(?:[xX](\d+))?", text.strip())
    if match is None:
        raise ConfigError(f"{option} {text}: not a frame size; accepted: 64, or HEIGHTxWIDTH such as 128x160")
    return int(match[1]), int(match[2] or match[1])


def parse_part(text: str) -> tuple[int, int]:
    """`1/4` -> (1, 4).

    Raises:
        ConfigError: the text has another form.
    """
    match = re.fullmatch(r"(\d+)/(\d+)", text.strip())
    if match is None:
        raise ConfigError(f"--part {text}: not a part; accepted: I/N such as 1/4, the first of four parts")
    return int(match[1]), int(match[2])


def explicit_options(context: Context) -> dict[str, Any]:
    """The options that the command line sets; all others keep the defaults of `prepare`."""
    sources = {name: context.get_parameter_source(name) for name in context.params}
    return {name: context.params[name] for name, source in sources.items() if source and source.name != "DEFAULT"}


def run_prepare(explicit: Mapping[str, Any]) -> None:
    """Prepare a source or merge parts, with a progress display, and print a summary with the refused files.

    Args:
        explicit: options that the command line sets, by the parameter names of `vidgan.cli.prepare.prepare`.

    Raises:
        ConfigError: options contradict each other or the protocol.
    """
    out = explicit["out"]
    if explicit.get("merge"):
        if extra := [name for name in explicit if name not in _MERGE_OPTIONS]:
            raise ConfigError(f"{_option_name(extra[0])} has no effect with --merge: the parts are already prepared")
        index = merge_parts(out, **{name: explicit[name] for name in explicit if name == "max_bad_share"})
        _print(summary(index, out))
        return
    options = prepare_options(explicit)
    try:
        with _sigterm_as_exit(), PrepareProgress(Console(stderr=True)) as progress:
            options["progress"] = progress.show
            if "conditions" in explicit:
                prepared = prepare_pairs(explicit["videos"], explicit["conditions"], out, **options)
            else:
                prepared = prepare(explicit["videos"], out, **options)
    except (KeyboardInterrupt, SystemExit):
        _print(f"interrupted; finished files are kept in {out}, and the same command resumes")
        raise
    _print(summary_of_part(prepared, out) if prepared.part else summary(prepared.index, out))


def _print(text: str) -> None:
    print(escape_controls(text, keep="\n"), file=sys.stderr)


@contextmanager
def _sigterm_as_exit() -> Iterator[None]:
    """Let SIGTERM raise SystemExit with code 143, so that the reading processes end with this one."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    if threading.current_thread() is not threading.main_thread():  # only the main thread can set handlers
        yield
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def prepare_options(explicit: Mapping[str, Any]) -> dict[str, Any]:
    """Keyword arguments of `prepare` from the options that the command line sets.

    Raises:
        ConfigError: as in `run_prepare`.
    """
    if "videos" not in explicit:
        raise ConfigError("VIDEOS is missing; accepted: a folder of videos, or --merge to merge parts")
    not_passed = ("videos", "out", "merge", "flow_method", "conditions")
    options = {name: value for name, value in explicit.items() if name not in not_passed}
    if "flow_method" in explicit and not explicit.get("flow"):
        raise ConfigError("--flow-method has no effect without --flow")
    if "condition_resample" in explicit and "conditions" not in explicit:
        raise ConfigError("--condition-resample has no effect without --conditions")
    if "conditions" in explicit and "part" in explicit:
        raise ConfigError("--part has no effect on --conditions: pairs are prepared in one run")
    if options.pop("flow", False):
        options["flow"] = explicit.get("flow_method", "auto")
    for name, parse in (("size", parse_size), ("part", parse_part)):
        if name in options:
            options[name] = parse(options[name])
    if "strip_frame" in options:
        options["strip_frame"] = parse_size(options["strip_frame"], "--strip-frame")
    if str(options.get("cut_weights")) == SHOTS and not Path(SHOTS).exists():
        options["cut_weights"] = require_fetched(SHOTS)
    if "protocol" in explicit:
        options = _with_protocol(explicit["protocol"], options)
    return {"size": _DEFAULT_SIZE, **options}


def _with_protocol(name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options with those that the protocol defines. Raises ConfigError for contradictions."""
    preparation = find_protocol(name).preparation
    if preparation is None:
        raise ConfigError(f"--protocol {name} does not define how data are prepared; remove it")
    fixed: dict[str, Any] = dict.fromkeys(("group_by", "test_pattern", "holdout", "fps", "size", "strip_frame"))
    fixed |= {"cuts": "off", "drop_still": False, "drop_black": False, **preparation.options()}
    free = {"categories"} if preparation.size else {"categories", "size"}  # unneeded labels are harmless
    for option, value in options.items():
        if option in fixed and option not in free and value != fixed[option]:
            required = "none" if fixed[option] in (None, False) else fixed[option]
            raise ConfigError(
                f"{_option_name(option)} {value} contradicts --protocol {name}; accepted: {required}. Remove the option"
            )
    return {option: value for option, value in {**fixed, **options}.items() if value is not None}


def _option_name(name: str) -> str:
    return "VIDEOS" if name == "videos" else "--" + name.replace("_", "-")


def summary(index: Index, out: Path) -> str:
    """A few lines that describe a prepared data set."""
    counts = {split: len(index.of_split(split)) for split in ("train", "test")}
    frames = sum(clip.frames for clip in index.clips)
    lines = [
        f"{out}: {counts['train']} training clips, {counts['test']} test clips, {frames} frames of"
        f" {index.size[0]}x{index.size[1]}"
    ]
    lengths = sorted(clip.frames for clip in index.clips)
    if lengths and lengths[0] < lengths[-1]:
        lines.append(f"length of a clip: {lengths[0]} to {lengths[-1]} frames, median {lengths[len(lengths) // 2]}")
    if index.categories:
        lines.append(f"categories: {', '.join(index.categories)}")
    if index.flow:
        lines.append(f"label flow: {index.flow}")
    for reason, count in index.quarantined.items():
        lines.append(f"refused: {count} {reason} (see {out / 'quarantine.jsonl'})")
    lines += index.notices
    lines.append(f"contact sheet: {out / 'contact_sheet.png'}")
    return "\n".join(lines)


def summary_of_part(prepared: PreparedData, out: Path) -> str:
    """A few lines that describe a part, and the command that merges all parts."""
    assert prepared.part is not None
    number, total = prepared.part
    lines = [f"{prepared.root}: part {number} of {total}, {prepared.reused + prepared.prepared} sources"]
    for reason, count in sorted(Counter(refusal.reason for refusal in prepared.quarantined).items()):
        lines.append(f"refused: {count} {reason} (see {prepared.root / 'quarantine.jsonl'})")
    lines.append(f"when all {total} parts are in {out}: vidgan prepare --merge --out {out}")
    return "\n".join(lines)
