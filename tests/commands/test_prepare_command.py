"""`vidgan prepare`: options of the command line and of protocols, parts and merging, progress."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

from vidgan.cli.app import app
from vidgan.commands import prepare_progress
from vidgan.commands.prepare import parse_part, prepare_options
from vidgan.commands.prepare_progress import PrepareProgress
from vidgan.data.layouts.discovery import check_layout
from vidgan.data.store.index import load_index
from vidgan.errors import ConfigError
from vidgan.evaluation.protocols import PROTOCOLS, find_protocol

VIDEOS = {"videos": Path("v"), "out": Path("o")}


def run(*arguments: object) -> str:
    """The output of the command; its exceptions are raised."""
    result = CliRunner().invoke(app, [str(a) for a in arguments], catch_exceptions=False)
    if result.exit_code:
        raise AssertionError(result.output)
    return result.stderr


@pytest.fixture
def arrays(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    for i in range(6):
        np.save(folder / f"{i}.npy", np.random.default_rng(i).integers(0, 256, (5, 8, 8, 3), dtype=np.uint8))
    return folder


def test_only_explicit_options_are_passed_to_prepare() -> None:
    assert prepare_options(VIDEOS) == {"size": (64, 64)}
    explicit = VIDEOS | {"size": "32x48", "fps": 4.0, "flow": True, "part": "2/3", "strip_frame": "8", "workers": 3}
    assert prepare_options(explicit) == {
        **{"size": (32, 48), "fps": 4.0, "flow": "auto", "part": (2, 3), "strip_frame": (8, 8), "workers": 3}
    }
    assert prepare_options(VIDEOS | {"flow": True, "flow_method": "tvl1"})["flow"] == "tvl1"


@pytest.mark.parametrize(
    ("explicit", "message"),
    [
        ({"flow_method": "dis"}, "--flow-method has no effect without --flow"),
        ({"part": "2"}, "--part 2: .*accepted: I/N"),
        ({"size": "big"}, "--size big: .*accepted: 64"),
    ],
)
def test_meaningless_options_are_refused(explicit: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        prepare_options(VIDEOS | explicit)


def test_a_protocol_defines_the_preparation() -> None:
    options = prepare_options(VIDEOS | {"protocol": "caltech-10to1", "workers": 2})
    assert (options["size"], options["fit"], options["resample"], options["every"]) == (
        (128, 160),
        "cover",
        "bicubic",
        3,
    )
    assert options["cuts"] == "off" and options["workers"] == 2 and options["protocol"] == "caltech-10to1"
    assert options["layout"].startswith("caltech") and "holdout" not in options
    assert prepare_options(VIDEOS | {"protocol": "caltech-10to1", "every": 3, "categories": True})["categories"] is True


@pytest.mark.parametrize(
    ("explicit", "message"),
    [
        ({"every": 2}, "--every 2 contradicts --protocol caltech-10to1; accepted: 3"),
        ({"size": "64"}, r"--size \(64, 64\) contradicts .*accepted: \(128, 160\)"),
        ({"holdout": 0.1}, "--holdout 0.1 contradicts .*accepted: none"),
        ({"cuts": "auto"}, "--cuts auto contradicts .*accepted: off"),
        ({"protocol": "no-such"}, "'no-such'"),
    ],
)
def test_options_that_contradict_the_protocol_are_refused(explicit: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        prepare_options(VIDEOS | {"protocol": "caltech-10to1"} | explicit)


def test_every_protocol_accepts_what_it_prepares() -> None:
    prepared = [name for name in PROTOCOLS if find_protocol(name).preparation is not None]
    assert len(prepared) >= 10
    for name in prepared:
        preparation = find_protocol(name).preparation
        assert preparation is not None
        options = prepare_options(VIDEOS | {"protocol": name})
        check_layout(options["layout"])
        assert preparation.deviations(options, options["size"]) == [], name


def test_parts_are_prepared_and_merged(arrays: Path, tmp_path: Path) -> None:
    out, one = tmp_path / "out", tmp_path / "one"
    run("prepare", arrays, "--out", one, "--size", 8, "--holdout", 0.3)
    for part in ("1/2", "2/2"):
        output = run("prepare", arrays, "--out", out, "--size", 8, "--holdout", 0.3, "--part", part)
        assert f"part {part[0]} of 2" in output and f"vidgan prepare --merge --out {out}" in output
    output = run("prepare", "--merge", "--out", out)
    assert "4 training clips, 2 test clips, 30 frames of 8x8" in output
    assert (out / "index.json").read_bytes() == (one / "index.json").read_bytes()
    assert load_index(out).settings["holdout"] == 0.3
    with pytest.raises(ConfigError, match="--size has no effect with --merge"):
        run("prepare", "--merge", "--out", out, "--size", 8)
    with pytest.raises(ConfigError, match="VIDEOS has no effect with --merge"):
        run("prepare", arrays, "--merge", "--out", out)
    with pytest.raises(ConfigError, match="VIDEOS is missing"):
        run("prepare", "--out", out)
    assert parse_part(" 3/12 ") == (3, 12)


def test_refusals_are_counted_with_their_reasons(arrays: Path, tmp_path: Path) -> None:
    (arrays / "bad.mp4").write_bytes(b"no video")
    output = run("prepare", arrays, "--out", tmp_path / "out", "--size", 8)
    assert f"refused: 1 not-a-video (see {tmp_path / 'out' / 'quarantine.jsonl'})" in output
    with pytest.raises(ValueError, match="max_bad_share=0.1 .*1 refused"):
        run("prepare", arrays, "--out", tmp_path / "other", "--size", 8, "--max-bad-share", 0.1)


def test_plain_lines_contain_rate_and_remaining_time(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = 0.0
    monkeypatch.setattr(prepare_progress.time, "monotonic", lambda: now)
    with PrepareProgress(Console(file=io.StringIO())) as progress:
        for done in range(1, 41):
            now = done * 0.5
            progress.show(done, 100, "a.mp4")
    assert capsys.readouterr().err == "30/100 files, 2.0 files/s, 35 s left\n"


def test_a_terminal_gets_a_bar_with_the_rate() -> None:
    screen = io.StringIO()
    with PrepareProgress(Console(file=screen, force_terminal=True, width=100)) as progress:
        for done in (1, 2, 3):
            progress.show(done, 3, f"video{done}.mp4")
    assert "video3.mp4" in screen.getvalue() and "3/3" in screen.getvalue() and "files/s" in screen.getvalue()


def test_listing_and_files_of_an_earlier_run_do_not_distort_the_remaining_time(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = 0.0
    monkeypatch.setattr(prepare_progress.time, "monotonic", lambda: now)
    with PrepareProgress(Console(file=io.StringIO())) as progress:
        now = 300.0  # of listing
        for done in range(1, 1001):
            progress.show(done, 50_000, "a.mp4")
        for done in range(1001, 1041):
            now += 1.0
            progress.show(done, 50_000, "a.mp4")
    first, *others = capsys.readouterr().err.splitlines()
    assert first == "1/50000 files"
    assert others == [
        "1015/50000 files, 1.0 files/s, 48985 s left",
        "1030/50000 files, 1.0 files/s, 48970 s left",
    ]
