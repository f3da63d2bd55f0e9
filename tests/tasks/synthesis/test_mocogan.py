"""MoCoGAN's generator: what stays, what moves, what depends on what."""

import copy
from typing import Any

import pytest
import torch
from small_networks import small_mocogan, style_mocogan
from torch import Tensor, nn

from vidgan.seeding import Draws
from vidgan.tasks.synthesis.config import MoCoGANConfig
from vidgan.tasks.synthesis.content_encoder import ContentEncoder
from vidgan.tasks.synthesis.dcgan import DCGANFrameGenerator
from vidgan.tasks.synthesis.mocogan import MoCoGAN, build_mocogan
from vidgan.tasks.synthesis.motion import RecurrentMotion
from vidgan.types import Latents

ENCODER = {"width": 8, "norm": "group"}


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def draws(*rows: int, key: str = "mocogan test") -> Draws:
    return Draws(key, rows=rows)


def rendered(model: MoCoGAN, latents: Latents, **options: Any) -> Tensor:
    with torch.no_grad():
        return model(latents, **options)


def test_the_released_codes_parameter_counts() -> None:
    config = MoCoGANConfig(category_input="frame", frame={"kind": "dcgan", "norm": "batch", "bias": False})
    model = build_mocogan(config, image_size=(64, 64), num_categories=6)
    # dim_z 66 = 50 + 10 + 6: four hidden transposed convolutions with batch norm, one to RGB; no bias anywhere.
    convolutions = 16 * (66 * 512 + 512 * 256 + 256 * 128 + 128 * 64 + 64 * 3)
    assert count(model.frame) == convolutions + 2 * (512 + 256 + 128 + 64) == 3_298_176
    assert count(model.motion) == 3 * (10 * 10 + 10 * 10 + 10 + 10) == 660


@pytest.mark.parametrize("size", [(32, 32), (64, 64), (128, 160), (96, 32)])
@pytest.mark.parametrize("frame", [{"width": 4}, {"width": 4, "norm": "pixel"}, {"width": 4, "bias": False}])
def test_any_size(size: tuple[int, int], frame: dict[str, Any]) -> None:
    model = small_mocogan(image_size=size, frame=frame)
    clip = rendered(model, model.draw_latents(draws(0, 1), 2))
    assert clip.shape == (2, 2, 3, *size)
    assert clip.dtype == torch.float32 and float(clip.abs().max()) <= 1
    assert float(clip.std()) > 0


@pytest.mark.parametrize("frames", [1, 2, 5, 16, 17, 40])
def test_any_length(frames: int) -> None:
    model = small_mocogan()
    latents = model.draw_latents(draws(0), frames)
    assert latents.motion.shape == (1, frames + 1, 4)
    assert rendered(model, latents).shape == (1, frames, 3, 32, 32)


def test_a_longer_clip_starts_as_the_shorter_one() -> None:
    model = small_mocogan(num_categories=3)
    short, long = (model.draw_latents(draws(0, 1), frames) for frames in (5, 40))
    torch.testing.assert_close(rendered(model, long)[:, :5], rendered(model, short))


def test_latents_are_standard_normal_and_keyed_by_row() -> None:
    model = small_mocogan(num_categories=3, dim_content=50)
    latents = model.draw_latents(draws(*range(300)), 4)
    for values in (latents.content, latents.motion):
        assert abs(float(values.mean())) < 0.03 and float(values.std()) == pytest.approx(1, abs=0.03)
    assert torch.bincount(latents.category, minlength=3).min() > 70
    alone = model.draw_latents(draws(17), 4)
    assert all(torch.equal(a[0], b[17]) for a, b in zip(alone, latents, strict=True))


def test_a_given_category_changes_no_other_number() -> None:
    model = small_mocogan(num_categories=3)
    free = model.draw_latents(draws(0, 1), 4)
    asked = model.draw_latents(draws(0, 1), 4, category=torch.tensor([2, 0]))
    assert asked.category.tolist() == [2, 0]
    assert torch.equal(free.content, asked.content) and torch.equal(free.motion, asked.motion)


