"""The cost of a training step: floating-point operations, bytes of tensors, bytes of gradients to communicate."""

import contextlib
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from vidgan.training.run_state import Algorithm
from vidgan.training.trainees import Micro, Trainees


class Meter(TorchDispatchMode):
    """Context manager that counts operations and live bytes of everything executed inside it, backward included.

    Operations are counted with torch's own formulas for matrix products and convolutions, which account for nearly all
    of a network's work. (torch's `FlopCounterMode` tracks modules with hooks that fail under a gradient penalty.)
    Bytes are those of storages created inside the block. Tensors that existed before, temporary memory inside a kernel
    and memory held by the allocator are not counted.

    Attributes:
        flops: operations so far; a multiply-add counts as two.
        live: bytes of the storages created inside the block that are alive now.
        history: `live` after each operation that takes a tensor. Operations without a tensor argument are excluded:
            random numbers are drawn row by row, so their number depends on the batch size.
    """

    def __init__(self) -> None:
        super().__init__()
        self.flops = 0
        self.live = 0
        self.history: list[int] = []
        self._tracked: dict[int, weakref.finalize[[int, int], Any]] = {}

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        named = dict(kwargs or {})
        inputs = {part.untyped_storage()._cdata for part in tree_leaves((args, named)) if isinstance(part, Tensor)}
        result = func(*args, **named)
        formula: Callable[..., int] | None = flop_registry.get(func._overloadpacket)
        if formula is not None:
            self.flops += formula(*args, **named, out_val=result)
        for part in tree_leaves(result):
            if isinstance(part, Tensor) and part.untyped_storage()._cdata not in inputs:
                self._track(part.untyped_storage())
        if inputs:
            self.history.append(self.live)
        return result

    def _track(self, storage: torch.UntypedStorage) -> None:
        key, size = storage._cdata, storage.nbytes()
        if key not in self._tracked:
            self.live += size
            self._tracked[key] = weakref.finalize(storage, self._release, key, size)

    def _release(self, key: int, size: int) -> None:
        del self._tracked[key]
        self.live -= size


class TurnCost(NamedTuple):
    """The cost of one network's turn with one micro-batch.

    Attributes:
        flops: operations of matrix products and convolutions, forward and backward; a multiply-add counts as two.
        live_bytes: bytes of activations, gradients and temporaries after each operation of the turn.
    """

    flops: int
    live_bytes: tuple[int, ...]

    @property
    def peak(self) -> int:
        """Peak bytes, beyond those that persist between steps."""
        return max(self.live_bytes)

    def with_clips(self, larger: "TurnCost", clips: int) -> "TurnCost":
        """Extrapolate to `clips` clips from this cost, measured with 2 clips, and a `larger` one, measured with 3.

        Memory is extrapolated operation by operation, because the peak of a large batch may occur at another operation
        than that of a small one. A batch of 1 would not do: it skips copies, being contiguous in any layout.
        """
        pairs = [(self.peak, larger.peak)]  # used when the two runs executed different operations
        if len(self.live_bytes) == len(larger.live_bytes):
            pairs = list(zip(self.live_bytes, larger.live_bytes, strict=True))
        live_bytes = tuple(two + (three - two) * (clips - 2) for two, three in pairs)
        return TurnCost(self.flops + (larger.flops - self.flops) * (clips - 2), live_bytes)


def turn_costs(algorithm: Algorithm, step: int, micros: Sequence[Micro]) -> dict[str, TurnCost]:
    """Run one training step and measure the turn of each network, by its name.

    Call `start_optimizers` first, or the optimizers' state counts as temporary memory.
    """
    costs: dict[str, TurnCost] = {}

    @contextlib.contextmanager
    def metered(name: str) -> Iterator[None]:
        with Meter() as meter:
            yield
        costs[name] = TurnCost(meter.flops, tuple(meter.history))

    before, algorithm.trainees.around = algorithm.trainees.around, metered
    try:
        algorithm.step(step, micros)
    finally:
        algorithm.trainees.around = before
    return costs


def start_optimizers(trainees: Trainees) -> None:
    """Make each optimizer allocate its state, by a step with zero gradients."""
    for name, optimizer in trainees.optimizers.items():
        for parameter in trainees.raw[name].parameters():
            parameter.grad = torch.zeros_like(parameter)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)


def state_bytes(algorithm: Algorithm) -> dict[str, int]:
    """Bytes that persist between steps, on the device and in a checkpoint, of "weights", "optimizers" and "average"."""

    def total(tensors: Mapping[str, Tensor]) -> int:
        return sum(tensor.nbytes for tensor in tensors.values())

    groups = algorithm.trainees.tensors()
    optimizers = {name: tensors for name, tensors in groups.items() if name.startswith("optimizer-")}
    return {
        "weights": sum(total(tensors) for name, tensors in groups.items() if name not in optimizers),
        "optimizers": sum(map(total, optimizers.values())),
        "average": total(algorithm.ema.state_dict()),
    }


def gradient_bytes(trainees: Trainees) -> dict[str, int]:
    """Bytes of each network's gradients, which data parallelism averages over the processes once per turn."""
    return {name: sum(p.numel() * p.element_size() for p in net.parameters()) for name, net in trainees.raw.items()}


def ring_bytes(gradients: float, processes: int) -> float:
    """Bytes that each process sends (and receives) in a ring all-reduce of `gradients` bytes.

    2 (N - 1) / N times the bytes: a reduce-scatter and an all-gather of N pieces (Patarasuk and Yuan 2009).
    """
    return 2 * (processes - 1) / processes * gradients
