"""The style generator: content draws, motion moves_origin, rows are independent."""

import pytest
import torch
from small_networks import small_mocogan, style_mocogan

from vidgan.seeding import Draws
from vidgan.tasks.synthesis.style import Coordinates, StyleFrameGenerator


def generator(moves_origin: bool, size: tuple[int, int] = (32, 32)) -> StyleFrameGenerator:
    torch.manual_seed(0)
    return StyleFrameGenerator(
        image_size=size,
        dim_content=4,
        dim_motion=3,
        width=4,
        max_width=8,
        mapping_width=8,
        motion_moves_origin=moves_origin,
    ).eval()


def test_coordinates_are_measured_from_the_origin() -> None:
    maps = Coordinates()(torch.tensor([[0.5, -1.0]]), (3, 5))[0]
    assert maps.shape == (3, 3, 5)
    assert maps[0, 0].tolist() == pytest.approx([-3.0, -2.0, -1.0, 0.0, 1.0])
    assert maps[1, :, 0].tolist() == pytest.approx([0.0, 2.0, 4.0])
    assert float(maps[2, 0, 3]) == pytest.approx(2 * 0.01)  # at the origin itself: sqrt(1e-4)


@pytest.mark.parametrize("size", [(32, 32), (64, 96), (128, 160)])
@pytest.mark.parametrize("moves_origin", [False, True])
def test_sizes_and_range(size: tuple[int, int], moves_origin: bool) -> None:
    frames = generator(moves_origin, size)(torch.randn(2, 4), torch.randn(2, 3))
    assert frames.shape == (2, 3, *size) and frames.dtype == torch.float32
    assert float(frames.detach().abs().max()) <= 1


def test_motion_moves_the_object_and_changes_nothing_else() -> None:
    net = generator(True)
    assert net.where is not None
    with torch.no_grad():
        net.where.weight.zero_()
        net.where.bias.copy_(torch.tensor([0.4, 0.0]))
        right = net(torch.ones(1, 4), torch.zeros(1, 3))
        net.where.bias.copy_(torch.tensor([-0.4, 0.0]))
        left = net(torch.ones(1, 4), torch.zeros(1, 3))
    x = torch.linspace(-1, 1, 32)
    weight = [(frame - frame.median()).abs().sum(dim=(0, 1, 2)) for frame in (right, left)]
    centres = [float((w * x).sum() / w.sum()) for w in weight]
    assert not torch.allclose(right, left) and centres[0] != pytest.approx(centres[1], abs=1e-3)


def test_the_origin_stays_within_reach() -> None:
    net = generator(True)
    assert net.where is not None
    origins: list[torch.Tensor] = []
    net.coordinates.register_forward_pre_hook(lambda module, arguments: origins.append(arguments[0].detach()))
    net(torch.randn(8, 4), 100 * torch.randn(8, 3))
    assert float(torch.stack(origins).abs().max()) <= 0.7


@pytest.mark.parametrize("moves_origin", [False, True])
def test_rows_are_independent(moves_origin: bool) -> None:
    net = generator(moves_origin)
    content, motion = torch.randn(3, 4), torch.randn(3, 3)
    together = net(content, motion)
    alone = torch.cat([net(content[i : i + 1], motion[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("moves_origin", [False, True])
def test_a_gradient_reaches_every_parameter_of_the_whole_model(moves_origin: bool) -> None:
    model = style_mocogan(dim_motion=3, frame={"motion_moves_origin": moves_origin}, num_categories=2)
    latents = model.draw_latents(Draws(0, rows=range(2)), 5)
    model(latents).square().mean().backward()
    assert all(p.grad is not None and bool(p.grad.abs().sum() > 0) for p in model.parameters())


def test_options_of_the_other_kind_are_refused() -> None:
    with pytest.raises(ValueError, match="norm"):
        style_mocogan(frame={"kind": "style", "norm": "none"})
    with pytest.raises(ValueError, match="motion_moves_origin"):
        small_mocogan(frame={"kind": "dcgan", "motion_moves_origin": True})
