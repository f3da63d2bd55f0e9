"""Every advice in a message is possible in the command that prints it, and no name controls the terminal."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import typer
from clipfiles import noise, write_frames
from helpers import run_vidgan

import vidgan
from vidgan.cli.app import app
from vidgan.errors import DataError
from vidgan.tasks.run_config import DataConfig

ROOT = Path(vidgan.__file__).parent
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]+")
# Options are advice for one command only; these modules serve several.
SHARED = ("video", "data/sources", "data/unprepared.py", "data/store", "data/synthetic")


def messages(path: Path) -> Iterator[str]:
    """All texts of a module except docstrings."""
    tree = ast.parse(path.read_text())
    documented = (ast.Module, ast.FunctionDef, ast.ClassDef)
    docstrings = {ast.get_docstring(node, clean=False) for node in ast.walk(tree) if isinstance(node, documented)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value not in docstrings:
            yield node.value


def options_of(command: str) -> set[str]:
    """The options of a command."""
    group = typer.main.get_command(app)
    return {name for parameter in group.commands[command].params for name in parameter.opts}  # type: ignore[attr-defined]


MODULES = sorted(path for folder in ("video", "data") for path in (ROOT / folder).rglob("*.py"))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_advice_is_possible_in_the_command(path: Path) -> None:
    prepare = options_of("prepare")
    is_shared = path.relative_to(ROOT).as_posix().startswith(SHARED)
    for text in messages(path):
        named = {option for option in OPTION.findall(text) if "vidgan prepare" not in text}
        assert named <= (set() if is_shared else prepare), f"{path}: {text!r}"
        assert set(OPTION.findall(text)) <= prepare, f"{path}: {text!r}"
        assert not (is_shared and re.search(r"(set|raise|pass|use) (max_frames|memory_limit|allow_pickle)", text)), (
            f"{path}: {text!r}"
        )
        for key in re.findall(r"\bdata\.([a-z_]+)\b(?!\.)", text):
            if not text.startswith("vidgan"):
                assert key in DataConfig.model_fields, f"{path}: {text!r}"


def test_control_characters_in_names_are_escaped(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a\x1b[2J", "b\x9b31m"):
        (tmp_path / "in" / name).mkdir(parents=True)
        for i in range(2):
            np.save(tmp_path / "in" / name / f"{i}\x1b]0;x\x07.npy", noise(i))
        (tmp_path / "in" / name / "bad\x1bc.mp4").write_bytes(b"x")
        (tmp_path / "in" / name / "[red]x[bold].mp4").write_bytes(b"y")
    arguments = ("prepare", tmp_path / "in", "--out", tmp_path / "out\x1b[1m", "--size", "16", "--categories")
    for extra in (("--max-bad-share", "0"), ()):
        code, out, err = run_vidgan(capfd, monkeypatch, *arguments, *extra)
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f]", out + err), (out, err)
        assert "\\x1b" in err and code in (0, 2)


def test_a_missing_option_is_not_recommended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from vidgan.data.unprepared import read_one

    write_frames(tmp_path / "a", noise(0, 9))
    monkeypatch.setattr("vidgan.data.sources.segments.MAX_BYTES", 3000)
    with pytest.raises(DataError, match="Cut the file") as caught:
        read_one(tmp_path / "a")
    assert "--" not in str(caught.value)
