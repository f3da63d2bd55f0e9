"""The discriminators: parameter counts, receptive fields, noise, and what a penalty needs."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vidgan.nn.discriminators import FlowDiscriminator, FrameDiscriminator, VideoDiscriminator
from vidgan.seeding import Draws

NETWORKS = (FrameDiscriminator, VideoDiscriminator, FlowDiscriminator)


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def draws(*rows: int) -> Draws:
    return Draws("discriminator test", rows=rows)


def small(kind: type[nn.Module], **options: Any) -> nn.Module:
    torch.manual_seed(0)
    return kind(**({"image_size": (32, 32), "width": 4} | options))


def sample(kind: type[nn.Module], batch: int = 3, frames: int = 13, size: tuple[int, int] = (32, 32)) -> Tensor:
    shape = {FrameDiscriminator: (3,), VideoDiscriminator: (frames, 3), FlowDiscriminator: (2,)}[kind]
    return torch.rand(batch, *shape, *size, generator=torch.Generator().manual_seed(1)) * 2 - 1


@pytest.mark.parametrize(
    ("kind", "options", "expected"),
    [
        (FrameDiscriminator, {"patch": True}, 663_296),
        (FrameDiscriminator, {"patch": False}, 2_765_568),
        (VideoDiscriminator, {"num_categories": 6}, 11_253_504),
        (VideoDiscriminator, {"patch": True}, 2_650_880),
    ],
)
def test_the_released_codes_parameter_counts(kind: type[nn.Module], options: dict[str, Any], expected: int) -> None:
    assert count(kind(image_size=(64, 64), norm="batch", bias=False, **options)) == expected


@pytest.mark.parametrize(
    ("size", "grid"), [((32, 32), (4, 4)), ((64, 64), (4, 4)), ((128, 160), (4, 5)), ((96, 32), (12, 4))]
)
def test_answers_of_frame_discriminators(size: tuple[int, int], grid: tuple[int, int]) -> None:
    frames = torch.zeros(2, 3, *size)
    assert small(FrameDiscriminator, image_size=size, patch=True)(frames).real.shape == (2, *grid)
    judgement = small(FrameDiscriminator, image_size=size, patch=False)(frames)
    assert judgement.real.shape == (2,) and judgement.category is None
    flow = torch.zeros(2, 2, *size)
    assert small(FlowDiscriminator, image_size=size)(flow).real.shape == (2, *grid)


@pytest.mark.parametrize("factorised", [False, True])
@pytest.mark.parametrize(
    ("size", "patch", "receptive", "shape"),
    [
        ((32, 32), False, 13, ()),
        ((32, 32), True, 10, (2, 4, 4)),
        ((64, 64), False, 16, ()),
        ((64, 64), True, 13, (2, 4, 4)),
        ((96, 32), True, 10, (2, 12, 4)),
        ((128, 160), True, 16, (2, 4, 5)),
    ],
)
def test_receptive_frames_are_exact(
    size: tuple[int, int], patch: bool, receptive: int, shape: tuple[int, ...], factorised: bool
) -> None:
    net = small(VideoDiscriminator, image_size=size, patch=patch, factorised=factorised, width=2, num_categories=3)
    assert net.receptive_frames == receptive
    with torch.no_grad():
        shortest = net(torch.zeros(1, receptive, 3, *size))
        assert shortest.real.shape == ((1, 1, *shape[1:]) if patch else (1,))
        longer = net(torch.zeros(1, receptive + 1, 3, *size))
    assert longer.real.shape == (1, *shape) and longer.category.shape == (1, 3)
    message = f"the clip has {receptive - 1} frames, but this discriminator reads {receptive} at once"
    with pytest.raises(ValueError, match=message):
        net(torch.zeros(1, receptive - 1, 3, *size))


@pytest.mark.parametrize("factorised", [False, True])
def test_each_answer_depends_on_its_window_alone(factorised: bool) -> None:
    net = small(VideoDiscriminator, patch=True, factorised=factorised, max_receptive_frames=8)
    assert net.receptive_frames == 7
    clip = sample(VideoDiscriminator, batch=1, frames=9).requires_grad_()
    for window in range(3):
        (gradient,) = torch.autograd.grad(net(clip).real[0, window].sum(), clip)
        frames = gradient[0].flatten(1).any(dim=1).tolist()
        assert frames == [window <= frame < window + 7 for frame in range(9)]


def test_scalar_answers_of_a_long_clip_are_the_mean_over_windows() -> None:
    net = small(VideoDiscriminator, num_categories=2)
    clip = sample(VideoDiscriminator, batch=2, frames=15)
    whole = net(clip)
    windows = [net(clip[:, start : start + 13]) for start in range(3)]
    torch.testing.assert_close(whole.real, torch.stack([w.real for w in windows]).mean(0))
    torch.testing.assert_close(whole.category, torch.stack([w.category for w in windows]).mean(0))


def test_temporal_kernels_stand_next_to_the_head() -> None:
    net = small(VideoDiscriminator, image_size=(64, 64), max_receptive_frames=8)
    assert [layer.conv.kernel_size[0] for layer in net.layers] == [1, 1, 1, 4]
    assert net.head.kernel_size == (4, 4, 4) and net.receptive_frames == 7


def test_the_video_answer_by_plain_functions() -> None:
    net = small(VideoDiscriminator, num_categories=2, norm="group", width=8)
    x = (clip := sample(VideoDiscriminator, batch=2)).transpose(1, 2)
    for level, layer in enumerate(net.layers):
        x = F.conv3d(x, layer.conv.weight, layer.conv.bias, stride=(1, 2, 2), padding=(0, 1, 1))
        if level:
            x = F.group_norm(x, layer.norm.num_groups, layer.norm.weight, layer.norm.bias)
        x = torch.where(x > 0, x, 0.2 * x)
    answer = F.conv3d(x, net.head.weight, net.head.bias)[:, :, 0, 0, 0]  # (B, 1 + 2)
    torch.testing.assert_close(net(clip).real, answer[:, 0])
    torch.testing.assert_close(net(clip).category, answer[:, 1:])


def test_the_patch_answer_by_plain_functions() -> None:
    net, x = small(FrameDiscriminator, patch=True), sample(FrameDiscriminator)
    expected = x
    for layer in net.layers:
        expected = F.leaky_relu(F.conv2d(expected, layer.conv.weight, layer.conv.bias, stride=2, padding=1), 0.2)
    expected = F.conv2d(expected, net.head.weight, net.head.bias, stride=2, padding=1)[:, 0]
    torch.testing.assert_close(net(x).real, expected)


@pytest.mark.parametrize("kind", NETWORKS)
@pytest.mark.parametrize("norm", ["none", "instance", "group"])
def test_rows_are_independent(kind: type[nn.Module], norm: str) -> None:
    net, x = small(kind, norm=norm, noise=0.1), sample(kind)
    whole = net(x, draws(0, 1, 2)).real
    torch.testing.assert_close(net(x[1:2], draws(1)).real, whole[1:2], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("kind", NETWORKS)
def test_minibatch_std_makes_rows_depend_on_each_other(kind: type[nn.Module]) -> None:
    net, x = small(kind, minibatch_std=True), sample(kind)
    assert not torch.equal(net(x).real[:1], net(x[:1]).real)
    same = net(x[:1].expand(3, *x.shape[1:])).real
    torch.testing.assert_close(same, net(x[:1]).real.expand_as(same))


@pytest.mark.parametrize("kind", NETWORKS)
def test_noise_acts_in_training_only_and_can_be_set(kind: type[nn.Module]) -> None:
    net, x = small(kind, noise=0.2), sample(kind)
    noisy = net(x, draws(0, 1, 2)).real
    assert torch.equal(net(x, draws(0, 1, 2)).real, noisy)
    assert not torch.allclose(net(x, draws(5, 6, 7)).real, noisy)
    with pytest.raises(ValueError, match=r"sigma=0\.2 in training mode needs draws"):
        net(x)
    still = net.eval()(x).real
    assert not torch.allclose(still, noisy)
    net.train().set_noise(0.0)
    assert torch.equal(net(x).real, still)
    with pytest.raises(ValueError, match="sigma must be >= 0"):
        net.set_noise(-0.1)


def test_noise_stands_before_each_strided_convolution_as_released() -> None:
    class Counting(Draws):
        calls = 0

        def normal(self, *shape: int) -> Tensor:
            self.calls += 1
            return super().normal(*shape)

    def layers(kind: type[nn.Module], patch: bool) -> int:
        stream = Counting("count", rows=[0])
        small(kind, image_size=(64, 64), patch=patch, noise=0.1)(sample(kind, 1, 16, (64, 64)), stream)
        return stream.calls

    assert layers(FrameDiscriminator, patch=True) == layers(FrameDiscriminator, patch=False) == 4
    assert layers(VideoDiscriminator, patch=True) == 3
    assert layers(VideoDiscriminator, patch=False) == 4


@pytest.mark.parametrize("kind", NETWORKS)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"norm": "group", "minibatch_std": True},
        {"norm": "instance", "patch": False},
        {"spectral": True, "noise": 0.1},
    ],
    ids=str,
)
def test_a_gradient_penalty_reaches_the_weights(kind: type[nn.Module], options: dict[str, Any]) -> None:
    net, x = small(kind, **options), sample(kind).requires_grad_()
    real = net(x, draws(0, 1, 2)).real
    (gradient,) = torch.autograd.grad(real.sum(), x, create_graph=True)
    (real.mean() + gradient.square().sum()).backward()
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), name
        assert name.endswith("bias") or bool(parameter.grad.any()), name


def test_a_factorised_network_with_differences_takes_a_gradient_penalty() -> None:
    net = small(VideoDiscriminator, factorised=True, temporal_difference=1.0, num_categories=2)
    clip = sample(VideoDiscriminator, batch=2).requires_grad_()
    (gradient,) = torch.autograd.grad(net(clip).real.sum(), clip, create_graph=True)
    gradient.square().sum().backward()
    for name, parameter in net.named_parameters():
        assert name.endswith("bias") or bool(parameter.grad.any()), name


@pytest.mark.parametrize("strength", [1.0, 8.0])
def test_temporal_difference_appends_the_change_to_the_frame_before(strength: float) -> None:
    net = small(VideoDiscriminator, temporal_difference=strength)
    inputs_read: list[Tensor] = []
    net.layers[0].register_forward_hook(lambda _, inputs, output: inputs_read.append(inputs[0]))
    clip = sample(VideoDiscriminator, batch=1)
    net(clip)
    frames, change = inputs_read[0].transpose(1, 2).split(3, dim=2)  # (B, T, 3, H, W) each
    assert torch.equal(frames, clip)
    assert not bool(change[:, 0].any())
    assert torch.equal(change[:, 1:], strength * (clip[:, 1:] - clip[:, :-1]))


def test_pooled_clips_are_scored_as_their_averages() -> None:
    torch.manual_seed(0)
    pooled = VideoDiscriminator(image_size=(64, 64), width=4, max_width=8, pool=2, temporal_difference=1.0)
    torch.manual_seed(0)
    plain = VideoDiscriminator(
        image_size=(32, 32), width=4, max_width=8, max_receptive_frames=13, temporal_difference=1.0
    )
    clip = torch.randn(2, 13, 3, 64, 64)
    averages = clip.unflatten(4, (32, 2)).unflatten(3, (32, 2)).mean(dim=(4, 6))
    torch.testing.assert_close(pooled(clip).real, plain(averages).real)
    with pytest.raises(ValueError, match=r"pool=3: accepted are 1, 2, 4, 8 for image_size=\(64, 64\)"):
        VideoDiscriminator(image_size=(64, 64), pool=3)


def test_flow_is_scored_in_units_of_max_flow() -> None:
    flow = 8 * sample(FlowDiscriminator)
    by_four, by_eight = small(FlowDiscriminator, max_flow=4.0), small(FlowDiscriminator, max_flow=8.0)
    torch.testing.assert_close(by_eight(2 * flow).real, by_four(flow).real)
    assert not torch.allclose(by_eight(flow).real, by_four(flow).real)
    with pytest.raises(ValueError, match="max_flow must be positive, got 0"):
        small(FlowDiscriminator, max_flow=0)


@pytest.mark.parametrize("kind", NETWORKS)
def test_logits_are_float32_and_unbounded_under_autocast(kind: type[nn.Module]) -> None:
    net, x = small(kind), sample(kind)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        low = net(x).real
    assert low.dtype == torch.float32
    torch.testing.assert_close(low, net(x).real, atol=0.02, rtol=0)
    nn.init.constant_(next(p for n, p in net.named_parameters() if n.endswith("head.bias")), 100.0)
    assert float(net(x).real.detach().min()) > 90  # no sigmoid


def test_channels_last_changes_no_answer() -> None:
    net, clip = small(VideoDiscriminator, noise=0.1), sample(VideoDiscriminator)
    expected = net(clip, draws(0, 1, 2)).real
    last = net.to(memory_format=torch.channels_last_3d)(clip, draws(0, 1, 2)).real
    torch.testing.assert_close(last, expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("kind", NETWORKS)
def test_other_shapes_and_unknown_norms_are_refused(kind: type[nn.Module]) -> None:
    with pytest.raises(ValueError, match="32x32 pixels, got"):
        small(kind)(sample(kind, size=(64, 64)))
    with pytest.raises(ValueError, match="norm: unknown name 'pixel'; accepted are 'none', 'batch'"):
        small(kind, norm="pixel")


def test_bad_temporal_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="max_receptive_frames=3"):
        small(VideoDiscriminator, max_receptive_frames=3)
    with pytest.raises(ValueError, match="num_categories must be 0"):
        small(VideoDiscriminator, num_categories=1)
    with pytest.raises(ValueError, match=r"clips must be \(B, T, C, H, W\)"):
        small(VideoDiscriminator)(torch.zeros(2, 3, 32, 32))
