"""The runs of the two studies: every change means something to the config that it changes."""

from pathlib import Path

import ablate
import ablate_forecast
import pytest

from vidgan.checks import check_config
from vidgan.config import find_config, load_config

STUDIES = {
    "synthesis": ablate.read_runs(ablate.RUNS, "mocogan/demo"),
    "forecasts": ablate.read_runs(ablate_forecast.RUNS, "dual_motion/kitti"),
}
RUNS = [(study, name) for study, runs in STUDIES.items() for name in runs]


@pytest.mark.parametrize(("study", "name"), RUNS)
def test_each_run_is_a_config_that_can_be_built(study: str, name: str) -> None:
    config, changes = STUDIES[study][name]
    check_config(load_config(find_config(config), ["data.root=unused", *changes]))


@pytest.mark.parametrize("study", STUDIES)
def test_no_two_runs_are_the_same(study: str) -> None:
    runs = [(config, tuple(changes)) for config, changes in STUDIES[study].values()]
    assert len(set(runs)) == len(runs)
    names = [ablate.folder_name(name) for name in STUDIES[study]]
    assert len(set(names)) == len(names)


def test_a_run_may_name_its_config_or_another_run(tmp_path: Path) -> None:
    listed = tmp_path / "runs.yaml"
    listed.write_text(
        "plain: [seed=1]\nother (2): [config=mocogan/paper, model.width=8]\nlike it: [run=other (2), seed=2]\n"
    )
    assert ablate.read_runs(listed, "mocogan/demo") == {
        "plain": ("mocogan/demo", ["seed=1"]),
        "other (2)": ("mocogan/paper", ["model.width=8"]),
        "like it": ("mocogan/paper", ["model.width=8", "seed=2"]),
    }
    assert ablate.folder_name("other (2)") == "other-2"
