"""Generators, what they carry, and the public model."""

from typing import Any

import pytest
import torch
from torch import nn

from vidgan.hub import Pretrained
from vidgan.nn.warp import warp
from vidgan.tasks.translation.conditions import observed_flow
from vidgan.tasks.translation.config import TranslationModelConfig
from vidgan.tasks.translation.generators import Carried, Memory
from vidgan.tasks.translation.translator import Translator, build_translator

SIZE = (32, 32)


def translator(**model: Any) -> Translator:
    """A small one whose head is not zero any more."""
    torch.manual_seed(0)
    values = {"network": {"kind": "unet", "width": 4, "max_width": 8}} | model
    made = build_translator(TranslationModelConfig.model_validate(values), image_size=SIZE)
    network: Any = made.generator.network
    network.head.weight.data.normal_(std=0.05)
    return made.eval()


def clips(frames: int = 5, rows: int = 2, size: tuple[int, int] = SIZE) -> torch.Tensor:
    return torch.randint(0, 256, (rows, frames, 3, *size), generator=torch.Generator().manual_seed(1)).to(torch.uint8)


def carried(mask: float) -> tuple[Carried, Memory, torch.Tensor]:
    """A generator whose blend takes this share of the warped frame, and what it reads."""
    generator = translator(condition={"kind": "grey"}).generator
    assert isinstance(generator, Carried)
    last: Any = generator.blend.net[-1]
    nn.init.zeros_(last.weight)
    nn.init.constant_(last.bias, 1e9 if mask else -1e9)
    noise = torch.rand(2, 5, *SIZE, generator=torch.Generator().manual_seed(2)) * 2 - 1
    return generator, Memory(noise[:, :1], noise[:, 1:4], noise[:, :2] * 3), noise[:, 4:]


@torch.no_grad()
def test_the_ends_of_the_blend_are_exact() -> None:
    generator, memory, now = carried(0.0)
    drawn = generator(now, None, memory)
    assert torch.equal(drawn.frame, drawn.raw)
    generator, memory, now = carried(1.0)
    drawn = generator(now, None, memory)
    assert drawn.flow is not None and torch.equal(drawn.frame, warp(memory.frame, drawn.flow))
    first = generator(now, None, None)
    assert torch.equal(first.frame, first.raw) and first.flow is None


@torch.no_grad()
def test_observed_flow_carries_a_moving_frame_exactly() -> None:
    """With a correction of zero and the whole of the warped frame, a shifted condition shifts the output."""
    generator, _, _ = carried(1.0)
    network: Any = generator.network
    nn.init.zeros_(network.head.weight)
    pattern = nn.functional.interpolate(torch.rand(1, 1, 9, 9, generator=torch.Generator().manual_seed(3)), size=SIZE,
                                        mode="bicubic")  # fmt: skip
    before, now = pattern, pattern.roll(1, dims=-1)
    frame = torch.rand(1, 3, *SIZE)
    observed = observed_flow(torch.stack([before, now], dim=1))[:, 0]
    drawn = generator(now, None, Memory(before, frame, observed))
    inner = (..., slice(6, -6), slice(6, -6))
    assert (drawn.frame - frame.roll(1, dims=-1))[inner].abs().mean() < 0.1 * (frame - frame.roll(1, -1))[
        inner
    ].abs().mean()


def test_an_untrained_correction_is_the_condition() -> None:
    model = translator(condition={"kind": "dark", "gain": 1.0, "gamma": 1.0, "noise": 0.0}, residual=True)
    network: Any = model.generator.network
    nn.init.zeros_(network.head.weight)
    given, target = model.pair(clips(rows=1, frames=1))
    assert target is not None and torch.equal(given, target) and torch.equal(model.map_clips(given), target)


