"""Overlap and information of units, and the two-way split, against values computed by hand."""

import numpy as np
import pytest
import torch

from vidgan.metrics.units import TwoWaySplit, association, count_tables, tail_thresholds


def test_a_table_computed_by_hand() -> None:
    found = association(np.array([6, 2, 4, 88]))
    assert found.iou == pytest.approx(0.5)
    assert found.information == pytest.approx(0.115559, abs=1e-6)
    assert found.iqr == pytest.approx(0.236659, abs=1e-6)  # 0.115559 / 0.488294
    assert found.is_positive


def test_perfect_independent_and_opposite_units() -> None:
    found = association(np.array([[10, 0, 0, 90], [2, 18, 8, 72], [0, 50, 50, 0], [0, 0, 0, 7]]))
    assert found.iou.tolist() == pytest.approx([1, 2 / 28, 0, 0])
    assert found.iqr.tolist() == pytest.approx([1, 0, 1, 0], abs=1e-12)
    assert found.is_positive.tolist() == [True, False, False, False]


def test_thresholds_are_exceeded_by_at_most_their_share_with_ties_too() -> None:
    values = torch.tensor([[1.0, 2, 3, 4, 5, 6, 7, 8, 9, 10], [0, 0, 0, 0, 0, 0, 0, 5, 5, 5]])
    thresholds = tail_thresholds(values, (0.2, 0.5))
    assert thresholds.tolist() == [[5, 8], [0, 5]]
    above = (values[:, :, None] > thresholds[:, None]).sum(dim=1)
    assert above.tolist() == [[5, 2], [3, 0]]


def test_tables_equal_a_direct_count() -> None:
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(3, 500, generator=generator).round(decimals=1)
    labels = torch.rand(500, 2, generator=generator) < torch.tensor([0.2, 0.6])
    thresholds = tail_thresholds(values)
    tables = count_tables(values, thresholds, labels)
    for unit in range(3):
        for k, threshold in enumerate(thresholds[unit]):
            above = values[unit] > threshold
            for q in range(2):
                mark = labels[:, q]
                direct = [(above & mark).sum(), (above & ~mark).sum(), (~above & mark).sum(), (~above & ~mark).sum()]
                assert tables[unit, k, q].tolist() == [float(number) for number in direct]


def split_of(table: torch.Tensor) -> list[float]:
    """Content, motion, interaction and total of one unit; rows are contents."""
    split = TwoWaySplit()
    for row in table:
        split.add(row[:, None])
    found = split.split()
    return [float(part[0]) for part in (found.content, found.motion, found.interaction, found.total)]


def test_the_split_computed_by_hand() -> None:
    assert split_of(torch.tensor([[0.0, 1], [2, 3]])) == pytest.approx([4, 1, 0, 5])
    assert split_of(torch.tensor([[1.0, 0], [0, 1]])) == pytest.approx([0, 0, 1, 1])
    assert split_of(1000 + torch.tensor([[0.0, 1], [2, 3]])) == pytest.approx([4, 1, 0, 5])


def test_the_parts_of_maps_add_up_to_the_variance() -> None:
    maps = torch.randn(5, 7, 3, 4, 4, generator=torch.Generator().manual_seed(1)).double() + 3
    split = TwoWaySplit()
    for content in maps:
        split.add(content)
    found = split.split()
    total = (maps - maps.mean(dim=(0, 1))).square().sum(dim=(0, 1, 3, 4))
    assert found.total == pytest.approx(total.numpy())
    content = 7 * (maps.mean(dim=1) - maps.mean(dim=(0, 1))).square().sum(dim=(0, 2, 3))
    assert found.content == pytest.approx(content.numpy())
    assert found.shares().sum(axis=1) == pytest.approx(np.ones(3))


def test_a_constant_unit_has_no_shares() -> None:
    split = TwoWaySplit()
    for _ in range(2):
        split.add(torch.full((3, 1), 0.1))
    assert split.split().shares().tolist() == [[0, 0, 0]]
    with pytest.raises(ValueError, match="content"):
        TwoWaySplit().split()
