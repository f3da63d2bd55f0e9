"""What holds appearance while motion goes on, and clips that do not begin with the fading of a random first state."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from accelerate import Accelerator

from vidgan.pixels import to_float
from vidgan.seeding import Draws
from vidgan.tasks.synthesis.mocogan import MoCoGAN
from vidgan.tasks.synthesis.style import StyleFrameGenerator
from vidgan.tasks.synthesis.training import MoCoGANTraining
from vidgan.training.ema import ExponentialMovingAverage
from vidgan.training.trainees import Trainees


def generator(**changes: Any) -> StyleFrameGenerator:
    torch.manual_seed(0)
    options = {"image_size": (32, 32), "dim_content": 4, "dim_motion": 3, "width": 4, "max_width": 8, "mapping": 8}
    return StyleFrameGenerator(**(options | changes)).eval()


def model(**changes: Any) -> MoCoGAN:
    torch.manual_seed(0)
    options = {"generator": "style", "dim_content": 4, "dim_motion": 4, "width": 4, "max_width": 8, "mapping": 8}
    return MoCoGAN(image_size=(32, 32), **(options | changes)).eval()


@pytest.mark.parametrize(("levels", "full"), [(None, True), (0, True), (2, True), (1, False)])
def test_the_finer_levels_have_a_style_of_content_alone(levels: int | None, full: bool) -> None:
    net = generator(motion_levels=levels, full_resolution=full)
    seen: list[torch.Tensor] = []
    for layer in net.layers:
        layer.register_forward_pre_hook(lambda module, arguments: seen.append(arguments[1].detach()))
    same = torch.randn(1, 4).expand(2, -1)
    frames = net(same, torch.randn(2, 3))
    moved = [not torch.equal(style[0], style[1]) for style in seen]
    count = 4 if full else 3  # 4, 8, 16 pixels a side, and 32
    assert moved == [level < (count if levels is None else levels) for level in range(count)]
    assert frames.shape == (2, 3, 32, 32) and not torch.equal(frames[0], frames[1])


def test_without_the_full_resolution_each_place_gives_four_pixels() -> None:
    net = generator(full_resolution=False)
    last = net.steps[-1]
    assert isinstance(last, torch.nn.Conv2d) and last.out_channels == 12
    with torch.no_grad():
        last.weight.zero_()
        assert last.bias is not None
        last.bias.copy_(torch.arange(12) / 12)
        frame = net(torch.randn(1, 4), torch.randn(1, 3))[0]
    for channel in range(3):
        expected = torch.tanh((4 * channel + torch.arange(4)) / 12).view(2, 2)
        torch.testing.assert_close(frame[channel], expected.repeat(16, 16))


def test_levels_that_do_not_exist_are_refused() -> None:
    with pytest.raises(ValueError, match="motion_levels=4: a number below the 4 levels"):
        generator(motion_levels=4)
    with pytest.raises(ValueError, match="not with motion_places"):
        generator(motion_levels=1, motion_places=True)
    with pytest.raises(ValueError, match="motion_levels has no effect on generator='dcgan'"):
        MoCoGAN(image_size=(32, 32), motion_levels=1)
    with pytest.raises(ValueError, match="motion_lead_in must be at least 0"):
        model(motion_lead_in=-1)


def test_a_lead_in_is_walked_and_not_shown() -> None:
    plain, led = model(), model(motion_lead_in=7)
    whole = plain.sample(3, frames=12, seed=5)
    assert torch.equal(led.sample(3, frames=5, seed=5), whole[:, 7:])
    assert torch.equal(led.sample(3, frames=3, seed=5), led.sample(3, frames=5, seed=5)[:, :3])
    assert torch.equal(led.latents(3, 5, seed=5).content, plain.latents(3, 12, seed=5).content)


def training(net: MoCoGAN, path_frames: int | None) -> MoCoGANTraining:
    trainees = Trainees(
        accelerator=Accelerator(cpu=True),
        networks={"generator": net},
        optimizers={"generator": torch.optim.SGD(net.parameters(), lr=0.1)},
        precision="fp32",
    )
    return MoCoGANTraining(
        trainees=trainees,
        ema=ExponentialMovingAverage(net),
        weights={"adversarial_video": 1.0},
        adversarial="hinge",
        path_frames=path_frames,
    )


def draws() -> Draws:
    return Draws("paths", rows=range(6))


@pytest.mark.parametrize("moves", [False, True])
def test_generated_clips_are_windows_of_longer_paths(moves: bool) -> None:
    net = model(image_to_video=True, move_picture=True) if moves else model()
    batch: Any = SimpleNamespace(clip=torch.randint(0, 256, (6, 4, 3, 32, 32), dtype=torch.uint8))
    picture = to_float(batch.clip[:, 0]) if moves else None
    with torch.no_grad():
        windows, _ = training(net, 10)._fake(batch, draws())
        whole = net(net.draw_latents(draws(), 10), first_frame=picture)  # (6, 10, 3, 32, 32)
        picked, _ = training(net, 10)._fake(batch, draws(), times=torch.tensor([[2, 0]]).expand(6, -1))
    starts = []
    for row in range(6):
        found = [s for s in range(7) if torch.allclose(whole[row, s : s + 4], windows[row], atol=1e-6)]
        assert len(found) == 1
        starts += found
    assert len(set(starts)) > 1
    torch.testing.assert_close(picked, windows[:, [2, 0]])


def test_the_config_says_what_fits(tmp_path: Path) -> None:
    from helpers import small_config
    from vidgan.checks import check_config

    from vidgan.errors import ConfigError

    check_config(small_config("mocogan", tmp_path, tmp_path, objective__path_frames=14))
    with pytest.raises(ConfigError, match="path_frames must exceed data.frames=13"):
        check_config(small_config("mocogan", tmp_path, tmp_path, objective__path_frames=13))
    with pytest.raises(ConfigError, match="path_frames has no effect on dual_motion"):
        check_config(small_config("dual_motion", tmp_path, tmp_path, objective__path_frames=13))
    pictures = {"model__image_to_video": True, "objective__path_frames": 14}
    check_config(small_config("mocogan", tmp_path, tmp_path, **pictures))
    with pytest.raises(ConfigError, match=r"path_frames does not go with objective\.weights\.first_frame"):
        check_config(small_config("mocogan", tmp_path, tmp_path, **pictures, objective__weights__first_frame=1.0))
