"""The user's own networks, losses, optimizers and turns: by import path after an opt-in, or as objects from Python."""

from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import run_vidgan, small_config
from torch import Tensor, nn

import vidgan
from vidgan.config import dump_config, load_config
from vidgan.losses.adversarial import ADVERSARIAL
from vidgan.types import Judgement

MODULE = '''
import torch
from torch import nn
from vidgan.types import Judgement

class MyGenerator(nn.Module):
    """content and motion -> frames."""
    def __init__(self, *, image_size, channels, dim_content, dim_motion, width=8):
        super().__init__()
        self.shape = (channels, *image_size)
        pixels = channels * image_size[0] * image_size[1]
        self.net = nn.Sequential(nn.Linear(dim_content + dim_motion, width), nn.ReLU(), nn.Linear(width, pixels))
    def forward(self, content, motion):
        return torch.tanh(self.net(torch.cat([content, motion], dim=1))).unflatten(1, self.shape)

class Wrong(MyGenerator):
    def forward(self, content, motion):
        return super().forward(content, motion)[:, :, ::2]

class MyDiscriminator(nn.Module):
    """frames -> one logit each."""
    def __init__(self, *, image_size, channels):
        super().__init__()
        self.net = nn.Linear(channels * image_size[0] * image_size[1], 1)
    def forward(self, frames, draws=None):
        return self.net(frames.flatten(1))[:, 0]

def brightness(fake, real):
    return (fake.mean() - real.mean()).square()
'''


@pytest.fixture
def own_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    name = f"own_parts_{abs(hash(str(tmp_path)))}"
    (tmp_path / f"{name}.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    return name


def written(values: Any, path: Path) -> Path:
    path.write_text(dump_config(values))
    return path


def test_import_paths_are_followed_only_after_an_opt_in(
    own_module: str, shapes_data: Path, tmp_path: Path, capfd: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = small_config(
        "mocogan",
        shapes_data,
        tmp_path / "runs",
        model__frame={"kind": f"{own_module}:MyGenerator", "width": 6},
        discriminators__frame={"kind": f"{own_module}:MyDiscriminator"},
        objective__terms={"brightness": f"{own_module}:brightness"},
        objective__weights__brightness=2.0,
    )
    path = written(config, tmp_path / "own.yaml")
    code, _, err = run_vidgan(capfd, monkeypatch, "train", path)
    assert code == 2 and f"{own_module}:MyGenerator" in err and "--allow-own-code" in err
    assert not (tmp_path / "runs" / "small").exists()

    code, _, err = run_vidgan(capfd, monkeypatch, "train", path, "train.steps=2", "--allow-own-code")
    assert code == 0, err
    # The same command resumes, with more steps.
    code, _, err = run_vidgan(capfd, monkeypatch, "train", path, "train.steps=4", "--allow-own-code")
    assert code == 0, err
    run = tmp_path / "runs" / "small"
    assert load_config(run / "config.yaml").model.frame.options == {"width": 6}

    for command in (["generate", run, "--out", tmp_path / "clips", "--clips", 2], ["evaluate", run, "--clips", 4]):
        code, _, err = run_vidgan(capfd, monkeypatch, *command)
        assert code == 2 and "--allow-own-code" in err, command
        code, _, err = run_vidgan(capfd, monkeypatch, *command, "--allow-own-code")
        assert code == 0, err
    with pytest.raises(vidgan.ConfigError, match="MyGenerator"):
        vidgan.MoCoGAN.from_pretrained(run)
    assert vidgan.MoCoGAN.from_pretrained(run, allow_own_code=True).sample(2, frames=3).shape == (2, 3, 3, 32, 32)


def test_a_part_that_breaks_its_protocol_is_named_with_the_expected_shape(
    own_module: str, shapes_data: Path, tmp_path: Path
) -> None:
    config = small_config("mocogan", shapes_data, tmp_path / "runs", model__frame={"kind": f"{own_module}:Wrong"})
    with pytest.raises(vidgan.ConfigError, match=r"model\.frame.*\(2, 3, 16, 32\).*\(2, 3, 32, 32\)"):
        vidgan.train(config, allow_own_code=True, quiet=True)
    missing = small_config("mocogan", shapes_data, tmp_path / "runs", model__frame={"kind": f"{own_module}:Nothing"})
    with pytest.raises(vidgan.ConfigError, match=r"model\.frame.*Nothing"):
        vidgan.train(missing, allow_own_code=True, quiet=True)


class Frames(nn.Module):
    """A frame generator that is passed as an object."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Linear(8, 3 * 32 * 32)

    def forward(self, content: Tensor, motion: Tensor) -> Tensor:
        return torch.tanh(self.net(torch.cat([content, motion], dim=1))).unflatten(1, (3, 32, 32))


class Critic(nn.Module):
    """A discriminator of frames that is passed as an object."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Linear(3 * 32 * 32, 1)

    def forward(self, frames: Tensor, draws: Any = None) -> Judgement:
        return Judgement(self.net(frames.flatten(1))[:, 0], None)


def parts() -> dict[str, Any]:
    torch.manual_seed(0)
    return {
        "networks": {"model.frame": Frames(), "discriminators.frame": Critic()},
        "losses": {
            "adversarial": ADVERSARIAL["hinge"],
            "dark": (lambda fake, real: fake.mean().square(), 0.5),
        },
        "optimizers": {"generator": lambda parameters: torch.optim.RAdam(parameters, lr=1e-3)},
        "turns": [("frame", 2), "video", {"network": "generator", "every": 2}],
    }


def test_objects_from_python_are_trained_saved_resumed_and_evaluated(shapes_data: Path, tmp_path: Path) -> None:
    def run(out: str, *steps: int) -> Path:
        for count in steps:
            config = small_config("mocogan", shapes_data, tmp_path / out, train__steps=count)
            result = vidgan.train(config, quiet=True, **parts())
        return result.run_dir

    whole, resumed = run("whole", 6), run("resumed", 2, 6)
    networks = parts()["networks"]
    one = vidgan.MoCoGAN.from_pretrained(whole, networks=networks)
    clips = one.sample(2, frames=3)
    other = vidgan.MoCoGAN.from_pretrained(resumed, networks=parts()["networks"])
    assert torch.equal(other.sample(2, frames=3), clips)
    lines = (whole / "journal.jsonl").read_text()
    assert "loss/generator/dark" in lines

    with pytest.raises(vidgan.ConfigError, match=r"model\.frame"):
        vidgan.MoCoGAN.from_pretrained(whole)
    config = small_config("mocogan", shapes_data, tmp_path / "other")
    with pytest.raises(vidgan.ConfigError, match=r"model\.frme.*model\.frame"):
        vidgan.train(config, networks={"model.frme": Frames()}, quiet=True)


def test_a_task_by_name_starts_from_its_default_config(shapes_data: Path, tmp_path: Path) -> None:
    result = vidgan.train(
        "synthesis",
        [f"out={tmp_path}", "train.steps=1", "train.batch_size=2", "data.stride=1", "train.warmup=0",
         "model.frame.width=4", "model.frame.max_width=8", "discriminators.frame.width=4",
         "discriminators.video.width=4"],
        data=shapes_data,
        quiet=True,
    )  # fmt: skip
    assert result.steps == 1
