"""Images and animations of models that map clips to clips, for previews and the report."""

from collections.abc import Mapping

import torch
from torch import Tensor

from vidgan.types import ByteClip
from vidgan.video.encode import tile
from vidgan.video.labels import Labels
from vidgan.video.montage import sheet_frames

__all__ = ["mapping_animation", "mapping_labels", "mapping_sheet"]

SHEET_FRAMES = 4  # frames of a sheet, evenly spaced


def mapping_animation(panels: Mapping[str, ByteClip]) -> ByteClip:
    """Clips that play in step, side by side.

    Args:
        panels: name -> (T, C, H, W) uint8, C of 1 or 3. Frames smaller than the largest by a whole factor are enlarged
            by repeating pixels.

    Returns:
        (T, 3, H', W') uint8.
    """
    return tile(torch.stack(_equal(panels)), columns=len(panels))


def mapping_sheet(panels: Mapping[str, ByteClip]) -> Tensor:
    """A row of panels for each of four frames, evenly spaced: (3, H', W') uint8; arguments as `mapping_animation`."""
    clips = _equal(panels)
    times = sheet_frames(len(clips[0]), SHEET_FRAMES)
    cells = torch.stack([clip[time] for time in times for clip in clips])  # (times * panels, 3, H, W)
    return tile(cells[:, None], columns=len(clips))[0]


def mapping_labels(panels: Mapping[str, ByteClip], number: int) -> Labels:
    """What `mapping_sheet` shows in its rows and columns, for the clip with this number, counted from 1."""
    times = sheet_frames(len(next(iter(panels.values()))), SHEET_FRAMES)
    return Labels(tuple(f"clip {number}, frame {time + 1}" for time in times), tuple(panels))


def _equal(panels: Mapping[str, ByteClip]) -> list[ByteClip]:
    """All clips at the size of the largest, in three channels."""
    height = max(clip.shape[-2] for clip in panels.values())
    clips = []
    for clip in panels.values():
        factor = height // clip.shape[-2]
        enlarged = clip.repeat_interleave(factor, dim=-2).repeat_interleave(factor, dim=-1)
        clips.append(enlarged.expand(-1, 3, -1, -1).contiguous())
    return clips
