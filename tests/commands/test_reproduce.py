"""`vidgan reproduce` repeats results, and names the first difference, its cause and its exit code."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import run_vidgan, small_config

from vidgan.commands.compare import compare
from vidgan.commands.evaluate import evaluate
from vidgan.commands.reproduce import reproduce
from vidgan.commands.train import train
from vidgan.data.store.index import clip_path, load_index
from vidgan.errors import ConfigError
from vidgan.evaluation.output import Output
from vidgan.evaluation.rows import load_rows, rows_bytes, rows_path
from vidgan.video.encode import write_mp4


@pytest.fixture(scope="module")
def original(shapes_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data, a run of three steps and a result."""
    folder = tmp_path_factory.mktemp("original")
    shutil.copytree(shapes_data, folder / "data")
    changes: dict[str, Any] = {
        "train__steps": 3, "every__checkpoint": 2, "every__evaluate": 3, "train__lr_schedule": "linear",
    }  # fmt: skip
    run = train(small_config("dual_motion", folder / "data", folder / "runs", **changes), quiet=True).run_dir
    evaluate(run, metrics=("mse", "psnr"), horizon=1)
    return folder


@pytest.fixture
def copied(original: Path, tmp_path: Path) -> Path:
    """The same folder elsewhere, to be changed; the original is hidden by nothing, so moved paths are given."""
    shutil.copytree(original, tmp_path / "copy")
    return tmp_path / "copy"


RESULT = Path("runs/small/scores/held-out-3to1-metrics-mse+psnr.json")


def change(file: Path, edit: Callable[[dict[str, Any]], None]) -> Path:
    content = json.loads(file.read_text())
    edit(content["result"])
    file.write_text(json.dumps(content))
    return file


def test_an_evaluation_is_equal(original: Path, capfd: Any, monkeypatch: Any) -> None:
    before = sorted(path.name for path in (original / RESULT).parent.iterdir())
    code, out, err = run_vidgan(capfd, monkeypatch, "reproduce", original / RESULT)
    assert (code, err) == (0, "") and out.splitlines()[-1] == "equal"
    assert "fingerprint, split and pixels" in out and "sha256 of model/model.safetensors" in out
    assert sorted(path.name for path in (original / RESULT).parent.iterdir()) == before


def test_moved_files_are_given(original: Path, copied: Path) -> None:
    run, data = copied / "runs/small", copied / "data"
    found = reproduce(copied / RESULT, run=run, data=data)
    assert found.code == 0

    def elsewhere(result: dict[str, Any]) -> None:
        result["provenance"]["request"]["run"] = str(copied / "gone")

    with pytest.raises(ConfigError, match=r"gone was moved or deleted.*--run"):
        reproduce(change(copied / RESULT, elsewhere))
    with pytest.raises(ConfigError, match="--true has no effect on an evaluation"):
        reproduce(copied / RESULT, true=data)


def test_altered_pixels_and_another_split(copied: Path) -> None:
    data = copied / "data"
    entry = load_index(data).of_split("test")[0]
    pixels = np.load(clip_path(data, entry))
    pixels[0, 0, 0, 0] ^= 1
    np.save(clip_path(data, entry), pixels)
    found = reproduce(copied / RESULT, data=data)
    assert found.code == 3 and entry.source in found.lines[-1] and "not repeated" in found.lines[-1]

    def other_split(result: dict[str, Any]) -> None:
        result["provenance"]["data"]["split_hash"] = "0" * 32

    found = reproduce(change(copied / RESULT, other_split))
    assert found.code == 3 and "division into training and test" in found.lines[-1]


def test_a_run_that_was_trained_further(copied: Path) -> None:
    changes: dict[str, Any] = {"train__steps": 5, "every__checkpoint": 2, "every__evaluate": 3, "name": "small"}
    run = train(small_config("dual_motion", copied / "data", copied / "more", **changes), quiet=True).run_dir
    found = reproduce(copied / RESULT, run=run)
    assert found.code == 4 and "step 3 were scored, these are of step 5" in found.lines[-1]


