"""The model: enlarges clips of any size and length."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

import torch
from einops import rearrange
from torch import Tensor, nn

from vidgan.errors import ConfigError
from vidgan.hub import Pretrained
from vidgan.metrics.frame import psnr
from vidgan.metrics.temporal import ClipMetric
from vidgan.metrics.values import Values
from vidgan.nn.lucas_kanade import LucasKanadeEstimator
from vidgan.nn.text import TextCode, drawn_code
from vidgan.nn.warp import resize_flow, warp
from vidgan.pixels import to_byte, to_float
from vidgan.sections import OwnPart
from vidgan.tasks.base import ClipFunction, ClipPair
from vidgan.tasks.inference import device_of, evaluating
from vidgan.tasks.own_parts import build_own, require_output
from vidgan.tasks.streaming import carried
from vidgan.tasks.text.encoders import build_text_encoder, tokeniser_of
from vidgan.tasks.text.training import Captioned
from vidgan.tasks.upscaling.config import UpscalerConfig
from vidgan.tasks.upscaling.networks import NETWORKS
from vidgan.tasks.upscaling.scaling import bicubic_clips, nearest_clips, scale_down, scale_up, without_detail
from vidgan.types import ByteClip, Clip

__all__ = ["SMALLEST", "ClipUpscaler", "build_upscaler"]

SMALLEST = 8  # pixels on the short side of an input frame
State = tuple[Tensor, Tensor]  # last input (N, 3, h, w) and last output (N, 3, H, W), both in [-1, 1]


class ClipUpscaler(nn.Module, Pretrained):
    """Enlarges clips by 2 or 4: bicubic plus what a network draws.

    A recurrent network reads its previous output, warped by the flow between the input frames: least squares without
    weights (`vidgan.nn.lucas_kanade`). Before the first frame, the bicubic enlargement of that frame stands in.

    A model that reads captions is StackGAN's second stage: the network also reads a code of the caption, drawn in
    training, its mean in use.

    Args:
        network: see `vidgan.tasks.upscaling.networks` for the protocol.
        scale: side of an output frame over that of an input frame.
        image_size: (H, W) of the output frames that the model is trained for.
        text: turns captions into codes that the network reads; None without.
        vocabulary: the words that `text` knows.
        reduction: factor by which each input frame is reduced, and enlarged again, before anything else reads it. What
            is lost, only the caption says: StackGAN's second stage reads 16x16 maps of its input of 64x64.

    Raises:
        ValueError: the size is no multiple of the scale, or the input would be smaller than 8 pixels.
    """

    usage = "large = model.map_clips(clips)  # uint8 (B, T, 3, h, w) -> (B, T, 3, H, W)"
    mapping_name: ClassVar[str] = "upscaled"

    def __init__(
        self,
        *,
        network: nn.Module,
        scale: int,
        image_size: tuple[int, int],
        text: TextCode | None = None,
        vocabulary: Sequence[str] = (),
        reduction: int = 1,
    ) -> None:
        super().__init__()
        height, width = image_size
        if height % scale or width % scale:
            raise ValueError(f"frames of {height}x{width} (HxW) do not fit scale {scale}; both sides must be multiples")
        require_size((height // scale, width // scale))
        self.network = network
        self.scale = scale
        self.border = scale
        self.image_size = (height, width)
        self.is_recurrent = bool(getattr(network, "is_recurrent", False))
        # Small frames move little: fewer levels and steps than a forecast needs, at a quarter of the time.
        self.estimator = LucasKanadeEstimator(levels=3, steps=4, fine_steps=2, symmetric=False)
        self.text = text
        self.reduction = reduction
        self.tokeniser = tokeniser_of(None if text is None else text.encoder, vocabulary)
        if text is not None:
            self.usage = 'large = model.map_clips(clips, text="...")  # uint8 (B, T, 3, h, w) -> (B, T, 3, H, W)'

    @property
    def reads_captions(self) -> bool:
        """Whether clips are enlarged by what a caption says."""
        return self.text is not None

    def forward(self, clip: Clip, caption: Tensor | None = None, noise: Tensor | None = None) -> Clip | Captioned:
        """Enlarge clips, each without a past.

        Args:
            clip: (B, T, 3, h, w) in [-1, 1].
            caption: (B, L) word numbers, for a model that reads captions.
            noise: (B, dim_text) standard normal, from which the codes are drawn; None for their means.

        Returns:
            (B, T, 3, H, W) float32 in [-1, 1]; with `noise` in a `Captioned`.

        Raises:
            ValueError: a caption for a model that reads none, or none for one that reads them.
        """
        self._require(caption is not None)
        if self.text is None or caption is None:
            return self._enlarged(clip, None)
        mean, logvar = self.text(caption)
        if noise is None:
            return self._enlarged(clip, mean)
        return Captioned(self._enlarged(clip, drawn_code(mean, logvar, noise)), mean, logvar)

    def _enlarged(self, clip: Clip, codes: Tensor | None) -> Clip:
        """Clips (B, T, 3, h, w) by codes (B, dim_text): (B, T, 3, H, W)."""
        clip = self._seen(clip)
        batch, length = clip.shape[:2]
        frames = rearrange(clip, "b t c h w -> (b t) c h w")
        if not self.is_recurrent:
            by_frame = None if codes is None else codes.repeat_interleave(length, dim=0)
            return rearrange(self._drawn(frames, None, by_frame), "(b t) c h w -> b t c h w", b=batch)
        flows = self._flow(
            rearrange(clip[:, 1:], "b t c h w -> (b t) c h w"), rearrange(clip[:, :-1], "b t c h w -> (b t) c h w")
        )
        flows = rearrange(flows, "(b t) c h w -> b t c h w", b=batch, t=length - 1)
        outputs: list[Tensor] = []
        for time in range(length):
            moved = warp(outputs[-1], flows[:, time - 1]) if time else scale_up(clip[:, 0], self.scale)
            outputs.append(self._drawn(clip[:, time], moved, codes))
        return torch.stack(outputs, dim=1)

    def step(self, frames: Tensor, state: State | None, codes: Tensor | None = None) -> tuple[Tensor, State]:
        """The next frame of clips: (N, 3, h, w) in [-1, 1] and the state after the frame before, None at the start.

        Args:
            codes: (N, dim_text) of captions, see `codes_of`, for a model that reads them.

        Returns:
            Output (N, 3, H, W) and the new state; a sequence of steps equals `forward` up to rounding.
        """
        frames = self._seen(frames)
        if not self.is_recurrent:
            output = self._drawn(frames, None, codes)
        elif state is None:
            output = self._drawn(frames, scale_up(frames, self.scale), codes)
        else:
            output = self._drawn(frames, warp(state[1], self._flow(frames, state[0])), codes)
        return output, (frames, output)

    def _seen(self, frames: Tensor) -> Tensor:
        """What the model sees of input frames (..., 3, h, w)."""
        if self.reduction == 1:
            return frames
        return without_detail(frames.flatten(0, -4), self.reduction).view_as(frames)

    def _drawn(self, frames: Tensor, moved: Tensor | None, codes: Tensor | None) -> Tensor:
        """Bicubic enlargement and the network's residual, float32."""
        residual: Tensor = self.network(frames, moved, *(() if codes is None else (codes,)))
        return (scale_up(frames, self.scale) + residual.float()).clamp(-1, 1)

    def codes_of(self, text: str | Sequence[str] | None, clips: int) -> Tensor | None:
        """Mean codes (clips, dim_text) of captions: one for each clip, or one for all; None if the model reads none.

        Raises:
            ConfigError: a word that the model does not know; the message names the nearest ones.
            ValueError: a text for a model that reads none, none for one that reads them, or another number of texts.
        """
        self._require(text is not None)
        if self.text is None or text is None:
            return None
        texts = [text] * clips if isinstance(text, str) else list(text)
        if len(texts) != clips:
            raise ValueError(f"text: {len(texts)} texts for {clips} clips; accepted: one for each, or one for all")
        tokens = {one: self.tokeniser.encode([one]).to(device_of(self)) for one in texts}
        with evaluating(self):
            means = {one: self.text(row)[0] for one, row in tokens.items()}  # one by one: rows do not affect each other
        return torch.cat([means[one] for one in texts])

    def _require(self, has_caption: bool) -> None:
        """Raise ValueError unless there is a caption exactly where the model reads one."""
        if has_caption and not self.reads_captions:
            raise ValueError("text: this model reads no captions (model.text)")
        if self.reads_captions and not has_caption:
            raise ValueError("text: required, because this model enlarges clips by what a caption says (model.text)")

    @torch.no_grad()
    def _flow(self, current: Tensor, previous: Tensor) -> Tensor:
        """Backward flow on the grid of the output, (N, 2, H, W)."""
        size = (current.shape[-2] * self.scale, current.shape[-1] * self.scale)
        if not len(current):
            return current.new_zeros(0, 2, *size)
        return resize_flow(self.estimator(current, previous), size)

    def pair(self, clips: ByteClip, *, seed: int = 0, rows: Sequence[int] | None = None) -> ClipPair:
        """(reduced clips, clips); nothing is drawn at random.

        Raises:
            ValueError: a side of the frames is no multiple of the scale, or too small.
        """
        frames = to_float(rearrange(clips, "b t c h w -> (b t) c h w"))
        small = to_byte(scale_down(frames, self.scale))
        require_size((small.shape[-2], small.shape[-1]))
        return ClipPair(rearrange(small, "(b t) c h w -> b t c h w", b=len(clips)), clips)

    def map_clips(self, clips: ByteClip, text: str | Sequence[str] | None = None) -> ByteClip:
        """Enlarge clips, each without a past.

        Args:
            clips: (B, T, 3, h, w) uint8.
            text: for a model that reads captions: one for each clip, or one for all.

        Returns:
            (B, T, 3, H, W) uint8 on the CPU.

        Raises:
            ValueError, ConfigError: the clips are not uint8 of three channels, or smaller than 8 pixels; or as
                `codes_of`.
        """
        _check(clips, 5)
        codes = self.codes_of(text, len(clips))
        large = []
        with evaluating(self):
            for number, clip in enumerate(clips):
                code = None if codes is None else codes[number : number + 1]
                large.append(to_byte(self._enlarged(to_float(clip[None].to(device_of(self))), code)).cpu())
        return torch.cat(large)

    def map_frames(self, frames: Iterable[Tensor], text: str | None = None) -> Iterator[Tensor]:
        """Enlarge a stream of frames (3, h, w) uint8, one by one, in constant memory; errors as `map_clips`."""
        codes = self.codes_of(text, 1)

        def step(frame: Tensor, state: State | None) -> tuple[Tensor, State]:
            _check(frame, 4)
            with evaluating(self):
                output, state = self.step(to_float(frame.to(device_of(self))), state, codes)
            return to_byte(output).cpu(), state

        return carried(frames, step)

    def baselines(self, text: str | Sequence[str] | None = None) -> Mapping[str, ClipFunction]:
        """Bicubic, nearest, and of a recurrent model each frame as if it were the first, by the same captions."""
        known: dict[str, ClipFunction] = {
            "bicubic": partial(bicubic_clips, scale=self.scale),
            "nearest": partial(nearest_clips, scale=self.scale),
        }
        return known | ({"frame by frame": partial(self._frame_by_frame, text=text)} if self.is_recurrent else {})

    def own_metrics(self) -> Mapping[str, ClipMetric]:
        """How well the reduced output agrees with the input."""

        def consistency(given: ByteClip, output: ByteClip, target: ByteClip | None) -> Values:
            return psnr(self.pair(output).input, given.cpu())

        text = "PSNR in dB of the output, reduced as the input was, against the input; identical frames counted apart"
        return {"consistency": ClipMetric(consistency, text, "higher")}

    def _frame_by_frame(self, clips: ByteClip, text: str | Sequence[str] | None) -> ByteClip:
        if text is not None and not isinstance(text, str):
            text = [one for one in text for _ in range(clips.shape[1])]
        single = self.map_clips(rearrange(clips, "b t c h w -> (b t) 1 c h w"), text)
        return rearrange(single, "(b t) 1 c h w -> b t c h w", b=len(clips))

    @classmethod
    def from_architecture(cls, architecture: dict[str, Any]) -> "ClipUpscaler":
        """The network that `architecture`, as saved with its weights, describes.

        Raises:
            ValidationError, ConfigError, ValueError: the description is damaged or of another version.
        """
        height, width = architecture["image_size"]
        return build_upscaler(
            UpscalerConfig.model_validate(architecture["model"]),
            image_size=(height, width),
            vocabulary=architecture.get("vocabulary", ()),
        )


