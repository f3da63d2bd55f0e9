"""`vidgan prepare`: options from the command line and from protocols, parts and merging, the plain progress lines."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

from vidgan.cli.app import app
from vidgan.commands import prepare
from vidgan.commands import prepare_progress as pace
from vidgan.commands.prepare import parse_part, prepare_options
from vidgan.commands.prepare_progress import Pace
from vidgan.data.sources.discovery import check_layout
from vidgan.data.store.index import load_index
from vidgan.errors import ConfigError
from vidgan.evaluation.protocols import PROTOCOLS, find_protocol

VIDEOS = {"videos": Path("v"), "out": Path("o")}


def run(*arguments: object) -> str:
    """What the command prints; its error is raised."""
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


def test_only_what_is_written_reaches_prepare() -> None:
    assert prepare_options(VIDEOS) == {"size": (64, 64)}
    given = VIDEOS | {"size": "32x48", "fps": 4.0, "flow": True, "part": "2/3", "strip_frame": "8", "workers": 3}
    assert prepare_options(given) == {
        **{"size": (32, 48), "fps": 4.0, "flow": "auto", "part": (2, 3), "strip_frame": (8, 8), "workers": 3}
    }
    assert prepare_options(VIDEOS | {"flow": True, "flow_method": "tvl1"})["flow"] == "tvl1"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"flow_method": "dis"}, "--flow-method has no effect without --flow"),
        ({"part": "2"}, "--part 2: write I/N"),
        ({"size": "big"}, "--size big: write 64"),
    ],
)
def test_options_that_mean_nothing(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        prepare_options(VIDEOS | given)


def test_a_protocol_gives_the_preparation() -> None:
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
    ("given", "message"),
    [
        ({"every": 2}, "--every 2 contradicts --protocol caltech-10to1, which has 3; leave it out"),
        ({"size": "64"}, r"--size \(64, 64\) contradicts .* has \(128, 160\)"),
        ({"holdout": 0.1}, "--holdout 0.1 contradicts .*has none"),
        ({"cuts": "auto"}, "--cuts auto contradicts .*has off"),
        ({"protocol": "no-such"}, "'no-such'"),
    ],
)
def test_what_contradicts_the_protocol(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        prepare_options(VIDEOS | {"protocol": "caltech-10to1"} | given)


def test_every_protocol_prepares_what_it_then_accepts() -> None:
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
        said = run("prepare", arrays, "--out", out, "--size", 8, "--holdout", 0.3, "--part", part)
        assert f"part {part[0]} of 2" in said and f"vidgan prepare --merge --out {out}" in said
    said = run("prepare", "--merge", "--out", out)
    assert "4 clips to train on, 2 held out, 30 frames of 8x8" in said
    assert (out / "index.json").read_bytes() == (one / "index.json").read_bytes()
    assert load_index(out).settings["holdout"] == 0.3
    with pytest.raises(ConfigError, match="--size has no effect with --merge"):
        run("prepare", "--merge", "--out", out, "--size", 8)
    with pytest.raises(ConfigError, match="VIDEOS has no effect with --merge"):
        run("prepare", arrays, "--merge", "--out", out)
    with pytest.raises(ConfigError, match="give the folder of videos to prepare, or --merge"):
        run("prepare", "--out", out)
    assert parse_part(" 3/12 ") == (3, 12)


def test_refusals_are_counted_with_their_reasons(arrays: Path, tmp_path: Path) -> None:
    (arrays / "bad.mp4").write_bytes(b"no video")
    said = run("prepare", arrays, "--out", tmp_path / "out", "--size", 8)
    assert f"refused: 1 not-a-video (see {tmp_path / 'out' / 'quarantine.jsonl'})" in said
    with pytest.raises(ValueError, match="more than max_bad_share=0.1 of the files are refused: 1 refused"):
        run("prepare", arrays, "--out", tmp_path / "other", "--size", 8, "--max-bad-share", 0.1)


def test_plain_lines_tell_rate_and_remaining_time(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = 0.0
    monkeypatch.setattr(pace.time, "monotonic", lambda: now)
    with Pace(Console(file=io.StringIO())) as shown:
        for done in range(1, 41):
            now = done * 0.5
            shown.show(done, 100, "a.mp4")
    assert capsys.readouterr().err == "30/100 files, 2.0 files/s, left 35 s\n"


def test_a_terminal_gets_a_bar_with_the_rate() -> None:
    screen = io.StringIO()
    with Pace(Console(file=screen, force_terminal=True, width=100)) as shown:
        for done in (1, 2, 3):
            shown.show(done, 3, f"video{done}.mp4")
    assert "video3.mp4" in screen.getvalue() and "3/3" in screen.getvalue() and "files/s" in screen.getvalue()
    assert prepare.Pace is Pace
