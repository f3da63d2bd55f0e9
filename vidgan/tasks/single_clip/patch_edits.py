"""Changes of a clip by patches of that clip: follow an edited frame, double the frame rate, double the size.

In each, patches of the clip are matched with patches of which the answer is known from the clip itself, and the
differences that the known ones show are voted into place. What needs no change stays as it is.
"""

import torch
from torch import Tensor

from vidgan.cores import adapted_threads
from vidgan.pixels import to_byte, to_float
from vidgan.tasks.single_clip.patch_search import (
    PatchShape,
    describe,
    identity_field,
    local_search,
    main_components,
    vote,
)
from vidgan.tasks.single_clip.scaling import ClipSize, resize_clip
from vidgan.types import ByteClip

__all__ = ["double_rate", "double_size", "follow_edit"]

FRAME_PATCH = PatchShape(1, 7, 7)
PATCH = PatchShape(3, 5, 5)
COMPONENTS = 32
ROUNDS = 3
TRACKED = 6  # pixels that a patch may move from one frame to the next
NEARBY = 4  # pixels around the same place at the other size
PROJECTIONS = 3  # times that a large clip is made to agree with the small one


@torch.no_grad()
def follow_edit(source: ByteClip, index: int, edited: Tensor) -> ByteClip:
    """The clip with a change of one frame carried to all others.

    The patches of every frame are found in the unedited frame, tracked from frame to frame, and the change found there
    is added. So the edit follows what it was painted on, as far as that looks alike, and is lost where it is hidden.

    Args:
        source: (T, 3, H, W) uint8.
        index: number of the edited frame, from 0.
        edited: (3, H, W) uint8.

    Returns:
        (T, 3, H, W) uint8; frame `index` is `edited`.

    Raises:
        ValueError: no such frame, or an edited frame of another size.
    """
    if not 0 <= index < len(source):
        raise ValueError(f"frame {index}: the clip has frames 0 to {len(source) - 1}")
    if edited.shape != source.shape[1:]:
        raise ValueError(f"the edited frame is {tuple(edited.shape)}, the clip has {tuple(source.shape[1:])}")
    clip = to_float(source.cpu())
    origin = clip[index][:, None]  # (3, 1, H, W)
    change = to_float(edited.cpu())[:, None] - origin
    components = main_components(origin, FRAME_PATCH, COMPONENTS)
    keys = describe(origin, components)
    result = clip.clone()
    result[index] = to_float(edited.cpu())
    with adapted_threads():
        for times in (range(index + 1, len(clip)), range(index - 1, -1, -1)):
            field = identity_field(keys.shape)
            for time in times:
                asked = describe(clip[time][:, None], components)
                draws = ("follow", time)
                field, _ = local_search(asked, keys, field, rounds=ROUNDS, draw_keys=draws, radius=TRACKED)
                result[time] += vote(change, field, FRAME_PATCH)[:, 0]
    return to_byte(result)


@torch.no_grad()
def double_rate(source: ByteClip) -> ByteClip:
    """A frame between every two, (2T - 1, 3, H, W) uint8 from (T, 3, H, W); the given frames stay as they are.

    At half the size things move half as far per frame. So the half-size clip shows, at its own rate, what lies between
    two frames of the full size: its every second frame, blended, is matched with the blend of two given frames
    (Shahar et al., CVPR 2011, "Space-time super-resolution from a single video").

    Raises:
        ValueError: fewer than 5 frames, or frames smaller than 16x16.
    """
    frames, _, height, width = source.shape
    if frames < 5 or min(height, width) < 16:
        raise ValueError(f"{frames} frames of {height}x{width} (HxW): doubling the rate needs 5 frames of 16x16")
    clip = to_float(source.cpu())[None]
    half = resize_clip(clip, ClipSize(frames, height // 2, width // 2))
    known, blends = [], []
    for phase in (0, 1):
        kept = half[:, phase::2]
        known.append(half[:, phase : phase + 2 * kept.shape[1] - 1])
        blends.append(_between(kept))
    blended = _between(clip)
    change = torch.cat(known, dim=1) - torch.cat(blends, dim=1)
    added = _added(blended, torch.cat(blends, dim=1), change, ("rate",))
    result = (blended + added).clamp(-1, 1)
    result[:, ::2] = clip
    return to_byte(result[0])


@torch.no_grad()
def double_size(source: ByteClip) -> ByteClip:
    """Twice the height and width, (T, 3, 2H, 2W) uint8 from (T, 3, H, W).

    What the clip loses when it is halved and enlarged again is added where it looks alike, near the same place
    (Freedman and Fattal 2011). The result is then made to agree with the clip when it is reduced.

    Raises:
        ValueError: fewer than 3 frames, or frames smaller than 16x16.
    """
    frames, _, height, width = source.shape
    if frames < PATCH.frames or min(height, width) < 16:
        raise ValueError(f"{frames} frames of {height}x{width} (HxW): doubling the size needs 3 frames of 16x16")
    clip = to_float(source.cpu())[None]
    own, large = ClipSize(frames, height, width), ClipSize(frames, 2 * height, 2 * width)
    blurred = resize_clip(resize_clip(clip, ClipSize(frames, height // 2, width // 2)), own)
    enlarged = resize_clip(clip, large)
    result = enlarged + _added(enlarged, blurred, clip - blurred, ("size",))
    for _ in range(PROJECTIONS):
        missing = clip - resize_clip(result.clamp(-1, 1), own)
        result = result + resize_clip(missing, large)
    return to_byte(result[0].clamp(-1, 1))


def _between(clip: Tensor) -> Tensor:
    """(1, T, ...) -> (1, 2T - 1, ...): the mean of every two neighbours between them."""
    result = clip.repeat_interleave(2, dim=1)[:, :-1].clone()
    result[:, 1::2] = (clip[:, 1:] + clip[:, :-1]) / 2
    return result


def _added(query: Tensor, keys: Tensor, change: Tensor, draws: tuple[str, ...]) -> Tensor:
    """What the change at the most similar patches of `keys` says for `query`; all (1, T, 3, H, W)."""
    asked, known, values = (clip[0].transpose(0, 1) for clip in (query, keys, change))
    components = main_components(known, PATCH, COMPONENTS)
    first, second = describe(asked, components), describe(known, components)
    # The same place at the other rate or size.
    field = identity_field(first.shape) * torch.tensor(second.shape) // torch.tensor(first.shape)
    with adapted_threads():
        field, _ = local_search(first, second, field, rounds=ROUNDS, draw_keys=draws, radius=NEARBY)
    return vote(values, field, PATCH).transpose(0, 1)[None]