@pytest.mark.parametrize("reach", [0, 1, 2])
def test_gradients_reach_back_no_further_than_asked(reach: int) -> None:
    model = translator(condition={"kind": "grey"}).train()
    condition = torch.rand(1, 6, 1, *SIZE, requires_grad=True)
    frames = model(condition, gradient_frames=reach).frames
    for time in range(6):
        (gradient,) = torch.autograd.grad(frames[0, time].sum(), condition, retain_graph=True)
        earliest = int(gradient.abs().sum(dim=(0, 2, 3, 4)).nonzero().min())
        # The condition of the frame before is an input of its own.
        assert earliest >= max(0, time - reach - 1)
    (gradient,) = torch.autograd.grad(model(condition).frames[0, 5].sum(), condition)
    assert gradient[0, 0].abs().sum() > 0, "no limit: the whole clip"


def test_only_direct_frames_can_be_permuted() -> None:
    order = torch.tensor([3, 1, 4, 0, 2])
    for kind, equal in (("direct", True), ("carried", False)):
        model = translator(condition={"kind": "edges"}, generator={"kind": kind})
        given = model.pair(clips()).input
        assert torch.equal(model.map_clips(given[:, order]), model.map_clips(given)[:, order]) is equal


@pytest.mark.parametrize("kind", ["grey", "flow", "holes", "dropped"])
def test_a_stream_equals_the_clip(kind: str) -> None:
    model = translator(condition={"kind": kind})
    video = clips(rows=1)
    mask = torch.zeros(1, 5, 1, *SIZE, dtype=torch.uint8)
    mask[..., 4:12, 8:20] = 255
    whole = model.map_clips(model.of_video(video, mask if kind == "holes" else None))[0]
    pulled = 0

    def frames() -> Any:
        nonlocal pulled
        for frame in video[0]:
            pulled += 1
            yield frame

    stream = model.translate_frames(frames(), mask[0] if kind == "holes" else None)
    first = next(stream)
    assert pulled <= 2, "frames are read when they are needed"
    streamed = torch.stack([first, *stream])
    assert streamed.shape == whole.shape == ((9 if kind == "dropped" else 5), 3, *SIZE)
    assert (streamed.int() - whole.int()).abs().max() <= 1


def test_frames_of_any_size_pass() -> None:
    model = translator(condition={"kind": "grey"})
    out = list(model.translate_frames(clips(frames=3, rows=1, size=(33, 50))[0]))
    assert [tuple(frame.shape) for frame in out] == [(3, 33, 50)] * 3


def test_random_conditions_are_keyed_by_the_row() -> None:
    model = translator(condition={"kind": "holes"})
    both, second = model.pair(clips(), seed=3).input, model.pair(clips()[1:], seed=3, rows=[1]).input
    assert torch.equal(both[1:], second)
    assert not torch.equal(both, model.pair(clips(), seed=4).input)


def test_baselines() -> None:
    model = translator(condition={"kind": "grey"})
    given = model.pair(clips()).input
    rows = {name: function(given) for name, function in model.baselines().items()}
    assert list(rows) == ["each frame alone", "median of 3 frames", "input"]
    assert torch.equal(rows["each frame alone"][:, 0], model.map_clips(given)[:, 0])
    assert torch.equal(rows["input"][:, :, 0], given[:, :, 0])
    three = rows["each frame alone"][:, 1:4].median(dim=1).values
    assert torch.equal(rows["median of 3 frames"][:, 2], three)
    assert "input" not in translator(condition={"kind": "edges"}).baselines()
    assert list(translator(generator={"kind": "direct"}).baselines()) == ["median of 3 frames", "input"]


def test_saved_and_loaded(tmp_path: Any) -> None:
    model = translator(condition={"kind": "dropped", "factor": 3}, generator={"kind": "carried", "max_flow": 4.0})
    model.facts = {}
    model.save_pretrained(tmp_path)
    loaded = Translator.from_pretrained(tmp_path)
    assert isinstance(loaded, Pretrained) and loaded.condition == model.condition
    given = model.pair(clips(frames=4)).input
    assert torch.equal(loaded.map_clips(given), model.map_clips(given))
