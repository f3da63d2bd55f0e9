"""The model: a pyramid of generators that were trained on one clip.

SinGAN (Shaham et al., ICCV 2019) with convolutions in time. On each scale, x = up + net(up + noise), where `up` is the
output of the coarser scale, enlarged. What differs from the released code:

- the noise that reconstructs the clip is drawn once and stored with the weights;
- noise and clip are padded outside the network; on finer scales the noise continues over the border;
- there is no batch norm.

Convolutions without padding do not know where they are. So the coarsest noise ends at the border of the frame, which
lets that scale place things, and half of its variance is the same in all frames, which lets a background stand still.
"""

from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vidgan.errors import ConfigError
from vidgan.hub import Pretrained
from vidgan.pixels import to_byte, to_float
from vidgan.seeding import Draws
from vidgan.tasks.inference import device_of, evaluating
from vidgan.tasks.single_clip.config import PyramidModelConfig
from vidgan.tasks.single_clip.networks import MARGIN, ScaleNetwork
from vidgan.tasks.single_clip.scaling import ClipSize, level_sizes, resize_clip, scaled_sizes
from vidgan.types import ByteClip, Clip, Latents

__all__ = ["PyramidCritic", "PyramidGAN", "build_pyramid", "pyramid_sizes"]

Noise = list[Tensor]  # per scale (B, T + 6, 3, H + 10, W + 10)
STILL = 0.5  # share of the variance of the coarsest noise that all frames have in common
VARIATION = 0.5  # strength of the noise at which an object of the clip is still whole


def pyramid_sizes(config: PyramidModelConfig, size: ClipSize) -> tuple[ClipSize, ...]:
    """Sizes of the scales, coarsest first.

    Raises:
        ConfigError: the clip is smaller than the receptive field of a critic.
    """
    least = ClipSize(*(margin + 1 for margin in MARGIN))
    if any(side < smallest for side, smallest in zip(size, least, strict=True)):
        raise ConfigError(
            f"model: clips of {size.frames} frames of {size.height}x{size.width} (HxW) are smaller than the receptive"
            f" field of a scale, {least.frames} frames of {least.height}x{least.width}"
        )
    return level_sizes(
        size,
        factor=config.factor,
        time_factor=config.time_factor,
        shortest=config.shortest,
        fewest=least.frames,
    )


