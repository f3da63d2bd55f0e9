"""The public model of unpaired translation: a generator for each direction, and the test for hidden signals."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

import numpy as np
import torch
from einops import rearrange
from torch import Tensor, nn

from vidgan.hub import Pretrained
from vidgan.metrics.temporal import ClipMetric
from vidgan.metrics.values import Values
from vidgan.nn.frame_networks import FRAME_NETWORKS
from vidgan.nn.pyramid import pyramid
from vidgan.pixels import to_byte, to_float
from vidgan.sections import OwnPart, Section
from vidgan.tasks.base import ClipFunction, ClipPair
from vidgan.tasks.inference import device_of, evaluating
from vidgan.tasks.own_parts import build_own, require_output
from vidgan.tasks.translation.corruption import VARIANTS
from vidgan.tasks.translation.frame_padding import Padding
from vidgan.tasks.translation.unpaired_config import UnpairedModelConfig
from vidgan.types import ByteClip, Clip

__all__ = ["UnpairedTranslator", "build_unpaired", "cycle_psnr"]

RGB = 3


class UnpairedTranslator(nn.Module, Pretrained):
    """Translates clips of A to B, and back, frame by frame (the protocol `vidgan.tasks.base.ClipMapper`).

    Args:
        there: A to B, maps (N, 3, H, W) -> (N, 3, H, W) unbounded.
        back: B to A.
        predictors: "a" and "b": two frames (N, 6, H, W) -> correction to the newer one; empty for none.
        image_size: (H, W) that the model is trained for.
        residual: the generators draw corrections to their input.
    """

    usage = "output = model.map_clips(clip)"
    mapping_name: ClassVar[str] = "translated"
    scale = 1
    border = 0

    def __init__(
        self,
        *,
        there: nn.Module,
        back: nn.Module,
        predictors: Mapping[str, nn.Module],
        image_size: tuple[int, int],
        residual: bool,
    ) -> None:
        super().__init__()
        self.there, self.back = there, back
        self.predictors = nn.ModuleDict(predictors)
        self.image_size = (image_size[0], image_size[1])
        self.residual = residual
        self.multiple = 2 ** pyramid(self.image_size)[0]  # sides of frames must be multiples of this

    def forward(self, clips: Clip, domain: str, *, predict: bool = False) -> Clip:
        """Translate clips (B, T, 3, H, W) in [-1, 1] to a domain, "a" or "b"; or `predict` within it; float32."""
        if predict:
            return self.predict(clips, domain)
        frames = rearrange(clips, "b t c h w -> (b t) c h w")
        drawing = (self.there if domain == "b" else self.back)(frames).float()
        result = frames + drawing if self.residual else torch.tanh(drawing)
        return rearrange(result, "(b t) c h w -> b t c h w", b=len(clips))

    def predict(self, clips: Clip, domain: str) -> Clip:
        """The frame after every two neighbouring frames of clips (B, T, 3, H, W): (B, T-2, 3, H, W) for frames 2.. ."""
        before, last = clips[:, :-2], clips[:, 1:-1]
        pair = rearrange(torch.cat([before, last], dim=2), "b t c h w -> (b t) c h w")
        change = rearrange(self.predictors[domain](pair).float(), "(b t) c h w -> b t c h w", b=len(clips))
        return last + change

    def pair(self, clips: ByteClip, *, seed: int = 0, rows: Sequence[int] | None = None) -> ClipPair:
        """Clips of A; no true translation is known. Of frames (B, T, 6, H, W), the first domain."""
        return ClipPair(clips[:, :, :RGB], None)

    def map_clips(self, clips: ByteClip, *, to: str = "b") -> ByteClip:
        """(B, T, 3, H, W) uint8 -> (B, T, 3, H, W) uint8 of the domain `to`, on the CPU."""
        with evaluating(self):
            return to_byte(self(to_float(clips.to(device_of(self))), to)).cpu()

    def map_frames(self, frames: Iterable[Tensor], *, to: str = "b") -> Iterator[Tensor]:
        """Frames (3, H, W) uint8 one by one, in constant memory."""
        for frame in frames:
            yield self.map_clips(frame[None, None], to=to)[0, 0]

    def translate_frames(self, frames: Iterable[Tensor], *, to: str = "b") -> Iterator[Tensor]:
        """As `map_frames`, for frames of any one size."""
        padding = Padding(self.multiple)
        return padding.remove(self.map_frames(padding.add(frames), to=to))

    def baselines(self) -> Mapping[str, ClipFunction]:
        """The input itself: what a translation must differ from."""
        return {"input": lambda clips: clips}

    def own_metrics(self) -> Mapping[str, ClipMetric]:
        """PSNR of the way there and back, after changes that nobody sees: a drop says that the input was hidden."""
        text = {
            "unchanged": "PSNR of A -> B -> A against the input, with the translation as the network gives it; alone,"
            " a high value proves nothing",
            "rounded": "as cycle_psnr, with the translation rounded to grey levels before the return",
            "JPEG": "as cycle_psnr, with the translation saved as JPEG of quality 75 before the return",
            "noise": "as cycle_psnr, with noise of two grey levels on the translation before the return",
            "blur": "as cycle_psnr, with the translation blurred over 3x3 pixels before the return; far below"
            " cycle_psnr_rounded: the input was hidden in detail",
        }
        return {
            "cycle_psnr" if name == "unchanged" else f"cycle_psnr_{name.lower()}": ClipMetric(
                partial(self._cycle, change=name), definition, "higher"
            )
            for name, definition in text.items()
        }

    def _cycle(self, given: ByteClip, output: ByteClip, target: ByteClip | None, *, change: str) -> Values:
        """(N, T); NaN for the output of another function than this model."""
        with evaluating(self):
            source = to_float(given.to(device_of(self)))
            translated = self(source, "b")
            if not torch.equal(to_byte(translated).cpu(), output.cpu()):
                return np.full(given.shape[:2], np.nan)
            returned = self(VARIANTS[change](translated).to(source.device), "a")
        return cycle_psnr(returned, source)

    @classmethod
    def from_architecture(cls, architecture: dict[str, Any]) -> "UnpairedTranslator":
        """The network that `architecture`, as saved with its weights, describes.

        Raises:
            ValidationError, ConfigError, ValueError: the description is damaged or of another version.
        """
        height, width = architecture["image_size"]
        return build_unpaired(UnpairedModelConfig.model_validate(architecture["model"]), image_size=(height, width))


def cycle_psnr(returned: Clip, source: Clip) -> Values:
    """PSNR in dB of each frame of clips (N, T, 3, H, W) in [-1, 1], +inf for equal frames: (N, T)."""
    error = ((returned.clamp(-1, 1) - source) / 2).double().square().mean(dim=(2, 3, 4))
    values: Values = (-10 * error.log10()).cpu().numpy()
    return values


def build_unpaired(config: UnpairedModelConfig, *, image_size: tuple[int, int]) -> UnpairedTranslator:
    """The model from its config. Weights are drawn from torch's global generator.

    Args:
        config: the section `model`.
        image_size: (H, W) of the data's frames.

    Raises:
        ValueError, ConfigError: the config does not fit the frame size, or an own part breaks its protocol.
    """
    there, back = (_build(config.network, "model.network", RGB, image_size) for _ in range(2))
    predictors = {}
    if config.predictor is not None:
        predictors = {domain: _build(config.predictor, "model.predictor", 2 * RGB, image_size) for domain in "ab"}
    model = UnpairedTranslator(
        there=there, back=back, predictors=predictors, image_size=image_size, residual=config.residual
    )
    model.architecture = {"model": config.model_dump(mode="json"), "image_size": list(image_size)}
    return model


def _build(section: Section, key: str, inputs: int, image_size: tuple[int, int]) -> nn.Module:
    given = {"inputs": inputs, "outputs": RGB, "image_size": image_size}
    if not isinstance(section, OwnPart):
        return FRAME_NETWORKS[type(section)](**given, **section.model_dump(exclude={"kind"}))
    network = build_own(section, key, given)
    require_output(
        key,
        network,
        lambda module: {"maps": module(torch.zeros(2, inputs, *image_size))},
        f"maps (2, {inputs}, H, W)",
        {"maps": (2, RGB, *image_size)},
    )
    return network
