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
from vidgan.nn.warp import resize_flow, warp
from vidgan.pixels import to_byte, to_float
from vidgan.sections import OwnPart
from vidgan.tasks.base import ClipFunction, ClipPair
from vidgan.tasks.inference import device_of, evaluating
from vidgan.tasks.own_parts import build_own, require_output
from vidgan.tasks.streaming import carried
from vidgan.tasks.upscaling.config import UpscalerConfig
from vidgan.tasks.upscaling.networks import NETWORKS
from vidgan.tasks.upscaling.scaling import bicubic_clips, nearest_clips, scale_down, scale_up
from vidgan.types import ByteClip, Clip

__all__ = ["SMALLEST", "ClipUpscaler", "build_upscaler"]

SMALLEST = 8  # pixels on the short side of an input frame
State = tuple[Tensor, Tensor]  # last input (N, 3, h, w) and last output (N, 3, H, W), both in [-1, 1]


class ClipUpscaler(nn.Module, Pretrained):
    """Enlarges clips by 2 or 4: bicubic plus what a network draws.

    A recurrent network reads its previous output, warped by the flow between the input frames: least squares without
    weights (`vidgan.nn.lucas_kanade`). Before the first frame, the bicubic enlargement of that frame stands in.

    Args:
        network: see `vidgan.tasks.upscaling.networks` for the protocol.
        scale: side of an output frame over that of an input frame.
        image_size: (H, W) of the output frames that the model is trained for.

    Raises:
        ValueError: the size is no multiple of the scale, or the input would be smaller than 8 pixels.
    """

    usage = "large = model.map_clips(clips)  # uint8 (B, T, 3, h, w) -> (B, T, 3, H, W)"
    mapping_name: ClassVar[str] = "upscaled"

    def __init__(self, *, network: nn.Module, scale: int, image_size: tuple[int, int]) -> None:
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

    def forward(self, clip: Clip) -> Clip:
        """Enlarge (B, T, 3, h, w) in [-1, 1], each clip without a past: (B, T, 3, H, W) float32 in [-1, 1]."""
        batch, length = clip.shape[:2]
        frames = rearrange(clip, "b t c h w -> (b t) c h w")
        if not self.is_recurrent:
            return rearrange(self._drawn(frames, None), "(b t) c h w -> b t c h w", b=batch)
        flows = self._flow(
            rearrange(clip[:, 1:], "b t c h w -> (b t) c h w"), rearrange(clip[:, :-1], "b t c h w -> (b t) c h w")
        )
        flows = rearrange(flows, "(b t) c h w -> b t c h w", b=batch, t=length - 1)
        outputs: list[Tensor] = []
        for time in range(length):
            moved = warp(outputs[-1], flows[:, time - 1]) if time else scale_up(clip[:, 0], self.scale)
            outputs.append(self._drawn(clip[:, time], moved))
        return torch.stack(outputs, dim=1)

    def step(self, frames: Tensor, state: State | None) -> tuple[Tensor, State]:
        """The next frame of clips: (N, 3, h, w) in [-1, 1] and the state after the frame before, None at the start.

        Returns:
            Output (N, 3, H, W) and the new state; a sequence of steps equals `forward` up to rounding.
        """
        if not self.is_recurrent:
            output = self._drawn(frames, None)
        elif state is None:
            output = self._drawn(frames, scale_up(frames, self.scale))
        else:
            output = self._drawn(frames, warp(state[1], self._flow(frames, state[0])))
        return output, (frames, output)

    def _drawn(self, frames: Tensor, moved: Tensor | None) -> Tensor:
        """Bicubic enlargement and the network's residual, float32."""
        residual: Tensor = self.network(frames, moved)
        return (scale_up(frames, self.scale) + residual.float()).clamp(-1, 1)

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

    def map_clips(self, clips: ByteClip) -> ByteClip:
        """Enlarge (B, T, 3, h, w) uint8, each clip without a past: (B, T, 3, H, W) uint8 on the CPU.

        Raises:
            ValueError: the clips are not uint8 of three channels, or smaller than 8 pixels.
        """
        _check(clips, 5)
        with evaluating(self):
            large = [to_byte(self(to_float(clip[None].to(device_of(self))))).cpu() for clip in clips]
        return torch.cat(large)

    def map_frames(self, frames: Iterable[Tensor]) -> Iterator[Tensor]:
        """Enlarge a stream of frames (3, h, w) uint8, one by one, in constant memory; errors as `map_clips`."""

        def step(frame: Tensor, state: State | None) -> tuple[Tensor, State]:
            _check(frame, 4)
            with evaluating(self):
                output, state = self.step(to_float(frame.to(device_of(self))), state)
            return to_byte(output).cpu(), state

        return carried(frames, step)

    def baselines(self) -> Mapping[str, ClipFunction]:
        """Bicubic, nearest, and of a recurrent model each frame as if it were the first."""
        known: dict[str, ClipFunction] = {
            "bicubic": partial(bicubic_clips, scale=self.scale),
            "nearest": partial(nearest_clips, scale=self.scale),
        }
        return known | ({"frame by frame": self._frame_by_frame} if self.is_recurrent else {})

    def own_metrics(self) -> Mapping[str, ClipMetric]:
        """How well the reduced output agrees with the input."""

        def consistency(given: ByteClip, output: ByteClip, target: ByteClip | None) -> Values:
            return psnr(self.pair(output).input, given.cpu())

        text = "PSNR in dB of the output, reduced as the input was, against the input; identical frames counted apart"
        return {"consistency": ClipMetric(consistency, text, "higher")}

    def _frame_by_frame(self, clips: ByteClip) -> ByteClip:
        single = self.map_clips(rearrange(clips, "b t c h w -> (b t) 1 c h w"))
        return rearrange(single, "(b t) 1 c h w -> b t c h w", b=len(clips))

    @classmethod
    def from_architecture(cls, architecture: dict[str, Any]) -> "ClipUpscaler":
        """The network that `architecture`, as saved with its weights, describes.

        Raises:
            ValidationError, ConfigError, ValueError: the description is damaged or of another version.
        """
        height, width = architecture["image_size"]
        return build_upscaler(UpscalerConfig.model_validate(architecture["model"]), image_size=(height, width))


def build_upscaler(config: UpscalerConfig, *, image_size: tuple[int, int]) -> ClipUpscaler:
    """The model from its config, weights drawn from torch's global generator.

    Args:
        config: the section `model`.
        image_size: (H, W) of the data's frames.

    Raises:
        ConfigError: the scale does not fit the frame size, or an own network breaks its protocol.
    """
    section, scale = config.network, config.scale
    if not isinstance(section, OwnPart):
        network = NETWORKS[type(section)](scale=scale, **section.model_dump(exclude={"kind"}))
    else:
        network = build_own(section, "model.network", {"scale": scale})
        large, small = torch.zeros(2, 3, 8 * scale, 8 * scale), torch.zeros(2, 3, 8, 8)
        require_output(
            "model.network",
            network,
            lambda own: {"residual": own(small, large if getattr(own, "is_recurrent", False) else None)},
            f"frames {tuple(small.shape)} and the previous output {tuple(large.shape)}",
            {"residual": tuple(large.shape)},
        )
    try:
        model = ClipUpscaler(network=network, scale=scale, image_size=image_size)
    except ValueError as error:
        raise ConfigError(f"model.scale={scale}: {error}") from None
    model.architecture = {"model": config.model_dump(mode="json"), "image_size": list(image_size)}
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
