"""Dissection of a generator whose units are known: what each follows, shows and causes is found."""

import json
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from vidgan.errors import ConfigError
from vidgan.evaluation.dissection import matching
from vidgan.evaluation.dissection.artefacts import find_artefacts
from vidgan.evaluation.dissection.concepts import label_clips
from vidgan.evaluation.dissection.dissect import Dissection, dissect_model
from vidgan.evaluation.dissection.effects import insertion_places
from vidgan.evaluation.dissection.factors import split_factors
from vidgan.evaluation.dissection.matching import match_units
from vidgan.evaluation.dissection.observing import Subject, observe
from vidgan.evaluation.dissection.segmenting import score_masks
from vidgan.seeding import Draws
from vidgan.tasks.synthesis.mocogan import MoCoGAN
from vidgan.types import ByteClip

SIZE, FRAMES = 32, 6
OBJECT, CONTENT, MOTION, SUM, PRODUCT, GHOST = range(6)  # units of the layer


class Glide(nn.Module):
    """Along x at two pixels per frame, from a start drawn from the initial state."""

    def forward(self, noise: Tensor, condition: Tensor) -> Tensor:
        steps = torch.arange(noise.shape[1] - 1) * 2.0
        x = 8 + 6 * torch.tanh(noise[:, :1, 0]) + steps  # (B, T)
        y = (16 + 8 * torch.tanh(noise[:, :1, 1])).expand_as(x)
        return torch.stack([x, y], dim=2)


class Units(nn.Module):
    """Six known maps: an object, functions of the codes, and a ghost that appears in a quarter of the clips."""

    def forward(self, codes: tuple[Tensor, Tensor]) -> Tensor:
        content, motion = codes
        grid = torch.arange(SIZE, dtype=torch.float32)
        near_x = (grid[None, None, :] - motion[:, 0, None, None]).abs() < 4
        near_y = (grid[None, :, None] - motion[:, 1, None, None]).abs() < 4
        plain = torch.ones(len(content), SIZE, SIZE)
        c, m = content[:, 0, None, None] * plain, motion[:, 0, None, None] * plain
        ghost = (content[:, 1, None, None] > 0.7) * (grid[None, :, None] < 8) * plain
        return torch.stack([(near_x & near_y).float(), c, m, c + m, c * m, ghost], dim=1)


class KnownFrame(nn.Module):
    """Red object on black; the ghost is white. The other units change nothing."""

    unit_layers = ("maps",)

    def __init__(self) -> None:
        super().__init__()
        self.maps = nn.ModuleList([Units()])

    def forward(self, content: Tensor, motion: Tensor) -> Tensor:
        maps = self.maps[0]((content, motion))
        ghost = maps[:, GHOST, None]
        colour = torch.cat([maps[:, OBJECT, None].maximum(ghost), ghost, ghost], dim=1)
        return 2 * colour - 1


class Noise(nn.Module):
    """An untrained generator: every map is noise, keyed by the codes."""

    def forward(self, codes: tuple[Tensor, Tensor]) -> Tensor:
        draws = Draws(*(float(code) for code in codes[0][:, 0]), rows=range(len(codes[0])))
        return draws.uniform(6, SIZE, SIZE)


def known_model(units: nn.Module) -> MoCoGAN:
    frame = KnownFrame()
    frame.maps[0] = units
    return MoCoGAN(Glide(), frame, image_size=(SIZE, SIZE), dim_content=2, dim_motion=2).eval()


def red(clips: ByteClip) -> Tensor:
    return (clips[:, :, 0] > 128) & (clips[:, :, 1] < 128)


@pytest.fixture(scope="module")
def subject() -> Subject:
    model = known_model(Units())
    latents = model.latents(24, FRAMES, seed=5)
    real = model.render(latents._replace(content=-latents.content.abs()))  # without ghosts
    return Subject(model, FRAMES, real, seed=0, rules={"thing": red})


@pytest.fixture(scope="module")
def result(subject: Subject) -> Dissection:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(matching, "random_model", lambda _: known_model(Noise()))
        return dissect_model(subject, clips=12, random_sets=3)


def test_units_follow_the_factors_that_they_are_made_of(subject: Subject) -> None:
    places, means = split_factors(subject, 5, 4)
    for table in (places, means):
        shares = table["maps.0"].shares()
        assert shares[CONTENT] == pytest.approx([1, 0, 0], abs=1e-9)
        assert shares[MOTION] == pytest.approx([0, 1, 0], abs=1e-9)
        assert shares[GHOST] == pytest.approx([1, 0, 0], abs=1e-9)
        assert shares[SUM, 2] == pytest.approx(0, abs=1e-9) and 0 < shares[SUM, 0] < 1
        assert shares[PRODUCT, 2] > 0.01
        assert shares.sum(axis=1) == pytest.approx([1] * 6)
    assert places["maps.0"].shares()[OBJECT] == pytest.approx([0, 1, 0], abs=1e-9)


def test_the_unit_of_a_concept_is_found_above_both_nulls(result: Dissection) -> None:
    best = result.matches.ranked("thing")[0]
    assert (best.unit, best.iou, best.iqr) == (OBJECT, pytest.approx(1), pytest.approx(1))
    for table in result.matches.nulls.values():
        assert table["thing"][0] < 0.5
    assert result.matches.above_nulls("thing") == 1 and result.matches.is_above_nulls(best)
    assert result.matches.ranked("bright")[0].unit == GHOST
    assert "blue" in result.matches.left_out and "blue" not in result.matches.concepts