def test_other_numbers(copied: Path, original: Path) -> None:
    """The first measurement that differs is named; a recorded version explains it, or nothing does."""
    file = copied / RESULT
    rows = load_rows(rows_path(file))
    rows.values["copy-last"]["psnr"][2, 0] *= 1 + 1e-7
    rows_path(file).write_bytes(rows_bytes(rows))
    found = reproduce(file)
    assert found.code == 6 and f"psnr of copy-last, window {rows.windows[2]}, frame 1" in found.text
    assert "not deterministic" in found.text and "as rounding makes them" in found.text

    def older(result: dict[str, Any]) -> None:
        result["versions"]["torch"] = "2.0.0"

    found = reproduce(change(file, older))
    assert found.code == 5 and "likely cause: torch 2.0.0 then" in found.text
    shutil.copy(rows_path(original / RESULT), rows_path(file))

    def better(result: dict[str, Any]) -> None:
        result["versions"].update(json.loads((original / RESULT).read_text())["result"]["versions"])
        result["scores"]["fused P"]["mse"]["mean"]["mean"] *= 0.5

    found = reproduce(change(file, better))
    assert found.code == 6 and "scores, fused P, mse, mean, mean: 0." in found.text and "rounding" not in found.text


def test_results_that_record_too_little(copied: Path, tmp_path: Path) -> None:
    def forget(result: dict[str, Any]) -> None:
        del result["provenance"]["request"]

    with pytest.raises(ConfigError, match="does not record the call.*evaluate again"):
        reproduce(change(copied / RESULT, forget))
    (tmp_path / "broken.json").write_text("{}")
    for path, message in {"broken.json": "not a result", "none.json": "no such file"}.items():
        with pytest.raises(ConfigError, match=message):
            reproduce(tmp_path / path)


def test_a_comparison_of_folders(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for side in ("made", "real"):
        (tmp_path / side).mkdir()
        for name in "ab":
            write_mp4(tmp_path / side / f"{name}.mp4", rng.integers(0, 256, (6, 32, 32, 3), dtype=np.uint8))
    file = tmp_path / "result.json"
    Output(out=file).show(compare(tmp_path / "made", tmp_path / "real", metrics=["mse"], frames=(1, None)))
    assert reproduce(file).code == 0
    shutil.copy(tmp_path / "real/b.mp4", tmp_path / "real/a.mp4")
    found = reproduce(file)
    assert found.code == 3 and "real" in found.lines[-1]
    (tmp_path / "made/a.mp4").write_bytes((tmp_path / "made/b.mp4").read_bytes())
    assert reproduce(file).code == 4
    (tmp_path / "made").rename(tmp_path / "moved")
    with pytest.raises(ConfigError, match="--predicted"):
        reproduce(file)
    assert reproduce(file, predicted=tmp_path / "moved").code == 4


def test_a_training_is_equal(original: Path) -> None:
    """Two of three steps, whose learning rate falls over all three."""
    found = reproduce(original / "runs/small")
    assert found.code == 0 and "2 steps: equal" in found.text and "at step 2: equal" in found.text
    found = reproduce(original / "runs/small", steps=1)
    assert found.code == 0 and "the journal alone" in found.text
    with pytest.raises(ConfigError, match="--steps 9"):
        reproduce(original / "runs/small", steps=9)


def test_a_training_that_differs(copied: Path) -> None:
    run = copied / "runs/small"
    lines = (run / "journal.jsonl").read_text().splitlines()
    record = json.loads(lines[0])
    key = next(key for key in record if key.startswith("loss/"))
    record[key] += 1
    (run / "journal.jsonl").write_text("\n".join([json.dumps(record), *lines[1:]]) + "\n")
    found = reproduce(run, data=copied / "data")
    assert found.code == 6 and f"step 1: {key}" in found.text
    entry = load_index(copied / "data").of_split("train")[0]
    np.save(clip_path(copied / "data", entry), 255 - np.load(clip_path(copied / "data", entry)))
    assert reproduce(run, data=copied / "data").code == 3
