"""Computed conditions, against values computed by hand."""

from typing import Any, get_args

import pytest
import torch
from pydantic import TypeAdapter, ValidationError

from vidgan.seeding import Draws
from vidgan.tasks.translation.conditions import Condition, ConditionPart, is_grey, luma

CONDITIONS: dict[str, type[Condition]] = {
    str(kind.model_fields["kind"].default): kind for kind in get_args(get_args(ConditionPart)[0])
}


def condition(**values: Any) -> Condition:
    made: Condition = TypeAdapter(ConditionPart).validate_python(values)
    return made


def draws(rows: int = 2) -> Draws:
    return Draws("test", rows=range(rows))


def clip(frames: int = 5) -> torch.Tensor:
    return torch.rand(2, frames, 3, 16, 24, generator=torch.Generator().manual_seed(0)) * 2 - 1


def square(offset: int = 0) -> torch.Tensor:
    """(1, 1, 3, 16, 16): a red square of 6 x 6 on a dark ground."""
    frame = torch.full((1, 1, 3, 16, 16), -0.9)
    frame[..., 0, 5:11, 5 + offset : 11 + offset] = 0.8
    return frame


@pytest.mark.parametrize("kind", CONDITIONS)
def test_every_kind_keeps_its_promises(kind: str) -> None:
    made = condition(kind=kind)
    source = torch.cat([clip(), clip().flip(0)], dim=2) if made.is_stored else clip()
    result = made.of_clip(source, draws())
    assert result.shape == (2, 5, made.channels, 16, 24)
    assert result.abs().max() <= 1.0 + 1e-6 or kind == "flow"
    assert made.frames(result).shape == (2, 5, 3, 16, 24)
    assert torch.equal(result, made.of_clip(source, draws())), "the draws alone decide"
    single = made.of_clip(source[1:], Draws("test", rows=[1]))
    assert torch.allclose(single[0], result[1], atol=1e-4), "a clip's condition does not depend on its batch"


def test_grey_is_bt601() -> None:
    colours = torch.tensor([[1.0, -1.0, -1.0], [-1.0, 1.0, -1.0]]).view(1, 2, 3, 1, 1)
    assert luma(colours).flatten().tolist() == pytest.approx([0.299 * 2 - 1, 0.587 * 2 - 1])
    assert is_grey(torch.full((1, 3, 2, 2), 7, dtype=torch.uint8))
    assert not is_grey(torch.tensor([0, 0, 9], dtype=torch.uint8).view(1, 3, 1, 1))


def test_edges_of_a_step() -> None:
    """A vertical step from black to white: Sobel / 8 of 2 units is 1 on both sides of it, clamped after the gain."""
    step = torch.full((1, 1, 3, 8, 8), -1.0)
    step[..., 4:] = 1.0
    row = condition(kind="edges", gain=0.5).of_clip(step, draws(1))[0, 0, 0, 4]
    assert row.tolist() == pytest.approx([-1, -1, -1, 0, 0, -1, -1, -1])


def test_mask_is_what_differs_from_the_border() -> None:
    mask = condition(kind="mask").of_clip(square(), draws(1))[0, 0, 0]
    expected = torch.full((16, 16), -1.0)
    expected[5:11, 5:11] = 1.0
    assert torch.equal(mask, expected)


def test_flow_of_a_moving_square_points_back() -> None:
    frames = torch.cat([square(0), square(1)], dim=1)
    flow = condition(kind="flow", unit=1.0).of_clip(frames, draws(1))
    assert not flow[:, 0].any()
    assert flow[0, 1, 0, 6:10, 7:11].mean() == pytest.approx(-1, abs=0.2)
    assert flow[0, 1, 1, 6:10, 7:11].abs().mean() < 0.2


def test_dark_without_noise_is_gain_times_power() -> None:
    made = condition(kind="dark", gain=0.5, gamma=2.0, noise=0.0)
    dark = made.of_clip(torch.full((1, 1, 3, 2, 2), 0.0), draws(1))  # half light
    assert ((dark + 1) / 2).unique().tolist() == pytest.approx([0.5 * 0.25])
    assert torch.equal(made.of_input(clip()), clip()), "a user's dark video is dark already"


def test_small_loses_detail_and_keeps_the_mean() -> None:
    pattern = torch.ones(1, 1, 3, 8, 8)
    pattern[..., ::2] = -1
    assert not condition(kind="small", factor=2).of_clip(pattern, draws(1)).any()


def test_holes_are_marked_and_lie_still() -> None:
    made = condition(kind="holes", number=1, size=0.5)
    result = made.of_clip(clip(), draws())
    holes = result[:, :, 3] > 0
    assert holes.any() and not holes.all()
    assert (holes == holes[:, :1]).all(), "the same in every frame"
    assert not (result[:, :, :3] * holes[:, :, None]).any()
    assert torch.equal(result[:, :, :3][~holes[:, :, None].expand(-1, -1, 3, -1, -1)],
                       clip()[~holes[:, :, None].expand(-1, -1, 3, -1, -1)])  # fmt: skip
    assert not torch.equal(holes[0], holes[1]), "clips differ"
    assert (made.of_input(clip())[:, :, 3] == -1).all()


def test_dropped_frames_lie_between_the_kept_ones() -> None:
    made = condition(kind="dropped", factor=2)
    result = made.of_clip(clip(), draws())
    assert made.rate == 2
    share = (result[:, :, 9, 0, 0] + 1) / 2
    assert share[0].tolist() == [0.0, 0.5, 0.0, 0.5, 1.0]
    assert torch.equal(result[:, 3, 3:6], clip()[:, 2]) and torch.equal(result[:, 3, 6:9], clip()[:, 4])
    assert torch.allclose(result[:, 1, :3], (clip()[:, 0] + clip()[:, 2]) / 2)
    changed = clip()
    changed[:, 1::2] = 0
    assert torch.equal(made.of_clip(changed, draws()), result), "a dropped frame is not read"
    with pytest.raises(ValueError, match="factor=2.*got 4"):
        made.of_clip(clip(4), draws())


def test_labels_become_planes() -> None:
    labels = torch.tensor([0, 2, 5], dtype=torch.float32).view(1, 1, 1, 1, 3).expand(-1, -1, 6, -1, -1) / 127.5 - 1
    planes = condition(kind="stored", classes=3).of_clip(labels, draws(1))
    assert planes[0, 0, :, 0].T.tolist() == [[1, -1, -1], [-1, -1, 1], [-1, -1, -1]]


def test_unknown_kinds_and_values_are_refused() -> None:
    for wrong in ({"kind": "canny"}, {"kind": "small", "factor": 1}, {"kind": "grey", "gain": 1}):
        with pytest.raises(ValidationError):
            condition(**wrong)
