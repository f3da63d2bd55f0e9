"""The comparison recognises identical runs and names what differs."""

import json
import math
from pathlib import Path

import compare_runs
import pytest
import torch
from helpers import small_config
from torch import Tensor

from vidgan.commands.train import train
from vidgan.training.checkpoint import save_checkpoint


def compare(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str]:
    code = compare_runs.main([str(argument) for argument in arguments])
    return code, capsys.readouterr().out


def write_run(run: Path, tensors: dict[str, Tensor], records: list[dict[str, object]] | None = None) -> Path:
    """Write a run with one checkpoint, of step 2."""
    save_checkpoint(run / "checkpoints", 2, {"frame": tensors, "generator": {"main.0.weight": torch.ones(2)}}, {})
    lines = records if records is not None else [{"step": 2, "seconds": 0.1, "loss/frame/adversarial": 1.0}]
    (run / "journal.jsonl").write_text("".join(json.dumps(record) + "\n" for record in lines))
    return run


def test_equal_and_different_trainings(shapes_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, same, other = (
        train(small_config("mocogan", shapes_data, tmp_path / name, train__steps=2, seed=seed), quiet=True).run_dir
        for name, seed in (("one", 0), ("same", 0), ("other", 1))
    )
    assert compare(capsys, one, same) == (0, "equal\n")
    code, printed = compare(capsys, one, other)
    assert code == 1 and "step 1: " in printed and "differences" in printed


def test_renamed_tensors(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    weight, bias = torch.arange(3.0), torch.zeros(())
    old = write_run(tmp_path / "old", {"main.0.weight": weight, "main.0.bias": bias, "head.bias": bias})
    new = write_run(tmp_path / "new", {"blocks.0.weight": weight, "out.bias": bias, "head.bias": bias})
    code, printed = compare(capsys, old, new)
    assert code == 1 and "first run has main.0.weight" in printed and "second run has out.bias" in printed
    renames = ("--rename", "frame/main.=blocks.", "--rename", "frame/main.0.bias=out.bias")
    assert compare(capsys, old, new, *renames) == (0, "equal\n"), "the longest prefix applies, only to its file"
    assert compare(capsys, old, new, *renames, "--rename", "main.=x.")[0] == 1, "without a file it applies to all"
    clash = compare(capsys, old, new, "--rename", "frame/main.0.bias=head.bias")
    assert clash[0] == 1 and "--rename" in clash[1]
    with pytest.raises(SystemExit) as stop:
        compare(capsys, old, new, "--rename", "main")
    assert stop.value.code == 2


def test_an_empty_prefix_adds_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old = write_run(tmp_path / "old", {"weight": torch.ones(2)})
    new = write_run(tmp_path / "new", {"net.weight": torch.ones(2)})
    assert compare(capsys, old, new, "--rename", "frame/=net.") == (0, "equal\n")


@pytest.mark.parametrize(
    ("one", "other", "is_equal"),
    [
        (torch.tensor([math.nan]), torch.tensor([math.nan]), True),
        (torch.tensor([0.0]), torch.tensor([-0.0]), False),
        (torch.tensor([0.0]), torch.tensor([0.0], dtype=torch.float64), False),
        (torch.zeros(4), torch.zeros(2, 2), False),
        (torch.tensor(3), torch.tensor(3), True),
        (torch.ones(2, 3).T, torch.ones(3, 2), True),
    ],
)
def test_tensors_are_compared_bit_for_bit(one: Tensor, other: Tensor, is_equal: bool) -> None:
    assert compare_runs.is_identical(one, other) == is_equal


def test_journals(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Timings are ignored; observations and warnings are compared."""
    tensors = {"weight": torch.ones(1)}
    observed: dict[str, object] = {"step": 2, "observed": ["evaluation", "preview"], "evaluation/score": 1.0}
    one = write_run(tmp_path / "one", tensors, [{"step": 2, "seconds": 1.0, "loss/g/x": 1.0}, observed])
    same = write_run(tmp_path / "same", tensors, [{"step": 2, "seconds": 2.0, "loss/g/x": 1.0}, observed])
    assert compare(capsys, one, same) == (0, "equal\n")
    less = write_run(tmp_path / "less", tensors, [{"step": 2, "loss/g/x": 1.0}])
    assert "2 lines | 1 lines" in compare(capsys, one, less)[1]
    worse = write_run(tmp_path / "worse", tensors, [{"step": 2, "loss/g/x": 1.0}, observed | {"evaluation/score": 2.0}])
    assert "step 2: evaluation/score: 1.0 | 2.0" in compare(capsys, one, worse)[1]
    (less / "journal.jsonl").unlink()
    code, printed = compare(capsys, one, less)
    assert code == 1 and str(less) in printed
