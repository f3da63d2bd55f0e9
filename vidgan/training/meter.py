"""Counts what code computes and holds while it runs: floating-point operations, and bytes of tensors alive at once."""

import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry


class Meter(TorchDispatchMode):
    """Watches every operation inside its `with` block, those of the backward pass too.

    Operations are counted by torch's own formulas, which know matrix products and convolutions: where networks spend
    nearly all of them. (`FlopCounterMode` itself follows modules with hooks that a gradient penalty does not allow.)
    Bytes are those of storages that the block makes: tensors that existed before are not counted, nor is what a kernel
    uses within itself or an allocator keeps.

    Attributes:
        flops: so far; a multiply and an add count as two.
        live: bytes alive now that were made inside the block.
        history: `live` after each operation on tensors. (Not of those that only make one: random numbers are drawn row
            by row, and a history of a larger batch would have more of them.)
    """

    def __init__(self) -> None:
        super().__init__()
        self.flops = 0
        self.live = 0
        self.history: list[int] = []
        self._known: dict[int, weakref.finalize[[int, int], Any]] = {}

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        named = dict(kwargs or {})
        given = {part.untyped_storage()._cdata for part in tree_leaves((args, named)) if isinstance(part, Tensor)}
        result = func(*args, **named)
        formula: Callable[..., int] | None = flop_registry.get(func._overloadpacket)
        if formula is not None:
            self.flops += formula(*args, **named, out_val=result)
        for part in tree_leaves(result):
            if isinstance(part, Tensor) and part.untyped_storage()._cdata not in given:
                self._count(part.untyped_storage())
        if given:
            self.history.append(self.live)
        return result

    def _count(self, storage: torch.UntypedStorage) -> None:
        key, size = storage._cdata, storage.nbytes()
        if key not in self._known:
            self.live += size
            self._known[key] = weakref.finalize(storage, self._forget, key, size)

    def _forget(self, key: int, size: int) -> None:
        del self._known[key]
        self.live -= size
