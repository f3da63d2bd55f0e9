"""Clips of the models as clips of a player."""

from collections.abc import Mapping, Sequence

import torch

from vidgan.report.player import PlayerClip
from vidgan.types import ByteClip
from vidgan.video.montage import channel_last

__all__ = ["forecast_clips", "grid_clips", "player_clip"]

# Parts that follow the context; the others begin with the forecast.
CONTINUED = ("truth", "forecast P", "forecast", "copy-last", "warp")


def player_clip(label: str, clip: ByteClip, *, context: int = 0, start: int = 0) -> PlayerClip:
    """A clip, (T, C, H, W) uint8 with C of 1 or 3, under a label; other arguments as in `PlayerClip`."""
    return PlayerClip(label, channel_last(clip.expand(-1, 3, -1, -1), dims=4), context, start)


def grid_clips(clips: ByteClip, rows: Sequence[str], columns: Sequence[str]) -> list[PlayerClip]:
    """Clips, (rows * columns, T, 3, H, W) uint8, that fill a grid row by row."""
    names = [f"{row}, {column}" for row in rows for column in columns]
    return [player_clip(name, clip) for name, clip in zip(names, clips, strict=True)]


def forecast_clips(rows: Mapping[str, ByteClip], labels: Mapping[str, str] | None = None) -> list[PlayerClip]:
    """The parts of one forecast; truth, forecast and baselines begin with the context.

    Args:
        rows: of `vidgan.tasks.forecast_images.forecast_rows`, or named like those.
        labels: name of a row -> label, for the rows to show; default: all rows under their names.
    """
    context = rows["context"]
    clips = []
    for name, label in (labels or {name: name for name in rows if name != "context"}).items():
        if name in CONTINUED:
            clips.append(player_clip(label, torch.cat([context, rows[name]]), context=len(context)))
        else:
            clips.append(player_clip(label, rows[name], start=len(context)))
    return clips
