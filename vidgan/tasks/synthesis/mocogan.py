"""MoCoGAN's generator (Tulyakov, Liu, Yang, Kautz, CVPR 2018): a content code that stays, a motion code that moves.

A clip is drawn from z_C ~ N(0, I), one per clip; a category z_A, one per clip; and a path z_M(1..T) in motion space
that the motion network R_M makes from fresh noise at each step. The frame generator G_I renders frame t from
(z_C, z_M(t)). A caption, if the model reads one, becomes a code that both networks read (ours).
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from einops import rearrange, repeat
from torch import Tensor, nn

from vidgan.nn.blocks import require_categories
from vidgan.nn.pyramid import channel_plan, pyramid
from vidgan.nn.recompute import recompute
from vidgan.nn.text import TextCode, drawn_code
from vidgan.sections import OwnPart
from vidgan.seeding import Draws
from vidgan.tasks.own_parts import build_own, require_output
from vidgan.tasks.synthesis.config import FRAME_GENERATORS, MOTION_NETWORKS, MoCoGANConfig
from vidgan.tasks.synthesis.content_encoder import ContentEncoder
from vidgan.tasks.synthesis.first_frame_warp import FLOW_CHANNELS, warp_first_frame
from vidgan.tasks.synthesis.info_codes import InfoCodes
from vidgan.tasks.synthesis.layers import MASK_CHANNELS, BackgroundLayer, Layers, split_drawn
from vidgan.tasks.synthesis.modulated import Truncation
from vidgan.tasks.synthesis.sampling import ClipSampler
from vidgan.tasks.text.encoders import build_text_encoder, tokeniser_of
from vidgan.tasks.text.training import Captioned
from vidgan.types import Clip, Latents

__all__ = ["Mixing", "MoCoGAN", "Styled", "build_mocogan"]

_BLOCK = 16  # time steps drawn at once
_FAR = 8  # frames after which a motion code of length one has moved the first frame by as much as a code says
RGB = 3


class Mixing(NamedTuple):
    """A second content for the finer levels of each clip (style mixing, Karras et al. 2019)."""

    content: Tensor  # (B, dim_content)
    fine_from: Tensor  # (B,) int64, first level that takes it; the number of levels for none


class Styled(NamedTuple):
    """Clips and the style codes that they were drawn from."""

    clips: Clip
    styles: Tensor  # (B, D)


class MoCoGAN(nn.Module, ClipSampler):
    """The whole generator, composed of a motion network and a frame generator. Any clip length can be rendered.

    Args:
        motion: R_M, see `vidgan.tasks.synthesis.motion` for the protocol.
        frame: G_I, see `vidgan.tasks.synthesis.dcgan` for the protocol. With `warp_first_frame` it draws 2 more
            channels and takes the encoder's maps as further arguments.
        encoder: image-to-video: reads the content code from a given first frame; None without.
        background: draws the background of a layered clip, see `vidgan.tasks.synthesis.layers`; the frame generator
            then draws 1 more channel, the mask. None for whole frames.
        text: turns captions into codes, which enter the motion network and the frame generator; None without.
        vocabulary: the words that `text` knows.
        image_size: (H, W) of a frame.
        channels: of a frame.
        dim_content: length of z_C, with the information codes behind it.
        dim_motion: length of z_M(t).
        codes: information codes, see `vidgan.tasks.synthesis.info_codes`; None for none.
        num_categories: 0 for a model without categories.
        category_input: "motion" (the one-hot category enters the motion network: the paper's best variant) or "frame"
            (it enters the frame generator: the released code).
        warp_first_frame: move the pixels of the first frame, see `vidgan.tasks.synthesis.first_frame_warp`.
        reads_skips: the frame generator reads the encoder's maps of the first frame beside its code.
        checkpoint_activations: the frame generator runs again in the backward pass instead of keeping its activations
            while the discriminators work: less memory for more time, the same gradients.

    Raises:
        ValueError: an argument is outside what is listed above.
    """

    def __init__(
        self,
        motion: nn.Module,
        frame: nn.Module,
        encoder: nn.Module | None = None,
        background: nn.Module | None = None,
        text: TextCode | None = None,
        *,
        vocabulary: Sequence[str] = (),
        image_size: tuple[int, int],
        channels: int = RGB,
        dim_content: int,
        dim_motion: int,
        codes: InfoCodes | None = None,
        num_categories: int = 0,
        category_input: str = "motion",
        warp_first_frame: bool = False,
        reads_skips: bool = False,
        checkpoint_activations: bool = False,
    ) -> None:
        super().__init__()
        require_categories(num_categories)
        if warp_first_frame and encoder is None:
            raise ValueError("warp_first_frame needs an encoder")
        if warp_first_frame and background is not None:
            raise ValueError("warp_first_frame cannot be combined with a background layer")
        self.image_size = (image_size[0], image_size[1])
        self.channels = channels
        self.dim_content = dim_content
        self.dim_motion = dim_motion
        self.codes = codes or InfoCodes({}, dim_content=dim_content, dim_motion=dim_motion)
        self.num_categories = num_categories
        self.category_input = category_input
        self.warps_first_frame = warp_first_frame
        self.reads_skips = reads_skips
        self.checkpoint_activations = checkpoint_activations
        self.warm_up = int(getattr(motion, "warm_up", 0))
        self.motion = motion
        self.frame = frame
        self.encoder = encoder
        self.background = background
        self.text = text
        self.tokeniser = tokeniser_of(None if text is None else text.encoder, vocabulary)

    def draw_latents(self, draws: Draws, frames: int, category: Tensor | None = None) -> Latents:
        """Latents of clips of `frames` frames, one for each row of `draws`, on the device of `draws`.

        A longer clip from equal draws starts as the shorter one, and a given category changes no other number. The text
        is noise until `with_text`.

        Args:
            draws: fresh streams.
            frames: T >= 1.
            category: (B,) int64; None draws it uniformly.

        Raises:
            ValueError: `frames` or `category` does not fit.
        """
        if frames < 1:
            raise ValueError(f"frames must be at least 1, got {frames}")
        content = draws.normal(self.dim_content - self.codes.content_width)
        noise = [draws.fork("noise").normal(self.noise_places)] if self.noise_places else []
        content_codes, motion_codes = self.codes.draw(draws)
        drawn = draws.integers(max(1, self.num_categories))
        category = drawn if category is None else self._checked(category, len(draws)).to(drawn.device)
        initial = draws.normal(1, self.dim_motion)
        # In blocks of fixed size: the start of a draw of another size would hold other numbers.
        steps = self.warm_up + frames
        blocks = [draws.normal(_BLOCK, self.dim_motion) for _ in range(0, steps, _BLOCK)]
        motion = torch.cat([initial, *blocks], dim=1)[:, : steps + 1]  # (B, warm_up + T + 1, dim_motion)
        text = content.new_zeros(len(draws), 0) if self.text is None else draws.fork("text").normal(self.text.dim)
        return Latents(
            content=torch.cat([content, content_codes, *noise], dim=1),
            motion=torch.cat([motion, repeat(motion_codes, "b d -> b t d", t=steps + 1)], dim=2),
            category=category,
            text=text,
        )

    def with_text(self, latents: Latents, caption: Tensor) -> tuple[Latents, Tensor, Tensor]:
        """Replace the noise in `latents.text` by codes of captions that it is the deviation of.

        Args:
            latents: of B clips, from `draw_latents`.
            caption: (B, L) word numbers.

        Returns:
            The latents, and mean and log-variance of the codes, (B, dim_text) each.

        Raises:
            ValueError: the model reads no captions.
        """
        if self.text is None:
            raise ValueError("a caption was given, but this model reads none (model.text)")
        mean, logvar = self.text(caption)
        return latents._replace(text=drawn_code(mean, logvar, latents.text)), mean, logvar

    @property
    def noise_places(self) -> int:
        """Numbers of noise behind the content code, drawn once per clip; 0 for a frame generator without noise."""
        return int(getattr(self.frame, "noise_places", 0))

    def _checked(self, category: Tensor, rows: int) -> Tensor:
        if self.num_categories == 0:
            raise ValueError("category: this model has no categories (num_categories=0)")
        if category.shape != (rows,):
            raise ValueError(f"category must have shape ({rows},), got {tuple(category.shape)}")
        if bool(((category < 0) | (category >= self.num_categories)).any()):
            raise ValueError(f"category must lie in 0..{self.num_categories - 1}, got {category.tolist()}")
        return category

    def forward(
        self,
        latents: Latents,
        *,
        first_frame: Tensor | None = None,
        times: Tensor | None = None,
        as_layers: bool = False,
        caption: Tensor | None = None,
        mixing: Mixing | None = None,
        with_styles: bool = False,
        truncation: Truncation | None = None,
        native_size: bool = False,
    ) -> Clip | Layers | Captioned | Styled:
        """Render clips.

        Args:
            latents: of B clips of T frames, see `draw_latents`.
            first_frame: (B, C, H, W) in [-1, 1]; its code replaces `latents.content`; with `warp_first_frame` it is
                frame 0.
            times: (B, S) int64 in 0..T-1; only these frames of each clip are rendered, in this order.
            as_layers: return the layers before they are composed.
            caption: (B, L) word numbers, from which the text codes are drawn, with `latents.text` as their noise; None:
                `latents.text` holds the codes.
            mixing: a second content for the finer levels; needs a frame generator with `mixes_content`.
            with_styles: return the style codes of the clips too; needs a frame generator with styles, and no caption.
            truncation: pulls style codes toward their mean; needs a frame generator with styles.
            native_size: H and W are those of the finest level that works; only for a frame generator that grows. False:
                always `image_size`.

        Returns:
            (B, T, C, H, W), or (B, S, C, H, W) with `times`; float32 in [-1, 1]. `as_layers`: `Layers` of this size.
            `caption`: either of these in a `Captioned`. `with_styles`: clips in a `Styled`.

        Raises:
            ValueError: a first frame for a model without an encoder, or none for one that warps it; layers of a model
                that draws whole frames; styles of a frame generator without them.
        """
        if caption is not None:
            latents, mean, logvar = self.with_text(latents, caption)
        content, motion, category, text = latents
        path = self.path(motion, category, text)
        if times is not None:
            path = path.gather(1, times[:, :, None].expand(-1, -1, self.dim_motion))  # (B, S, dim_motion)
        mixed: dict[str, Any] = {}
        if mixing is not None:
            mixed = {"fine_content": mixing.content, "fine_from": mixing.fine_from}
        styles = self._styles(content, category, text) if with_styles else None
        made = self.draw(
            content,
            path,
            category,
            first_frame=first_frame,
            as_layers=as_layers,
            text=text,
            styles=styles,
            truncation=truncation,
            native_size=native_size,
            **mixed,
        )
        if styles is not None:
            assert isinstance(made, Tensor), "styles belong to whole frames"
            return Styled(made, styles)
        return made if caption is None else Captioned(made, mean, logvar)

    def _styles(self, content: Tensor, category: Tensor, text: Tensor | None) -> Tensor:
        """Style codes (B, D) of contents (B, dim_content [+ noise_places]).

        Raises:
            ValueError: the frame generator has none.
        """
        frame: Any = self.frame
        if not hasattr(frame, "styles"):
            raise ValueError("this model's frame generator has no styles (frame.kind)")
        condition = self._condition("frame", content, category, text).to(content.dtype)
        styles: Tensor = frame.styles(torch.cat([content[:, : self.dim_content], condition], dim=1))
        return styles

    def path(self, motion: Tensor, category: Tensor, text: Tensor | None = None) -> Tensor:
        """The motion codes of the frames, (B, T, dim_motion).

        Args:
            motion: (B, warm_up + T + 1, dim_motion), see `Latents`; information codes of the motion stand behind it.
            category: (B,) int64.
            text: (B, dim_text) codes, for a model that reads captions.
        """
        codes = motion[:, 0, self.dim_motion :]
        condition = torch.cat([self._condition("motion", motion, category, text).to(codes.dtype), codes], dim=1)
        path = self.motion(motion[:, :, : self.dim_motion], condition)[:, self.warm_up :]
        if self.warps_first_frame:  # codes are then velocities, so that what moves keeps moving
            path = (path.cumsum(dim=1) - path[:, :1]) / _FAR
        return path

    def draw(
        self,
        content: Tensor,
        path: Tensor,
        category: Tensor,
        *,
        first_frame: Tensor | None = None,
        fine_content: Tensor | None = None,
        fine_from: int | Tensor = 0,
        as_layers: bool = False,
        text: Tensor | None = None,
        styles: Tensor | None = None,
        truncation: Truncation | None = None,
        native_size: bool = False,
    ) -> Clip | Layers:
        """Render frames from motion codes, each on its own.

        Args:
            content: (B, dim_content + noise_places).
            path: (B, S, dim_motion).
            category: (B,) int64.
            first_frame: as in `forward`.
            fine_content: (B, dim_content), the content of the levels from `fine_from` on; needs a frame generator with
                `mixes_content`.
            fine_from: level of the frame generator, 0 for the coarsest; or one for each clip, (B,) int64.
            as_layers, truncation, native_size: as in `forward`.
            text: (B, dim_text) codes, for a model that reads captions.
            styles: (B, D), instead of those of `content`.

        Returns:
            (B, S, C, H, W), float32 in [-1, 1]; `as_layers`: `Layers` of this size.

        Raises:
            ValueError: as `forward`, or the frame generator cannot mix contents.
        """
        by_clip: dict[str, Tensor] = {} if styles is None else {"styles": styles}
        if self.noise_places:
            by_clip["noise"] = content[:, self.dim_content :]
        fixed: dict[str, Any] = {} if truncation is None else {"truncation": truncation}
        if native_size:
            fixed["native_size"] = True
        if truncation is not None and not hasattr(self.frame, "styles"):
            raise ValueError("truncation needs a frame generator with styles (frame.kind=modulated)")
        content = content[:, : self.dim_content]
        skips: list[Tensor] = []
        if first_frame is not None:
            codes = content[:, self.dim_content - self.codes.content_width :]
            content, skips = self._encode(first_frame)
            content = torch.cat([content, codes], dim=1)
        condition = self._condition("frame", content, category, text)
        content = torch.cat([content, condition.to(content.dtype)], dim=1)  # (B, dim_content [+ N])
        if fine_content is not None:
            if not getattr(self.frame, "mixes_content", False):
                raise ValueError("this model's frame generator has no levels whose content can be mixed (frame.kind)")
            by_clip["fine_content"] = torch.cat([fine_content[:, : self.dim_content], condition.to(content)], dim=1)
            if isinstance(fine_from, Tensor):
                by_clip["fine_from"] = fine_from
            else:
                fixed["fine_from"] = fine_from
        read = skips if self.reads_skips else []
        if self.background is not None:
            drawn = self._draw(content, path, *read, by_clip=by_clip, fixed=fixed)
            layers = split_drawn(drawn, self.background(content, path))
            return layers if as_layers else layers.clip()
        if as_layers:
            raise ValueError("this model draws whole frames (model.layers=null); it has no layers")
        if not self.warps_first_frame:
            return self._draw(content, path, *read, by_clip=by_clip, fixed=fixed)
        if first_frame is None:
            raise ValueError("this model warps a first frame (warp_first_frame): give first_frame")
        return warp_first_frame(first_frame, self._draw(content, path, *skips), path.norm(dim=2))

    def _condition(self, part: str, like: Tensor, category: Tensor, text: Tensor | None) -> Tensor:
        """The one-hot category where it enters `part`, and the text code: (B, N + dim_text), (B, N), ... or (B, 0)."""
        has_category = self.num_categories and part == self.category_input
        condition = F.one_hot(category, self.num_categories) if has_category else like.new_zeros(like.shape[0], 0)
        if self.text is None:
            return condition
        if text is None or text.shape[1:] != (self.text.dim,):
            raise ValueError("this model reads captions (model.text): give the text codes")
        return torch.cat([condition.to(text.dtype), text], dim=1)

    def _draw(
        self,
        content: Tensor,
        path: Tensor,
        *skips: Tensor,
        by_clip: Mapping[str, Tensor] = MappingProxyType({}),
        fixed: Mapping[str, Any] = MappingProxyType({}),
    ) -> Tensor:
        """G_I's output, (B, S, C, H, W).

        Args:
            content: (B, dim_content [+ N]).
            path: (B, S, dim_motion).
            skips: of the first frames.
            by_clip: keyword arguments of the frame generator with a row per clip.
            fixed: its other keyword arguments.
        """
        num_frames = path.shape[1]
        codes = (
            repeat(content, "b d -> (b s) d", s=num_frames),
            rearrange(path, "b s d -> (b s) d"),
            *skips,
        )
        rows = {name: values.repeat_interleave(num_frames, dim=0) for name, values in by_clip.items()}
        if self.checkpoint_activations:
            frames = recompute(self.frame, *codes, **rows, **fixed)
        else:
            frames = self.frame(*codes, **rows, **fixed)
        return rearrange(frames, "(b s) c h w -> b s c h w", s=num_frames)

    def compilable_parts(self) -> list[nn.Module]:
        """The parts that are functions of tensors alone, which torch.compile can take whole."""
        return [part for part in (self.frame, self.encoder, self.background) if part is not None]

    def _encode(self, first_frame: Tensor) -> tuple[Tensor, list[Tensor]]:
        if self.encoder is None:
            raise ValueError("first_frame was given, but this model has no encoder (model.encoder)")
        return self.encoder(first_frame)

    @classmethod
    def from_architecture(cls, architecture: dict[str, Any]) -> "MoCoGAN":
        """The network that `architecture`, as saved with its weights, describes.

        Raises:
            ValidationError, ConfigError, ValueError: the description is damaged or of another version.
        """
        height, width = architecture["image_size"]
        return build_mocogan(
            MoCoGANConfig.model_validate(architecture["model"]),
            image_size=(height, width),
            num_categories=architecture["num_categories"],
            vocabulary=architecture.get("vocabulary", ()),
        )


def build_mocogan(
    config: MoCoGANConfig, *, image_size: tuple[int, int], num_categories: int, vocabulary: Sequence[str] = ()
) -> MoCoGAN:
    """MoCoGAN from its config, with weights from torch's global generator: motion, frame, encoder, background, text.

    Args:
        config: the section `model`.
        image_size: (H, W) of the data's frames.
        num_categories: of the data; 0 for a model without categories.
        vocabulary: words of the data's captions; () for a model without text.

    Raises:
        ValueError, ConfigError: the config does not fit the frame size, or an own part breaks its protocol.
    """
    dim_text = 0 if config.text is None else config.text.dim
    enters = {"motion": dim_text, "frame": dim_text}
    enters[config.category_input] += num_categories
    codes = config.info_codes()
    motion = _build_motion(config, enters["motion"] + codes.motion_width)
    skip_channels: list[int] = []
    dim_content = config.dim_content + codes.content_width
    if (config.warp_first_frame or config.skips == "all") and config.encoder is not None:
        levels, _ = pyramid(image_size)
        skip_channels = [*channel_plan(config.encoder.width, levels, config.encoder.max_width)[::-1], RGB]
    frame = _build_frame(config, image_size, dim_content + enters["frame"], skip_channels)
    encoder = None
    if config.encoder is not None:
        encoder = ContentEncoder(
            image_size=image_size, channels=RGB, dim_content=config.dim_content, **config.encoder.model_dump()
        )
    background = None
    if config.layers is not None:
        background = BackgroundLayer(
            image_size=image_size,
            channels=RGB,
            dim_content=dim_content + enters["frame"],
            dim_motion=config.dim_motion,
            **config.layers.model_dump(),
        )
    text = None
    if config.text is not None:
        text = TextCode(build_text_encoder(config.text, vocabulary), dim_text)
    model = MoCoGAN(
        motion,
        frame,
        encoder,
        background,
        text,
        vocabulary=vocabulary,
        image_size=image_size,
        dim_content=dim_content,
        dim_motion=config.dim_motion,
        codes=codes,
        num_categories=num_categories,
        category_input=config.category_input,
        warp_first_frame=config.warp_first_frame,
        reads_skips=config.skips == "all",
        checkpoint_activations=config.checkpoint_activations,
    )
    model.architecture = {
        "model": config.model_dump(mode="json"),
        "image_size": list(image_size),
        "num_categories": num_categories,
    }
    if vocabulary:
        model.architecture["vocabulary"] = list(vocabulary)
    return model


def _build_motion(config: MoCoGANConfig, num_conditions: int) -> nn.Module:
    given = {"dim_motion": config.dim_motion, "num_conditions": num_conditions}
    if not isinstance(config.motion, OwnPart):
        return MOTION_NETWORKS[type(config.motion)](**given, **config.motion.model_dump(exclude={"kind"}))
    motion = build_own(config.motion, "model.motion", given)
    require_output(
        "model.motion",
        motion,
        lambda network: {"path": network(torch.zeros(2, 6, config.dim_motion), torch.zeros(2, num_conditions))},
        f"noise (2, 6, {config.dim_motion}) and condition (2, {num_conditions})",
        {"path": (2, 5, config.dim_motion)},
    )
    return motion


def _build_frame(
    config: MoCoGANConfig, image_size: tuple[int, int], dim_content: int, skip_channels: list[int]
) -> nn.Module:
    channels = RGB + (FLOW_CHANNELS if config.warp_first_frame else MASK_CHANNELS if config.layers is not None else 0)
    given: dict[str, Any] = {
        "image_size": image_size,
        "channels": channels,
        "dim_content": dim_content,
        "dim_motion": config.dim_motion,
    }
    if not isinstance(config.frame, OwnPart):
        skips = {"skip_channels": skip_channels} if skip_channels else {}
        return FRAME_GENERATORS[type(config.frame)](**given, **config.frame.model_dump(exclude={"kind"}), **skips)
    frame = build_own(config.frame, "model.frame", given)
    require_output(
        "model.frame",
        frame,
        lambda network: {"frames": network(torch.zeros(2, dim_content), torch.zeros(2, config.dim_motion))},
        f"content (2, {dim_content}) and motion (2, {config.dim_motion})",
        {"frames": (2, channels, *image_size)},
    )
    return frame
