"""Sections of the demo's report."""

from typing import cast

import numpy as np
import torch
from einops import rearrange

from vidgan.commands.demo import CAPTIONS, NUM_PER_CAPTION, caption_section, score_shapes
from vidgan.data.synthetic.shape_scores import DEFINITIONS
from vidgan.data.synthetic.shapes import CATEGORIES, render_moving_shape
from vidgan.report import Player
from vidgan.tasks.base import ClipModel
from vidgan.types import ByteClip


class PerfectModel:
    """A generator whose clips are rendered shapes of the requested category."""

    def sample(self, clips: int, *, seed: int, category: str) -> ByteClip:
        shapes = [render_moving_shape(seed, index, frames=24, size=32) for index in range(9 * clips)]
        frames = [shape.frames[::2] for shape in shapes if CATEGORIES[shape.category] == category][:clips]
        return rearrange(torch.from_numpy(np.stack(frames)), "b t h w c -> b t c h w")


def test_scores_of_a_perfect_generator() -> None:
    scores = score_shapes(cast(ClipModel, PerfectModel()), seed=0, num_clips=2)
    assert scores.keys() == set(DEFINITIONS.values())
    assert scores[DEFINITIONS["category"]] == scores[DEFINITIONS["one"]] == "1.000"
    assert float(scores[DEFINITIONS["outline"]]) > 0.99


def test_captioned_clips_are_said_to_come_from_shipped_weights() -> None:
    section = caption_section(seed=0)
    assert "shipped weights" in section.title and "not trained" in section.title
    (player,) = section.blocks
    assert isinstance(player, Player) and list(player.rows) == list(CAPTIONS)
    assert len(player.clips) == len(CAPTIONS) * NUM_PER_CAPTION
    numbers = range(1, NUM_PER_CAPTION + 1)
    assert {clip.label for clip in player.clips} == {
        f"{text}, sample {number}" for text in CAPTIONS for number in numbers
    }