def build_upscaler(
    config: UpscalerConfig, *, image_size: tuple[int, int], vocabulary: Sequence[str] = ()
) -> ClipUpscaler:
    """The model from its config, with weights from torch's global generator: network, text.

    Args:
        config: the section `model`.
        image_size: (H, W) of the data's frames.
        vocabulary: words of the data's captions; () for a model without text.

    Raises:
        ConfigError: the scale does not fit the frame size, or an own network breaks its protocol.
    """
    section, scale = config.network, config.scale
    given = {"scale": scale} | ({} if config.text is None else {"num_conditions": config.text.dim})
    if not isinstance(section, OwnPart):
        network = NETWORKS[type(section)](**given, **section.model_dump(exclude={"kind"}))
    else:
        network = build_own(section, "model.network", given)
        large, small = torch.zeros(2, 3, 8 * scale, 8 * scale), torch.zeros(2, 3, 8, 8)
        codes = [] if config.text is None else [torch.zeros(2, config.text.dim)]
        require_output(
            "model.network",
            network,
            lambda own: {"residual": own(small, large if getattr(own, "is_recurrent", False) else None, *codes)},
            f"frames {tuple(small.shape)} and the previous output {tuple(large.shape)}"
            + "".join(f", and codes {tuple(code.shape)}" for code in codes),
            {"residual": tuple(large.shape)},
        )
    text = None
    if config.text is not None:
        text = TextCode(build_text_encoder(config.text, vocabulary), config.text.dim)
    try:
        model = ClipUpscaler(
            network=network,
            scale=scale,
            image_size=image_size,
            text=text,
            vocabulary=vocabulary,
            reduction=config.reduction,
        )
    except ValueError as error:
        raise ConfigError(f"model.scale={scale}: {error}") from None
    model.architecture = {"model": config.model_dump(mode="json"), "image_size": list(image_size)}
    if vocabulary:
        model.architecture["vocabulary"] = list(vocabulary)
    return model


def require_size(size: tuple[int, int]) -> None:
    """Raise ValueError if input frames of this (h, w) are too small."""
    if min(size) < SMALLEST:
        raise ValueError(
            f"input frames of {size[0]}x{size[1]} (HxW) are too small; at least {SMALLEST}x{SMALLEST} are needed"
        )


def _check(frames: Tensor, dims: int) -> None:
    if frames.dtype != torch.uint8 or frames.dim() != dims or frames.shape[-3] != 3:
        letters = "(B, T, 3, h, w)" if dims == 5 else "(N, 3, h, w)"
        raise ValueError(
            f"the model reads uint8 {letters}, got {frames.dtype} {tuple(frames.shape)}; repeat the channel of grey"
            " frames three times"
        )
    require_size((frames.shape[-2], frames.shape[-1]))
