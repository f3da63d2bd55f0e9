"""The public model of paired translation: a condition, a generator, and what users call on them."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import torch
from einops import rearrange
from torch import Tensor, nn

from vidgan.hub import Pretrained
from vidgan.metrics.temporal import ClipMetric
from vidgan.nn.frame_networks import FRAME_NETWORKS
from vidgan.nn.pyramid import pyramid
from vidgan.pixels import to_byte, to_float
from vidgan.sections import OwnPart
from vidgan.seeding import Draws
from vidgan.tasks.base import ClipFunction, ClipPair
from vidgan.tasks.inference import device_of, evaluating
from vidgan.tasks.own_parts import build_own, require_output
from vidgan.tasks.streaming import carried
from vidgan.tasks.translation.conditions import RGB, Condition, observed_flow
from vidgan.tasks.translation.config import TranslationModelConfig
from vidgan.tasks.translation.frame_padding import Padding
from vidgan.tasks.translation.generators import GENERATORS, Drawn, Memory
from vidgan.types import ByteClip, Clip, Flow

__all__ = ["Translation", "Translator", "build_translator"]


class Translation(NamedTuple):
    """A drawn clip and what it was made of."""

    frames: Clip  # (B, T, 3, H, W)
    raw: Clip  # (B, T, 3, H, W) every frame drawn without the frame before
    flow: Flow | None  # (B, T-1, 2, H, W) backward flow to the frame before; None for a generator without one


class Translator(nn.Module, Pretrained):
    """Makes clips from conditions, frame by frame (the protocol `vidgan.tasks.base.ClipMapper`).

    What it reads as uint8 is the condition, of K channels; `of_video` and `pair` make it from clips.

    Args:
        condition: what is read.
        generator: see `vidgan.tasks.translation.generators` for the protocol.
        image_size: (H, W) that the model is trained for.
        residual: the generator draws a correction to the condition's frame.
    """

    usage = "output = model.map_clips(model.of_video(clip))"
    mapping_name: ClassVar[str] = "translated"
    scale = 1
    border = 0

    def __init__(
        self, *, condition: Condition, generator: nn.Module, image_size: tuple[int, int], residual: bool
    ) -> None:
        super().__init__()
        self.condition = condition
        self.generator = generator
        self.image_size = (image_size[0], image_size[1])
        self.residual = residual
        self.multiple = 2 ** pyramid(self.image_size)[0]  # sides of frames are made multiples of this

    @property
    def reads_conditions(self) -> bool:
        """Whether prepared clips need their stored conditions behind, as six channels."""
        return self.condition.is_stored

    @property
    def carries(self) -> bool:
        """Whether a frame depends on the output before it."""
        return bool(getattr(self.generator, "carries", True))

    def observed(self, condition: Tensor) -> Flow | None:
        """Flow between neighbouring conditions (B, T, K, H, W) -> (B, T-1, 2, H, W), pixels; None if it is not read."""
        if not getattr(self.generator, "observes_flow", False) or condition.shape[1] < 2:
            return None
        return observed_flow(condition)

    def forward(
        self, condition: Tensor, *, flow: Flow | None = None, gradient_frames: int | None = None
    ) -> Translation:
        """Draw clips.

        Args:
            condition: (B, T, K, H, W) in [-1, 1].
            flow: (B, T-1, 2, H, W), what `observed` returns for it, if known already.
            gradient_frames: k: no gradient of frame t reaches the outputs before t - k; None: no limit.
        """
        base = self.condition.frames(condition) if self.residual else None
        if not self.carries:
            flat = [None if part is None else rearrange(part, "b t c h w -> (b t) c h w") for part in (condition, base)]
            drawn: Drawn = self.generator(*flat)
            frames, raw = (rearrange(part, "(b t) c h w -> b t c h w", b=len(condition)) for part in drawn[:2])
            return Translation(frames, raw, None)
        return self._unrolled(condition, base, self.observed(condition) if flow is None else flow, gradient_frames)

    def _unrolled(
        self, condition: Tensor, base: Tensor | None, observed: Flow | None, gradient_frames: int | None
    ) -> Translation:
        """With a limit of k frames the clip is drawn in blocks of k + 1; the output before a block is a constant."""
        frames, raws, flows = [], [], []
        memory = None
        for time in range(condition.shape[1]):
            if memory is not None and gradient_frames is not None and time % (gradient_frames + 1) == 0:
                memory = memory._replace(frame=memory.frame.detach())
            drawn = self.generator(condition[:, time], None if base is None else base[:, time], memory)
            ahead = None if observed is None or time == observed.shape[1] else observed[:, time]
            memory = Memory(condition[:, time], drawn.frame, ahead)
            frames.append(drawn.frame)
            raws.append(drawn.raw)
            if drawn.flow is not None:
                flows.append(drawn.flow)
        return Translation(torch.stack(frames, 1), torch.stack(raws, 1), torch.stack(flows, 1) if flows else None)

    def pair_of(self, clips: ByteClip, draws: Draws) -> tuple[ByteClip, ByteClip]:
        """Condition (B, T, K, H, W) and clean clip (B, T, 3, H, W), both uint8, with these draws; see `pair`."""
        return to_byte(self.condition.of_clip(to_float(clips), draws)), clips[:, :, :RGB]

    def pair(self, clips: ByteClip, *, seed: int = 0, rows: Sequence[int] | None = None) -> ClipPair:
        """Condition and clean clip from prepared clips (B, T, 3, H, W), or (B, T, 6, H, W) with stored partners.

        Args:
            clips: uint8.
            seed: of the draws of random conditions (noise, holes).
            rows: numbers that key each clip's draws; default: its place in the batch.
        """
        draws = Draws(seed, "condition", rows=range(len(clips)) if rows is None else rows)
        return ClipPair(*self.pair_of(clips, draws))

    def of_video(self, clips: ByteClip, mask: ByteClip | None = None) -> ByteClip:
        """The condition (B, T', K, H, W) uint8 of a user's clips (B, T, 3, H, W) uint8.

        A condition that is a damaged clip is taken as it is.

        Args:
            clips: frames; for `dropped`, the kept ones: T' is then (T - 1) * factor + 1.
            mask: (B, T, 1, H, W) uint8, 255 in the holes of `holes`.
        """
        holes = None if mask is None else (mask > 127).float()
        return to_byte(self.condition.of_input(to_float(clips), holes))

    def shown(self, condition: ByteClip) -> ByteClip:
        """A condition (B, T, K, H, W) uint8 as frames (B, T, 3, H, W) uint8."""
        return to_byte(self.condition.frames(to_float(condition)))

    def map_clips(self, clips: ByteClip) -> ByteClip:
        """Conditions (B, T, K, H, W) uint8 -> clips (B, T, 3, H, W) uint8 on the CPU; each starts without a past."""
        with evaluating(self):
            return to_byte(self(to_float(clips.to(device_of(self)))).frames).cpu()

    def map_frames(self, frames: Iterable[Tensor]) -> Iterator[Tensor]:
        """Conditions (K, H, W) uint8 one by one -> one frame (3, H, W) uint8 each, in constant memory."""

        def step(condition: Tensor, memory: Memory | None) -> tuple[Tensor, Memory]:
            with evaluating(self):
                now = to_float(condition.to(device_of(self)))  # (1, K, H, W)
                base = self.condition.frames(now[:, None])[:, 0] if self.residual else None
                if memory is not None:
                    flow = self.observed(torch.stack([memory.condition, now], dim=1))
                    memory = memory._replace(observed=None if flow is None else flow[:, 0])
                drawn: Drawn = self.generator(now, base, memory)
                return to_byte(drawn.frame).cpu(), Memory(now, drawn.frame, None)

        return carried(frames, step)

    def translate_frames(self, frames: Iterable[Tensor], masks: Iterable[Tensor] | None = None) -> Iterator[Tensor]:
        """A user's frames (3, H, W) uint8 one by one -> the translated ones, in constant memory.

        Frames may have any one size; those that the network cannot halve often enough are padded inside.

        Args:
            frames: as in `of_video`: `dropped` puts out (T - 1) * factor + 1 frames for T.
            masks: (1, H, W) uint8 for each frame, 255 in the holes of `holes`.
        """
        padding = Padding(self.multiple)
        conditions = self._stream_conditions(padding.add(frames), None if masks is None else padding.add(masks))
        return padding.remove(self.map_frames(conditions))

    def _stream_conditions(self, frames: Iterable[Tensor], masks: Iterable[Tensor] | None) -> Iterator[Tensor]:
        """`of_video` frame by frame: (K, H, W) uint8."""
        before: Tensor | None = None
        pairs = ((frame, None) for frame in frames) if masks is None else zip(frames, masks, strict=False)
        last: Tensor | None = None
        for frame, mask in pairs:
            if not self.condition.history:
                yield self.of_video(frame[None, None], None if mask is None else mask[None, None])[0, 0]
                continue
            window = frame[None] if before is None else torch.stack([before, frame])
            made = self.of_video(window[None])[0]
            if self.condition.rate == 1:
                yield made[-1]
            elif before is not None:
                yield from made[:-1]
            before, last = frame, made[-1]
        if self.condition.rate > 1 and last is not None:
            yield last

    def baselines(self) -> Mapping[str, ClipFunction]:
        """Each frame drawn alone (of a carried generator) or the median of three outputs, and the condition itself."""
        rows: dict[str, Callable[[ByteClip], ByteClip]] = {}
        if self.carries:
            rows["each frame alone"] = self._alone
        rows["median of 3 frames"] = lambda clips: _median_of_three(
            (self._alone if self.carries else self.map_clips)(clips)
        )
        if self.condition.is_frame:
            rows["input"] = self.shown
        return rows

    def _alone(self, clips: ByteClip) -> ByteClip:
        """As `map_clips`, without a past for any frame."""
        single = rearrange(clips, "b t c h w -> (b t) 1 c h w")
        return rearrange(self.map_clips(single), "(b t) 1 c h w -> b t c h w", b=len(clips))

    def own_metrics(self) -> Mapping[str, ClipMetric]:
        """None beyond those of every model that maps clips."""
        return {}

    @classmethod
    def from_architecture(cls, architecture: dict[str, Any]) -> "Translator":
        """The network that `architecture`, as saved with its weights, describes.

        Raises:
            ValidationError, ConfigError, ValueError: the description is damaged or of another version.
        """
        height, width = architecture["image_size"]
        return build_translator(
            TranslationModelConfig.model_validate(architecture["model"]), image_size=(height, width)
        )


def _median_of_three(clips: ByteClip) -> ByteClip:
    """The median over time of each pixel and its two neighbours; the ends are repeated."""
    before, after = torch.cat([clips[:, :1], clips[:, :-1]], 1), torch.cat([clips[:, 1:], clips[:, -1:]], 1)
    return torch.stack([before, clips, after]).median(dim=0).values


def build_translator(config: TranslationModelConfig, *, image_size: tuple[int, int]) -> Translator:
    """A translator from its config. Weights are drawn from torch's global generator.

    Args:
        config: the section `model`.
        image_size: (H, W) of the data's frames.

    Raises:
        ValueError, ConfigError: the config does not fit the frame size, or an own part breaks its protocol.
    """
    channels = config.condition.channels
    model = Translator(
        condition=config.condition,
        generator=_build_generator(config, channels, image_size),
        image_size=image_size,
        residual=config.residual,
    )
    model.architecture = {"model": config.model_dump(mode="json"), "image_size": list(image_size)}
    return model


def _build_generator(config: TranslationModelConfig, channels: int, image_size: tuple[int, int]) -> nn.Module:
    if isinstance(config.generator, OwnPart):
        generator = build_own(config.generator, "model.generator", {"channels": channels, "image_size": image_size})
        condition = torch.zeros(2, channels, *image_size)
        memory = Memory(condition, torch.zeros(2, RGB, *image_size), torch.zeros(2, 2, *image_size))
        require_output(
            "model.generator",
            generator,
            lambda module: module(condition, None, memory)._asdict(),
            f"condition (2, {channels}, H, W), no base, and a Memory",
            {"frame": (2, RGB, *image_size), "raw": (2, RGB, *image_size)},
        )
        return generator
    kind = GENERATORS[type(config.generator)]
    inputs = kind.inputs(channels)
    given: dict[str, Any] = {"inputs": inputs, "outputs": kind.OUTPUTS, "image_size": image_size}
    if isinstance(config.network, OwnPart):
        network = build_own(config.network, "model.network", given)
        require_output(
            "model.network",
            network,
            lambda module: {"maps": module(torch.zeros(2, inputs, *image_size))},
            f"maps (2, {inputs}, H, W)",
            {"maps": (2, kind.OUTPUTS, *image_size)},
        )
    else:
        network = FRAME_NETWORKS[type(config.network)](**given, **config.network.model_dump(exclude={"kind"}))
        if config.residual:  # a correction starts with none
            head: Any = network.head
            nn.init.zeros_(head.weight)
    return kind(network=network, channels=channels, **config.generator.model_dump(exclude={"kind"}))
