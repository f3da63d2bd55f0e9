"""The patch discriminator of pix2pix (Isola et al., CVPR 2017): one answer per overlapping patch of a chosen size."""

from typing import Literal

from torch import Tensor, nn

from vidgan.nn.blocks import LEAK, require_choice
from vidgan.nn.discriminators import NORMS, SizedDiscriminator
from vidgan.nn.norms import norm_layer, norm_shifts
from vidgan.nn.pyramid import channel_plan
from vidgan.nn.spectral_norm import spectral_normalise
from vidgan.sections import Section, option
from vidgan.seeding import Draws
from vidgan.types import Judgement

__all__ = ["PatchDiscriminator", "PatchDiscriminatorConfig"]

_SMALLEST = 32  # pixels of a side


class PatchDiscriminatorConfig(Section):
    """pix2pix's discriminator of frames."""

    kind: Literal["patch"] = option("patch", "Strided 4x4 convolutions, then two of stride 1, as in pix2pix.")
    layers: int = option(3, "Strided layers; 1, 2, 3 see patches of 16, 34, 70 pixels.", ge=1, le=4)
    width: int = option(64, "Channels of the first layer, doubled at each further one.", unit="channels", ge=1)
    max_width: int = option(512, "Most channels of any layer.", unit="channels", ge=1)
    norm: Literal["none", "batch", "instance", "group"] = option("none", "Behind all convolutions but first and last.")
    spectral: bool = option(False, "Spectral normalisation of all convolutions.")
    init: Literal["default", "normal", "orthogonal"] = option("default", "Initial weights.")


class PatchDiscriminator(SizedDiscriminator):
    """`layers` convolutions of stride 2 and two of stride 1, each 4x4 and padded by 1.

    Args:
        image_size: (H, W), at least 32.
        channels: of a frame.
        layers: strided layers; an answer depends on 16, 34, 70 or 142 pixels for 1, 2, 3 or 4.
        width: channels of the first layer, doubled at each further one.
        max_width: most channels of any layer.
        norm: "none", "batch", "instance" or "group", behind all convolutions but the first and the last.
        spectral: spectral norm on all convolutions.

    Raises:
        ValueError: an argument is out of range, or frames are too small for the layers.
    """

    def __init__(
        self,
        *,
        image_size: tuple[int, int],
        channels: int = 3,
        layers: int = 3,
        width: int = 64,
        max_width: int = 512,
        norm: str = "none",
        spectral: bool = False,
    ) -> None:
        super().__init__(image_size=image_size, channels=channels)
        require_choice("norm", norm, NORMS)
        if min(image_size) < _SMALLEST or min(image_size) // 2**layers < 3:
            raise ValueError(
                f"layers={layers} leaves no patch of frames of {image_size[0]}x{image_size[1]}; use fewer layers, or"
                f" frames of at least {max(_SMALLEST, 3 * 2**layers)} pixels"
            )
        self.layers = nn.ModuleList()
        inputs = channels
        for level, outputs in enumerate(channel_plan(width, layers + 1, max_width)):
            kind = norm if level else "none"
            stride = 2 if level < layers else 1
            conv = nn.Conv2d(inputs, outputs, 4, stride=stride, padding=1, bias=not norm_shifts(kind))
            self.layers.append(nn.Sequential(conv, norm_layer(kind, outputs), nn.LeakyReLU(LEAK)))
            inputs = outputs
        self.head = nn.Conv2d(inputs, 1, 4, padding=1)
        if spectral:
            spectral_normalise(self)

    def forward(self, frames: Tensor, draws: Draws | None = None) -> Judgement:
        """Score frames (N, C, H, W) in [-1, 1]: logits (N, h, w), float32; no category. `draws` is not used.

        Raises:
            ValueError: the frames have another shape than the model was built for.
        """
        self.require_shape(frames, "N, C, H, W")
        for layer in self.layers:
            frames = layer(frames)
        return Judgement(real=self.head(frames)[:, 0].float(), category=None)
