"""What a paired model reads: conditions that are computed from any clip, or stored beside it.

A computed condition turns every folder of clips into pairs. It has two sides: `of_clip` makes the condition of a clean
clip, for training and scoring; `of_input` makes it of a user's own video, which may already be what the model repairs
(dark, noisy, small, with holes, or of a low frame rate).

Clips are (B, T, 3, H, W) float32 in [-1, 1], conditions (B, T, K, H, W). Every condition is causal except `dropped`,
whose frames know the next kept frame, and `stored`, which is as it is.
"""

from abc import abstractmethod
from typing import Annotated, Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from einops import rearrange, repeat
from pydantic import Discriminator
from torch import Tensor

from vidgan.nn.lucas_kanade import LucasKanadeEstimator
from vidgan.sections import Section, option
from vidgan.seeding import Draws
from vidgan.types import ByteClip, Clip

__all__ = ["Condition", "ConditionPart", "is_grey", "luma", "observed_flow", "quick_flow"]

RGB = 3
# Flow of every training batch and of every frame put out: a third of the time of the forecaster's settings.
QUICK: dict[str, Any] = {"levels": 3, "steps": 4, "fine_steps": 2, "symmetric": False}
GREY_LEVELS = 4  # largest difference of the colours of a grey pixel
LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601


def luma(clip: Tensor) -> Tensor:
    """Brightness by ITU-R BT.601: (..., 3, H, W) -> (..., 1, H, W)."""
    weights = clip.new_tensor(LUMA).view(3, 1, 1)
    return (clip * weights).sum(dim=-3, keepdim=True)


def is_grey(clip: ByteClip) -> bool:
    """Whether no pixel of clips (..., 3, H, W) uint8 has a colour, up to the rounding of a video codec."""
    return int((clip.amax(dim=-3) - clip.amin(dim=-3)).max()) <= GREY_LEVELS


def quick_flow(clip: Tensor) -> Tensor:
    """Backward flow between neighbouring frames by Lucas-Kanade: (B, T, C, H, W) -> (B, T-1, 2, H, W), pixels."""
    estimator = LucasKanadeEstimator(**QUICK)
    now, before = (rearrange(part, "b t c h w -> (b t) c h w") for part in (clip[:, 1:], clip[:, :-1]))
    return rearrange(estimator(now, before), "(b t) c h w -> b t c h w", b=len(clip))


@torch.no_grad()
def observed_flow(clip: Tensor) -> Tensor:
    """`quick_flow` without gradient."""
    return quick_flow(clip)


class Condition(Section):
    """What all kinds share.

    Attributes:
        degrades: whether the condition is a damaged clip, so that a user's video is taken as damaged already.
        is_frame: whether its first three channels, or its only one, are a frame that the output can be a correction of.
        history: frames of the clip before a frame that its condition depends on.
    """

    kind: str = option(description="Name of the kind.")

    degrades: ClassVar[bool] = False
    is_frame: ClassVar[bool] = False
    history: ClassVar[int] = 0

    @property
    def channels(self) -> int:
        """K."""
        return RGB

    @property
    def rate(self) -> int:
        """Frames put out per frame of a user's video."""
        return 1

    @property
    def is_stored(self) -> bool:
        """Whether it is read beside the clip instead of computed."""
        return False

    @property
    def reads_colour(self) -> bool:
        """Whether a grey video lacks what the condition shows."""
        return self.channels >= RGB

    @abstractmethod
    def of_clip(self, clip: Clip, draws: Draws) -> Tensor:
        """The condition of clean clips.

        Args:
            clip: (B, T, 3, H, W); (B, T, 6, H, W) with the stored partner behind, for `stored`.
            draws: random numbers, one stream per clip.
        """

    def of_input(self, clip: Clip, mask: Tensor | None = None) -> Tensor:
        """The condition of a user's clips (B, T, 3, H, W); `mask` (B, T, 1, H, W) is 1 in the holes of `holes`."""
        return clip if self.degrades else self.of_clip(clip, Draws("input", rows=range(len(clip))))

    def frames(self, condition: Tensor) -> Clip:
        """The condition as frames (B, T, 3, H, W), to look at and to start from."""
        return (
            condition[:, :, :RGB]
            if condition.shape[2] >= RGB
            else repeat(condition[:, :, :1], "b t 1 h w -> b t 3 h w")
        )


class EdgesCondition(Condition):
    """Outlines."""

    kind: Literal["edges"] = option("edges", "Strength of the brightness gradient (Sobel).")
    gain: float = option(2.0, "Factor on the strength; a step from black to white has strength 1.", gt=0)

    @property
    def channels(self) -> int:
        """One."""
        return 1

    def of_clip(self, clip: Clip, draws: Draws) -> Tensor:
        """-1 where the frame is flat, up to 1."""
        grey = rearrange(luma(clip), "b t c h w -> (b t) c h w")
        kernel = clip.new_tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]]) / 8
        padded = F.pad(grey, (1, 1, 1, 1), mode="replicate")
        slopes = F.conv2d(padded, torch.stack([kernel, kernel.T])[:, None])  # (N, 2, H, W)
        strength = (slopes.square().sum(dim=1, keepdim=True).sqrt() * self.gain).clamp(max=1)
        return rearrange(2 * strength - 1, "(b t) c h w -> b t c h w", b=len(clip))


