"""The two stages of an upscaling run, its resumption, damage of the input, and partners."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers import small_config

from vidgan.commands.train import train
from vidgan.config import RunConfig
from vidgan.data.preparing.prepare import prepare
from vidgan.errors import ConfigError
from vidgan.seeding import Draws
from vidgan.tasks.upscaling.config import CorruptionConfig
from vidgan.tasks.upscaling.training import corrupt
from vidgan.training.checkpoint import load_checkpoint
from vidgan.training.journal import drop_volatile, read_journal
from vidgan.video.encode import write_mp4


def config(data: Path, out: Path, **changes: Any) -> RunConfig:
    return small_config("upscaling", data, out, **{"train__batch_size": 2, "every__checkpoint": 1, **changes})


def weights(run: Path, step: int, network: str) -> dict[str, torch.Tensor]:
    return dict(load_checkpoint(run / "checkpoints" / f"step-{step:08d}").tensors[network])


def equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(value, other[key]) for key, value in one.items())


NO_DISCRIMINATORS: dict[str, Any] = {
    "discriminators": {}, "optimizers": {"generator": {}}, "objective__weights": {"l1": 1.0},
}  # fmt: skip
STAGES: dict[str, Any] = {
    "objective__pixel_steps": 2,
    "objective__weights": {
        "l1": 1.0, "consistency": 0.1, "ping_pong": 0.5, "adversarial_frame": 0.01, "adversarial_video": 0.01,
    },
    "every__keep": 9,
}  # fmt: skip


@pytest.fixture(scope="module")
def two_stages(shapes_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("whole")
    return train(config(shapes_data, out, **STAGES, train__steps=4), quiet=True).run_dir


def test_discriminators_wait_for_the_second_stage(two_stages: Path) -> None:
    for name in ("frame", "video"):
        assert equal(weights(two_stages, 1, name), weights(two_stages, 2, name))
        assert not equal(weights(two_stages, 2, name), weights(two_stages, 3, name))
    records = [record for record in read_journal(two_stages) if "loss/generator/l1" in record]
    assert [("loss/generator/adversarial_video" in r, "loss/generator/ping_pong" in r) for r in records] == [
        (False, False), (False, False), (True, True), (True, True),
    ]  # fmt: skip
    assert all("loss/generator/consistency" in record for record in records)


def test_the_first_stage_is_a_run_without_discriminators(two_stages: Path, shapes_data: Path, tmp_path: Path) -> None:
    changes = NO_DISCRIMINATORS | {"objective__weights": {"l1": 1.0, "consistency": 0.1}}
    alone = train(config(shapes_data, tmp_path, **changes, train__steps=2), quiet=True).run_dir
    assert equal(weights(alone, 2, "generator"), weights(two_stages, 2, "generator"))


def test_a_run_resumes_bit_for_bit_across_the_stages(two_stages: Path, shapes_data: Path, tmp_path: Path) -> None:
    train(config(shapes_data, tmp_path, **STAGES, train__steps=1), quiet=True)
    resumed = train(config(shapes_data, tmp_path, **STAGES, train__steps=4), quiet=True).run_dir
    for network in ("generator", "frame", "video", "ema"):
        assert equal(weights(resumed, 4, network), weights(two_stages, 4, network))
    losses = [drop_volatile(read_journal(run))[-1] for run in (resumed, two_stages)]
    assert losses[0] == losses[1]


def test_micro_batches_add_up_to_the_batch(shapes_data: Path, tmp_path: Path) -> None:
    runs = [
        train(config(shapes_data, tmp_path, name=f"m{parts}", train__steps=1, train__micro_batches=parts), quiet=True)
        for parts in (1, 2)
    ]
    one, two = (weights(run.run_dir, 1, "generator") for run in runs)
    for key, value in one.items():
        torch.testing.assert_close(value, two[key], atol=2e-5, rtol=0)


def test_corruption_is_keyed_and_spares_its_share() -> None:
    clip = torch.rand(64, 3, 3, 8, 8, generator=torch.Generator().manual_seed(0)) * 1.6 - 0.8
    strengths = CorruptionConfig(probability=0.5, noise=0.1, blur=1.0)
    damaged = corrupt(clip, strengths, Draws("c", rows=range(64)))
    assert torch.equal(damaged, corrupt(clip, strengths, Draws("c", rows=range(64))))
    assert torch.equal(damaged[5:9], corrupt(clip[5:9], strengths, Draws("c", rows=range(5, 9))))
    untouched = [bool(torch.equal(one, other)) for one, other in zip(clip, damaged, strict=True)]
    assert 20 <= sum(untouched) <= 44
    assert float(damaged.abs().max()) <= 1
    still = corrupt(
        torch.zeros_like(clip), CorruptionConfig(probability=1, noise=0.1, blur=0), Draws("d", rows=range(64))
    )
    assert 0.03 < float(still.std()) < 0.09  # uniform up to 0.1: root mean square 0.058


def low_resolution(folder: Path, side: int) -> Path:
    rng = np.random.default_rng(0)
    for number in range(3):
        write_mp4(folder / "videos" / f"{number}.mp4", rng.integers(0, 256, (8, side, side, 3), np.uint8))
    prepare(folder / "videos", folder / "data", size=(side, side), holdout=0.0)
    return folder / "data"


def test_partners_enter_the_adversarial_terms_alone(two_stages: Path, shapes_data: Path, tmp_path: Path) -> None:
    partners = low_resolution(tmp_path / "low", 16)
    run = train(
        config(shapes_data, tmp_path, **STAGES, train__steps=3, data__partners=str(partners)), quiet=True
    ).run_dir
    assert equal(weights(run, 2, "generator"), weights(two_stages, 2, "generator"))
    assert not equal(weights(run, 3, "video"), weights(two_stages, 3, "video"))
    records = [
        next(r for r in read_journal(one) if r["step"] == 3 and "loss/generator/l1" in r) for one in (run, two_stages)
    ]
    assert records[0]["loss/video/adversarial"] != records[1]["loss/video/adversarial"]
    assert records[0]["loss/generator/l1"] == pytest.approx(records[1]["loss/generator/l1"])
    large = low_resolution(tmp_path / "high", 32)
    with pytest.raises(ConfigError, match=r"data\.partners.*32x32.*16x16"):
        train(config(shapes_data, tmp_path / "b", **STAGES, data__partners=str(large)), quiet=True)


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"model__network": {"kind": "frame"}, "objective__weights__ping_pong": 0.5}, "ping_pong"),
        ({"objective__frames_per_clip": 9}, "frames_per_clip"),
        ({"objective__weights": {"adversarial_frame": 1, "adversarial_video": 1}}, "l1"),
        ({"objective__corruption": {"noise": 0, "blur": 0}}, "damage nothing"),
        ({"model__scale": 3}, "scale"),
        ({**NO_DISCRIMINATORS, "objective__pixel_steps": 2}, "pixel_steps"),
        ({**NO_DISCRIMINATORS, "data__partners": "x"}, r"data\.partners"),
    ],
)  # fmt: skip
def test_settings_without_effect_are_refused(changes: dict[str, Any], part: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=part):
        config(tmp_path, tmp_path, **changes)


def test_a_scale_that_does_not_fit_the_data(shapes_data: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"model\.scale=4"):
        train(config(shapes_data, tmp_path, **NO_DISCRIMINATORS, model__scale=4, data__window=(16, 16)), quiet=True)