def test_effects_are_measured_where_units_were_inserted(result: Dissection) -> None:
    effect = next(effect for effect in result.effects if effect.concept == "thing")
    assert effect.units[0] == OBJECT and effect.levels[0] == pytest.approx(1)
    assert effect.ablated == 0 and effect.before > 0.03
    # The whole rectangle is red, except under a ghost, which is white.
    there = insertion_places(8, (SIZE, SIZE), seed=0)[:, None].expand(-1, FRAMES, -1, -1)
    ghost = result.evaluation.clips[:8, :, 2] > 128
    assert effect.inserted == pytest.approx(float((~ghost)[there].float().mean()))
    assert effect.removed == 0 and effect.elsewhere == 0
    assert effect.random_effect.high == 0 and effect.random_ablated.low == pytest.approx(effect.before)


def test_an_insertion_covers_a_quarter_of_each_side() -> None:
    places = insertion_places(50, (8, 12), seed=0)
    assert places.sum(dim=(1, 2)).tolist() == [6] * 50 and len({tuple(p.flatten().tolist()) for p in places}) > 20
    assert insertion_places(2, (1, 1), seed=0).all()


def test_units_of_broken_clips_are_found_and_their_removal_helps(subject: Subject) -> None:
    found = find_artefacts(subject, 24, random_sets=4)
    assert found.units == {"maps.0": [GHOST]}
    assert found.without < 0.5 * found.before
    assert found.without_random.mean is not None and found.without < found.without_random.mean


def test_the_result_is_json(result: Dissection) -> None:
    saved = json.loads(json.dumps(result.to_json()))
    assert saved["layers"] == {"maps.0": 6}
    assert saved["concepts"]["thing"]["units"][0]["unit"] == OBJECT
    assert sum(saved["split"]["by_layer"]["maps.0"]) == pytest.approx(1, abs=1e-4)
    assert saved["masks"] == []


def test_given_masks_need_enough_clips(subject: Subject) -> None:
    masks = dict.fromkeys(range(3), torch.ones(FRAMES, SIZE, SIZE, dtype=torch.bool))
    with pytest.raises(ConfigError, match="--masks: 3 clips"):
        dissect_model(subject, clips=8, random_sets=2, given={"own": masks})


def test_given_masks_are_matched(subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matching, "random_model", lambda _: known_model(Noise()))
    clips = subject.model.sample(9, frames=FRAMES, seed=subject.seed)
    masks = {number: red(clips)[number] for number in range(1, 9)}
    found = dissect_model(subject, clips=8, random_sets=2, given={"own": masks}).given
    assert found is not None and found.ranked("own")[0].unit == OBJECT
    assert found.ranked("own")[0].iou > 0.95  # less than 1 where the ghost hides the object


def test_a_concept_must_be_frequent_enough(subject: Subject) -> None:
    model = known_model(Units())
    black = Subject(model, FRAMES, subject.real, 0, rules={"thing": red})
    seen = replace(observe(black, black.draw(4, "test")), labels={"thing": torch.zeros(4, 2, SIZE, SIZE) > 0})
    with pytest.raises(ConfigError, match=r"no concept covers 0.1% to 99.9% of the pixels \(thing 0.00%\)"):
        match_units(black, (black.draw(4, "test"), seen), (black.draw(4, "test"), seen))


def test_a_rule_must_return_masks(subject: Subject) -> None:
    broken: Any = Subject(subject.model, FRAMES, subject.real, 0, rules={"bad": lambda clips: clips[:, :, 0]})
    with pytest.raises(ConfigError, match="bad"):
        dissect_model(broken, clips=8, random_sets=2)


def test_labels_of_motion_and_colour() -> None:
    clips = torch.zeros(1, 5, 3, 32, 32, dtype=torch.uint8)
    texture = torch.randint(120, 256, (12, 8), generator=torch.Generator().manual_seed(0)).byte()
    for t in range(5):
        clips[0, t, 1, 8:20, 4 + 4 * t : 12 + 4 * t] = texture  # green, moves right; no pixel is green for three frames
    labels = label_clips(clips)
    assert labels["green"].equal(clips[:, :, 1] > 51) and not labels["red"].any()
    inside = labels["moving right"][0, 2, 10:18, 13:19].float().mean()
    assert inside > 0.8 and not labels["moving left"].any() and not labels["moving"][:, 0].any()
    assert set(label_clips(clips, ["dark"])) == {"dark"}


def test_masks_are_scored_in_both_polarities() -> None:
    clips = torch.zeros(1, 4, 3, 4, 4, dtype=torch.uint8)
    truth = torch.zeros(1, 4, 4, 4, dtype=torch.bool)
    for t in range(4):
        truth[0, t, 0, t] = True
        clips[0, t, :, 0, t] = 200
    score = score_masks(clips, truth, truth, "exact")
    assert (score.mask, score.inverted, score.baseline) == (1, 0, 1)
    swapped = score_masks(clips, ~truth, truth, "exact")
    assert (swapped.mask, swapped.inverted) == (0, 1)
    assert score_masks(clips, truth).baseline is None
