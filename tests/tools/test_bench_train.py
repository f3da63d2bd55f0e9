"""What the training benchmark counts, how it divides the time of a step, and when a ratio counts as fallen."""

import json
import time
from pathlib import Path
from typing import Any

import bench_train
import pytest
import torch
import train_sides
import train_work
from train_sides import Clock, Job


@pytest.fixture(scope="module")
def small_job(tmp_path_factory: pytest.TempPathFactory) -> Job:
    """The published algorithm at 32x32 with narrow networks."""
    folder = tmp_path_factory.mktemp("bench")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(train_sides.SIZES, "mocogan", (32, 32))
        train_sides.make_data(folder, "mocogan", clips=6)
    narrow = tuple(f"{key}.width=4" for key in ("model.frame", "discriminators.frame", "discriminators.video"))
    return Job("vidgan", "mocogan", "fp32", 2, 2, str(folder / "data"), changes=narrow)


def test_ours_is_timed_by_part(small_job: Job) -> None:
    measured = train_sides.run(small_job)
    assert len(measured["samples"]) == 2  # the first iteration is not counted
    for sample in measured["samples"]:
        parts = [sample[name] for name in ("frame", "video", "generator", "optimizer", "data")]
        assert all(part > 0 for part in parts)
        assert sum(parts) <= sample["total"]
    assert measured["peak_gb"] > 0.1


def test_the_textbook_side_is_timed_by_part(small_job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = train_sides.textbook.mocogan.Training

    def small(**_: Any) -> Any:
        return plain(size=32, width=4)

    monkeypatch.setattr(train_sides.textbook.mocogan, "Training", small)
    (sample,) = train_sides.run(small_job._replace(side="textbook", iterations=1))["samples"]
    assert sum(sample[name] for name in ("frame", "video", "generator", "optimizer", "data")) <= sample["total"]
    # It renders whole clips for the frame discriminator and does not freeze: more operations for equal losses.
    counted = {side: train_sides.count_operations(small_job._replace(side=side)) for side in ("vidgan", "textbook")}
    for turn in ("frame", "generator"):
        assert counted["textbook"][turn] > counted["vidgan"][turn]
    assert counted["textbook"]["video"] == counted["vidgan"]["video"]
    twice = train_sides.count_operations(small_job._replace(batch=4))
    assert twice["video"] == 2 * counted["vidgan"]["video"]


def test_a_nested_part_counts_once() -> None:
    clock = Clock("cpu")
    parameter = torch.nn.Parameter(torch.ones(1))
    optimizer = torch.optim.SGD([parameter], lr=0.5)
    clock.watch({"only": optimizer})
    with clock.part("turn"):
        parameter.grad = torch.ones(1)
        time.sleep(0.02)
        optimizer.step()
        with clock.part("inner"):
            time.sleep(0.05)
    assert float(parameter.detach()) == 0.5
    assert clock.seconds["inner"] >= 0.05 and clock.seconds["optimizer"] > 0
    assert 0.02 <= clock.seconds["turn"] < clock.seconds["inner"] + 0.02


def test_rows_hold_medians_shares_and_the_rest() -> None:
    def sample(total: float) -> dict[str, float]:
        parts = {"frame": 0.5, "video": 1.0, "generator": 0.25, "optimizer": 0.05, "data": 0.1}
        return {"total": total, **parts, "faults": 10, "kernel seconds": 0.5}

    measured = [{"samples": [sample(2.0), sample(2.2)], "peak_gb": 1.0}, {"samples": [sample(1.9)], "peak_gb": 1.5}]
    row = bench_train.row("mocogan", measured, 8e9, {"matrix": 40e9}, batch=4)
    assert row["seconds"] == {"median": 2.0, "low": 1.9, "high": 2.1}
    assert row["clips_per_second"] == 2.0 and row["gflop_per_second"] == 4.0
    assert row["best"] == 1.9
    assert row["share_of_peak"] == {"matrix": pytest.approx(0.1)}
    assert row["waiting_for_data"] == 0.05 and row["peak_gb"] == 1.5
    assert row["parts"]["rest"] == pytest.approx(0.1)


def report(*ratios: float, bf16: float = 1.0) -> dict[str, Any]:
    """A report in which `auto` means bf16, whose fastest iteration takes `bf16` seconds."""
    rows = {"textbook fp32 kept": {"best": 2.0}, "vidgan fp32 kept": {"best": 1.5}, "vidgan bf16 kept": {"best": bf16}}
    best = {f"ours {i} / plain": ratio for i, ratio in enumerate(ratios)}
    return {"mocogan": {"best": best, "rows": rows, "chosen": "bf16"}}


def test_the_automatic_precision_has_to_be_the_fastest_setting() -> None:
    assert bench_train.slower_choices(report(bf16=1.55)) == []
    (line,) = bench_train.slower_choices(report(bf16=1.6))
    assert "auto takes 1.60 s" in line and "vidgan fp32 kept 1.50 s" in line
    assert len(bench_train.slower_choices(report(bf16=2.2))) == 2


def test_a_ratio_may_fall_by_fifteen_per_cent() -> None:
    assert bench_train.fallen(report(1.71, 3.0), report(2.0, 2.0)) == []
    (line,) = bench_train.fallen(report(1.69, 3.0), report(2.0, 2.0))
    assert "ours 0 / plain" in line and "2.00" in line
    assert len(bench_train.fallen({}, report(2.0, 2.0))) == 2


def test_check_refuses_ratios_of_another_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    here = {"capability": "AVX512", "bf16": True, "gpu": None, "threads": 2}
    monkeypatch.setattr(bench_train, "COMMITTED", tmp_path / "committed.json")
    bench_train.COMMITTED.write_text(json.dumps({"machine": here, "models": report(2.0)}))
    assert bench_train.check(report(2.0), here) == 0
    assert bench_train.check(report(1.0), here) == 1
    assert bench_train.check(report(2.0, bf16=1.8), here) == 1
    assert bench_train.check(report(1.0), here | {"threads": 64}) == 2
    assert "threads 2 there, 64 here" in capsys.readouterr().out


def test_the_committed_ratios_have_these_names() -> None:
    committed = json.loads(bench_train.COMMITTED.read_text())
    assert {"capability", "bf16", "gpu", "threads"} <= committed["machine"].keys()
    names = {"vidgan fp32 kept / textbook fp32 kept", "vidgan bf16 kept / textbook fp32 kept"}
    for model in ("mocogan", "dual_motion"):
        assert committed["models"][model]["best"].keys() == names


def test_cost_of_recipes(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(train_work, "CASES", train_work.CASES[2:])
    recipe = train_work.recipes_report(timed=False)["recipes"]["mocogan/demo"]
    cost = {side: sum(turns.values()) for side, turns in recipe["gflop_a_clip"].items()}
    assert recipe["less_work"] == pytest.approx(cost["paper"] / cost["ours"])
    assert "mocogan/demo" in capsys.readouterr().out
    # A lazy penalty is averaged over its steps.
    assert train_work.Recipe.mean_seconds(type("Lazy", (), {"every": 4})(), 1.0, 5.0) == 2.0  # type: ignore[arg-type]
