"""Nearest space-time patches between two clips, and a clip voted from patches.

Clips here are volumes (C, T, H, W) float32 in [-1, 1]. A patch is named by its first pixel (t, y, x); the grid of a
volume holds all of its patches. A field (t, h, w, 3) int64 names, for each patch of one volume, a patch of another.

Patches are compared by their main components: 32 numbers instead of the 441 of a 3x7x7 patch. A search is exhaustive,
in blocks of bounded memory, or local: each patch takes over what its neighbours found, shifted, and tries random
places (PatchMatch, Barnes et al. 2009).
"""

import itertools
import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from vidgan.seeding import generator

__all__ = [
    "Grid",
    "PatchShape",
    "describe",
    "identity_field",
    "local_search",
    "main_components",
    "nearest_patches",
    "scale_field",
    "vote",
]

SAMPLE = 8192  # patches that the components are computed from
BLOCK_BYTES = 1 << 22  # memory of a block of distances
REACH = 2  # pixels, radius of the last random places of a local search


class PatchShape(NamedTuple):
    """Extent of a patch."""

    frames: int
    height: int
    width: int

    @property
    def pixels(self) -> int:
        """Number of pixels."""
        return math.prod(self)


class Grid(NamedTuple):
    """Descriptions of all patches of a volume."""

    features: Tensor  # (t * h * w, D)
    shape: tuple[int, int, int]  # t, h, w


def main_components(volume: Tensor, patch: PatchShape, count: int) -> Tensor:
    """The directions in which the patches of a volume differ most.

    Args:
        volume: (C, T, H, W).
        patch: at most as large as the volume.
        count: at most this many components.

    Returns:
        (D, C, t, y, x), orthonormal, scaled so that squared distances are means over a patch's numbers.
    """
    patches = volume.unfold(1, patch.frames, 1).unfold(2, patch.height, 1).unfold(3, patch.width, 1)
    _, t, h, w = patches.shape[:4]
    # Evenly spaced places: the same ones in every run.
    places = torch.linspace(0, t * h * w - 1, min(SAMPLE, t * h * w)).round().long()
    ts, ys, xs = places // (h * w), places // w % h, places % w
    sample = patches[:, ts, ys, xs].transpose(0, 1).flatten(1)  # (N, C * t * y * x)
    covariance = torch.cov(sample.T.double()) if len(sample) > 1 else sample.new_zeros(2 * (sample.shape[1],)).double()
    _, vectors = torch.linalg.eigh(covariance)  # ascending
    chosen = vectors.flip(1)[:, :count].T.float() / math.sqrt(sample.shape[1])
    return chosen.reshape(-1, volume.shape[0], *patch)


def describe(volume: Tensor, components: Tensor, *, loop: bool = False) -> Grid:
    """The patches of a volume by their components.

    Args:
        volume: (C, T, H, W).
        components: from `main_components`.
        loop: the first frame follows the last, so that there is a patch at every frame.
    """
    if loop:
        volume = torch.cat([volume, volume[:, : components.shape[2] - 1]], dim=1)
    features = F.conv3d(volume[None], components)[0]  # (D, t, h, w)
    _, t, h, w = features.shape
    return Grid(features.flatten(1).T.contiguous(), (t, h, w))


def identity_field(shape: tuple[int, int, int]) -> Tensor:
    """The field (t, h, w, 3) in which every patch names its own place."""
    return torch.stack(torch.meshgrid(*(torch.arange(side) for side in shape), indexing="ij"), dim=-1)


def nearest_patches(query: Grid, keys: Grid, *, completeness: float | None = None) -> tuple[Tensor, Tensor]:
    """For each patch of `query` the nearest one of `keys`, by exhaustive search.

    Between equals, the patch at the same place wins.

    Args:
        completeness: alpha of GPNN (Granot et al., CVPR 2022): the distance to a key is divided by alpha plus the
            distance of that key's own nearest query, so that keys that nothing resembles are preferred. Small values
            weigh this most; None compares distances alone.

    Returns:
        Field (t, h, w, 3), and mean squared differences (t, h, w) of the pairs.
    """
    squares = keys.features.square().sum(dim=1)
    scale = torch.ones_like(squares)
    if completeness is not None:
        unmet = torch.full_like(squares, math.inf)
        for _, block in _blocks(query.features, keys.features, squares):
            torch.minimum(unmet, block.amin(dim=0), out=unmet)
        scale = 1 / (completeness + unmet)
    found = torch.empty(len(query.features), dtype=torch.long)
    for part, block in _blocks(query.features, keys.features, squares):
        found[part] = (block if completeness is None else block.mul_(scale)).argmin(dim=1)
    distances = _distances(query.features, keys.features, found)
    if query.shape == keys.shape:
        own = torch.arange(len(found))
        at_own = _distances(query.features, keys.features, own)
        stays = at_own * scale <= distances * scale[found]
        found, distances = torch.where(stays, own, found), torch.where(stays, at_own, distances)
    return _places(found, keys.shape).reshape(*query.shape, 3), distances.reshape(query.shape)


