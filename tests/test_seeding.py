"""Every row draws from its own stream, for any number of threads."""

import pytest
import torch

from vidgan import seeding
from vidgan.seeding import Draws, generator


@pytest.mark.parametrize("threads", [1, 3])
def test_rows_are_drawn_from_their_streams(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    monkeypatch.setattr(seeding, "_LARGE", 40)
    rows = [5, 0, 2, 7]
    draws, streams = Draws(1, "noise", rows=rows), [generator(1, "noise", row) for row in rows]
    for shape in ((), (3,), (8, 9), (2, 3, 16), (2,)):
        assert torch.equal(draws.normal(*shape), torch.stack([torch.randn(shape, generator=g) for g in streams]))
        assert torch.equal(draws.uniform(*shape), torch.stack([torch.rand(shape, generator=g) for g in streams]))
    with torch.inference_mode():
        inference = draws.normal(50)
    assert torch.equal(inference, torch.stack([torch.randn(50, generator=g) for g in streams]))


def test_a_failure_in_a_thread_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    monkeypatch.setattr(seeding, "_LARGE", 1)

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("no numbers")

    monkeypatch.setattr(torch, "randn", broken)
    with pytest.raises(RuntimeError, match="no numbers"):
        Draws(0, rows=[0, 1]).normal(4)
