"""Small changes that no viewer notices, but that destroy a signal hidden in a picture (Chu et al., arXiv 1712.02950).

A generator can hide its input in its output, so that the way back succeeds although the output does not show what is
needed for it. The same changes find such a signal (in evaluation) and prevent it (before the return, in training).
"""

import io
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from PIL import Image

from vidgan.pixels import to_byte, to_float
from vidgan.seeding import Draws
from vidgan.types import ByteClip, Clip

__all__ = ["CORRUPTIONS", "VARIANTS", "corrupt", "jpeg"]

NOISE = 2 / 127.5  # two grey levels
QUALITY = 75


def _noise(clip: Clip, draws: Draws) -> Clip:
    return clip + NOISE * draws.normal(*clip.shape[1:]).to(clip.device)


def _rounding(clip: Clip, draws: Draws) -> Clip:
    """To grey levels; the gradient passes as if nothing had happened."""
    levels = ((clip.detach().clamp(-1, 1) + 1) * 127.5).round() / 127.5 - 1
    return clip + (levels - clip).detach()


def _blur(clip: Clip, draws: Draws) -> Clip:
    """Mean over 3x3 pixels with repeated borders."""
    frames = rearrange(clip, "b t c h w -> (b t) c h w")
    blurred = F.avg_pool2d(F.pad(frames, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    return rearrange(blurred, "(b t) c h w -> b t c h w", b=len(clip))


# Name -> function of clips (B, T, 3, H, W) in [-1, 1] and draws; all are differentiable.
CORRUPTIONS: dict[str, Callable[[Clip, Draws], Clip]] = {"noise": _noise, "rounding": _rounding, "blur": _blur}


def corrupt(clip: Clip, names: tuple[str, ...], draws: Draws) -> Clip:
    """Apply corruptions in the order of their names."""
    for name in names:
        clip = CORRUPTIONS[name](clip, draws.fork(name))
    return clip


def jpeg(clips: ByteClip) -> ByteClip:
    """Every frame of (B, T, 3, H, W) uint8 written and read as JPEG of quality 75."""
    frames = rearrange(clips.cpu(), "b t c h w -> (b t) h w c").numpy()
    read = np.empty_like(frames)
    for number, frame in enumerate(frames):
        file = io.BytesIO()
        Image.fromarray(np.ascontiguousarray(frame)).save(file, "jpeg", quality=QUALITY)
        read[number] = np.asarray(Image.open(file))
    return rearrange(torch.from_numpy(read), "(b t) h w c -> b t c h w", b=len(clips)).contiguous()


def _draws(output: Clip) -> Draws:
    return Draws(0, "hidden signal", rows=range(len(output)))


# Name -> an output in [-1, 1] after a change, in [-1, 1]. Noise, JPEG and blur start from grey levels, as a saved clip
# does.
VARIANTS: dict[str, Callable[[Clip], Clip]] = {
    "unchanged": lambda output: output,
    "rounded": lambda output: to_float(to_byte(output)),
    "JPEG": lambda output: to_float(jpeg(to_byte(output))),
    "noise": lambda output: to_float(to_byte(corrupt(to_float(to_byte(output)), ("noise",), _draws(output)))),
    "blur": lambda output: corrupt(to_float(to_byte(output)), ("blur",), _draws(output)),
}