def local_search(
    query: Grid,
    keys: Grid,
    field: Tensor,
    *,
    rounds: int,
    draw_keys: tuple[int | str, ...],
    radius: int | None = None,
) -> tuple[Tensor, Tensor]:
    """Improve a field: ask the neighbours, then random places at shrinking distances, in `rounds` rounds.

    Args:
        field: (t, h, w, 3), the start.
        rounds: each costs about ten comparisons per patch.
        draw_keys: of the random places.
        radius: of the first random places, in pixels and frames; None: the whole volume.

    Returns:
        As `nearest_patches`. A patch leaves its place only for a nearer one.
    """
    limits = torch.tensor(keys.shape) - 1
    best = torch.minimum(field.clamp_min(0), limits).reshape(-1, 3)
    distances = _distances(query.features, keys.features, _numbers(best, keys.shape))
    draws = generator(*draw_keys)

    def consider(candidates: Tensor) -> None:
        nonlocal best, distances
        candidates = torch.minimum(candidates.clamp_min(0), limits)
        there = _distances(query.features, keys.features, _numbers(candidates, keys.shape))
        better = there < distances
        best = torch.where(better[:, None], candidates, best)
        distances = torch.where(better, there, distances)

    for _ in range(rounds):
        for axis, step in itertools.product(range(3), (1, -1)):
            shifted = torch.roll(best.reshape(*query.shape, 3), step, dims=axis)
            shifted[..., axis] += step
            consider(shifted.reshape(-1, 3))
        reach = max(keys.shape) if radius is None else radius
        while reach >= REACH:
            consider(best + torch.randint(-reach, reach + 1, best.shape, generator=draws))
            reach //= 4
        consider(best + torch.randint(-1, 2, best.shape, generator=draws))
    return best.reshape(*query.shape, 3), distances.reshape(query.shape)


def scale_field(
    field: Tensor, shape: tuple[int, int, int], keys: tuple[int, int, int], finer: tuple[int, int, int]
) -> Tensor:
    """A field on finer grids: the start of a local search there.

    Args:
        field: (t, h, w, 3) between coarse grids.
        shape: of the fine query grid.
        keys: of the coarse key grid.
        finer: of the fine key grid.

    Returns:
        (*shape, 3); a patch keeps its offset from the coarse patch below it. The identity stays the identity.
    """
    places = identity_field(shape)
    coarse = torch.tensor(field.shape[:3])
    below = torch.minimum((places * coarse) // torch.tensor(shape), coarse - 1)
    named = field[below[..., 0], below[..., 1], below[..., 2]]
    # The offset grows with the keys' grid; what it is measured from, with the query's.
    ratio = torch.tensor(finer) / torch.tensor(keys)
    inside = places - below * torch.tensor(shape) / coarse
    scaled = (named * ratio + inside).round().long()
    same = (named == below).all(dim=-1, keepdim=True)
    return torch.where(same, places, scaled) if shape == finer else scaled


def vote(values: Tensor, field: Tensor, patch: PatchShape, *, loop: bool = False) -> Tensor:
    """The volume in which each pixel is the mean of what the patches that cover it say.

    Args:
        values: (C, T', H', W'), where the patches are taken from.
        field: (t, h, w, 3).
        patch: extent of the patches.
        loop: there is a patch at every frame, and the last ones reach into the first frames.

    Returns:
        (C, T, H, W), T = t with `loop`, otherwise t + patch.frames - 1.
    """
    channels = len(values)
    flat = values.flatten(1).T.contiguous()  # (T' * H' * W', C)
    t, h, w = field.shape[:3]
    size = (t + patch.frames - 1, h + patch.height - 1, w + patch.width - 1)
    total = values.new_zeros(*size, channels)
    whole = (values.shape[1], values.shape[2], values.shape[3])
    first = _numbers(field.reshape(-1, 3), whole)
    for dt, dy, dx in itertools.product(*(range(side) for side in patch)):
        said = flat[first + (dt * whole[1] + dy) * whole[2] + dx]
        total[dt : dt + t, dy : dy + h, dx : dx + w] += said.reshape(t, h, w, channels)
    counts = [_counts(number, side) for number, side in zip((t, h, w), patch, strict=True)]
    if loop:
        for late in range(t, size[0]):
            total[late % t] += total[late]
        total = total[:t]
        counts[0] = torch.full((t,), float(patch.frames))
    votes = counts[0][:, None, None] * counts[1][:, None] * counts[2]
    return (total / votes[..., None]).permute(3, 0, 1, 2).contiguous()


def _counts(number: int, side: int) -> Tensor:
    """How many of `number` patches cover each of number + side - 1 pixels."""
    pixels = torch.arange(number + side - 1)
    return (torch.minimum(pixels, torch.tensor(number - 1)) - (pixels - side + 1).clamp_min(0) + 1).float()


def _blocks(queries: Tensor, keys: Tensor, squares: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Squared distances of blocks of queries to all keys, at least 0."""
    rows = max(1, BLOCK_BYTES // (4 * len(keys)))
    buffer = torch.empty(min(rows, len(queries)), len(keys))
    for start in range(0, len(queries), rows):
        part = queries[start : start + rows]
        block = buffer[: len(part)]
        torch.addmm(squares, part, keys.T, alpha=-2, out=block)
        yield slice(start, start + len(part)), block.add_(part.square().sum(dim=1, keepdim=True)).clamp_min_(0)


def _distances(queries: Tensor, keys: Tensor, numbers: Tensor) -> Tensor:
    """Squared distance of each query to the key of its number, exactly 0 for equals."""
    return (queries - keys[numbers]).square_().sum(dim=1)


def _numbers(places: Tensor, shape: tuple[int, int, int]) -> Tensor:
    return (places[:, 0] * shape[1] + places[:, 1]) * shape[2] + places[:, 2]


def _places(numbers: Tensor, shape: tuple[int, int, int]) -> Tensor:
    _, h, w = shape
    return torch.stack([numbers // (h * w), numbers // w % h, numbers % w], dim=-1)