class PyramidGAN(nn.Module, Pretrained):
    """Makes clips that resemble one clip, of any size.

    Args:
        config: the section `model`.
        size: of the clip.

    Attributes:
        sizes: of the scales, coarsest first.
        fixed_noise: (1, T + 6, 3, H + 10, W + 10), the coarsest scale's noise of the reconstruction.
        amplitudes: factor on the noise of each scale.
        begun: number of scales whose training has begun; only these draw.
        digest: of the clip that the model is trained on; 0 before training.
    """

    usage = "clips = model.sample(4)  # uint8 (4, T, 3, H, W)"
    needs_first_frame: ClassVar[bool] = False
    fixed_noise: Tensor
    amplitudes: Tensor
    begun: Tensor
    digest: Tensor

    def __init__(self, config: PyramidModelConfig, size: ClipSize) -> None:
        super().__init__()
        self.size = size
        self.sizes = pyramid_sizes(config, size)
        self.image_size = (size.height, size.width)
        self.num_categories = 0
        self.noise = config.noise
        self.scales = nn.ModuleList(ScaleNetwork(config.width, 3) for _ in self.sizes)
        frames, *frame = _noise_shape(self.sizes[0])
        self.register_buffer("fixed_noise", _coarsest(torch.randn(1, frames, *frame), torch.randn(1, 1, *frame)))
        self.register_buffer("amplitudes", torch.ones(len(self.sizes)))
        self.register_buffer("begun", torch.zeros((), dtype=torch.long))
        self.register_buffer("digest", torch.zeros((), dtype=torch.long))
        self.architecture = {"model": config.model_dump(mode="json"), "size": list(size)}

    def forward(self, guess: Clip, noise: Tensor, scale: int, loop: bool = False) -> Clip:
        """One scale: the guess (B, T, 3, H, W) and its correction, from noise (B, T + 6, 3, H + 10, W + 10).

        One guess serves all rows of the noise.

        Args:
            loop: the first frame follows the last; the noise must be periodic in time too.
        """
        correction: Tensor = self.scales[scale](_padded(guess, loop=loop) + self.amplitudes[scale] * noise)
        return guess + correction.tanh()

    def guess(self, scale: int, coarser: Clip | None, size: ClipSize, *, loop: bool = False) -> Clip:
        """What a scale starts from: black on the coarsest, the enlarged output of the coarser one elsewhere."""
        if coarser is None:
            return torch.zeros(1, size.frames, 3, size.height, size.width, device=device_of(self))
        return resize_clip(coarser, size, loop=loop)

    def grow(self, noise: Noise, sizes: tuple[ClipSize, ...], *, start: int = 0, coarser: Clip | None = None) -> Clip:
        """The output of the last of the scales start, start + 1, ... that `noise` has entries for; weights are fixed.

        Returns:
            (B, T, 3, H, W), float32, of the last scale; `coarser` if there are none.
        """
        with torch.no_grad():
            for scale, own in enumerate(noise, start=start):
                guess = self.guess(scale, coarser, sizes[scale])
                coarser = self(guess, own, scale)
        assert coarser is not None, "there is nothing to start from"
        return coarser

    def draw_noise(self, draws: Draws, sizes: tuple[ClipSize, ...]) -> Noise:
        """Noise of the scales, one stream per clip and scale."""
        noise = [draws.fork("scale", k).normal(*_noise_shape(size)) for k, size in enumerate(sizes)]
        still = draws.fork("still").normal(1, *_noise_shape(sizes[0])[1:])
        return [one.to(device_of(self)) for one in (_coarsest(noise[0], still), *noise[1:])]

    def reconstruction_noise(self, scales: int) -> Noise:
        """The stored noise on the coarsest scale and none on the others."""
        others = [torch.zeros(1, *_noise_shape(size), device=device_of(self)) for size in self.sizes[1:scales]]
        return [self.fixed_noise, *others][:scales]

    def varied(self, noise: Noise, strength: Tensor) -> Noise:
        """Noise between that of the reconstruction (strength 0) and the given one (1), of equal variance.

        Args:
            noise: of the first scales, at the clip's own size.
            strength: (B,).
        """
        share = strength[:, None, None, None, None]
        kept = (1 - share.square()).sqrt()
        fixed = self.reconstruction_noise(len(noise))
        return [kept * old + share * new for old, new in zip(fixed, noise, strict=True)]

    def synthesise(
        self,
        size: ClipSize | None = None,
        *,
        guess: ByteClip | None = None,
        start: int = 0,
        noise: float | None = None,
        loop: bool = False,
        known: int = 0,
        seed: int = 0,
    ) -> ByteClip:
        """One new clip (T', 3, H', W') uint8 on the CPU.

        Args:
            size: default: that of the guess, or of the clip of the training.
            guess: clip (T', 3, H', W') that comes in at scale `start` > 0, reduced to the scale below.
            start: first scale that draws; 0: all from noise.
            noise: 1 for a new clip, 0 for the reconstruction, in between for variations of it; below 1 at the
                clip's own size only, and not in a loop. Default: `VARIATION` where that is possible, else 1. With a
                guess, factor on the noise.
            loop: the first frame follows the last as any other does.
            known: must be 0; this method keeps no frames.
            seed: of the noise.

        Raises:
            ValueError: an option that this method does not support.
        """
        if known:
            raise ValueError("a pyramid keeps no frames of the source, so it cannot continue it; use the method patch")
        own = guess is None and (size is None or size == self.size)
        usual = VARIATION if guess is None and own and not loop else 1.0
        strength = usual if noise is None else noise
        if guess is None and not 0 <= strength <= 1:
            raise ValueError(f"noise is {strength}; a pyramid accepts 0 (the reconstruction) to 1 (a new clip)")
        if guess is None and strength < 1 and (not own or loop):
            raise ValueError("noise below 1 varies the reconstruction, which has the source's size and is no loop")
        if size is None:
            size = self.size if guess is None else ClipSize(len(guess), guess.shape[-2], guess.shape[-1])
        sizes = scaled_sizes(self.sizes, size)
        if guess is not None and not 0 < start < len(sizes):
            raise ValueError(f"a guess comes in at a scale from 1 to {len(sizes) - 1}, got {start}")
        if guess is not None and start >= int(self.begun):
            raise ValueError(f"scale {start} is not trained yet: training has begun {int(self.begun)} of {len(sizes)}")
        with evaluating(self):
            drawn = self.draw_noise(Draws("pyramid", seed, rows=[0]), sizes)
            if guess is not None:
                drawn = [strength * one for one in drawn]
            elif strength < 1:
                drawn = self.varied(drawn, torch.tensor([strength], device=device_of(self)))
            coarser = None
            if guess is not None:
                coarser = resize_clip(to_float(guess[None].to(device_of(self))), sizes[start - 1], loop=loop)
            for scale in range(start, max(start + 1, int(self.begun))):
                own_noise = _periodic(drawn[scale]) if loop else drawn[scale]
                begin = self.guess(scale, coarser, sizes[scale], loop=loop)
                coarser = self(begin, own_noise, scale, loop)
            assert coarser is not None
            # A run that is still at a coarse scale shows what it has, enlarged.
            coarser = resize_clip(coarser.clamp(-1, 1), size, loop=loop)
        return to_byte(coarser[0]).cpu()

    def double_size(self, clip: ByteClip) -> ByteClip:
        """Twice the height and width, (T, 3, 2H, 2W) uint8, by the finest scale, which redraws detail on each of three
        enlargements by the cube root of 2 (SinGAN's super-resolution)."""
        drawn, steps = clip, 3
        last = len(self.sizes) - 1
        if not 0 < last < int(self.begun):
            raise ValueError("super-resolution needs the finest of several scales, which this pyramid has not trained")
        for step in range(1, steps + 1):
            size = ClipSize(len(clip), *(round(side * 2 ** (step / steps)) for side in clip.shape[-2:]))
            with evaluating(self):
                enlarged = resize_clip(to_float(drawn[None].to(device_of(self))), size)
                noise = torch.zeros(1, *_noise_shape(size), device=device_of(self))
                drawn = to_byte(self(enlarged, noise, last)[0]).cpu()
        return drawn

    def reconstruct(self) -> ByteClip:
        """The clip of the training as the model draws it, (T, 3, H, W) uint8."""
        return self.synthesise(noise=0.0)

    def latents(self, clips: int, frames: int, *, seed: int = 0, category: int | str | None = None) -> Latents:
        """Latents of `clips` clips; the content is each clip's seed, split in two float-exact halves.

        Raises:
            ConfigError: a category is asked for.
        """
        if category is not None:
            raise ConfigError(f"category {category!r}: a model of one clip has no categories")
        seeds = torch.tensor([[(seed + n) >> 24, (seed + n) & 0xFFFFFF] for n in range(clips)], dtype=torch.float64)
        return Latents(
            seeds, torch.zeros(clips, frames + 1, 0), torch.zeros(clips, dtype=torch.long), torch.zeros(clips, 0)
        )

    def render(self, latents: Latents, *, first_frame: Tensor | None = None, batch_size: int = 16) -> ByteClip:
        """(B, T, 3, H, W) uint8 on the CPU."""
        size = ClipSize(latents.motion.shape[1] - 1, *self.image_size)
        seeds = [(int(high) << 24) + int(low) for high, low in latents.content.tolist()]
        return torch.stack([self.synthesise(size, seed=seed) for seed in seeds])

    def sample(
        self,
        clips: int,
        *,
        frames: int | None = None,
        seed: int = 0,
        category: int | str | None = None,
        first_frame: Tensor | None = None,
        batch_size: int = 16,
    ) -> ByteClip:
        """(clips, frames, 3, H, W) uint8 on the CPU; clip i has the seed `seed` + i."""
        return self.render(self.latents(clips, frames or self.size.frames, seed=seed, category=category))

    @classmethod
    def from_architecture(cls, architecture: dict[str, Any]) -> "PyramidGAN":
        """The network that `architecture`, as saved with its weights, describes.

        Raises:
            ValidationError, ConfigError: the description is damaged or of another version.
        """
        return build_pyramid(PyramidModelConfig.model_validate(architecture["model"]), ClipSize(*architecture["size"]))