class MaskCondition(Condition):
    """What stands out from the background."""

    kind: Literal["mask"] = option("mask", "Pixels that differ from the median colour of the frame's border.")
    threshold: float = option(0.2, "Least difference of a colour, in [-1, 1] pixels.", gt=0)

    @property
    def channels(self) -> int:
        """One."""
        return 1

    def of_clip(self, clip: Clip, draws: Draws) -> Tensor:
        """1 in the foreground, -1 elsewhere."""
        sides = (clip[..., 0, :], clip[..., -1, :], clip[..., :, 0], clip[..., :, -1])
        border = torch.cat(sides, dim=-1).median(dim=-1).values[..., None, None]  # (B, T, 3, 1, 1)
        differs = (clip - border).abs().amax(dim=2, keepdim=True) > self.threshold
        return 2 * differs.float() - 1


class FlowCondition(Condition):
    """How the clip moves, without what it shows."""

    kind: Literal["flow"] = option("flow", "Estimated backward flow from each frame to the one before; frame 0: zero.")
    unit: float = option(8.0, "Flow is divided by this.", unit="pixels", gt=0)

    history: ClassVar[int] = 1

    @property
    def channels(self) -> int:
        """dx and dy."""
        return 2

    def of_clip(self, clip: Clip, draws: Draws) -> Tensor:
        """Flow in units."""
        first = clip.new_zeros(len(clip), 1, 2, *clip.shape[-2:])
        return torch.cat([first, observed_flow(clip) / self.unit], dim=1) if clip.shape[1] > 1 else first


class GreyCondition(Condition):
    """Brightness, to be coloured."""

    kind: Literal["grey"] = option("grey", "Brightness (ITU-R BT.601): the model colours.")

    is_frame: ClassVar[bool] = True

    @property
    def channels(self) -> int:
        """One."""
        return 1

    def of_clip(self, clip: Clip, draws: Draws) -> Tensor:
        """Brightness."""
        return luma(clip)


class DarkCondition(Condition):
    """Too little light: a clip that is darkened, with shot noise, or only noisy."""

    kind: Literal["dark"] = option("dark", "Darkened by gain and gamma, with noise; gain 1 and gamma 1 only add noise.")
    gain: float = option(0.25, "Factor on the brightness.", gt=0, le=1)
    gamma: float = option(1.5, "Exponent on the brightness before the gain.", gt=0)
    noise: float = option(0.02, "Standard deviation of the noise of every frame, in [0, 1] pixels.", ge=0, le=1)

    degrades: ClassVar[bool] = True
    is_frame: ClassVar[bool] = True

    def of_clip(self, clip: Clip, draws: Draws) -> Tensor:
        """The darkened clip, clamped."""
        light = ((clip + 1) / 2).clamp(0, 1).pow(self.gamma) * self.gain
        light = light + self.noise * draws.fork("noise").normal(*clip.shape[1:]).to(clip.device)
        return 2 * light.clamp(0, 1) - 1


class SmallCondition(Condition):
    """Too few pixels."""

    kind: Literal["small"] = option("small", "Reduced by averaging, then enlarged again bilinearly.")
    factor: int = option(2, "Of the reduction.", ge=2, le=16)

    degrades: ClassVar[bool] = True
    is_frame: ClassVar[bool] = True

    def of_clip(self, clip: Clip, draws: Draws) -> Tensor:
        """The clip without its detail, at full size."""
        frames = rearrange(clip, "b t c h w -> (b t) c h w")
        small = F.avg_pool2d(frames, self.factor)
        whole = F.interpolate(small, size=frames.shape[-2:], mode="bilinear", align_corners=False)
        return rearrange(whole, "(b t) c h w -> b t c h w", b=len(clip))


