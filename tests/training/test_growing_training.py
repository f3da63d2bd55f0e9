"""Progressive growing of a MoCoGAN: its schedule, what an edge changes, exact resuming, and models of early phases."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers import needs_exporter, small_config
from test_resume import assert_same_run, killed_after
from test_turns import build

from vidgan import MoCoGAN
from vidgan.commands.evaluate import evaluate
from vidgan.commands.export import export
from vidgan.commands.generate import generate
from vidgan.commands.plan import make_plan
from vidgan.commands.train import train
from vidgan.errors import ConfigError
from vidgan.exporting.runner import open_onnx
from vidgan.tasks.synthesis.growing import GrowingPhase, progress_at
from vidgan.training.journal import read_journal

KIND: dict[str, Any] = {"kind": "progressive", "width": 4, "max_width": 8}
PHASES: list[dict[str, Any]] = [{"size": 8, "steps": 2}, {"size": 16, "steps": 4, "fade": 2}, {"size": 32, "fade": 2}]
GROWING: dict[str, Any] = {
    "model__frame": KIND,
    "discriminators__frame": KIND,
    "discriminators__video": KIND | {"temporal_levels": 2},
    "objective__growing": {"phases": PHASES},
    "objective__drift": 0.001,
}
# Step -> shorter side and share: the new level has a share of 0 in the first step of its fade.
EXPECTED = [(8, 1.0), (8, 1.0), (8, 1.0), (16, 0.5), (16, 1.0), (16, 1.0), (16, 1.0), (32, 0.5), (32, 1.0)]


def test_schedule_of_progan() -> None:
    phases = [GrowingPhase(size=4, steps=600), *(GrowingPhase(size=s, steps=1200, fade=600) for s in (8, 16))]
    steps = (0, 599, 600, 900, 1200, 1799, 1800, 2100, 2400, 99999)
    assert [progress_at(phases, 0, step) for step in steps] == [0, 0, 0, 0.5, 1, 1, 1, 1.5, 2, 2]


def test_sizes_shares_and_optimizers_follow_the_schedule(shapes_data: Path, tmp_path: Path) -> None:
    algorithm, step = build("mocogan", shapes_data, tmp_path, **GROWING)
    generator, video = algorithm.trainees.raw["generator"], algorithm.trainees.raw["video"]
    seen: list[int] = []
    video.register_forward_pre_hook(lambda module, given: seen.append(given[0].shape[-1]))
    counts = []
    for number, (size, alpha) in enumerate(EXPECTED):
        seen.clear()
        before = {name: value.clone() for name, value in generator.state_dict().items()}
        measured = step(number)
        assert (float(measured["growing/size"]), float(measured["growing/alpha"])) == (size, alpha)
        assert set(seen) == {size}
        idle = {id(p) for module in generator.frame.idle_modules() for p in module.parameters()}
        average = algorithm.ema.module.state_dict()
        for name, weight in generator.named_parameters():
            if id(weight) in idle:
                assert torch.equal(before[name], weight), name
            later = any(f"levels.{level}." in name for level in range(generator.frame.growth.level + 1, 4))
            if later:  # the average of a level begins at the level's initial weights
                assert id(weight) in idle and torch.equal(average[name], weight), name
        assert algorithm.ema.module.frame.growth.progress == generator.frame.growth.progress
        state = algorithm.trainees.optimizers["video"].state
        counts.append(int(state[video.head.weight]["step"]))
    assert counts == [1, 2, 3, 1, 1, 2, 3, 1, 1]  # moments start anew at both ends of a fade


def test_resumed_run_equals_the_uninterrupted_one_in_a_phase_a_fade_and_at_edges(
    shapes_data: Path, tmp_path: Path
) -> None:
    changes = GROWING | {"train__steps": 9, "every__checkpoint": 1, "every__keep": 9, "train__micro_batches": 2}
    whole = train(small_config("mocogan", shapes_data, tmp_path / "whole", **changes), quiet=True).run_dir
    sizes = [record["growing/size"] for record in read_journal(whole) if "growing/size" in record]
    assert sizes == [size for size, _ in EXPECTED]
    for step in (1, 3, 4, 5, 8):  # in a phase, at the edge, in a fade, at its end, in the last fade
        run = killed_after(whole, step, tmp_path / f"killed-{step}")
        settings = small_config("mocogan", shapes_data, run.parent, **changes)
        assert train(settings, quiet=True).steps == 9
        assert_same_run(run, whole, 9)


def test_model_of_an_early_phase_is_used_like_any_other(shapes_data: Path, tmp_path: Path) -> None:
    run = train(small_config("mocogan", shapes_data, tmp_path, **GROWING | {"train__steps": 4}), quiet=True).run_dir
    model = MoCoGAN.from_pretrained(run)
    assert (model.frame.growth.level, model.frame.growth.alpha) == (2, 0.5)
    clips = model.sample(2, frames=13)
    assert clips.shape == (2, 13, 3, 32, 32)
    blocks = clips.unflatten(-1, (16, 2)).unflatten(-3, (16, 2))
    assert bool((blocks == blocks[..., :1, :, :1]).all())  # pixels of 16x16, repeated
    generate(run, tmp_path / "clips", clips=2, seed=0)
    assert evaluate(run, clips=4).frame_size == (32, 32)  # type: ignore[union-attr]


@needs_exporter
def test_model_of_an_early_phase_is_exported(shapes_data: Path, tmp_path: Path) -> None:
    run = train(small_config("mocogan", shapes_data, tmp_path, **GROWING | {"train__steps": 4}), quiet=True).run_dir
    clips = MoCoGAN.from_pretrained(run).sample(2, frames=13)
    onnx = tmp_path / "early.onnx"
    export(run, onnx)
    exported: Any = open_onnx(onnx)
    assert int(np.abs(exported.sample(2, frames=13).astype(int) - clips.numpy()).max()) <= 1


def test_growing_is_refused_where_it_cannot_work(shapes_data: Path, tmp_path: Path) -> None:
    def refused(match: str, **changes: Any) -> None:
        with pytest.raises(ConfigError, match=match):
            build("mocogan", shapes_data, tmp_path, **GROWING | changes)

    refused(r"discriminators\.frame\.kind=progressive, not strided", discriminators__frame={"width": 4})
    refused(r"train\.compile", train__compile=True)
    refused(r"model\.layers", model__layers={})
    refused(r"temporal_levels", discriminators__video=KIND | {"temporal_levels": 3})

    def phases(*changed: dict[str, Any]) -> dict[str, Any]:
        return {"objective__growing": {"phases": list(changed)}}

    refused("phases", **phases(PHASES[0]))
    refused("size=32 after size=8", **phases(PHASES[0], PHASES[2]))
    refused("each but the last needs steps", **phases({"size": 16}, PHASES[2]))
    refused("last phase", **phases(PHASES[1] | {"fade": 0}, {"size": 32, "steps": 3}))
    refused("first phase", **phases(PHASES[1], PHASES[2]))
    refused("fade=5", **phases(PHASES[0], {"size": 16, "steps": 4, "fade": 5}, PHASES[2]))
    refused(r"objective\.growing\.phases have the sizes 8, 16", **phases(PHASES[0], {"size": 16}))


def test_plan_counts_the_largest_phase(shapes_data: Path, tmp_path: Path) -> None:
    costs = []
    for growing in ({"phases": PHASES}, None):
        changes = GROWING | {"objective__growing": growing}
        plan = make_plan(small_config("mocogan", shapes_data, tmp_path, **changes))
        costs.append({name: cost.flops for name, cost in plan.cost_of_two.items()})
    assert costs[0] == costs[1]


def test_run_that_ends_early_is_reported(shapes_data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    build("mocogan", shapes_data, tmp_path, **GROWING | {"train__steps": 7})
    assert "from step 8 on" in caplog.text
