"""Information codes (InfoGAN, Chen et al., NeurIPS 2016): parts of the latent that must be readable from the clips.

A code is drawn at random beside content or motion, and the video discriminator's head Q predicts it from generated
clips. Generator and discriminator both maximise the lower bound of their mutual information,
L_I = E[log Q(c | clip)] + H(c), in nats: at most ln K for a category of K values. Without labels, the codes then take
on what varies most between clips. A continuous code is uniform in [-1, 1], and Q predicts a mean and a standard
deviation: with a fixed one of 1, as in the released code, even a perfect Q has a bound of -0.23 nats.

The values stand behind the content code (and before the noise of a frame generator that has some), or behind the noise
of each time step (the same at every step), so that `Latents` keep their form.
"""

import math
from collections.abc import Mapping
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from vidgan.losses.latent import category_cross_entropy, gaussian_cross_entropy
from vidgan.sections import Section, option
from vidgan.seeding import Draws
from vidgan.types import Latents, Terms

__all__ = ["InfoCodeConfig", "InfoCodes"]

UNIFORM_OUTPUTS = 2  # mean and logarithm of the standard deviation


class InfoCodeConfig(Section):
    """An information code."""

    kind: Literal["categorical", "uniform"] = option("categorical", "One of `size` values, or uniform in [-1, 1].")
    size: int = option(2, "Values of a categorical code.", ge=2, le=1000)
    enters: Literal["content", "motion"] = option("motion", "What it belongs to: the content or the motion code.")


class InfoCodes:
    """The codes of a model.

    Args:
        codes: name -> its section.
        dim_content, dim_motion: lengths of the content code and of a row of motion noise that the codes stand behind.

    Attributes:
        content_width, motion_width: numbers that are appended to the content code and to each row of motion noise.
        num_outputs: of the head Q.
    """

    def __init__(self, codes: Mapping[str, InfoCodeConfig], *, dim_content: int, dim_motion: int) -> None:
        self.codes = dict(codes)
        self.starts = {"content": dim_content, "motion": dim_motion}
        self.content_width = sum(self._width(code) for code in codes.values() if code.enters == "content")
        self.motion_width = sum(self._width(code) for code in codes.values() if code.enters == "motion")
        self.num_outputs = sum(code.size if code.kind == "categorical" else UNIFORM_OUTPUTS for code in codes.values())

    @staticmethod
    def _width(code: InfoCodeConfig) -> int:
        return code.size if code.kind == "categorical" else 1

    def draw(self, draws: Draws) -> tuple[Tensor, Tensor]:
        """Random values behind the content (B, content_width) and behind the motion (B, motion_width)."""
        parts: dict[str, list[Tensor]] = {"content": [], "motion": []}
        for name, code in self.codes.items():
            streams = draws.fork("code", name)
            if code.kind == "categorical":
                parts[code.enters].append(F.one_hot(streams.integers(code.size), code.size).float())
            else:
                parts[code.enters].append(2 * streams.uniform(1) - 1)
        empty = torch.zeros(len(draws), 0, device=draws.device)
        content, motion = (torch.cat([empty, *parts[place]], dim=1) for place in ("content", "motion"))
        return content, motion

    def values(self, latents: Latents) -> dict[str, Tensor]:
        """The values of each code in latents: one-hot (B, size), or (B, 1)."""
        numbers = {"content": latents.content, "motion": latents.motion[:, 0]}
        return {name: numbers[self.codes[name].enters][:, place] for name, place in self._places().items()}

    def _places(self) -> dict[str, slice]:
        """Where each code stands in the content, or in a row of motion noise."""
        starts, places = dict(self.starts), {}
        for name, code in self.codes.items():
            places[name] = slice(starts[code.enters], starts[code.enters] + self._width(code))
            starts[code.enters] = places[name].stop
        return places

    def read(self, outputs: Tensor, latents: Latents) -> tuple[Tensor, Terms]:
        """Compare what Q predicts with the codes.

        Args:
            outputs: (B, num_outputs) of the head.
            latents: of the clips that it saw.

        Returns:
            -E[log Q(c | clip)], summed over codes, to be minimised by both players; the bound of the mutual information
            of each code in nats, as `codes/NAME`.
        """
        loss = outputs.new_zeros((), dtype=torch.float32)
        bounds: Terms = {}
        for name, value in self.values(latents).items():
            code = self.codes[name]
            width = code.size if code.kind == "categorical" else UNIFORM_OUTPUTS
            predicted, outputs = outputs.split([width, outputs.shape[1] - width], dim=1)
            if code.kind == "categorical":
                missing, entropy = category_cross_entropy(predicted, value.argmax(dim=1)), math.log(code.size)
            else:
                missing, entropy = gaussian_cross_entropy(predicted[:, :1], predicted[:, 1:], value), math.log(2)
            loss = loss + missing
            bounds[f"codes/{name}"] = entropy - missing.detach()
        return loss, bounds

    def traversals(self, latents: Latents, columns: int) -> Latents:
        """Clips that differ in one code only: each code's values in a row of `columns`, everything else of the first.

        Args:
            latents: of at least one clip.
            columns: clips per row; a categorical code repeats its values if it has fewer.

        Returns:
            Latents of `len(codes) * columns` clips, row by row.
        """
        rows = len(self.codes) * columns
        alike = Latents(*(part[:1].repeat(rows, *[1] * (part.dim() - 1)) for part in latents))
        content, motion = alike.content, alike.motion
        places = self._places()
        for number, (name, code) in enumerate(self.codes.items()):
            here = slice(number * columns, (number + 1) * columns)
            if code.kind == "categorical":
                values = F.one_hot(torch.arange(columns) % code.size, code.size).to(content)
            else:
                values = torch.linspace(-1, 1, columns)[:, None].to(content)
            if code.enters == "content":
                content[here, places[name]] = values
            else:
                motion[here, :, places[name]] = values[:, None]
        return alike
