"""What the demo's report says of generated shapes."""

from typing import Any, cast

import numpy as np
import torch

from vidgan.commands.demo import shape_summary
from vidgan.data.synthetic.shape_scores import DEFINITIONS
from vidgan.data.synthetic.shapes import CATEGORIES, render_moving_shape
from vidgan.tasks.synthesis.mocogan import MoCoGAN
from vidgan.types import ByteClip


class Perfect:
    """A generator that renders what it is asked for."""

    def sample(self, clips: int, *, seed: int, category: str) -> ByteClip:
        shown = [render_moving_shape(seed, index, frames=24, size=32) for index in range(9 * clips)]
        asked = [shape.frames[::2] for shape in shown if CATEGORIES[shape.category] == category][:clips]
        return torch.from_numpy(np.stack(asked)).movedim(-1, 2)


def test_the_summary_of_a_perfect_generator() -> None:
    summary = shape_summary(cast(MoCoGAN, cast(Any, Perfect())), seed=0, each=2)
    assert summary.keys() == set(DEFINITIONS.values())
    assert summary[DEFINITIONS["category"]] == summary[DEFINITIONS["one"]] == "1.000"
    assert float(summary[DEFINITIONS["outline"]]) > 0.99
