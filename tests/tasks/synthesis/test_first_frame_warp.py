"""Image-to-video by moving the given picture: what its frames are made of."""

from math import atanh

import pytest
import torch
from torch import Tensor
from vidgan.tasks.synthesis.moved_image import moved

from vidgan.seeding import Draws
from vidgan.tasks.synthesis.mocogan import MoCoGAN


def model(**options: object) -> MoCoGAN:
    torch.manual_seed(0)
    sizes = {"image_size": (32, 48), "width": 4, "dim_content": 6, "dim_motion": 4, "generator": "style", "mapping": 8}
    return MoCoGAN(**({**sizes, "image_to_video": True, "move_picture": True} | options)).eval()  # type: ignore[arg-type]


def picture(rows: int = 2) -> Tensor:
    return torch.rand(rows, 3, 32, 48, generator=torch.Generator().manual_seed(3)) * 1.6 - 0.8


def test_pixels_go_where_the_flow_says_and_colours_are_added() -> None:
    frame = picture(1)
    drawn = torch.zeros(1, 4, 5, 32, 48)
    drawn[0, 0, 3] = atanh(4 / 12)  # a backward flow of a third of a quarter of 48 pixels: from 4 pixels to the right
    drawn[0, 1, 4] = -atanh(2 / 8) / 2  # from 2 rows above, after twice the way
    drawn[0, 2, 1] = atanh(0.125) / 0.25
    drawn[0, 3] = 0.7  # nothing moves at the start of the path
    right, down, colour, start = moved(frame, drawn, torch.tensor([[1.0, 2.0, 0.25, 0.0]]))[0]
    assert torch.allclose(right[:, :, :-4], frame[0, :, :, 4:], atol=1e-5)
    assert torch.allclose(down[:, 2:], frame[0, :, :-2], atol=1e-5)
    assert torch.allclose(colour, frame[0] + torch.tensor([0, 0.125, 0])[:, None, None], atol=1e-5)
    assert torch.allclose(start, frame[0], atol=1e-6)
    assert float(moved(frame, drawn + 1, torch.full((1, 4), 9.0)).max()) == 1.0


def test_the_first_frame_is_the_picture_and_the_others_go_on_from_it() -> None:
    net, given = model(), picture()
    latents = net.draw_latents(Draws("moved", rows=(0, 1)), 5)
    with torch.no_grad():
        clip = net(latents, first_frame=given)
        assert torch.allclose(clip[:, 0], given, atol=1e-6)
        assert all(float((frame - given).abs().mean()) > 1e-3 for frame in clip[:, 1:].unbind(1))
        # Single frames are those of the whole clip, and the drawn content code says nothing.
        times = torch.tensor([[3, 0], [1, 4]])
        some = net(latents._replace(content=latents.content + 1), first_frame=given, times=times)
        other = net(latents, first_frame=given.flip(0))
    assert torch.allclose(some, torch.stack([clip[0, [3, 0]], clip[1, [1, 4]]]), atol=1e-5)
    assert torch.allclose(other[0, 0], given[1], atol=1e-6)


def test_what_is_seen_of_a_picture_is_its_own_rows() -> None:
    net, given = model(), picture()
    latents = net.draw_latents(Draws("moved", rows=(0, 1)), 3)
    with torch.no_grad():
        both = net(latents, first_frame=given)
        alone = net(type(latents)(*(part[1:] for part in latents)), first_frame=given[1:])
    assert torch.allclose(both[1:], alone, atol=1e-5)


@pytest.mark.parametrize("full_resolution", [False, True])
def test_gradient_reaches_every_parameter(full_resolution: bool) -> None:
    net = model(motion_hidden=12, linear_motion=True, motion_levels=2, full_resolution=full_resolution)
    clip = net(net.draw_latents(Draws("moved", rows=(0, 1)), 3), first_frame=picture())
    (clip[:, -1] - 0.1).square().sum().backward()
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None and bool(parameter.grad.any()), name
        assert bool(torch.isfinite(parameter.grad).all()), name


def test_it_takes_a_picture_and_the_style_generator() -> None:
    net = model()
    with pytest.raises(ValueError, match="give first_frame"):
        net(net.draw_latents(Draws("moved", rows=(0,)), 3))
    with pytest.raises(ValueError, match="no effect without image_to_video=true"):
        model(image_to_video=False)
    with pytest.raises(ValueError, match="move_picture has no effect on generator='dcgan', only on 'style'"):
        model(generator="dcgan", mapping=None)
