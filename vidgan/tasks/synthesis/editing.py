"""Edits of clips through their codes: exchange content and motion, morph, change time, style and category.

Every function takes codes and returns new ones. An edit in time needs the motion code of each frame; motion that was
given as inputs of the motion network then becomes a path. Only `continue_clip` and `with_category` need inputs.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor

from vidgan.errors import ConfigError
from vidgan.nn.blur import gaussian_blur
from vidgan.pixels import to_byte, to_float
from vidgan.seeding import Draws
from vidgan.tasks.synthesis.codes import Codes, path_of
from vidgan.types import ByteClip

__all__ = [
    "EDITS",
    "Edit",
    "Part",
    "add_difference",
    "continue_clip",
    "exaggerate",
    "loop",
    "mix_styles",
    "morph",
    "paste",
    "retime",
    "reverse",
    "slerp",
    "slow",
    "swap_content",
    "transfer_motion",
    "truncate",
    "with_category",
]

Part = Literal["content", "motion", "both"]

LOOP_SHARE = 0.25  # of the clip, over which its end is blended into its start
_PARALLEL = 1e-4  # angle in radians below which two contents are interpolated along the chord


def swap_content(codes: Codes, other: Codes) -> Codes:
    """The motion of `codes` with the content of `other`."""
    return replace(codes, content=other.content, fine_content=other.fine_content, fine_from=other.fine_from)


def transfer_motion(codes: Codes, other: Codes) -> Codes:
    """The content of `codes` with the motion, and the category, of `other`."""
    return swap_content(other, codes)


def slerp(first: Tensor, second: Tensor, amount: float) -> Tensor:
    """Interpolate between two contents on the shell on which drawn ones lie (White 2016).

    The direction moves along the great circle, the length linearly. 0 and 1 return the ends themselves.

    Args:
        first, second: (D,).
        amount: beyond 0..1 it extrapolates.
    """
    if amount in (0, 1):
        return first if amount == 0 else second
    lengths = first.norm(), second.norm()
    if min(lengths) == 0:
        return torch.lerp(first, second, amount)
    directions = first / lengths[0], second / lengths[1]
    angle = torch.arccos((directions[0] * directions[1]).sum().clamp(-1, 1))
    if angle < _PARALLEL or torch.pi - angle < _PARALLEL:
        return torch.lerp(first, second, amount)
    along = torch.sin((1 - amount) * angle) * directions[0] + torch.sin(amount * angle) * directions[1]
    return torch.lerp(lengths[0], lengths[1], amount) * along / torch.sin(angle)


def morph(model: Any, codes: Codes, other: Codes, amount: float = 0.5, part: Part = "both") -> Codes:
    """A clip between two: content by `slerp`, the paths frame by frame along a line.

    Args:
        amount: 0 for `codes`, 1 for `other`, whose codes are returned as they are (if `part` is "both").
        part: what is interpolated; the rest is that of `codes`.

    The result has the length of the shorter clip and, from 0.5 on, the category of `other`.
    """
    if part == "both" and amount in (0, 1):
        return codes if amount == 0 else other
    made = codes if part == "content" else _along(model, codes, other, amount)
    return made if part == "motion" else replace(made, content=slerp(codes.content, other.content, amount))


def _along(model: Any, codes: Codes, other: Codes, amount: float) -> Codes:
    first, second = path_of(model, codes), path_of(model, other)
    frames = min(len(first), len(second))
    category = other.category if amount >= 0.5 else codes.category
    path = torch.lerp(first[:frames], second[:frames], amount)
    return replace(codes, motion=path, kind="path", category=category)


def add_difference(
    model: Any, codes: Codes, source: Codes, target: Codes, amount: float = 1.0, part: Part = "both"
) -> Codes:
    """Change a clip as `source` differs from `target`: z + amount (z_target - z_source), in content and path.

    The arithmetic of expressions (Abdal et al. 2019): with `source` and `target` the same person at rest and waving,
    `codes` waves. The result has the length of the shortest clip.

    Args:
        amount: 0 for no change.
        part: what is changed.
    """
    made = codes
    if part != "motion":
        made = replace(made, content=codes.content + amount * (target.content - source.content))
    if part != "content":
        paths = [path_of(model, one) for one in (codes, source, target)]
        frames = min(len(path) for path in paths)
        own, start, end = (path[:frames] for path in paths)
        made = replace(made, motion=own + amount * (end - start), kind="path")
    return made


def retime(model: Any, codes: Codes, times: Tensor) -> Codes:
    """The frames of a clip at other times.

    Args:
        times: (S,) positions in frames of `codes`, 0 to T - 1; fractions interpolate neighbouring motion codes.

    Raises:
        ValueError: a time outside the clip.
    """
    path = path_of(model, codes)
    if times.ndim != 1 or len(times) < 1 or bool((times < 0).any()) or bool((times > len(path) - 1).any()):
        raise ValueError(f"times must be a row of numbers from 0 to {len(path) - 1}, got {times.tolist()}")
    before = times.floor().long()
    after = (before + 1).clamp(max=len(path) - 1)
    share = (times - before).to(path.dtype)[:, None]
    blended = path[before] * (1 - share) + path[after] * share
    return replace(codes, motion=torch.where(share == 0, path[before], blended), kind="path")


def reverse(model: Any, codes: Codes) -> Codes:
    """The clip backward."""
    return replace(codes, motion=path_of(model, codes).flip(0), kind="path")


def slow(model: Any, codes: Codes, factor: float = 2.0) -> Codes:
    """The clip `factor` times as slow, with the codes of new frames between the old ones; below 1 it is faster.

    Raises:
        ValueError: `factor` is not above 0, or leaves fewer than 2 frames.
    """
    last = len(path_of(model, codes)) - 1
    if not factor > 0 or round(last * factor) < 1:
        raise ValueError(f"factor is {factor}; accepted: above 0, so that at least 2 frames are left")
    return retime(model, codes, torch.linspace(0, last, round(last * factor) + 1))


def exaggerate(model: Any, codes: Codes, amount: float = 1.5) -> Codes:
    """The clip with larger motion: each motion code moves away from the mean of the path, mean + amount (z - mean).

    Args:
        amount: 0 for a still clip, 1 for no change.
    """
    path = path_of(model, codes)
    return replace(codes, motion=torch.lerp(path.mean(dim=0, keepdim=True), path, amount), kind="path")


def loop(model: Any, codes: Codes) -> Codes:
    """A clip whose end runs into its start: the last quarter of the path is blended into the first one.

    The result is a quarter shorter.
    """
    path = path_of(model, codes)
    blended = max(1, round(LOOP_SHARE * len(path)))
    kept = len(path) - blended
    if kept < blended:
        raise ValueError(f"a clip of {len(path)} frames is too short to loop; accepted: 3 or more")
    share = (torch.arange(blended, dtype=path.dtype) / blended)[:, None]  # 0: the frame after the last kept one
    start = path[kept:] * (1 - share) + path[:blended] * share
    return replace(codes, motion=torch.cat([start, path[blended:kept]]), kind="path")


def continue_clip(model: Any, codes: Codes, frames: int, seed: int = 0) -> Codes:
    """The clip continued by the motion network from its last state, with fresh inputs; its own frames stay.

    Args:
        frames: number of further frames.
        seed: another seed continues differently.

    Raises:
        ConfigError: the motion is a path, which has no state to continue from.
    """
    if codes.kind != "inputs":
        raise ConfigError(
            "continue: these codes hold a free path, which has no state to continue from; accepted: codes of `vidgan"
            " invert --motion inputs`"
        )
    fresh = Draws(seed, "continue", rows=[0]).normal(frames, model.dim_motion)[0]
    return replace(codes, motion=torch.cat([codes.motion, fresh]))


def with_category(model: Any, codes: Codes, category: int | str) -> Codes:
    """The clip in another category, by number (int) or name (str), with the same content and inputs.

    Raises:
        ConfigError: the category has no effect on these codes. ValueError: no such category.
    """
    number = model.category_index(category)
    if model.category_input == "motion" and codes.kind != "inputs":
        raise ConfigError(
            "category: it enters the motion network, and these codes hold a free path; accepted: codes of `vidgan"
            " invert --motion inputs`"
        )
    return replace(codes, category=number)


def truncate(codes: Codes, amount: float = 0.7) -> Codes:
    """Move the content towards the mean code (Karras et al. 2019): z_C * amount, for a more typical clip.

    Raises:
        ValueError: `amount` is negative.
    """
    if amount < 0:
        raise ValueError(f"amount is {amount}; accepted: 0 for the mean content, 1 for no change, or above")
    fine = None if codes.fine_content is None else amount * codes.fine_content
    return replace(codes, content=amount * codes.content, fine_content=fine)


def mix_styles(model: Any, codes: Codes, other: Codes, level: int) -> Codes:
    """The content of `codes` at the coarse levels, that of `other` from `level` on; the motion of `codes`.

    Args:
        level: 1 (all but the coarsest level) to the number of levels - 1 (the finest alone).

    Raises:
        ConfigError: the frame generator has no such level.
    """
    if not getattr(model.frame, "mixes_content", False):
        raise ConfigError("mix: this model's frame generator has no levels of style; accepted: frame.kind=style")
    if not 0 < level < model.frame.num_levels:
        raise ConfigError(f"--level {level}: accepted: 1 to {model.frame.num_levels - 1}, the finest level")
    return replace(codes, fine_content=other.content, fine_from=level)


def paste(edited: ByteClip, original: ByteClip, mask: Tensor, feather: float = 2.0) -> ByteClip:
    """The edited clip where the mask is set, the original elsewhere, blended along the edge.

    Args:
        edited, original: (T, C, H, W) uint8; the longer one is cut.
        mask: (H, W) or (T, H, W), 0 to 1.
        feather: standard deviation of the blur of the edge, pixels; 0 for a hard edge.

    Raises:
        ValueError: the sizes differ.
    """
    frames = min(len(edited), len(original))
    mask = mask.float()[None].expand(frames, -1, -1) if mask.ndim == 2 else mask.float()[:frames]
    if edited.shape[1:] != original.shape[1:] or mask.shape != (frames, *edited.shape[-2:]):
        raise ValueError(
            f"clips {tuple(edited.shape)}, {tuple(original.shape)} and mask {tuple(mask.shape)} do not fit together"
        )
    share = mask[:, None]  # (T, 1, H, W)
    if feather > 0:
        share = gaussian_blur(share.contiguous(), feather).clamp(0, 1)
    return to_byte(torch.lerp(to_float(original[:frames]), to_float(edited[:frames]), share))


@dataclass(frozen=True)
class Edit:
    """One operation of `vidgan edit`.

    Attributes:
        function: of the model, the codes in their order, and the options by name.
        codes: number of codes.
        summary: what the result is.
        options: names of the options that it takes.
        required: options that must be set.
    """

    function: Callable[..., Codes]
    codes: int
    summary: str
    options: tuple[str, ...] = ()
    required: tuple[str, ...] = ()


EDITS: dict[str, Edit] = {
    "content": Edit(lambda _, a, b: swap_content(a, b), 2, "the motion of A with the content of B"),
    "motion": Edit(lambda _, a, b: transfer_motion(a, b), 2, "the content of A with the motion of B"),
    "morph": Edit(morph, 2, "a clip between A and B", ("amount", "part")),
    "add": Edit(add_difference, 3, "A changed by the difference from B to C", ("amount", "part")),
    "mix": Edit(mix_styles, 2, "A with the style of B from a level on", ("level",), ("level",)),
    "reverse": Edit(reverse, 1, "A backward"),
    "slow": Edit(lambda model, a, amount=2.0: slow(model, a, amount), 1, "A slower by a factor", ("amount",)),
    "retime": Edit(
        lambda model, a, frames: retime(model, a, torch.linspace(0, len(path_of(model, a)) - 1, frames)),
        1,
        "A in another number of frames",
        ("frames",),
        ("frames",),
    ),
    "exaggerate": Edit(exaggerate, 1, "A with larger or smaller motion", ("amount",)),
    "loop": Edit(loop, 1, "A as an endless loop"),
    "continue": Edit(continue_clip, 1, "A and further frames", ("frames", "seed"), ("frames",)),
    "category": Edit(with_category, 1, "A in another category", ("category",), ("category",)),
    "truncate": Edit(lambda _, a, amount=0.7: truncate(a, amount), 1, "A closer to the mean content", ("amount",)),
    "none": Edit(lambda model, a: a, 1, "A as it is, for masked editing"),
}
"""Operations of `vidgan edit` by name."""