def test_equal_draws_render_equal_clips_and_rows_are_independent() -> None:
    model = small_mocogan(num_categories=2).train()
    clip = rendered(model, model.draw_latents(draws(0, 1, 2), 4))
    assert torch.equal(clip, rendered(model, model.draw_latents(draws(0, 1, 2), 4)))
    torch.testing.assert_close(clip[1:2], rendered(model, model.draw_latents(draws(1), 4)), atol=1e-5, rtol=1e-5)
    assert not torch.allclose(clip[0], clip[1], atol=1e-3)


def test_pixel_and_no_norm_leave_rows_independent_in_training() -> None:
    for norm in ("pixel", "none"):
        model = small_mocogan(frame={"norm": norm}).train()
        whole, alone = (rendered(model, model.draw_latents(draws(*rows), 3)) for rows in ((0, 1), (1,)))
        torch.testing.assert_close(whole[1:], alone, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("category_input", ["motion", "frame"])
def test_content_motion_and_category_can_be_exchanged(category_input: str) -> None:
    model = small_mocogan(num_categories=3, category_input=category_input)
    first, second = (model.draw_latents(draws(row), 6, category=torch.tensor([0])) for row in (0, 1))
    codes: list[Tensor] = []
    model.frame.register_forward_hook(lambda _, inputs, output: codes.append(torch.cat(inputs, dim=1)))
    clips = [
        rendered(model, latents)
        for latents in (
            first,
            first._replace(motion=second.motion),
            first._replace(content=second.content),
            first._replace(category=torch.tensor([1])),
        )
    ]
    for other in clips[1:]:
        assert float((other - clips[0]).abs().max()) > 1e-3
    base, other_motion, other_content, other_category = codes  # each (6, dim_code)
    assert torch.equal(base[:, :6], base[:1, :6].expand(6, 6))  # one content code for all frames
    assert torch.equal(other_motion[:, :6], base[:, :6]) and not torch.allclose(other_motion[:, -4:], base[:, -4:])
    assert torch.equal(other_content[:, -4:], base[:, -4:]) and not torch.allclose(other_content[:, :6], base[:, :6])
    assert base.shape[1] == (10 if category_input == "motion" else 13)
    category_moves = not torch.allclose(other_category[:, -4:], base[:, -4:])
    assert category_moves == (category_input == "motion")


def test_frames_of_a_clip_differ() -> None:
    model = small_mocogan()
    clip = rendered(model, model.draw_latents(draws(0), 4))
    assert float((clip[:, 1:] - clip[:, :-1]).abs().flatten(2).amax(2).min()) > 1e-3


def test_times_renders_those_frames_of_the_whole() -> None:
    for model in (small_mocogan(), small_mocogan(frame={"norm": "batch"}).eval()):
        latents = model.draw_latents(draws(0, 1), 6)
        whole = rendered(model, latents)
        some = rendered(model, latents, times=torch.tensor([[5, 0], [2, 2]]))
        torch.testing.assert_close(some, torch.stack([whole[0, [5, 0]], whole[1, [2, 2]]]), atol=1e-5, rtol=1e-5)


def test_the_motion_network_is_a_gru_from_row_zero() -> None:
    torch.manual_seed(0)
    net = RecurrentMotion(dim_motion=4, num_conditions=2, hidden=4, linear=False, input_scale=0.5, inertia=0.0)
    motion, condition = torch.randn(3, 6, 4), torch.eye(2)[torch.tensor([0, 1, 1])]
    inputs = torch.cat([0.5 * motion[:, 1:], condition[:, None].expand(3, 5, 2)], dim=2)
    gru = nn.GRU(6, 4, batch_first=True)
    gru.load_state_dict({f"{name}_l0": value for name, value in net.cell.state_dict().items()})
    expected, _ = gru(inputs, motion[None, :, 0].contiguous())
    torch.testing.assert_close(net(motion, condition), expected)


def test_inertia_slows_the_motion() -> None:
    steps = []
    for inertia in (0.0, 3.0):
        torch.manual_seed(0)
        net = RecurrentMotion(dim_motion=8, num_conditions=0, hidden=8, linear=False, input_scale=1.0, inertia=inertia)
        path = net(torch.randn(64, 9, 8, generator=torch.Generator().manual_seed(1)), torch.zeros(64, 0)).detach()
        steps.append(float((path[:, 1:] - path[:, :-1]).norm(dim=2).mean()))
    assert steps[1] < 0.4 * steps[0]


def test_a_wider_recurrent_state_needs_and_has_a_linear_output() -> None:
    model = small_mocogan(motion={"hidden": 12, "linear": True})
    assert model.motion(torch.randn(2, 4, 4), torch.zeros(2, 0)).shape == (2, 3, 4)
    assert count(model.motion) == 3 * (4 * 12 + 12 * 12 + 24) + (4 * 12 + 12) + (12 * 4 + 4)
    with pytest.raises(ValueError, match="hidden=12 differs from dim_motion=4"):
        small_mocogan(motion={"hidden": 12})
    with pytest.raises(ValueError, match="hidden=12 differs from dim_motion=4"):
        RecurrentMotion(dim_motion=4, hidden=12)


def test_gradient_reaches_every_parameter() -> None:
    model = small_mocogan(num_categories=3, motion={"hidden": 12, "linear": True}, encoder=ENCODER)
    clip = model(model.draw_latents(draws(0, 1), 3), first_frame=torch.rand(2, 3, 32, 32) * 2 - 1)
    clip[:, -1].square().sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and bool(parameter.grad.any()), name


def test_the_first_frame_replaces_the_content_code() -> None:
    model = small_mocogan(encoder=ENCODER)
    latents, frame = model.draw_latents(draws(0, 1), 3), torch.rand(2, 3, 32, 32) * 2 - 1
    assert model.encoder is not None
    clip = rendered(model, latents, first_frame=frame)
    with torch.no_grad():
        code, _ = model.encoder(frame)
    assert code.shape == (2, 6)
    assert torch.equal(clip, rendered(model, latents._replace(content=code)))
    assert torch.equal(clip, rendered(model, latents._replace(content=latents.content + 1), first_frame=frame))
    assert not torch.allclose(clip, rendered(model, latents, first_frame=-frame), atol=1e-3)
    with pytest.raises(ValueError, match=r"model\.encoder"):
        small_mocogan()(latents, first_frame=frame)


@pytest.mark.parametrize("size", [(64, 64), (96, 32)])
def test_the_encoder_takes_any_size(size: tuple[int, int]) -> None:
    encoder = ContentEncoder(image_size=size, dim_content=5, width=4, norm="none")
    frames = torch.rand(2, 3, *size) * 2 - 1
    code, maps = encoder(frames)
    assert code.shape == (2, 5)
    # Maps from the coarsest on, the frame itself last. A code has the size of a drawn one.
    assert [tuple(level.shape[-2:]) for level in maps[::-1]] == [(size[0] >> n, size[1] >> n) for n in range(len(maps))]
    assert min(maps[0].shape[-2:]) == 4 and torch.equal(maps[-1], frames)
    assert torch.allclose(code.square().mean(1), torch.ones(2), atol=0.01)


def test_a_copy_with_loaded_weights_renders_the_same() -> None:
    model = small_mocogan(num_categories=2, frame={"norm": "batch"}, encoder=ENCODER)
    twin = copy.deepcopy(model)
    twin.load_state_dict(model.state_dict())
    latents = model.draw_latents(draws(0, 1), 3)
    assert torch.equal(rendered(model.eval(), latents), rendered(twin.eval(), latents))


def test_bfloat16_autocast_and_channels_last_change_little() -> None:
    model = small_mocogan().eval()
    latents = model.draw_latents(draws(0, 1), 3)
    expected = rendered(model, latents)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        low = rendered(model, latents)
    assert low.dtype == torch.float32
    torch.testing.assert_close(low, expected, atol=0.05, rtol=0)
    torch.testing.assert_close(
        rendered(model.to(memory_format=torch.channels_last), latents), expected, atol=1e-4, rtol=0
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"image_size": (40, 32)}, "image_size=40x32"),
        ({"category_input": "both"}, "category_input"),
        ({"frame": {"norm": "instance"}}, "norm"),
        ({"encoder": {"norm": "instance"}}, "norm"),
        ({"frame": {"kind": "unet"}}, "dcgan"),
        ({"num_categories": 1}, "num_categories must be 0 .none. or at least 2, got 1"),
        ({"dim_content": 0}, "dim_content"),
        ({"frame": {"width": 16, "max_width": 8}}, "max_width=8"),
        ({"encoder": {"width": 16, "max_width": 8}}, "max_width=8"),
        ({"motion": {"warm_up": -1}}, "warm_up"),
        ({"warp_first_frame": True}, "encoder"),
    ],
)
def test_bad_arguments_are_refused_by_name(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        small_mocogan(**options)


def test_bad_requests_are_refused() -> None:
    model = small_mocogan(num_categories=3)
    with pytest.raises(ValueError, match="frames must be at least 1"):
        model.draw_latents(draws(0), 0)
    with pytest.raises(ValueError, match=r"category must lie in 0\.\.2, got \[3\]"):
        model.draw_latents(draws(0), 2, category=torch.tensor([3]))
    with pytest.raises(ValueError, match=r"category must have shape \(2,\), got \(1,\)"):
        model.draw_latents(draws(0, 1), 2, category=torch.tensor([0]))
    with pytest.raises(ValueError, match="no categories"):
        small_mocogan().draw_latents(draws(0), 2, category=torch.tensor([0]))


def test_pixel_norm_keeps_the_biases_that_shifting_norms_replace() -> None:
    def biases(norm: str, bias: bool = True) -> int:
        net = DCGANFrameGenerator(image_size=(32, 32), dim_content=3, dim_motion=2, width=4, norm=norm, bias=bias)
        return sum(
            p.numel() for m in net.modules() if hasattr(m, "stride") for n, p in m.named_parameters() if n == "bias"
        )

    assert biases("pixel") == biases("none") == 16 + 8 + 4 + 3
    assert biases("batch") == biases("group") == 3
    assert biases("none", bias=False) == 0


class Still(nn.Module):
    """An own motion network: every frame has the first noise as its code."""

    def __init__(self, warm_up: int = 0) -> None:
        super().__init__()
        self.warm_up = warm_up

    def forward(self, noise: Tensor, condition: Tensor) -> Tensor:
        return noise[:, :1].expand(-1, noise.shape[1] - 1, -1)


def test_a_generator_is_composed_from_any_motion_network_and_frame_generator() -> None:
    torch.manual_seed(0)
    frame = DCGANFrameGenerator(image_size=(32, 32), dim_content=6, dim_motion=4, width=4, norm="none")
    model = MoCoGAN(Still(warm_up=3), frame, image_size=(32, 32), dim_content=6, dim_motion=4)
    latents = model.draw_latents(draws(0, 1), 5)
    assert latents.motion.shape == (2, 3 + 5 + 1, 4)
    clip = rendered(model, latents)
    assert clip.shape == (2, 5, 3, 32, 32) and torch.equal(clip[:, 0], clip[:, 4])
    with torch.no_grad():
        torch.testing.assert_close(clip[:, 2], frame(latents.content, latents.motion[:, 0]))


def test_the_parts_of_a_generator_are_those_of_its_config() -> None:
    model = style_mocogan(motion={"hidden": 12, "linear": True, "warm_up": 2}, encoder={"width": 4})
    assert model.architecture["model"]["frame"]["kind"] == "style"
    assert model.architecture["model"]["motion"]["warm_up"] == model.warm_up == 2
    twin = MoCoGAN.from_architecture(copy.deepcopy(model.architecture))
    assert {k: v.shape for k, v in twin.state_dict().items()} == {k: v.shape for k, v in model.state_dict().items()}
    assert twin.architecture == model.architecture
