"""The runs of the studies: each one is a valid config, and no two are equal."""

from pathlib import Path

import ablate
import ablate_forecast
import pytest

from vidgan.config import find_config, load_config

STUDIES = {
    "synthesis": ablate.read_runs(ablate.RUNS, "mocogan/demo"),
    "gan_parts": ablate.read_runs(ablate.RUNS.with_name("gan_parts.yaml"), "mocogan/demo"),
    "forecasts": ablate.read_runs(ablate_forecast.RUNS, "dual_motion/kitti"),
}
RUNS = [(study, name) for study, runs in STUDIES.items() for name in runs]


@pytest.mark.parametrize(("study", "name"), RUNS)
def test_each_run_is_a_valid_config(study: str, name: str) -> None:
    config, changes = STUDIES[study][name]
    load_config(find_config(config), ["data.root=unused", *changes])


@pytest.mark.parametrize("study", STUDIES)
def test_no_two_runs_are_equal(study: str) -> None:
    runs = STUDIES[study].values()
    configs = [load_config(find_config(config), ["data.root=unused", *changes]) for config, changes in runs]
    assert all(one != other for number, one in enumerate(configs) for other in configs[:number])
    names = [ablate.folder_name(name) for name in STUDIES[study]]
    assert len(set(names)) == len(names)


def test_a_run_may_name_its_config_or_another_run(tmp_path: Path) -> None:
    listed = tmp_path / "runs.yaml"
    listed.write_text(
        "plain: [seed=1]\nother (2): [config=mocogan/paper, model.dim_content=8]\nlike it: [run=other (2), seed=2]\n"
    )
    assert ablate.read_runs(listed, "mocogan/demo") == {
        "plain": ("mocogan/demo", ["seed=1"]),
        "other (2)": ("mocogan/paper", ["model.dim_content=8"]),
        "like it": ("mocogan/paper", ["model.dim_content=8", "seed=2"]),
    }
    assert ablate.folder_name("other (2)") == "other-2"


def test_a_study_runs_the_chosen_runs_once(tmp_path: Path) -> None:
    runs = {"first (1)": ("a", ["x=1"]), "second": ("b", []), "third": ("c", [])}
    made: list[tuple[str, list[str]]] = []

    def make(config: str, settings: list[str]) -> ablate.Row:
        made.append((config, settings))
        return {"score": len(made), config: 0.5}

    assert ablate.study(runs, tmp_path, ["first (1)"], make) == (["score", "a"], {"first (1)": {"score": 1, "a": 0.5}})
    assert made == [("a", [f"out={tmp_path}", "name=first-1", "x=1"])]
    columns, rows = ablate.study(runs, tmp_path, ["first (1)", "third"], make)
    assert len(made) == 2 and columns == ["score", "a", "c"]
    assert rows == {"first (1)": {"score": 1, "a": 0.5}, "third": {"score": 2, "c": 0.5}}
    with pytest.raises(SystemExit, match=r"fourth.*first \(1\), second, third"):
        ablate.study(runs, tmp_path, ["fourth"], make)
