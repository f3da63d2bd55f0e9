"""The upscaler: bicubic without its network, any size and length, streams equal to clips."""

from typing import Any

import pytest
import torch
from torch import Tensor

from vidgan.errors import ConfigError
from vidgan.losses.reconstruction import ping_pong
from vidgan.tasks.upscaling.config import UpscalerConfig
from vidgan.tasks.upscaling.networks import RecurrentNetwork, _Double
from vidgan.tasks.upscaling.scaling import bicubic_clips, nearest_clips, scale_down
from vidgan.tasks.upscaling.upscaler import ClipUpscaler, build_upscaler

KINDS = ("frame", "recurrent")


def noise(*shape: int) -> Tensor:
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def upscaler(kind: str = "recurrent", scale: int = 2, image_size: tuple[int, int] = (32, 32)) -> Any:
    torch.manual_seed(0)
    section = UpscalerConfig.model_validate({"scale": scale, "network": {"kind": kind, "width": 8, "blocks": 2}})
    return build_upscaler(section, image_size=image_size).eval()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scale", [2, 4])
def test_a_network_that_draws_nothing_leaves_the_bicubic_enlargement(kind: str, scale: int) -> None:
    model = upscaler(kind, scale)
    clips = noise(2, 3, 3, 12, 15)
    assert not torch.equal(model.map_clips(clips), bicubic_clips(clips, scale))
    torch.nn.init.zeros_(model.network.last.weight)
    torch.nn.init.zeros_(model.network.last.bias)
    assert torch.equal(model.map_clips(clips), bicubic_clips(clips, scale))


def test_the_initial_pixel_shuffle_repeats_pixels() -> None:
    torch.manual_seed(0)
    maps = _Double(4)(torch.randn(2, 4, 5, 6))
    assert maps.shape == (2, 4, 10, 12)
    assert torch.equal(maps, maps[..., ::2, ::2].repeat_interleave(2, -1).repeat_interleave(2, -2))


def test_reductions_and_baselines() -> None:
    flat = torch.full((1, 3, 8, 8), 0.3)
    torch.testing.assert_close(scale_down(flat, 4), torch.full((1, 3, 2, 2), 0.3))
    clips = noise(1, 2, 3, 3, 4)
    large = nearest_clips(clips, 2)
    assert large.shape == (1, 2, 3, 6, 8) and torch.equal(large[..., 1::2, ::2], clips)
    with pytest.raises(ValueError, match="scale of 4"):
        scale_down(torch.zeros(1, 3, 8, 10), 4)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("frames", [1, 2, 5])
def test_a_stream_equals_the_clip(kind: str, frames: int) -> None:
    model = upscaler(kind)
    clip = noise(frames, 3, 19, 23)  # any size and length
    whole = model.map_clips(clip[None])[0]
    streamed = torch.stack(list(model.map_frames(iter(clip))))
    assert whole.shape == (frames, 3, 38, 46)
    assert int((whole.int() - streamed.int()).abs().max()) <= 1
    three = model.map_clips(torch.stack([noise(frames, 3, 19, 23).flip(0), clip, clip]))
    assert torch.equal(three[1], whole) and torch.equal(three[2], whole)


def test_the_recurrent_network_reads_its_moved_output() -> None:
    """A network that returns its moved previous output minus the bicubic frame: the first output stays, moved."""
    model = upscaler("recurrent")

    class Keep(torch.nn.Module):
        is_recurrent = True

        def forward(self, frames: Tensor, previous: Tensor) -> Tensor:
            from vidgan.tasks.upscaling.scaling import scale_up

            return previous - scale_up(frames, 2)

    model.network = Keep()
    still = noise(1, 1, 3, 16, 16).expand(1, 4, -1, -1, -1)
    output = model.map_clips(still)
    assert all(torch.equal(output[:, time], output[:, 0]) for time in range(4)), "zero motion: the warp is exact"
    coarse = torch.nn.functional.interpolate(noise(1, 3, 4, 4).float(), size=(24, 24), mode="bicubic").clamp(0, 255)
    moving = torch.stack([coarse[0].roll(time, -1) for time in range(3)])[None].round().to(torch.uint8)
    output = model.map_clips(moving)
    expected = bicubic_clips(moving, 2)
    inside = (slice(None), 2, slice(None), slice(8, -8), slice(12, -8))
    error = (output[inside].float() - expected[inside].float()).abs().mean()
    frozen = (expected[:, 0][..., 8:-8, 12:-8].float() - expected[inside].float()).abs().mean()
    assert error < frozen / 4, "the first frame follows the motion"


