"""Content that stays: the average content distance (ACD) of MoCoGAN (Tulyakov et al. 2018, section 4.1).

Low is stable, but a frozen clip scores 0: never print it without motion energy beside it.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vidgan.metrics.features import script_features
from vidgan.types import ByteClip

Array: TypeAlias = npt.NDArray[np.float64]

# A pixel is background where no channel exceeds this level (the shapes clips have a black background).
BACKGROUND = 32

DEFINITION = (
    "ACD, colour form: mean colour of the non-background pixels of each frame (0..255), mean pairwise L2 distance over "
    "the frames of a clip, mean over clips; a frozen clip scores 0"
)


def content_distance(clips: ByteClip, background: int | None = BACKGROUND) -> Array:
    """ACD in its colour form: (N, T, 3, H, W) uint8, T >= 3 -> (N,), 0..255 levels.

    The mean RGB of the object in each frame; the mean L2 distance over all pairs of frames of a clip. The object is
    every pixel with a channel above ``background``; None takes the whole frame, for natural video. A frame without any
    object pixel counts as black, so an object that vanishes is a change of content.
    """
    return pairwise_over_time(frame_colours(clips, background))


def frame_colours(clips: ByteClip, background: int | None = BACKGROUND) -> Array:
    """Mean RGB of the object in each frame, as `content_distance` reads it: (N, T, 3, H, W) uint8 -> (N, T, 3)."""
    check_clips(clips)
    pixels = clips.cpu().float()
    visible = torch.ones_like(pixels[:, :, :1])
    if background is not None:
        visible = (pixels.amax(dim=2, keepdim=True) > background).float()  # (N, T, 1, H, W)
    colour = (pixels * visible).sum(dim=(3, 4)) / visible.sum(dim=(3, 4)).clamp(min=1)  # (N, T, 3)
    return colour.double().numpy()


def embedding_distance(clips: ByteClip, embed: Callable[[ByteClip], Array]) -> Array:
    """ACD in its embedding form, the paper's for faces: (N, T, 3, H, W) uint8 -> (N,).

    Args:
        embed: gives one row a frame, (N, T, D). The paper's is OpenFace; `face_embedding` loads any network by path.

    Raises:
        ValueError: other clips, or an embedding of another shape.
    """
    check_clips(clips)
    rows = np.asarray(embed(clips), dtype=np.float64)
    if rows.ndim != 3 or rows.shape[:2] != tuple(clips.shape[:2]):
        raise ValueError(f"an embedding gives (N, T, D) = ({len(clips)}, {clips.shape[1]}, D), got {rows.shape}")
    return pairwise_over_time(rows)


def face_embedding(
    weights: Path, *, size: tuple[int, int] = (96, 96), device: torch.device | str = "cpu"
) -> Callable[[ByteClip], Array]:
    """An embedding network from a TorchScript file, called on RGB frames (B, 3, H, W) in [-1, 1] of ``size``.

    Only a network trained to tell faces apart makes this the paper's face ACD (its table: OpenFace, 96x96, rows of unit
    length). The file runs code: give one that you trust.
    """
    return script_features(weights, size=size, frames=True, device=device)


def pairwise_over_time(rows: Array) -> Array:
    """Mean L2 distance over all pairs of frames: (N, T, D) -> (N,)."""
    number, length, _ = rows.shape
    total = np.zeros(number)
    # Frame by frame and by differences: all pairs at once would not fit, and squares would lose small distances.
    for frame in range(length - 1):
        total += np.linalg.norm(rows[:, frame + 1 :] - rows[:, frame : frame + 1], axis=-1).sum(axis=1)
    return 2 * total / (length * (length - 1))


def check_clips(clips: Tensor) -> None:
    """Raise ValueError unless ``clips`` are (N, T, 3, H, W) uint8 with at least 3 frames."""
    if clips.dtype != torch.uint8:
        raise ValueError(f"clip measures read uint8 clips, got {clips.dtype}: convert them with to_byte")
    if clips.dim() != 5 or clips.shape[2] != 3:
        raise ValueError(f"clips are (N, T, 3, H, W), got {tuple(clips.shape)}")
    if clips.shape[1] < 3:
        raise ValueError(f"clip measures need at least 3 frames a clip, got {clips.shape[1]}")
