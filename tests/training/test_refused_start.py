"""A start that is refused changes nothing in the run, and leaves nothing where there was none."""

import json
import shutil
from pathlib import Path

import pytest
from helpers import run_vidgan, small_config

from vidgan.commands import train as command
from vidgan.commands.evaluate import evaluate
from vidgan.commands.train import train
from vidgan.config import dump_config
from vidgan.data.preparing.prepare import prepare
from vidgan.data.synthetic.shapes import render_shapes
from vidgan.errors import CheckpointError, ConfigError
from vidgan.runs import run_config


def contents(folder: Path) -> dict[str, bytes]:
    """Relative path -> content of every file."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture(scope="module")
def two_classes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("two")
    render_shapes(folder / "videos", clips=18, frames=20, size=32, seed=0)
    shutil.rmtree(sorted(path for path in (folder / "videos").iterdir() if path.is_dir())[-1])
    prepare(folder / "videos", folder / "data", size=(32, 32), flow="auto", categories=True, holdout=0.3)
    return folder / "data"


def test_other_data_refused_after_all_checks_leave_the_run_as_it_was(
    shapes_data: Path, two_classes: Path, tmp_path: Path
) -> None:
    config = small_config("mocogan", shapes_data, tmp_path, train__steps=2)
    run = train(config, quiet=True).run_dir
    before = contents(run)
    other = small_config("mocogan", two_classes, tmp_path, train__steps=3)
    with pytest.raises(CheckpointError, match=r"motion\."):
        train(other, accept_changes=True, quiet=True)
    assert contents(run) == before
    (run / "journal.jsonl").write_bytes(b"[]\n" + before["journal.jsonl"])
    damaged = contents(run)
    with pytest.raises(ValueError, match="line 1"):
        train(small_config("mocogan", shapes_data, tmp_path, train__steps=3), quiet=True)
    assert contents(run) == damaged
    (run / "journal.jsonl").write_bytes(before["journal.jsonl"])
    assert train(small_config("mocogan", shapes_data, tmp_path, train__steps=3), quiet=True).steps == 3


def test_a_refused_first_start_leaves_no_folder(
    shapes_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = tmp_path / "small"
    mine.mkdir()
    (mine / "notes.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="small"):
        train(small_config("mocogan", shapes_data, tmp_path), quiet=True)
    assert contents(tmp_path) == {"small/notes.txt": b"mine"}

    def refuse(config: object) -> None:
        raise ConfigError("track: wandb does not start")

    monkeypatch.setattr(command, "open_trackers", refuse)
    with pytest.raises(ConfigError, match="wandb"):
        train(small_config("mocogan", shapes_data, tmp_path / "new" / "runs"), quiet=True)
    assert not (tmp_path / "new").exists()


def test_a_run_finds_its_data_from_any_directory_and_after_a_move(
    shapes_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "home"
    shutil.copytree(shapes_data, home / "d")
    monkeypatch.chdir(home)
    config = small_config("mocogan", Path("d"), Path("runs"), train__steps=1)
    (home / "c.yaml").write_text(dump_config(config))
    run = home / train(config, quiet=True).run_dir
    monkeypatch.chdir(tmp_path)
    assert run_config(run).data.root == str(home / "d")
    evaluate(run, clips=4)
    home.rename(tmp_path / "moved")
    run = tmp_path / "moved" / "runs" / "small"
    assert run_config(run).data.root == str(tmp_path / "moved" / "d")
    evaluate(run, clips=4, seed=1)
    (tmp_path / "moved" / "d").rename(tmp_path / "elsewhere")
    code, _, err = run_vidgan(capfd, monkeypatch, "evaluate", run, "--clips", 4)
    assert code == 2 and "data.root" in err and "--data" in err and str(run) in err
    evaluate(run, clips=4, data=tmp_path / "elsewhere")
    code, _, err = run_vidgan(capfd, monkeypatch, "train", tmp_path / "moved" / "c.yaml")
    assert code == 2 and "data.root: d" in err and not (tmp_path / "runs").exists()


def test_a_relative_path_of_an_earlier_version_starts_where_the_run_started(
    shapes_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "home" / "runs" / "small"
    run.mkdir(parents=True)
    shutil.copytree(shapes_data, tmp_path / "home" / "d")
    (run / "config.yaml").write_text(dump_config(small_config("mocogan", Path("d"), Path("runs"))))
    monkeypatch.chdir(tmp_path)
    assert run_config(run).data.root == str(tmp_path / "home" / "d")


def test_the_hostile_state_of_a_checkpoint_is_refused(shapes_data: Path, tmp_path: Path) -> None:
    from vidgan.training.checkpoint import load_latest, save_checkpoint

    run = train(small_config("mocogan", shapes_data, tmp_path, train__steps=1), quiet=True).run_dir
    saved = load_latest(run / "checkpoints")
    assert saved is not None
    for changes in ({"optimizers": {}}, {"best": "x"}, {"rollbacks": [{"to": 1}]}, {"ema_updates": "x"}):
        save_checkpoint(run / "checkpoints", 1, saved.tensors, json.loads(json.dumps(saved.state)) | changes)
        before = contents(run)
        with pytest.raises(CheckpointError, match="step-00000001"):
            train(small_config("mocogan", shapes_data, tmp_path, train__steps=2), quiet=True)
        assert contents(run) == before
