"""The stream of batches as a function of the step."""

import multiprocessing
import os
import pickle
import signal
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import pytest
import torch
from clipfiles import prepare_noise

from vidgan.data.dataset import ClipDataset
from vidgan.data.loader import ClipLoader
from vidgan.errors import DataError, LoaderError
from vidgan.types import ClipBatch


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> ClipDataset:
    """Ten items: eight clips of 6 frames and one of 11, which has two items."""
    root = prepare_noise(tmp_path_factory.mktemp("data"), [6] * 8 + [11], holdout=0, size=8).root
    dataset = ClipDataset(root, frames=4, flip=True)
    assert len(dataset) == 10
    return dataset


def steps(loader: ClipLoader, start: int, count: int) -> list[list[ClipBatch]]:
    return list(islice(loader.batches(start), count))


def joined(micro_batches: list[ClipBatch]) -> ClipBatch:
    return ClipBatch(*(torch.cat(parts) for parts in zip(*micro_batches, strict=True)))


def assert_equal(a: list[list[ClipBatch]], b: list[list[ClipBatch]]) -> None:
    assert len(a) == len(b)
    for x, y in zip(a, b, strict=True):
        for p, q in zip(joined(x), joined(y), strict=True):
            assert torch.equal(p, q)


def test_batches_are_clip_batches_of_the_requested_size(dataset: ClipDataset) -> None:
    (micro_batches,) = steps(ClipLoader(dataset, batch_size=4, seed=0), 0, 1)
    (batch,) = micro_batches
    assert isinstance(batch, ClipBatch)
    assert batch.clip.shape == (4, 4, 3, 8, 8) and batch.clip.dtype == torch.uint8
    assert batch.item.shape == (4,)