def test_frame_by_frame_has_no_memory() -> None:
    model = upscaler("recurrent")
    clips = noise(1, 3, 3, 16, 16)
    alone = model.baselines()["frame by frame"](clips)
    whole = model.map_clips(clips)
    assert torch.equal(alone[:, 0], whole[:, 0]) and not torch.equal(alone[:, 2], whole[:, 2])
    assert list(upscaler("frame").baselines()) == ["bicubic", "nearest"]


def test_consistency_is_the_error_after_reduction() -> None:
    model = upscaler()
    clips = torch.full((1, 2, 3, 16, 16), 100, dtype=torch.uint8)
    large = torch.full((1, 2, 3, 32, 32), 110, dtype=torch.uint8)
    values = model.own_metrics()["consistency"].function(clips, large, None)
    assert values.shape == (1, 2) and values[0, 0] == pytest.approx(28.1308, abs=1e-4)


@pytest.mark.parametrize(
    ("size", "scale", "part"), [((34, 34), 4, "multiples"), ((12, 32), 2, "too small"), ((16, 16), 4, "too small")]
)
def test_a_size_that_does_not_fit(size: tuple[int, int], scale: int, part: str) -> None:
    with pytest.raises(ConfigError, match=rf"model\.scale={scale}.*{part}"):
        upscaler(scale=scale, image_size=size)


def test_wrong_inputs_are_explained() -> None:
    model = upscaler()
    with pytest.raises(ValueError, match="grey"):
        model.map_clips(noise(1, 2, 1, 16, 16))
    with pytest.raises(ValueError, match="uint8"):
        model.map_clips(torch.zeros(1, 2, 3, 16, 16))
    with pytest.raises(ValueError, match="too small"):
        list(model.map_frames([noise(3, 7, 20)]))
    with pytest.raises(ValueError, match="scale of 2"):
        model.pair(noise(1, 1, 3, 33, 32))
    with pytest.raises(ValueError, match="2 or 4"):
        RecurrentNetwork(scale=3)


def test_an_own_network() -> None:
    class Own(torch.nn.Module):
        def forward(self, frames: Tensor, previous: Tensor | None) -> Tensor:
            assert previous is None
            return frames.new_zeros(len(frames), 3, 2 * frames.shape[-2], 2 * frames.shape[-1])

    model = ClipUpscaler(network=Own(), scale=2, image_size=(32, 32))
    clips = noise(1, 2, 3, 16, 16)
    assert torch.equal(model.map_clips(clips), bicubic_clips(clips, 2))


def test_ping_pong_by_hand() -> None:
    outputs = torch.tensor([1.0, 2.0, 3.0, 2.5, 1.5]).view(1, 5, 1, 1, 1)
    assert float(ping_pong(outputs)) == pytest.approx(0.5)
    for frames in (1, 4):
        with pytest.raises(ValueError, match="2T-1"):
            ping_pong(torch.zeros(1, frames, 1, 1, 1))
    memoryless = upscaler("frame")
    clip = torch.rand(1, 4, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1
    both = torch.cat([clip, clip[:, :-1].flip(1)], dim=1)
    with torch.no_grad():
        assert float(ping_pong(memoryless(both))) == pytest.approx(0, abs=1e-6)
        assert float(ping_pong(upscaler("recurrent")(both))) > 1e-4
