"""The timed forms compute the same pixels; rates and ratios match the number of clips and frames."""

import json
from pathlib import Path

import bench_infer
import pytest
import torch

SMALL = {
    "mocogan/paper": ["model.frame.width=4"],
    "dual_motion/paper": ["model.widths=[8,8,8,8]", "model.dim_latent=8", "model.estimator.widths=[8,8,8,8]"],
}


@pytest.fixture(autouse=True)
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks of a few channels."""
    load = bench_infer.load_config
    monkeypatch.setattr(
        bench_infer,
        "load_config",
        lambda path, changes: load(path, [*changes, *SMALL[f"{path.parent.name}/{path.stem}"]]),
    )
    monkeypatch.setattr(bench_infer, "FRAMES", 4)
    monkeypatch.setattr(bench_infer, "CONTEXT", 3)


def test_forms_make_the_same_pixels() -> None:
    model = bench_infer.network("mocogan/paper", "cpu")
    inputs = bench_infer.inputs_of("mocogan/paper", model, 2, "cpu")
    pixels = {
        form: bench_infer.job(form, bench_infer.Render(model), inputs, "cpu")().int()
        for form in ("eager", "exported", "bf16")
    }
    assert pixels["eager"].shape == (2, 4, 3, 64, 64)
    assert int((pixels["exported"] - pixels["eager"]).abs().max()) <= 1
    assert 0 < int((pixels["bf16"] - pixels["eager"]).abs().max()) <= 8
    model = bench_infer.network("dual_motion/paper", "cpu")
    inputs = bench_infer.inputs_of("dual_motion/paper", model, 1, "cpu")
    frames = bench_infer.job("eager", bench_infer.Forecast(model, 2), inputs, "cpu")()
    assert frames.shape == (1, 2, 3, 128, 160) and frames.dtype == torch.uint8


def test_rates_and_ratios() -> None:
    results = bench_infer.measure("mocogan/paper", 3, 1, forms=["eager", "exported"], rounds=2, device="cpu")
    assert results["eager"]["times_eager"] == {"median": 1.0, "low": 1.0, "high": 1.0}
    ratio = results["exported"]["times_eager"]
    assert 0 < ratio["low"] <= ratio["median"] <= ratio["high"]
    assert 0 < results["eager"]["rate"]["low"] <= results["eager"]["rate"]["high"]


def test_a_form_that_fails_leaves_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("cannot export\nmore")

    monkeypatch.setattr(torch.export, "export", broken)
    out = tmp_path / "times.json"
    assert bench_infer.main(["--quick", "--config", "dual_motion/paper", "--json", str(out)]) == 0
    rows = {row["form"]: row for row in json.loads(out.read_text())["rows"]}
    assert rows.keys() == {"eager", "bf16", "exported"}
    assert rows["exported"]["failed"] == "cannot export"
    assert rows["eager"]["unit"] == "ms a frame" and rows["eager"]["rate"]["median"] > 0
    assert "cannot export" in capsys.readouterr().out
