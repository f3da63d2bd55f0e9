"""Average content distance (ACD) of MoCoGAN (Tulyakov et al. 2018, section 4.1): does the content of a clip persist?

Lower is more stable, but a frozen clip scores 0: always report motion energy with it.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vidgan.metrics.features import script_features
from vidgan.metrics.values import Values
from vidgan.types import ByteClip

# A pixel belongs to the background if no channel exceeds this level. MoCoGAN's shapes have a black background.
BACKGROUND = 32

DEFINITION = (
    "ACD, colour form: mean colour of the non-background pixels of each frame (0..255), mean pairwise L2 distance over "
    "the frames of a clip, mean over clips; a frozen clip scores 0"
)


def content_distance(clips: ByteClip, background: int | None = BACKGROUND) -> Values:
    """ACD in its colour form, the paper's for shapes: mean L2 distance between the object colours of two frames.

    Args:
        clips: (N, T, 3, H, W) uint8, T >= 3.
        background: grey level above which a channel makes a pixel part of the object; None takes the whole frame, for
            natural video.

    Returns:
        (N,) float64 in grey levels, >= 0: the mean over all pairs of frames of a clip.
    """
    return pairwise_over_time(frame_colours(clips, background))


def frame_colours(clips: ByteClip, background: int | None = BACKGROUND) -> Values:
    """Mean RGB of the object in each frame, 0..255: (N, T, 3, H, W) uint8 -> (N, T, 3).

    A frame without an object pixel counts as black, so that a vanishing object is a change of content.
    """
    check_clips(clips)
    pixels = clips.cpu().float()
    visible = torch.ones_like(pixels[:, :, :1])
    if background is not None:
        visible = (pixels.amax(dim=2, keepdim=True) > background).float()  # (N, T, 1, H, W)
    colour = (pixels * visible).sum(dim=(3, 4)) / visible.sum(dim=(3, 4)).clamp(min=1)  # (N, T, 3)
    return colour.double().numpy()


def embedding_distance(clips: ByteClip, embed: Callable[[ByteClip], Values]) -> Values:
    """ACD in its embedding form, the paper's for faces: mean L2 distance between the embeddings of two frames.

    Args:
        clips: (N, T, 3, H, W) uint8, T >= 3.
        embed: clips -> (N, T, D), one row per frame. The paper uses OpenFace; `face_embedding` loads any network.

    Returns:
        (N,) float64 in units of the embedding, >= 0.

    Raises:
        ValueError: clips or an embedding of another shape.
    """
    check_clips(clips)
    rows = np.asarray(embed(clips), dtype=np.float64)
    if rows.ndim != 3 or rows.shape[:2] != tuple(clips.shape[:2]):
        raise ValueError(f"the embedding must be (N, T, D) = ({len(clips)}, {clips.shape[1]}, D), got {rows.shape}")
    return pairwise_over_time(rows)


def face_embedding(
    weights: Path, *, size: tuple[int, int] = (96, 96), device: torch.device | str = "cpu"
) -> Callable[[ByteClip], Values]:
    """Load an embedding network from a TorchScript file; it is called on RGB frames (B, 3, H, W) in [-1, 1].

    Only a face recognition network makes `embedding_distance` the paper's face ACD (its table: OpenFace, 96x96, rows of
    unit length). Loading runs code from the file: use trusted files only.

    Args:
        weights: the TorchScript file.
        size: (H, W) that frames are resized to.
        device: device of the network.
    """
    return script_features(weights, size=size, frames=True, device=device)


def pairwise_over_time(rows: Values) -> Values:
    """Mean L2 distance over all pairs of frames of each clip: (N, T, D) -> (N,)."""
    number, length, _ = rows.shape
    total = np.zeros(number)
    # All pairs at once would not fit in memory, and |a|^2 + |b|^2 - 2ab would lose small distances to rounding.
    for frame in range(length - 1):
        total += np.linalg.norm(rows[:, frame + 1 :] - rows[:, frame : frame + 1], axis=-1).sum(axis=1)
    return 2 * total / (length * (length - 1))


def check_clips(clips: Tensor) -> None:
    """Raise ValueError unless ``clips`` are (N, T, 3, H, W) uint8 with at least 3 frames."""
    if clips.dtype != torch.uint8:
        raise ValueError(f"clips must be uint8, got {clips.dtype}: convert them with to_byte")
    if clips.dim() != 5 or clips.shape[2] != 3:
        raise ValueError(f"clips must be (N, T, 3, H, W), got {tuple(clips.shape)}")
    if clips.shape[1] < 3:
        raise ValueError(f"clips must have at least 3 frames, got {clips.shape[1]}")
