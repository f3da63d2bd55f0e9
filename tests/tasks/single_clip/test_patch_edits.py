"""Edits by patches: what follows, what is filled in, what stays exactly as it was."""

from typing import Any, ClassVar

import pytest
import torch

from vidgan.pixels import to_byte, to_float
from vidgan.tasks.single_clip.operations import harmonise
from vidgan.tasks.single_clip.patch_edits import double_rate, double_size, follow_edit
from vidgan.tasks.single_clip.patches import PatchSettings, PatchSynthesis
from vidgan.tasks.single_clip.scaling import ClipSize, resize_clip
from vidgan.types import ByteClip

SIDE = 8


def left(t: int) -> int:
    return 4 + 2 * t


def moving_square(frames: int = 9) -> ByteClip:
    """A textured grey square that moves right over a textured blue ground: (T, 3, 32, 48)."""
    draws = torch.Generator().manual_seed(0)
    ground = torch.stack([0.2 * torch.rand(32, 48, generator=draws) + level for level in (0.1, 0.2, 0.6)])
    square = (0.6 + 0.3 * torch.rand(SIDE, SIDE, generator=draws)).expand(3, -1, -1)
    clip = ground.repeat(frames, 1, 1, 1)
    for t in range(frames):
        clip[t, :, 12 : 12 + SIDE, left(t) : left(t) + SIDE] = square
    return (clip * 255).round().to(torch.uint8)


def psnr(first: ByteClip, second: ByteClip) -> float:
    return float(10 * torch.log10(255**2 / (first.float() - second.float()).square().mean()))


def test_an_edit_follows_what_it_was_painted_on() -> None:
    source = moving_square()
    edited = source[2].clone()
    inner = (slice(14, 18), slice(left(2) + 2, left(2) + 6))
    edited[0][inner], edited[2][inner] = 255, 0
    result = follow_edit(source, 2, edited)
    assert torch.equal(result[2], edited)
    for t in (0, 1, 4, 8):
        painted = result[t][:, 15:17, left(t) + 3 : left(t) + 5].float()
        assert painted[0].mean() > 200 and painted[2].mean() < 60, t  # red, wherever the square is
        outside = torch.ones(32, 48, dtype=torch.bool)
        outside[8:24, left(t) - 4 : left(t) + 12] = False
        assert (result[t].int() - source[t].int()).abs()[:, outside].float().mean() < 0.5


def test_no_edit_changes_nothing() -> None:
    source = moving_square(4)
    assert torch.equal(follow_edit(source, 1, source[1]), source)


def test_a_wrong_frame_is_refused() -> None:
    source = moving_square(4)
    with pytest.raises(ValueError, match="frame 4: the clip has frames 0 to 3"):
        follow_edit(source, 4, source[0])
    with pytest.raises(ValueError, match="edited frame is"):
        follow_edit(source, 0, source[0][:, :16])


def test_doubling_the_rate_beats_blending_and_keeps_the_frames() -> None:
    truth = moving_square(17)
    given = truth[::2]
    result = double_rate(given)
    assert result.shape == truth.shape and torch.equal(result[::2], given)
    blend = ((given[1:].float() + given[:-1].float()) / 2).round().to(torch.uint8)
    assert psnr(result[1::2], truth[1::2]) > psnr(blend, truth[1::2])


def test_doubling_the_size_beats_bicubic_and_agrees_with_the_clip() -> None:
    # A pattern that looks alike at several sizes: edges.
    y, x = torch.meshgrid(torch.arange(64), torch.arange(64), indexing="ij")
    frames = [((x + y // 3 + 2 * t) // 13 % 2 * 200 + 20) for t in range(5)]
    truth = torch.stack(frames)[:, None].expand(-1, 3, -1, -1).to(torch.uint8)
    small = to_byte(resize_clip(to_float(truth)[None], ClipSize(5, 32, 32)))[0]
    result = double_size(small)
    bicubic = to_byte(resize_clip(to_float(small)[None], ClipSize(5, 64, 64)))[0]
    assert result.shape == truth.shape
    assert psnr(result, truth) > psnr(bicubic, truth) + 0.5
    reduced = to_byte(resize_clip(to_float(result)[None], ClipSize(5, 32, 32)))[0]
    assert psnr(reduced, small) > 35


def test_small_clips_are_refused() -> None:
    with pytest.raises(ValueError, match="4 frames"):
        double_rate(moving_square(4))
    with pytest.raises(ValueError, match="2 frames"):
        double_size(moving_square(2))


def test_harmonising_redraws_the_object_and_nothing_else() -> None:
    source = moving_square()
    composite, mask = source.clone(), torch.zeros(1, 32, 48)
    composite[:, :, 22:30, 36:44] = torch.tensor([0, 255, 0], dtype=torch.uint8)[:, None, None]
    mask[:, 22:30, 36:44] = 1
    maker = PatchSynthesis(source, PatchSettings(side=5, passes=2))
    result = harmonise(maker, composite, mask)
    far = torch.ones(32, 48, dtype=torch.bool)
    far[14:, 28:] = False
    assert torch.equal(result[:, :, far], composite[:, :, far])

    def green(clip: ByteClip) -> float:
        red, excess, blue = clip[:, :, 24:28, 38:42].float().mean(dim=(0, 2, 3))
        return float(excess - (red + blue) / 2)

    # The clip has no green; its patches replace the object's.
    assert green(composite) > 200 and green(result) < 50
    with pytest.raises(ValueError, match="mask"):
        harmonise(maker, composite, mask[:, :16])


def test_harmonising_starts_at_the_middle_level_or_the_given_one() -> None:
    class Recorder:
        size = ClipSize(9, 32, 48)
        sizes = (size,) * 4
        starts: ClassVar[list[int]] = []

        def synthesise(self, size: ClipSize | None = None, *, guess: ByteClip, start: int, **_: Any) -> ByteClip:
            self.starts.append(start)
            return guess

    maker: Any = Recorder()
    source, mask = moving_square(), torch.zeros(1, 32, 48)
    for start in (None, 0, 3):
        harmonise(maker, source, mask, start=start)
    assert Recorder.starts == [2, 0, 3]
