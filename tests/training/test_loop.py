"""The loop: resume, signals, files of a run, and a game with a known outcome."""

import json
import math
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from accelerate import Accelerator
from helpers import small_config
from torch import Tensor, nn

from vidgan.commands.train import train
from vidgan.config import dump_config
from vidgan.errors import ConfigError, NonFiniteError
from vidgan.losses import ADVERSARIAL
from vidgan.seeding import Draws
from vidgan.tasks.synthesis.training import MoCoGANTraining
from vidgan.training.adversary import AdversarialGame, Adversary, Penalty
from vidgan.training.checkpoint import load_checkpoint, load_latest
from vidgan.training.ema import ExponentialMovingAverage
from vidgan.training.journal import read_journal
from vidgan.training.lock import RunLock
from vidgan.training.loop import Periods, Protection, StopRequest, run_loop
from vidgan.training.recorder import Hooks
from vidgan.training.schedule import learning_rate_factor
from vidgan.training.trainees import Trainees
from vidgan.training.turns import Turn
from vidgan.types import ClipBatch, Judgement, Latents


def test_finished_run_is_left_unchanged(shapes_data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    config = small_config("mocogan", shapes_data, tmp_path, train__steps=2)
    run = train(config, quiet=True).run_dir
    before = (run / "journal.jsonl").read_bytes()
    assert train(config, quiet=True).steps == 2
    assert str(run) in caplog.text
    assert (run / "journal.jsonl").read_bytes() == before


def test_changed_config_is_refused_by_key(shapes_data: Path, tmp_path: Path) -> None:
    run = train(small_config("mocogan", shapes_data, tmp_path, train__steps=2), quiet=True).run_dir
    changed = small_config("mocogan", shapes_data, tmp_path, train__steps=4, train__ema_decay=0.5, every__log=2)
    with pytest.raises(ConfigError, match=r"train\.ema_decay.*0\.9.*0\.5") as refused:
        train(changed, quiet=True)
    assert "every.log" not in str(refused.value), "the logging period does not change the result"
    assert yaml.safe_load((run / "config.yaml").read_text())["train"]["ema_decay"] == 0.9
    assert train(changed, quiet=True, accept_changes=True).steps == 4


def test_changed_model_or_data_is_refused(shapes_data: Path, tmp_path: Path) -> None:
    run = train(small_config("mocogan", shapes_data, tmp_path, train__steps=2), quiet=True).run_dir
    (run / "config.yaml").write_text(dump_config(small_config("dual_motion", shapes_data, tmp_path, train__steps=2)))
    with pytest.raises(ConfigError, match="synthesis.*forecasting"):
        train(small_config("dual_motion", shapes_data, tmp_path, train__steps=2), quiet=True)
    other = tmp_path / "other"
    from vidgan.data.preparing.prepare import prepare
    from vidgan.data.synthetic.shapes import render_shapes

    render_shapes(other / "videos", clips=9, frames=20, size=32, seed=5)
    prepare(other / "videos", other / "data", size=(32, 32), categories=True)
    with pytest.raises(ConfigError, match=str(other / "data")):
        (run / "config.yaml").write_text(dump_config(small_config("mocogan", shapes_data, tmp_path, train__steps=2)))
        train(small_config("mocogan", other / "data", tmp_path, train__steps=4), quiet=True)


def test_changed_split_of_the_same_clips_is_refused(shapes_data: Path, tmp_path: Path) -> None:
    import shutil

    from vidgan.data.preparing.prepare import prepare

    data = tmp_path / "data"
    shutil.copytree(shapes_data.parent / "videos", tmp_path / "videos")
    prepare(tmp_path / "videos", data, size=(32, 32), categories=True, holdout=0.3)
    train(small_config("mocogan", data, tmp_path, train__steps=2), quiet=True)
    prepare(tmp_path / "videos", data, size=(32, 32), categories=True, holdout=0.1, overwrite=True)
    with pytest.raises(ConfigError, match="split"):
        train(small_config("mocogan", data, tmp_path, train__steps=4), quiet=True)


def test_accepted_optimizer_settings_take_effect(shapes_data: Path, tmp_path: Path) -> None:
    train(small_config("mocogan", shapes_data, tmp_path, train__steps=2), quiet=True)
    changed = small_config(
        "mocogan", shapes_data, tmp_path, optimizers__frame={"betas": [0.1, 0.9], "weight_decay": 0.2}
    )
    run = train(changed, quiet=True, accept_changes=True).run_dir
    saved = load_checkpoint(run / "checkpoints" / "step-00000004").state["optimizers"]["frame"]
    assert "0.1" in json.dumps(saved) and "0.2" in json.dumps(saved)


def test_folder_that_is_no_run_is_refused_and_unchanged(shapes_data: Path, tmp_path: Path) -> None:
    (tmp_path / "small").mkdir()
    (tmp_path / "small" / "thesis.txt").write_text("precious")
    with pytest.raises(FileExistsError, match="small"):
        train(small_config("mocogan", shapes_data, tmp_path), quiet=True)
    assert (tmp_path / "small" / "thesis.txt").read_text() == "precious"


def test_run_in_use_is_refused(shapes_data: Path, tmp_path: Path) -> None:
    with RunLock(tmp_path / "small"), pytest.raises(ValueError, match=str(os.getpid())):
        train(small_config("mocogan", shapes_data, tmp_path), quiet=True)


def test_files_of_a_run(shapes_data: Path, tmp_path: Path) -> None:
    run = train(
        small_config("dual_motion", shapes_data, tmp_path, train__steps=4, every__preview=2, every__evaluate=2),
        quiet=True,
    ).run_dir
    assert sorted(p.name for p in (run / "previews").iterdir()) == ["step-00000002.png", "step-00000004.png"]
    assert {p.name for p in (run / "model").iterdir()} == {
        "README.md",
        "config.json",
        "model.safetensors",
        "vidgan.json",
    }
    assert (run / "best" / "model.safetensors").is_file()
    facts = json.loads((run / "model" / "vidgan.json").read_text())
    assert (facts["class"], facts["step"], facts["context"], facts["frames"]) == ("DualMotionGAN", 4, 3, 5)
    records = read_journal(run)
    logged = next(r for r in records if "seconds" in r)
    for network in ("generator", "frame", "flow"):
        assert logged[f"grad_norm/{network}"] > 0 and logged[f"lr/{network}"] == 2e-4
    assert {"accuracy/frame/real", "accuracy/flow/fake", "loss/generator/kl"} <= logged.keys()
    assert any("evaluation/copy_last/psnr" in r for r in records)


def test_second_signal_interrupts_immediately() -> None:
    before = signal.getsignal(signal.SIGINT)
    with StopRequest() as request:
        os.kill(os.getpid(), signal.SIGTERM)
        assert request.signal == signal.SIGTERM
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(1)
    assert signal.getsignal(signal.SIGINT) is before


def test_learning_rate_schedules() -> None:
    constant, linear, cosine = (learning_rate_factor(name, 2, 12) for name in ("constant", "linear", "cosine"))
    assert [constant(s) for s in (0, 1, 2, 11)] == pytest.approx([0.5, 1, 1, 1])
    assert [linear(s) for s in (0, 2, 7, 11)] == pytest.approx([0.5, 1, 0.5, 0.1])
    assert [cosine(s) for s in (2, 7)] == pytest.approx([1, 0.5])


class Point(nn.Module):
    """Generator of the Dirac GAN: a single number (Mescheder et al., ICML 2018)."""

    needs_first_frame = False
    is_layered = False

    def __init__(self) -> None:
        super().__init__()
        self.theta = nn.Parameter(torch.tensor([0.6]))

    def draw_latents(self, draws: Draws, frames: int) -> Latents:
        rows = torch.zeros(len(draws))
        return Latents(rows, rows, rows.long())

    def forward(
        self, latents: Latents, *, first_frame: Any = None, times: Any = None, as_layers: bool = False
    ) -> Tensor:
        return self.theta.expand(len(latents.content)).view(-1, 1, 1, 1, 1)


class Slope(nn.Module):
    """Discriminator of the Dirac GAN: a single slope, D(x) = psi * x."""

    def __init__(self) -> None:
        super().__init__()
        self.psi = nn.Parameter(torch.tensor([0.0]))

    def forward(self, clip: Tensor, draws: Draws) -> Judgement:
        return Judgement((self.psi * clip.flatten(1)).squeeze(1), None)


class Zeros:
    """Real data: a point mass at (nearly) zero; byte 128 is 0.004."""

    batch_size = 2

    def batches(self, start_step: int) -> Iterator[list[ClipBatch]]:
        row = torch.zeros(2, dtype=torch.int64)
        while True:
            yield [ClipBatch(torch.full((2, 1, 1, 1, 1), 128, dtype=torch.uint8), row, torch.zeros(2, 0, 2, 1, 1), row)]

    def rows(self, micro_batch: int) -> range:
        return range(2)


def play_dirac(
    folder: Path,
    penalty: Penalty | None,
    lr: float = 0.2,
    steps: int = 400,
    preview: int = 10**6,
    hooks: Hooks = Hooks(),
    protection: Protection = Protection(),
) -> list[float]:
    """Train the Dirac GAN; returns the distance of (theta, psi) from the equilibrium after each step."""
    networks = {"generator": Point(), "video": Slope()}
    trainees = Trainees(
        accelerator=Accelerator(cpu=True),
        networks=networks,
        optimizers={name: torch.optim.SGD(module.parameters(), lr=lr) for name, module in networks.items()},
        precision="fp32",
    )
    adversary = Adversary(
        trainees=trainees, name="video", loss=ADVERSARIAL["minimax"], penalty=penalty, scores_clips=True
    )
    game = AdversarialGame(
        trainees=trainees,
        ema=ExponentialMovingAverage(networks["generator"]),
        adversaries={"video": adversary},
        turns=(Turn(network="video"), Turn(network="generator")),
        steps_per_epoch=steps,
        weights={"adversarial_video": 1.0},
        own_terms={},
    )
    algorithm = MoCoGANTraining(game)
    distances: list[float] = []
    inner = algorithm.step

    def measured(step: int, micros: Any) -> Any:
        result = inner(step, micros)
        distances.append(math.hypot(float(networks["generator"].theta.detach()), float(networks["video"].psi.detach())))
        return result

    algorithm.step = measured  # type: ignore[method-assign]
    run_loop(
        algorithm, Zeros(), accelerator=trainees.accelerator, run_dir=folder, steps=steps, seed=0,
        every=Periods(log=100, preview=preview, checkpoint=10**6), hooks=hooks, protection=protection, state={},
        quiet=True,
    )  # fmt: skip
    return distances


def test_dirac_gan_converges_with_r1_and_orbits_without(tmp_path: Path) -> None:
    with_r1 = play_dirac(tmp_path / "r1", Penalty("r1", weight=0.5))
    without = play_dirac(tmp_path / "plain", None)
    assert with_r1[-1] < 0.02
    assert min(without[200:]) > 0.4


def test_non_finite_loss_stops_the_run_naming_the_network(tmp_path: Path) -> None:
    with pytest.raises(NonFiniteError, match=r"step \d+: .*'(video|generator)'"):
        play_dirac(tmp_path, Penalty("r1", weight=1e4), lr=1e4)
    assert load_latest(tmp_path / "checkpoints") is None, "a non-finite state was saved"