@pytest.mark.parametrize("batch_size", [2, 3, 4, 25])
def test_every_epoch_contains_every_item_exactly_once(dataset: ClipDataset, batch_size: int) -> None:
    loader = ClipLoader(dataset, batch_size=batch_size, seed=0)
    assert loader.steps_per_epoch == 10 / batch_size
    count = -(-40 // batch_size)
    items = torch.cat([batch.item for step in steps(loader, 0, count) for batch in step])[:40].view(4, 10)
    assert all(sorted(epoch) == list(range(10)) for epoch in items.tolist())
    assert len({tuple(epoch) for epoch in items.tolist()}) == 4  # every epoch has another order


def test_rows_are_those_of_their_epoch(dataset: ClipDataset) -> None:
    loader = ClipLoader(dataset, batch_size=4, seed=0)
    batch = steps(loader, 2, 1)[0][0]  # samples 8 to 11: two of epoch 0, two of epoch 1
    keys = loader.keys(2, 0)
    assert [epoch for epoch, _ in keys] == [0, 0, 1, 1]
    for i, key in enumerate(keys):
        assert torch.equal(batch.clip[i], dataset[key].clip)


def test_the_order_depends_on_the_seed(dataset: ClipDataset) -> None:
    assert ClipLoader(dataset, batch_size=10, seed=0).keys(0, 0) != ClipLoader(dataset, batch_size=10, seed=1).keys(
        0, 0
    )


def test_starting_at_a_step_yields_the_rest_of_the_stream(dataset: ClipDataset) -> None:
    loader = ClipLoader(dataset, batch_size=4, seed=3)
    whole = steps(loader, 0, 12)
    assert_equal(steps(loader, 7, 5), whole[7:])
    assert_equal(steps(ClipLoader(dataset, batch_size=4, seed=3), 11, 1), whole[11:])


@pytest.mark.parametrize(("world_size", "micro_batches"), [(2, 1), (1, 2), (2, 3), (4, 1)])
def test_ranks_and_micro_batches_share_the_same_global_batches(
    dataset: ClipDataset, world_size: int, micro_batches: int
) -> None:
    batch_size = 12
    one = steps(ClipLoader(dataset, batch_size=batch_size, seed=0), 1, 4)
    loaders = [
        ClipLoader(dataset, batch_size=batch_size, seed=0, rank=r, world_size=world_size, micro_batches=micro_batches)
        for r in range(world_size)
    ]
    ranks = [steps(loader, 1, 4) for loader in loaders]
    assert all(len(step) == micro_batches for rank in ranks for step in rank)
    assert_equal([[batch for rank in ranks for batch in rank[s]] for s in range(4)], one)
    rows = [row for loader in loaders for m in range(micro_batches) for row in loader.rows(m)]
    assert rows == list(range(batch_size))


def test_the_stream_does_not_depend_on_workers(dataset: ClipDataset) -> None:
    options = {"batch_size": 4, "seed": 5, "micro_batches": 2}
    assert_equal(
        steps(ClipLoader(dataset, workers=2, **options), 3, 6),  # type: ignore[arg-type]
        steps(ClipLoader(dataset, workers=0, **options), 3, 6),  # type: ignore[arg-type]
    )


@pytest.mark.parametrize("workers", [0, 1])
def test_the_global_random_state_is_unchanged(dataset: ClipDataset, workers: int) -> None:
    state = torch.random.get_rng_state()
    steps(ClipLoader(dataset, batch_size=4, seed=0, workers=workers), 0, 2)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_the_loader_pickles(dataset: ClipDataset) -> None:
    loader = ClipLoader(dataset, batch_size=4, seed=0)
    assert_equal(steps(pickle.loads(pickle.dumps(loader)), 2, 2), steps(loader, 2, 2))


@pytest.mark.parametrize("workers", [0, 2])
def test_the_error_names_a_damaged_file(tmp_path: Path, workers: int) -> None:
    root = prepare_noise(tmp_path, [6, 6], holdout=0, size=8).root
    dataset = ClipDataset(root, frames=4)
    path = root / "clips" / f"{dataset.entries[0].id}.npy"
    path.write_bytes(b"garbage")
    with pytest.raises(DataError, match=f"^{path}: cannot be read") as caught:
        steps(ClipLoader(dataset, batch_size=2, seed=0, workers=workers), 0, 1)
    assert "Traceback" not in str(caught.value)
    assert multiprocessing.active_children() == []  # immediately, not after garbage collection


class Trap(ClipDataset):
    """Reading its item 3 calls `spring`."""

    spring: Callable[[], object]

    def __getitem__(self, key: tuple[int, int]) -> ClipBatch:
        if key[1] == 3:
            self.spring()
        return super().__getitem__(key)


def trapped(dataset: ClipDataset, spring: Callable[[], object]) -> Trap:
    trap = Trap(dataset.root, frames=4)
    trap.spring = spring
    return trap


@pytest.mark.parametrize(
    ("spring", "what"),
    [
        (lambda: os.kill(os.getpid(), signal.SIGKILL), "was killed by signal 9"),
        (lambda: os._exit(7), "exited with code 7"),
    ],
)
def test_the_error_of_a_dead_worker_names_the_clip(
    dataset: ClipDataset, spring: Callable[[], object], what: str
) -> None:
    trap = trapped(dataset, spring)
    handler = signal.getsignal(signal.SIGCHLD)
    begun = time.monotonic()
    with pytest.raises(LoaderError, match=rf"{what} reading item 3 \({trap.clip_of(3).source}\)"):
        steps(ClipLoader(trap, batch_size=2, seed=0, workers=2), 0, 10)
    assert time.monotonic() - begun < 10
    assert multiprocessing.active_children() == []
    assert signal.getsignal(signal.SIGCHLD) in (handler, *torch_handler())


def torch_handler() -> list[object]:
    """The handler that torch installs permanently when it first starts loader workers."""
    handler = signal.getsignal(signal.SIGCHLD)
    return [handler] if getattr(handler, "__module__", "").startswith("torch") else []


def test_a_dead_worker_is_reported_while_the_main_process_is_busy(dataset: ClipDataset) -> None:
    stream = ClipLoader(trapped(dataset, lambda: os._exit(7)), batch_size=1, seed=0, workers=1).batches()
    with pytest.raises(LoaderError, match="reading item 3"):
        for _ in stream:
            time.sleep(0.1)  # a training step: the signal arrives here
    stream.close()  # type: ignore[attr-defined]


def test_a_worker_that_hangs_is_an_error_after_the_timeout(
    dataset: ClipDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Seconds that torch waits for a worker to exit before it terminates it.
    monkeypatch.setattr("torch.utils.data._utils.MP_STATUS_CHECK_INTERVAL", 0.2)
    trap = trapped(dataset, lambda: time.sleep(60))
    with pytest.raises(LoaderError, match=r"1 s: loader worker 0 .* reading item 3 \("):
        steps(ClipLoader(trap, batch_size=2, seed=0, workers=1, timeout=1.0), 0, 10)
    for worker in multiprocessing.active_children():
        worker.join(20)  # it was terminated, which may take a moment on a busy machine; otherwise it would sleep
    assert multiprocessing.active_children() == []


def test_other_exceptions_keep_their_type_and_location(dataset: ClipDataset) -> None:
    trap = trapped(dataset, lambda: [][0])
    with pytest.raises(IndexError, match="in __getitem__"):
        steps(ClipLoader(trap, batch_size=2, seed=0, workers=1), 0, 10)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 8, "world_size": 3}, "batch_size is 8; .*3 processes x 1 micro-batches"),
        ({"batch_size": 6, "world_size": 2, "micro_batches": 2}, "a multiple of 4"),
        ({"batch_size": 0}, "batch_size is 0.*accepted: 1 or more"),
        ({"batch_size": 4, "rank": 1}, "rank 1; accepted: .*0 to world_size - 1"),
        ({"batch_size": 4, "workers": -1}, "workers is -1"),
        ({"batch_size": 4, "timeout": 0.0}, "timeout 0.0"),
    ],
)
def test_impossible_shares_are_refused(dataset: ClipDataset, options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ClipLoader(dataset, seed=0, **options)  # type: ignore[arg-type]


def test_a_negative_step_is_refused_at_once(dataset: ClipDataset) -> None:
    with pytest.raises(DataError, match="start_step is -1"):
        ClipLoader(dataset, batch_size=4, seed=0).batches(-1)