class HolesCondition(Condition):
    """Missing rectangles."""

    kind: Literal["holes"] = option("holes", "Rectangles are cut out, at the same place in all frames of a clip.")
    number: int = option(2, "Of rectangles.", ge=1, le=64)
    size: float = option(0.3, "Largest side, as a share of the frame's.", gt=0, le=1)

    degrades: ClassVar[bool] = True
    is_frame: ClassVar[bool] = True

    @property
    def channels(self) -> int:
        """The frame and the holes."""
        return RGB + 1

    def of_clip(self, clip: Clip, draws: Draws) -> Tensor:
        """The clip with random holes."""
        height, width = clip.shape[-2:]
        chosen = draws.fork("holes").uniform(self.number, 4)[..., None, None].to(clip.device)  # (B, n, 4, 1, 1)
        h, w = ((0.3 + 0.7 * chosen[:, :, side]) * self.size * length for side, length in enumerate((height, width)))
        top, left = chosen[:, :, 2] * (height - h), chosen[:, :, 3] * (width - w)
        y = torch.arange(height, device=clip.device)[:, None] + 0.5
        x = torch.arange(width, device=clip.device) + 0.5
        inside = (y > top) & (y < top + h) & (x > left) & (x < left + w)  # (B, n, H, W)
        return self.of_input(clip, repeat(inside.any(dim=1).float(), "b h w -> b t 1 h w", t=clip.shape[1]))

    def of_input(self, clip: Clip, mask: Tensor | None = None) -> Tensor:
        """The clip, zero in the holes, and the holes (1, elsewhere -1); without a mask there are none."""
        holes = torch.zeros_like(clip[:, :, :1]) if mask is None else mask
        return torch.cat([clip * (1 - holes), 2 * holes - 1], dim=2)


class DroppedCondition(Condition):
    """Missing frames."""

    kind: Literal["dropped"] = option("dropped", "One of `factor` frames is kept; the model interpolates the others.")
    factor: int = option(2, "Frames put out per kept frame.", unit="frames", ge=2, le=8)

    degrades: ClassVar[bool] = True
    is_frame: ClassVar[bool] = True
    history: ClassVar[int] = 1

    @property
    def channels(self) -> int:
        """Mean of both kept frames, the kept frames before and after, and the place between them."""
        return 3 * RGB + 1

    @property
    def rate(self) -> int:
        """Frames put out per frame of a user's video."""
        return self.factor

    def of_clip(self, clip: Clip, draws: Draws) -> Tensor:
        """Keep frames 0, factor, 2 factor, ...; T must be one more than a multiple of the factor.

        Raises:
            ValueError: another length.
        """
        if (clip.shape[1] - 1) % self.factor:
            raise ValueError(
                f"kind=dropped with factor={self.factor} needs clips of a multiple of {self.factor} and one frames,"
                f" got {clip.shape[1]}"
            )
        return self.of_input(clip[:, :: self.factor])

    def of_input(self, clip: Clip, mask: Tensor | None = None) -> Tensor:
        """(B, N, 3, H, W) kept frames -> (B, (N - 1) * factor + 1, K, H, W)."""
        last = clip.shape[1] - 1
        times = torch.arange(last * self.factor + 1, device=clip.device)
        before = torch.div(times, self.factor, rounding_mode="floor").clamp(max=max(last - 1, 0))
        after = (before + 1).clamp(max=last)
        share = ((times - before * self.factor) / self.factor).view(1, -1, 1, 1, 1)
        share = share.expand(len(clip), -1, 1, *clip.shape[-2:]).to(clip.dtype)
        earlier, later = clip[:, before], clip[:, after]
        mean = (1 - share) * earlier + share * later
        return torch.cat([mean, earlier, later, 2 * share - 1], dim=2)


class StoredCondition(Condition):
    """Pairs that exist: label maps, masks, or any other clips of equal names, prepared with --conditions."""

    kind: Literal["stored"] = option("stored", "The clips that `vidgan prepare --conditions` stored beside the data.")
    classes: int | None = option(
        None, "Number of classes of label maps, whose pixels are 0, 1, 2, ...; null: read as frames.", ge=2, le=256
    )

    @property
    def channels(self) -> int:
        """One per class, or RGB."""
        return RGB if self.classes is None else self.classes

    @property
    def is_stored(self) -> bool:
        """True."""
        return True

    @property
    def reads_colour(self) -> bool:
        """Label maps and masks may be grey."""
        return False

    def of_clip(self, clip: Clip, draws: Draws) -> Tensor:
        """The partner, or its classes as planes of 1 and -1; a label beyond the last class belongs to none."""
        return self.of_input(clip[:, :, RGB:])

    def of_input(self, clip: Clip, mask: Tensor | None = None) -> Tensor:
        """The condition of a user's own label maps or clips."""
        if self.classes is None:
            return clip
        labels = ((clip[:, :, :1] + 1) * 127.5).round()  # (B, T, 1, H, W)
        planes = torch.arange(self.classes, device=clip.device).view(1, 1, -1, 1, 1)
        return 2 * (labels == planes).to(clip.dtype) - 1

    def frames(self, condition: Tensor) -> Clip:
        """The partner; classes as shades of grey."""
        if self.classes is None:
            return condition
        shade = condition.argmax(dim=2, keepdim=True) * (2 / (self.classes - 1)) - 1
        return repeat(shade, "b t 1 h w -> b t 3 h w")


ConditionPart = Annotated[
    EdgesCondition
    | MaskCondition
    | FlowCondition
    | GreyCondition
    | DarkCondition
    | SmallCondition
    | HolesCondition
    | DroppedCondition
    | StoredCondition,
    Discriminator("kind"),
]
