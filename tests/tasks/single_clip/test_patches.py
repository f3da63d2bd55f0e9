"""Patch synthesis: copies, sizes, loops, continuations."""

import pytest
import torch

from vidgan.tasks.single_clip.operations import extend, variations
from vidgan.tasks.single_clip.patches import PatchSettings, PatchSynthesis
from vidgan.tasks.single_clip.scaling import ClipSize, level_sizes, resize_clip, scaled_sizes, time_weights
from vidgan.types import ByteClip

# A cheap exhaustive level and local ones above it.
QUICK = PatchSettings(side=5, shortest=10, passes=2, components=16, budget=1e8)


def moving_waves(frames: int = 12, height: int = 20, width: int = 24) -> ByteClip:
    """Waves that move right and a disc that moves left, with fine texture: (T, 3, H, W) uint8."""
    x, y = torch.arange(width), torch.arange(height)[:, None]
    texture = torch.rand(height, width, generator=torch.Generator().manual_seed(0)) * 0.15
    clips = []
    for t in range(frames):
        waves = 0.4 + 0.3 * torch.sin((x - 0.4 * t) * 0.6 + y * 0.2) + texture
        disc = ((x - (width - 4 - 1.3 * t)) ** 2 + (y - height / 2) ** 2 < 14).float()
        clips.append(torch.stack([waves, waves * (1 - disc), disc]).clamp(0, 1))
    return (torch.stack(clips) * 255).round().to(torch.uint8)


@pytest.fixture(scope="module")
def maker() -> PatchSynthesis:
    return PatchSynthesis(moving_waves(), QUICK)


def neighbour_steps(clip: ByteClip) -> torch.Tensor:
    """Mean absolute difference of each frame to the next, the last one to the first."""
    return (clip.float() - clip.roll(-1, dims=0).float()).abs().mean(dim=(1, 2, 3))


def test_without_noise_the_clip_comes_back_exactly(maker: PatchSynthesis) -> None:
    assert len(maker.sizes) > 2
    assert torch.equal(maker.synthesise(noise=0.0), moving_waves())


def test_clips_differ_from_the_source_and_by_seed_and_are_repeatable(maker: PatchSynthesis) -> None:
    clips = variations(maker, 2, seed=3)
    assert clips.shape == (2, 12, 3, 20, 24) and clips.dtype == torch.uint8
    assert not torch.equal(clips[0], clips[1]) and not torch.equal(clips[0], moving_waves())
    assert torch.equal(clips[1], maker.synthesise(seed=4))


@pytest.mark.parametrize("size", [(12, 20, 40), (17, 20, 24), (9, 31, 18)])
def test_any_size_and_length(maker: PatchSynthesis, size: tuple[int, int, int]) -> None:
    wanted = ClipSize(*size)
    clip = maker.synthesise(wanted)
    assert ClipSize(clip.shape[0], *clip.shape[-2:]) == wanted
    source = neighbour_steps(moving_waves())[:-1].mean()
    assert 0.4 < neighbour_steps(clip)[:-1].mean() / source < 1.6  # moves about as fast as the source


def test_a_loop_closes_as_softly_as_neighbours_follow_each_other(maker: PatchSynthesis) -> None:
    jump = neighbour_steps(moving_waves())
    assert jump[-1] > 1.5 * jump[:-1].max()  # the source does not loop
    steps = neighbour_steps(maker.synthesise(loop=True, seed=0))
    assert steps[-1] < 1.5 * steps[:-1].median()
    assert steps.median() > 0.5 * jump[:-1].median()  # and it does not stand still


def test_a_continuation_keeps_the_source_and_moves_on(maker: PatchSynthesis) -> None:
    source = moving_waves()
    clips = extend(maker, source, 6, 2)
    assert clips.shape == (2, 18, 3, 20, 24)
    assert torch.equal(clips[:, :12], source.expand(2, -1, -1, -1, -1))
    steps = neighbour_steps(clips[0])[11:-1]
    assert 0.4 < steps.mean() / neighbour_steps(source)[:-1].mean() < 2


def test_too_small_clips_and_results_are_refused(maker: PatchSynthesis) -> None:
    with pytest.raises(ValueError, match="8x24"):
        PatchSynthesis(moving_waves(height=8))
    with pytest.raises(ValueError, match="6x24"):
        maker.synthesise(ClipSize(12, 6, 24))


def test_level_sizes() -> None:
    sizes = level_sizes(ClipSize(20, 64, 128), factor=0.5, time_factor=0.8, shortest=16, fewest=14)
    assert sizes == (ClipSize(14, 16, 32), ClipSize(16, 32, 64), ClipSize(20, 64, 128))
    assert scaled_sizes(sizes, ClipSize(40, 64, 64)) == ((28, 16, 16), (32, 32, 32), (40, 64, 64))
    assert level_sizes(ClipSize(5, 12, 12), factor=0.5, time_factor=0.8, shortest=16, fewest=4) == ((5, 12, 12),)


def test_time_weights() -> None:
    torch.testing.assert_close(time_weights(2, 4), torch.tensor([[1, 0], [0.75, 0.25], [0.25, 0.75], [0, 1.0]]))
    looped = torch.tensor([[0.75, 0.25], [0.75, 0.25], [0.25, 0.75], [0.25, 0.75]])
    torch.testing.assert_close(time_weights(2, 4, loop=True), looped)
    torch.testing.assert_close(time_weights(5, 5), torch.eye(5))
    # Two frames of four: triangles of half-width 2 around 0.5 and 2.5, without what falls outside.
    torch.testing.assert_close(time_weights(4, 2)[0], torch.tensor([0.75, 0.75, 0.25, 0]) / 1.75)
    torch.testing.assert_close(time_weights(24, 11).sum(dim=1), torch.ones(11))


def test_resizing_keeps_a_constant_clip_and_a_clip_of_the_size() -> None:
    clip = torch.full((1, 6, 3, 9, 9), 0.25)
    torch.testing.assert_close(resize_clip(clip, ClipSize(4, 5, 7)), torch.full((1, 4, 3, 5, 7), 0.25))
    assert resize_clip(clip, ClipSize(6, 9, 9)) is clip
