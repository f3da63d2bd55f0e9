"""DiffAugment (Zhao et al. 2020) for clips: one transformation per clip, shared by all its frames.

Transforming every frame separately degrades video quality strongly (Skorokhodov et al. 2022, StyleGAN-V), because the
generator learns to produce jumps between frames. Real and generated clips are both augmented before each discriminator;
gradients pass through.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from vidgan.nn.blocks import require_choice
from vidgan.seeding import Draws

__all__ = ["POLICIES", "DiffAugment"]

POLICIES = ("brightness", "saturation", "contrast", "translation", "cutout")

_SHIFT = 0.125  # maximum translation, relative to the side
_HOLE = 0.5  # side of the cutout box, relative to the side


class DiffAugment(nn.Module):
    """Brightness, saturation, contrast, translation and cutout with the strengths of the paper.

    The transformation depends on the keys of the draws only, neither on earlier draws nor on the pixels (contrast is
    scaled around mid-grey, not around the image's mean). A clip and single frames of it
    are therefore transformed alike by the same draws.

    Args:
        policy: subset of POLICIES; applied in the order of POLICIES.

    Raises:
        ValueError: an unknown or repeated name, or an empty policy.
    """

    def __init__(self, policy: Sequence[str]) -> None:
        super().__init__()
        if isinstance(policy, str) or not policy:
            raise ValueError(f"augment: expected a list of names from {', '.join(POLICIES)}; got {policy!r}")
        for name in policy:
            require_choice("augment", name, POLICIES)
        if len(set(policy)) < len(policy):
            raise ValueError(f"augment: repeated name in {list(policy)}")
        self.policy = tuple(name for name in POLICIES if name in policy)

    def forward(self, x: Tensor, draws: Draws, probability: Tensor | None = None) -> Tensor:
        """Transform clips (B, T, C, H, W) or frames (B, C, H, W) in [-1, 1]; the shape is kept.

        `probability`, a scalar in [0, 1], applies each transformation to a clip with this probability, independently
        of the others (Karras et al. 2020); None applies all of them.

        Values may leave the range, as in the paper. Borders uncovered by translation, and the cutout box, become 0
        (mid-grey).

        Raises:
            ValueError: `draws` does not have B rows.
        """
        if len(draws) != x.shape[0]:
            raise ValueError(f"augment needs draws with {x.shape[0]} rows, got {len(draws)}")
        clip = x if x.dim() == 5 else x[:, None]  # (B, T, C, H, W)
        # All numbers are drawn for any policy, so that adding a transformation does not change the others.
        unit = draws.fork("augment").uniform(7).to(x.device)  # (B, 7) in [0, 1)
        strengths = unit[:, :3, None, None, None, None].to(x.dtype)
        brightness, saturation, contrast = strengths.unbind(1)  # (B, 1, 1, 1, 1)
        applied: dict[str, Tensor | None] = dict.fromkeys(POLICIES)
        if probability is not None:
            lots = draws.fork("augment lots").uniform(len(POLICIES)).to(x.device)
            applied = {name: lots[:, n] < probability for n, name in enumerate(POLICIES)}  # (B,) bool
        if "brightness" in self.policy:
            clip = _where(applied["brightness"], clip + (brightness - 0.5), clip)
        if "saturation" in self.policy:
            grey = clip.mean(dim=2, keepdim=True)  # (B, T, 1, H, W)
            clip = _where(applied["saturation"], grey + (clip - grey) * (2 * saturation), clip)
        if "contrast" in self.policy:
            clip = _where(applied["contrast"], clip * (contrast + 0.5), clip)
        if "translation" in self.policy:
            clip = _where(applied["translation"], _shifted(_shifted(clip, unit[:, 3], dim=3), unit[:, 4], dim=4), clip)
        if "cutout" in self.policy:
            rows = _inside(unit[:, 5], clip.shape[3])[:, None, None, :, None]  # (B, 1, 1, H, 1)
            columns = _inside(unit[:, 6], clip.shape[4])[:, None, None, None, :]  # (B, 1, 1, 1, W)
            clip = _where(applied["cutout"], clip.masked_fill(rows & columns, 0.0), clip)
        return clip if x.dim() == 5 else clip[:, 0]


def _where(applied: Tensor | None, transformed: Tensor, clip: Tensor) -> Tensor:
    """The transformed clips where `applied` (B,), the clips as they were elsewhere; None: transformed everywhere."""
    return transformed if applied is None else torch.where(applied[:, None, None, None, None], transformed, clip)


def _shifted(clip: Tensor, unit: Tensor, *, dim: int) -> Tensor:
    """Shift each clip along `dim` by an integer number of pixels, uniform in +-_SHIFT of the side; fill with zeros."""
    side = clip.shape[dim]
    reach = int(side * _SHIFT + 0.5)
    shift = (unit * (2 * reach + 1)).floor().long().clamp(max=2 * reach) - reach  # (B,)
    source = torch.arange(side, device=clip.device) - shift[:, None]  # (B, side)
    shape = [len(shift), 1, 1, 1, 1]
    shape[dim] = side
    inside = ((source >= 0) & (source < side)).reshape(shape)
    # A gather, because grid_sample has no second derivative, which R1 needs.
    moved = torch.take_along_dim(clip, source.clamp(0, side - 1).reshape(shape), dim=dim)
    return moved.masked_fill(~inside, 0.0)


def _inside(unit: Tensor, side: int) -> Tensor:
    """(B, side) bool: positions inside a box of _HOLE times the side whose centre is anywhere on the side."""
    centre = (unit * side).floor()[:, None]
    position = torch.arange(side, device=unit.device)
    half = side * _HOLE / 2
    return (position >= centre - half) & (position < centre + half)
