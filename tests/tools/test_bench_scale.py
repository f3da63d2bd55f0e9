"""Counted costs scale as expected, and a cost that grows faster is marked."""

import json
from pathlib import Path

import bench_scale
import benching
import pytest
from bench_scale import Series

from vidgan.data.dataset import ClipDataset


def test_operations_and_bytes_grow_with_the_batch() -> None:
    options = {"frames": 16, "size": (32, 32), "repeat": 1}
    (_, two, small), (_, four, large) = (bench_scale.step_costs("mocogan", batch=n, **options) for n in (2, 4))
    assert four == pytest.approx(2 * two, rel=1e-3)
    assert 1.5 < large / small < 2.1


def test_cost_of_a_longer_horizon_is_at_most_linear() -> None:
    near, far = (
        bench_scale.step_costs("dual_motion", frames=4 + n, size=(32, 48), batch=2, repeat=1)[1] for n in (2, 4)
    )
    assert benching.exponent([2, 4], [near, far]) < 1.0


def test_small_clips_are_valid_prepared_data(tmp_path: Path) -> None:
    data = ClipDataset(bench_scale.small_clips(tmp_path / "data", 3), frames=4)
    assert len(data) == 3 and data[0, 2].clip.shape == (4, 3, 32, 32)


def test_excessive_growth_is_marked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sizes = [1.0, 2.0, 4.0]
    fine = Series("fine", "seconds", 1.0, sizes, [5.0, 10.0, 20.0])
    quadratic = Series("host work", "seconds", 1.0, sizes, [5.0, 20.0, 80.0])
    monkeypatch.setattr(bench_scale, "PARTS", {"a": lambda quick: [fine], "b": lambda quick: [fine, quadratic]})
    assert bench_scale.main(["--only", "a"]) == 0
    assert bench_scale.main(["--only", "b", "--json", str(tmp_path / "s.json")]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines if "GROWS FASTER" in line] == ["host"]
    series_list = json.loads((tmp_path / "s.json").read_text())["series"]
    assert [series["surprising"] for series in series_list] == [False, True]
    assert series_list[1]["exponent"] == pytest.approx(2.0)
