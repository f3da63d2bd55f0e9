"""Levels whose style is content alone, warm-up of the motion network, and training on windows of longer paths."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from small_networks import style_mocogan

from vidgan.pixels import to_float
from vidgan.seeding import Draws
from vidgan.tasks.synthesis.dcgan import DCGANConfig
from vidgan.tasks.synthesis.mocogan import MoCoGAN
from vidgan.tasks.synthesis.style import StyleConfig, StyleFrameGenerator
from vidgan.tasks.synthesis.training import MoCoGANTraining
from vidgan.training.adversary import AdversarialGame
from vidgan.training.ema import ExponentialMovingAverage
from vidgan.training.trainees import Trainees
from vidgan.training.turns import Turn


def generator(**changes: Any) -> StyleFrameGenerator:
    torch.manual_seed(0)
    options = {
        "image_size": (32, 32),
        "dim_content": 4,
        "dim_motion": 3,
        "width": 4,
        "max_width": 8,
        "mapping_width": 8,
    }
    return StyleFrameGenerator(**(options | changes)).eval()


@pytest.mark.parametrize(("levels", "full"), [(None, True), (0, True), (2, True), (1, False)])
def test_finer_levels_have_a_style_of_content_alone(levels: int | None, full: bool) -> None:
    net = generator(motion_levels=levels, full_resolution=full)
    styles: list[torch.Tensor] = []
    for layer in net.layers:
        layer.register_forward_pre_hook(lambda module, arguments: styles.append(arguments[1].detach()))
    same = torch.randn(1, 4).expand(2, -1)
    frames = net(same, torch.randn(2, 3))
    moved = [not torch.equal(style[0], style[1]) for style in styles]
    count = 4 if full else 3  # 4, 8, 16 pixels a side, and 32
    assert moved == [level < (count if levels is None else levels) for level in range(count)]
    assert frames.shape == (2, 3, 32, 32) and not torch.equal(frames[0], frames[1])


def test_without_full_resolution_each_position_predicts_four_pixels() -> None:
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
    with pytest.raises(ValueError, match="motion_levels=4"):
        generator(motion_levels=4)
    with pytest.raises(ValueError, match="motion_moves_origin"):
        generator(motion_levels=1, motion_moves_origin=True)
    with pytest.raises(ValueError, match="motion_moves_origin"):
        StyleConfig(motion_levels=1, motion_moves_origin=True)
    with pytest.raises(ValueError, match="motion_levels"):
        DCGANConfig(motion_levels=1)


def test_warm_up_steps_are_discarded() -> None:
    plain, warm = (style_mocogan(motion={"warm_up": steps}).eval() for steps in (0, 7))
    whole = plain.sample(3, frames=12, seed=5)
    assert torch.equal(warm.sample(3, frames=5, seed=5), whole[:, 7:])
    assert torch.equal(warm.sample(3, frames=3, seed=5), warm.sample(3, frames=5, seed=5)[:, :3])
    assert torch.equal(warm.latents(3, 5, seed=5).content, plain.latents(3, 12, seed=5).content)


def training(net: MoCoGAN, path_frames: int | None) -> MoCoGANTraining:
    trainees = Trainees(
        accelerator=Accelerator(cpu=True),
        networks={"generator": net},
        optimizers={"generator": torch.optim.SGD(net.parameters(), lr=0.1)},
        precision="fp32",
    )
    game = AdversarialGame(
        trainees=trainees,
        ema=ExponentialMovingAverage(net),
        adversaries={},
        turns=(Turn(network="generator"),),
        steps_per_epoch=1,
        weights={},
        own_terms={},
    )
    return MoCoGANTraining(game, path_frames=path_frames)


def draws() -> Draws:
    return Draws("paths", rows=range(6))


@pytest.mark.parametrize("warps", [False, True])
def test_generated_clips_are_windows_of_longer_paths(warps: bool) -> None:
    net = style_mocogan(encoder={"width": 4}, warp_first_frame=True) if warps else style_mocogan()
    net = net.eval()
    batch: Any = SimpleNamespace(
        clip=torch.randint(0, 256, (6, 4, 3, 32, 32), dtype=torch.uint8), caption=torch.zeros(6, 0, 0)
    )
    first_frame = to_float(batch.clip[:, 0]) if warps else None
    with torch.no_grad():
        windows, *_ = training(net, 10)._generate(batch, draws())
        whole = net(net.draw_latents(draws(), 10), first_frame=first_frame)  # (6, 10, 3, 32, 32)
        picked, *_ = training(net, 10)._generate(batch, draws(), times=torch.tensor([[2, 0]]).expand(6, -1))
    starts = []
    for row in range(6):
        matching = [s for s in range(7) if torch.allclose(whole[row, s : s + 4], windows[row], atol=1e-6)]
        assert len(matching) == 1
        starts += matching
    assert len(set(starts)) > 1
    torch.testing.assert_close(picked, windows[:, [2, 0]])
