"""How well a unit of a network matches a concept, and which factor of a two-way design its activity follows.

Overlap and information quality ratio as in GAN dissection (Bau et al., ICLR 2019); the sums of squares are those of a
two-way analysis of variance with one observation per cell.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import torch
from torch import Tensor

from vidgan.metrics.values import Values

__all__ = ["TAILS", "Split", "TwoWaySplit", "association", "count_tables", "tail_thresholds"]

TAILS: Final = tuple(float(share) for share in np.logspace(-2.5, np.log10(0.5), 20))
"""Shares of the highest activations among which a threshold is chosen."""


class Association(NamedTuple):
    """Agreement of two binary variables, from their 2x2 table."""

    iou: Values  # intersection over union, 0 to 1
    iqr: Values  # information quality ratio, mutual information over joint entropy, 0 to 1
    information: Values  # mutual information, nats
    is_positive: "np.ndarray"  # whether both are true together more often than by chance


def association(tables: Values) -> Association:
    """IoU and information quality ratio of 2x2 tables (..., 4) of counts: both, first only, second only, neither.

    An empty union gives IoU 0, and a table in one cell gives ratio 0.
    """
    tables = np.asarray(tables, dtype=np.float64)
    total = tables.sum(axis=-1, keepdims=True)
    share = tables / np.where(total > 0, total, 1)
    both, first, second, neither = np.moveaxis(share, -1, 0)
    one, other = both + first, both + second  # marginal shares
    expected = np.stack([one * other, one * (1 - other), (1 - one) * other, (1 - one) * (1 - other)], axis=-1)
    ratio = np.divide(share, expected, out=np.ones_like(share), where=(share > 0) & (expected > 0))
    information = np.maximum((share * np.log(ratio)).sum(axis=-1), 0.0)
    entropy = -(share * np.log(share, out=np.zeros_like(share), where=share > 0)).sum(axis=-1)
    union = both + first + second
    iou = np.divide(both, union, out=np.zeros_like(both), where=union > 0)
    iqr = np.divide(information, entropy, out=np.zeros_like(entropy), where=entropy > 0)
    return Association(iou, iqr, information, both * neither > first * second)


def tail_thresholds(values: Tensor, tails: tuple[float, ...] = TAILS) -> Tensor:
    """Thresholds that at most a share of the values exceeds: (U, n) -> (U, K), ascending.

    With ties, fewer values than the share are strictly above.
    """
    ordered = values.sort(dim=1).values
    number = values.shape[1]
    places = [number - 1 - int(share * number) for share in sorted(tails, reverse=True)]
    return ordered[:, places].contiguous()


def count_tables(values: Tensor, thresholds: Tensor, labels: Tensor) -> Values:
    """2x2 tables of "value above threshold" and label.

    Args:
        values: (U, n) activations of U units at n places.
        thresholds: (U, K), ascending.
        labels: (n, Q) bool, whether the place shows each of Q concepts.

    Returns:
        (U, K, Q, 4) counts: above and labelled, above only, labelled only, neither.
    """
    marks = torch.cat([labels.double(), torch.ones(len(labels), 1, dtype=torch.float64)], dim=1)  # (n, Q + 1)
    num_units, num_thresholds = thresholds.shape
    above = np.empty((num_units, num_thresholds, marks.shape[1]))
    for unit in range(num_units):
        exceeded = torch.searchsorted(thresholds[unit], values[unit].contiguous())  # number of thresholds below
        counts = torch.zeros(num_thresholds + 1, marks.shape[1], dtype=torch.float64).index_add_(0, exceeded, marks)
        above[unit] = counts.flip(0).cumsum(0).flip(0)[1:].numpy()
    both, active = above[..., :-1], above[..., -1:]
    labelled = labels.double().sum(dim=0).numpy()
    only = labelled - both
    return np.stack([both, active - both, only, len(labels) - active - only], axis=-1)


@dataclass(frozen=True)
class Split:
    """Sums of squares of the units of a layer, (C,) each; the three parts add up to `total`."""

    content: Values
    motion: Values
    interaction: Values
    total: Values

    def shares(self) -> Values:
        """(C, 3) shares of content, motion and interaction; zeros for a constant unit."""
        parts = np.stack([self.content, self.motion, self.interaction], axis=-1)
        total = self.total[:, None]
        return np.divide(parts, total, out=np.zeros_like(parts), where=total > 0)


class TwoWaySplit:
    """Accumulates the split of activity over contents x motions, one content at a time.

    Each pair of a content and a motion is one observation, so the split is exact: total = content + motion +
    interaction. Places of a map count as separate variables whose sums of squares are added.
    """

    def __init__(self) -> None:
        self._shift: Tensor | None = None
        self._rows: list[Tensor] = []
        self._columns: Tensor | None = None
        self._squares: Tensor | None = None

    def add(self, activity: Tensor) -> None:
        """Add the activity of one content with each of M motions, in the same order each time: (M, C, ...)."""
        values = activity.double().flatten(2) if activity.dim() > 2 else activity.double()[:, :, None]  # (M, C, P)
        if self._shift is None or self._columns is None or self._squares is None:
            self._shift = values.mean(dim=0)  # near the mean, so that no digits cancel
            self._columns = torch.zeros_like(values)
            self._squares = values.new_zeros(values.shape[1])
        values = values - self._shift
        self._columns += values
        self._squares += values.square().sum(dim=(0, 2))
        self._rows.append(values.mean(dim=0))

    def split(self) -> Split:
        """The sums of squares.

        Raises:
            ValueError: nothing was added.
        """
        if self._columns is None or self._squares is None:
            raise ValueError("a split needs at least one content")
        rows, columns = torch.stack(self._rows), self._columns / len(self._rows)  # (N, C, P), (M, C, P)
        grand = columns.mean(dim=0)  # (C, P)
        content = len(columns) * (rows - grand).square().sum(dim=(0, 2))
        motion = len(rows) * (columns - grand).square().sum(dim=(0, 2))
        total = self._squares - len(rows) * len(columns) * grand.square().sum(dim=1)
        interaction = (total - content - motion).clamp(min=0)  # rounding
        return Split(content.numpy(), motion.numpy(), interaction.numpy(), (content + motion + interaction).numpy())
