"""Image-to-video by warping the given first frame: what its frames are made of."""

from math import atanh
from typing import Any

import pytest
import torch
from small_networks import small_mocogan, style_mocogan
from torch import Tensor

from vidgan.seeding import Draws
from vidgan.tasks.synthesis.first_frame_warp import warp_first_frame
from vidgan.tasks.synthesis.mocogan import MoCoGAN


def model(**options: Any) -> MoCoGAN:
    frame = {"max_width": 512, **options.pop("frame", {})}
    defaults: dict[str, Any] = {"dim_content": 6, "encoder": {"width": 4, "norm": "none"}, "warp_first_frame": True}
    return style_mocogan(image_size=(32, 48), frame=frame, **(defaults | options)).eval()


def image(rows: int = 2) -> Tensor:
    return torch.rand(rows, 3, 32, 48, generator=torch.Generator().manual_seed(3)) * 1.6 - 0.8


def test_pixels_follow_the_flow_and_colours_are_added() -> None:
    frame = image(1)
    drawn = torch.zeros(1, 4, 5, 32, 48)
    drawn[0, 0, 3] = atanh(4 / 12)  # a backward flow of a third of a quarter of 48 pixels: from 4 pixels to the right
    drawn[0, 1, 4] = -atanh(2 / 8) / 2  # from 2 rows above, at twice the distance
    drawn[0, 2, 1] = atanh(0.125) / 0.25
    drawn[0, 3] = 0.7  # nothing moves at the start of the path
    right, down, colour, start = warp_first_frame(frame, drawn, torch.tensor([[1.0, 2.0, 0.25, 0.0]]))[0]
    assert torch.allclose(right[:, :, :-4], frame[0, :, :, 4:], atol=1e-5)
    assert torch.allclose(down[:, 2:], frame[0, :, :-2], atol=1e-5)
    assert torch.allclose(colour, frame[0] + torch.tensor([0, 0.125, 0])[:, None, None], atol=1e-5)
    assert torch.allclose(start, frame[0], atol=1e-6)
    assert float(warp_first_frame(frame, drawn + 1, torch.full((1, 4), 9.0)).max()) == 1.0


def test_frame_0_is_the_given_one_and_the_others_continue_it() -> None:
    net, given = model(), image()
    latents = net.draw_latents(Draws("moved", rows=(0, 1)), 5)
    with torch.no_grad():
        clip = net(latents, first_frame=given)
        assert torch.allclose(clip[:, 0], given, atol=1e-6)
        assert all(float((frame - given).abs().mean()) > 1e-3 for frame in clip[:, 1:].unbind(1))
        # Single frames equal those of the whole clip, and the drawn content code has no effect.
        times = torch.tensor([[3, 0], [1, 4]])
        some = net(latents._replace(content=latents.content + 1), first_frame=given, times=times)
        other = net(latents, first_frame=given.flip(0))
    assert torch.allclose(some, torch.stack([clip[0, [3, 0]], clip[1, [1, 4]]]), atol=1e-5)
    assert torch.allclose(other[0, 0], given[1], atol=1e-6)


def test_each_row_reads_its_own_first_frame() -> None:
    net, given = model(), image()
    latents = net.draw_latents(Draws("moved", rows=(0, 1)), 3)
    with torch.no_grad():
        both = net(latents, first_frame=given)
        alone = net(type(latents)(*(part[1:] for part in latents)), first_frame=given[1:])
    assert torch.allclose(both[1:], alone, atol=1e-5)


@pytest.mark.parametrize("full_resolution", [False, True])
def test_gradient_reaches_every_parameter(full_resolution: bool) -> None:
    net = model(motion={"hidden": 12, "linear": True}, frame={"motion_levels": 2, "full_resolution": full_resolution})
    clip = net(net.draw_latents(Draws("moved", rows=(0, 1)), 3), first_frame=image())
    (clip[:, -1] - 0.1).square().sum().backward()
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None and bool(parameter.grad.any()), name
        assert bool(torch.isfinite(parameter.grad).all()), name


def test_a_first_frame_and_a_generator_that_reads_skips_are_needed() -> None:
    net = model()
    with pytest.raises(ValueError, match="first_frame"):
        net(net.draw_latents(Draws("moved", rows=(0,)), 3))
    with pytest.raises(ValueError, match="warp_first_frame.*encoder"):
        style_mocogan(warp_first_frame=True)
    with pytest.raises(ValueError, match="warp_first_frame.*frame.kind"):
        small_mocogan(encoder={"width": 4}, warp_first_frame=True)