class PyramidCritic(nn.Module):
    """One critic per scale; `scale` says which one answers.

    Args:
        width: channels of all layers.
        scales: number of scales.
    """

    def __init__(self, width: int, scales: int) -> None:
        super().__init__()
        self.scales = nn.ModuleList(ScaleNetwork(width, 1) for _ in range(scales))
        self.scale = 0

    def forward(self, clip: Clip, draws: Draws | None = None) -> Tensor:
        """(B, T, 3, H, W) -> logits (B, T - 6, 1, H - 10, W - 10), one per patch."""
        logits: Tensor = self.scales[self.scale](clip)
        return logits


def build_pyramid(config: PyramidModelConfig, size: ClipSize) -> PyramidGAN:
    """The model from its config, weights and fixed noise drawn from torch's global generator."""
    return PyramidGAN(config, size)


def _noise_shape(size: ClipSize) -> tuple[int, int, int, int]:
    return (size.frames + MARGIN.frames, 3, size.height + MARGIN.height, size.width + MARGIN.width)


def _coarsest(moving: Tensor, still: Tensor) -> Tensor:
    """Noise of the coarsest scale, 0 outside of the frame: (B, T + 6, 3, H + 10, W + 10) and (B, 1, 3, ...)."""
    rows, columns = MARGIN.height // 2, MARGIN.width // 2
    mixed = STILL**0.5 * still + (1 - STILL) ** 0.5 * moving
    return F.pad(mixed[..., rows:-rows, columns:-columns], (columns, columns, rows, rows))


def _padded(clip: Clip, *, loop: bool) -> Clip:
    """(B, T, 3, H, W) with half of the margin on each side: the border repeated, or in a loop the other end."""
    time, rows, columns = (side // 2 for side in MARGIN)
    volume = clip.transpose(1, 2)  # (B, 3, T, H, W)
    volume = F.pad(volume, (columns, columns, rows, rows, 0, 0), mode="replicate")
    volume = F.pad(volume, (0, 0, 0, 0, time, time), mode="circular" if loop else "replicate")
    return volume.transpose(1, 2)


def _periodic(noise: Tensor) -> Tensor:
    """Noise (B, T + 6, ...) whose ends repeat each other, so that a loop of T frames sees no seam."""
    half = MARGIN.frames // 2
    middle = noise[:, half : noise.shape[1] - half]
    return torch.cat([middle[:, -half:], middle, middle[:, :half]], dim=1)
