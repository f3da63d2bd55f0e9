"""The pyramid of generators: receptive field, penalty, loops, scales, resuming."""

from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import small_config
from torch import Tensor

from vidgan.build import share_of_batch
from vidgan.commands.train import train, train_first_steps
from vidgan.data.preparing.prepare import prepare
from vidgan.data.synthetic.shapes import render_shapes
from vidgan.errors import ConfigError, DataError
from vidgan.losses.penalties import gradient_penalty
from vidgan.pixels import to_byte, to_float
from vidgan.seeding import Draws
from vidgan.tasks.single_clip.config import PyramidModelConfig
from vidgan.tasks.single_clip.networks import MARGIN, ScaleNetwork
from vidgan.tasks.single_clip.pyramid import VARIATION, PyramidCritic, PyramidGAN, _periodic
from vidgan.tasks.single_clip.scaling import ClipSize, resize_clip
from vidgan.training.checkpoint import load_checkpoint, load_latest
from vidgan.types import Latents
from vidgan.video.decode import read_frames


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pyramid")
    render_shapes(folder / "videos", clips=1, frames=16, size=24, seed=0)
    return next((folder / "videos").rglob("*.mp4"))


@pytest.fixture(scope="module")
def data(video: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("one") / "data"
    prepare(video, folder, size=(24, 24), holdout=0.0)
    return folder


@pytest.fixture(scope="module")
def whole(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of five steps without a break: two on the coarse scale, three on the fine one."""
    out = tmp_path_factory.mktemp("whole")
    config = small_config(
        "single_clip", data, out, train__steps=5, train__batch_size=1, every__checkpoint=1, every__keep=9
    )
    return train(config, quiet=True).run_dir


def saved(run: Path) -> dict[str, dict[str, Tensor]]:
    checkpoint = load_latest(run / "checkpoints")
    assert checkpoint is not None
    return checkpoint.tensors


def pyramid(size: ClipSize = ClipSize(12, 20, 22)) -> PyramidGAN:
    torch.manual_seed(0)
    model = PyramidGAN(PyramidModelConfig(width=4), size).eval()
    model.begun.fill_(len(model.sizes))
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(1.2)  # so that noise shows
    return model


def silence(model: PyramidGAN) -> None:
    """Let no scale correct what it starts from."""
    with torch.no_grad():
        for weight in model.parameters():
            weight.zero_()


def test_receptive_field_is_seven_frames_of_eleven_pixels() -> None:
    torch.manual_seed(0)
    clip = torch.randn(1, 15, 3, 23, 23, requires_grad=True)
    answer = ScaleNetwork(4, 1)(clip)
    assert answer.shape == (1, 15 - MARGIN.frames, 1, 23 - MARGIN.height, 23 - MARGIN.width)
    (gradient,) = torch.autograd.grad(answer[0, 4, 0, 6, 6], clip)
    reached = [torch.nonzero(gradient[0].abs().amax(dim=axes)).flatten().tolist() for axes in ((1, 2, 3), (0, 1, 3))]
    assert reached == [list(range(4, 11)), list(range(6, 17))]


def test_the_penalty_has_its_norm_over_time_space_and_colour() -> None:
    torch.manual_seed(0)
    critic = PyramidCritic(4, 2).double()
    critic.scale = 1
    with torch.no_grad():
        for weight in critic.parameters():
            weight.mul_(2)  # slopes that the norms tell apart
    real, fake = torch.randn(2, 1, 8, 3, 12, 12, dtype=torch.float64)
    mixed = (0.3 * real + 0.7 * fake).requires_grad_()
    (gradient,) = torch.autograd.grad(critic(mixed).mean(), mixed)
    expected = (gradient.square().sum().sqrt() - 1).square()
    by_channel = (gradient.square().sum(dim=2).sqrt() - 1).square().mean()
    penalty = gradient_penalty(critic, real, fake, torch.tensor([0.3]))
    assert penalty.item() == pytest.approx(expected.item(), rel=1e-4)
    assert penalty.item() != pytest.approx(by_channel.item(), rel=1e-2)
    # By hand: D(x) = 3 x1 + 4 x2 on a clip of two values has slope 5.
    weights = torch.tensor([3.0, 4.0]).reshape(1, 2, 1, 1, 1)
    ones = torch.ones(1, 2, 1, 1, 1)
    assert gradient_penalty(lambda x: (x * weights).sum(dim=(1, 2, 3, 4)), ones, ones, torch.ones(1)).item() == 16


def test_a_loop_has_no_seam() -> None:
    """Rolling the noise of a loop in time rolls the clip, so no frame is special."""
    model = pyramid()
    scale, size = 1, model.sizes[1]
    noise = torch.randn(1, size.frames + MARGIN.frames, 3, size.height + MARGIN.height, size.width + MARGIN.width)
    guess = torch.rand(1, *(size.frames, 3, size.height, size.width))
    half = MARGIN.frames // 2
    rolled = torch.cat([noise[:, :half], noise[:, half:-half].roll(4, dims=1), noise[:, -half:]], dim=1)
    with torch.no_grad():
        expected = model(guess, _periodic(noise), scale, True).roll(4, dims=1)
        torch.testing.assert_close(model(guess.roll(4, dims=1), _periodic(rolled), scale, True), expected)


@pytest.mark.parametrize("size", [(12, 20, 22), (20, 17, 40), (9, 30, 22)])
def test_any_size_by_seed(size: tuple[int, int, int]) -> None:
    model, wanted = pyramid(), ClipSize(*size)
    clips = [model.synthesise(wanted, seed=seed) for seed in (0, 1, 0)]
    assert clips[0].shape == (wanted.frames, 3, wanted.height, wanted.width)
    assert torch.equal(clips[0], clips[2]) and not torch.equal(clips[0], clips[1])


def test_noise_leads_from_the_reconstruction_to_new_clips() -> None:
    model = pyramid()
    again = model.reconstruct().float()
    near, far = ((model.synthesise(noise=level, seed=3).float() - again).abs().mean() for level in (0.2, 1.0))
    assert 0 < near < far
    assert torch.equal(model.sample(2, seed=3)[0], model.synthesise(seed=3))
    assert torch.equal(model.render(model.latents(1, 12, seed=2**40 + 7))[0], model.synthesise(seed=2**40 + 7))
    third = Latents(*(part[[2]] for part in model.latents(3, 12, seed=3)))  # every part has a row per clip
    assert torch.equal(model.render(third)[0], model.synthesise(seed=5))


def test_the_default_noise_varies_the_reconstruction_where_that_is_possible() -> None:
    model = pyramid()
    assert torch.equal(model.synthesise(seed=3), model.synthesise(noise=VARIATION, seed=3))
    assert torch.equal(model.synthesise(loop=True, seed=3), model.synthesise(loop=True, noise=1.0, seed=3))
    wide = ClipSize(12, 20, 30)
    assert torch.equal(model.synthesise(wide, seed=3), model.synthesise(wide, noise=1.0, seed=3))
    drawn = model.draw_noise(Draws("noise", rows=range(2)), model.sizes)
    mixed = model.varied(drawn, torch.tensor([0.0, 0.6]))
    for old, new, result in zip(model.reconstruction_noise(len(drawn)), drawn, mixed, strict=True):
        torch.testing.assert_close(result[:1], old)
        torch.testing.assert_close(result[1:], 0.8 * old + 0.6 * new[1:])


def test_what_a_pyramid_cannot_do_is_refused() -> None:
    model = pyramid()
    for options, named in (({"known": 3}, "continue"), ({"noise": 2.0}, "2.0"), ({"noise": 0.5, "loop": True}, "loop")):
        with pytest.raises(ValueError, match=named):
            model.synthesise(**options)
    with pytest.raises(ValueError, match="scale from 1"):
        model.synthesise(guess=torch.zeros(12, 3, 20, 22, dtype=torch.uint8))
    with pytest.raises(ConfigError, match="6 frames"):
        pyramid(ClipSize(6, 20, 20))


def test_a_guess_is_reduced_to_the_scale_below_and_redrawn() -> None:
    model = pyramid()
    guess = torch.randint(0, 256, (12, 3, 20, 22), dtype=torch.uint8)
    drawn = [model.synthesise(guess=guess, start=1, noise=noise, seed=2) for noise in (0.0, 1.0, 1.0)]
    assert torch.equal(drawn[1], drawn[2]) and not torch.equal(drawn[0], drawn[1])
    other = model.synthesise(guess=255 - guess, start=1, noise=1.0, seed=2)
    assert not torch.equal(other, drawn[1])
    silence(model)
    coarse = resize_clip(to_float(guess[None]), model.sizes[0])
    assert torch.equal(model.synthesise(guess=guess, start=1), to_byte(resize_clip(coarse, model.size)[0].clamp(-1, 1)))
    model.begun.fill_(1)
    with pytest.raises(ValueError, match="scale 1 is not trained yet: training has begun 1 of 2"):
        model.synthesise(guess=guess, start=1)


def test_the_size_is_doubled_in_three_enlargements() -> None:
    model = pyramid()
    clip = torch.randint(0, 256, (12, 3, 20, 22), dtype=torch.uint8)
    redrawn = model.double_size(clip)
    assert redrawn.shape == (12, 3, 40, 44) and torch.equal(redrawn, model.double_size(clip))
    silence(model)
    expected = clip
    for size in ((25, 28), (32, 35), (40, 44)):  # 20 and 22 times 1.26, 1.59 and 2
        expected = to_byte(resize_clip(to_float(expected[None]), ClipSize(12, *size))[0])
    assert torch.equal(model.double_size(clip), expected) and not torch.equal(redrawn, expected)
    model.begun.fill_(1)
    with pytest.raises(ValueError, match="has not trained"):
        model.double_size(clip)


def test_scales_follow_each_other(whole: Path, video: Path) -> None:
    """The coarse scale stays as it is on the fine one; its noise is measured by the reconstruction's error."""
    steps = {}
    for number in (2, 3, 5):
        steps[number] = load_checkpoint(whole / "checkpoints" / f"step-{number:08d}").tensors
    fixed = {key: value for key, value in steps[3]["generator"].items() if key.startswith("scales.0.")}
    assert fixed and all(torch.equal(value, steps[5]["generator"][key]) for key, value in fixed.items())
    assert all(torch.equal(value, steps[2]["ema"][key]) for key, value in fixed.items())  # the average goes on
    assert any(
        not torch.equal(v, steps[5]["generator"][k]) for k, v in steps[3]["generator"].items() if "scales.1" in k
    )
    noises = {number: tensors["generator"]["fixed_noise"] for number, tensors in steps.items()}
    assert torch.equal(noises[2], noises[3]) and torch.equal(noises[2], noises[5])
    model = PyramidGAN.from_pretrained(whole)
    assert torch.equal(model.fixed_noise, noises[2]) and model.begun == 2 and model.amplitudes[0] == 1
    with torch.no_grad():
        start = model.guess(1, model.grow(model.reconstruction_noise(1), model.sizes), model.sizes[1])
    real = resize_clip(to_float(torch.from_numpy(read_frames(video)).permute(0, 3, 1, 2))[None], model.sizes[1])
    assert model.amplitudes[1].item() == pytest.approx(0.1 * (start - real).square().mean().sqrt().item(), rel=1e-3)


@pytest.mark.parametrize("stop", [1, 2, 4], ids=["within the first scale", "between scales", "within the last scale"])
def test_a_resumed_run_is_equal_bit_for_bit(stop: int, whole: Path, data: Path, tmp_path: Path) -> None:
    config = small_config("single_clip", data, tmp_path, train__steps=5, train__batch_size=1, every__checkpoint=1)
    assert train_first_steps(config, stop).steps == stop
    resumed = saved(train(config, quiet=True).run_dir)
    expected = saved(whole)
    assert resumed.keys() == expected.keys()
    for file, tensors in expected.items():
        assert tensors.keys() == resumed[file].keys()
        assert all(torch.equal(value, resumed[file][key]) for key, value in tensors.items()), file


def test_a_run_too_short_for_all_scales_says_what_they_need(
    data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for steps in (4, 3):
        config = small_config("single_clip", data, tmp_path / str(steps), train__steps=steps, train__batch_size=1)
        assert "need 4 steps" not in caplog.text
        train_first_steps(config, 1)
    assert "train.steps=3: the 2 scales of this clip need 4 steps" in caplog.text


def test_several_processes_are_refused_with_the_reason(data: Path, tmp_path: Path) -> None:
    config = small_config("single_clip", data, tmp_path)
    assert share_of_batch(config, 1) == 4
    with pytest.raises(ConfigError, match=r"2 processes.*one clip"):
        share_of_batch(config, 2)


def test_several_clips_are_refused(shapes_data: Path, tmp_path: Path) -> None:
    config = small_config("single_clip", shapes_data, tmp_path, train__batch_size=1)
    with pytest.raises(DataError, match="one clip"):
        train(config, quiet=True)


def test_changes_of_the_clip_are_refused(data: Path, tmp_path: Path) -> None:
    for key, value in (("flip", True), ("window", (16, 16)), ("augment", ("tone",))):
        with pytest.raises(ConfigError, match=f"{key} would change the clip"):
            small_config("single_clip", data, tmp_path, **{f"data__{key}": value})


def test_the_coarsest_noise_ends_at_the_border_and_half_of_it_stands_still() -> None:
    model = pyramid(ClipSize(40, 60, 64))
    coarsest, finer = model.draw_noise(Draws("noise", rows=range(2)), model.sizes)[:2]
    for noise in (coarsest, model.fixed_noise):
        inside = noise[..., 5:-5, 5:-5]
        assert noise.square().sum().item() == pytest.approx(inside.square().sum().item())
        assert inside.var().item() == pytest.approx(1, abs=0.1)
        assert (inside[:, :-9] * inside[:, 9:]).mean().item() == pytest.approx(0.5, abs=0.1)  # far apart in time
    assert bool(finer[..., :5, :].any()) and abs((finer[:, :-9] * finer[:, 9:]).mean().item()) < 0.1


def test_both_turns_of_a_step_have_noise_of_their_own(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[Tensor] = []
    draw_noise = PyramidGAN.draw_noise

    def recorded(self: PyramidGAN, *arguments: Any) -> list[Tensor]:
        drawn.append(draw_noise(self, *arguments)[0])
        return draw_noise(self, *arguments)

    config = small_config("single_clip", data, tmp_path, train__steps=1, train__batch_size=1)
    monkeypatch.setattr(PyramidGAN, "draw_noise", recorded)
    train_first_steps(config, 1)
    critic, generator = drawn[:2]
    assert critic.shape == generator.shape and not torch.equal(critic, generator)
