"""The networks that take turns, with their optimizers.

An update thaws one network, freezes the others, runs the backward pass, steps and zeroes its gradients.
"""

import contextlib
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.optim import Optimizer

from vidgan.errors import NonFiniteError
from vidgan.losses.weighted import weighted_sum
from vidgan.seeding import Draws
from vidgan.training.checkpoint import flatten_optimizer, load_strict, restore_optimizer
from vidgan.types import ClipBatch, Terms

Micro = tuple[ClipBatch, Draws]


class TurnResult(NamedTuple):
    """What a turn computes on a micro-batch: scalars to minimise, and scalars to report."""

    losses: Terms
    metrics: Terms


class Trainees:
    """Named networks, each with its own optimizer, prepared by Accelerate.

    Args:
        accelerator: wraps each network for gradient synchronisation.
        networks: name -> module, already on the accelerator's device.
        optimizers: name -> optimizer over that module's parameters.
        precision: "bf16" runs forwards under autocast; penalties and losses stay in float32.
        clip_grad_norm: limit of each network's gradient norm, None for no limit.
        lr_factor: step -> factor on every base learning rate, in global steps (a pure function, so that it does not
            depend on the process count and needs no state).
        frozen: network -> its children whose weights stay as they are.

    Attributes:
        state: further tensors by name that belong to a checkpoint, changed in place by whoever added them.
        around: name of a network -> a context that its updates run in, for measurements.
    """

    def __init__(
        self,
        *,
        accelerator: Accelerator,
        networks: Mapping[str, nn.Module],
        optimizers: Mapping[str, Optimizer],
        precision: str,
        clip_grad_norm: float | None = None,
        lr_factor: Callable[[int], float] = lambda step: 1.0,
        frozen: Mapping[str, Sequence[str]] = MappingProxyType({}),
    ) -> None:
        self.accelerator = accelerator
        self.raw = dict(networks)
        self.optimizers = dict(optimizers)
        if precision not in ("fp32", "bf16"):
            raise ValueError(f"precision is {precision!r}; accepted: fp32, bf16")
        self.precision = precision
        self.limit = clip_grad_norm
        self.lr_factor = lr_factor
        self.state: dict[str, Tensor] = {}
        self.around: Callable[[str], contextlib.AbstractContextManager[Any]] = lambda name: contextlib.nullcontext()
        self._idle = self._find_idle()
        self._fixed = [self.raw[name].get_submodule(child) for name, children in frozen.items() for child in children]
        self._freeze()
        self._base_lr = {name: [g["lr"] for g in opt.param_groups] for name, opt in self.optimizers.items()}
        self.prepared = self._prepare()

    def _prepare(self) -> dict[str, Any]:
        with warnings.catch_warnings():
            # Accelerate passes an argument that torch has renamed; each process would warn of it.
            warnings.filterwarnings("ignore", "`broadcast_buffers` is deprecated", FutureWarning)
            return {name: self.accelerator.prepare_model(module) for name, module in self.raw.items()}

    def _freeze(self) -> None:
        for module in (*self._fixed, *self._idle):
            module.requires_grad_(False)

    def _find_idle(self) -> list[nn.Module]:
        parts: list[Any] = [part for network in self.raw.values() for part in network.modules()]
        return [module for part in parts if hasattr(part, "idle_modules") for module in part.idle_modules()]

    def find_idle(self) -> None:
        """Ask the networks again which of their modules no forward uses: those are not trained.

        A part of a network names them by a method `idle_modules() -> list[nn.Module]`. Several processes wait in each
        backward pass for the gradients of all weights that were trainable when a network was prepared, so the networks
        are prepared again. All processes must call this in the same step.
        """
        for network in self.raw.values():
            network.requires_grad_(True)
        self._idle = self._find_idle()
        self._freeze()
        self.prepared = {}
        self.accelerator.free_memory()  # it holds the networks as they were prepared before
        self.prepared = self._prepare()

    def forget(self) -> None:
        """Make all optimizers start anew: their moments and counts of steps are dropped."""
        for optimizer in self.optimizers.values():
            optimizer.state.clear()

    def autocast(self, enabled: bool = True) -> contextlib.AbstractContextManager[Any]:
        """bf16 for the forwards of a turn; `enabled=False` for what must stay in float32 (penalties)."""
        device = self.accelerator.device.type
        return torch.autocast(device, dtype=torch.bfloat16, enabled=enabled and self.precision == "bf16")

    def set_learning_rates(self, step: int) -> dict[str, float]:
        """Apply the schedule for `step` and return the rate of each network."""
        factor = self.lr_factor(step)
        for name, optimizer in self.optimizers.items():
            for group, base in zip(optimizer.param_groups, self._base_lr[name], strict=True):
                group["lr"] = base * factor
        return {name: optimizer.param_groups[0]["lr"] for name, optimizer in self.optimizers.items()}

    def update(
        self,
        name: str,
        compute: Callable[[ClipBatch, Draws], TurnResult],
        micros: Sequence[Micro],
        weights: Mapping[str, float],
        step: int,
    ) -> Terms:
        """One optimizer step of network `name` over all micro-batches, the other networks frozen.

        Args:
            name: of the network.
            compute: losses and metrics of one micro-batch, through the prepared networks.
            micros: micro-batches with their draws.
            weights: of the losses.
            step: for messages.

        Returns:
            Detached means by journal key: `loss/NAME/TERM`, `grad_norm/NAME`, and the metrics under their own names.

        Raises:
            NonFiniteError: a loss or the gradient is not finite; the weights stay as they were.
        """
        with self.around(name):
            for other, module in self.raw.items():
                module.requires_grad_(other == name)
            self._freeze()
            losses: Terms = {}
            metrics: Terms = {}
            for number, (batch, draws) in enumerate(micros):
                is_last = number == len(micros) - 1
                sync = contextlib.nullcontext() if is_last else self.accelerator.no_sync(self.prepared[name])
                with sync:
                    result = compute(batch, draws)
                    self.accelerator.backward(weighted_sum(result.losses, weights) / len(micros))
                _add(losses, result.losses, len(micros))
                _add(metrics, result.metrics, len(micros))
            parameters = list(self.raw[name].parameters())
            norm = nn.utils.clip_grad_norm_(parameters, self.limit if self.limit is not None else math.inf)
            self._require_finite(name, losses, norm, step)
            self.optimizers[name].step()
            self.optimizers[name].zero_grad(set_to_none=True)
        return (
            {f"loss/{name}/{term}": loss for term, loss in losses.items()}
            | metrics
            | {f"grad_norm/{name}": norm.detach()}
        )

    def _require_finite(self, name: str, terms: Terms, norm: Tensor, step: int) -> None:
        """Stop before the optimizer's step, in all processes at once: the broken value may be in one of them only."""
        losses = sorted(terms)
        values = torch.stack([*(terms[term].float() for term in losses), norm.float()])
        broken = self.accelerator.gather((~values.isfinite()).int()[None])  # (processes, terms + 1)
        if not broken.any():
            return
        ranks = broken[:, :-1].any(dim=1).nonzero().flatten().tolist()  # the averaged gradient is the same in all
        where = f" (processes {ranks})" if ranks and len(broken) > 1 else ""
        what = [f"the term {losses[i]!r}" for i in broken[:, :-1].any(dim=0).nonzero().flatten().tolist()]
        raise NonFiniteError(
            f"step {step}: {', '.join(what) or 'the gradient'} of network {name!r} is not finite{where}; the weights"
            " were left as they were before this turn. Lower the learning rate, clip gradients (train.clip_grad_norm),"
            " use precision fp32, or skip the batch (--on-nonfinite rollback)"
        )

    def require_finite_weights(self, step: int) -> None:
        """Make sure that no weight is NaN or infinite: such a state must not be saved as the newest.

        Raises:
            NonFiniteError: naming the network and the parameter.
        """
        for name, module in self.raw.items():
            named = dict(module.named_parameters())
            whole = torch.stack([parameter.detach().isfinite().all() for parameter in named.values()]).tolist()
            for key, finite in zip(named, whole, strict=True):
                if not finite:
                    raise NonFiniteError(
                        f"step {step}: the weight {key!r} of network {name!r} is not finite, and nothing was saved;"
                        " lower the learning rate"
                    )

    def tensors(self) -> dict[str, dict[str, Tensor]]:
        """All that a checkpoint must hold of the networks and optimizers, as named tensors."""
        files = {name: dict(module.state_dict()) for name, module in self.raw.items()}
        for name, optimizer in self.optimizers.items():
            files[f"optimizer-{name}"] = flatten_optimizer(optimizer)[0]
        return files | ({"state": dict(self.state)} if self.state else {})

    def settings(self) -> dict[str, Any]:
        """The optimizers' part that is not tensors (JSON)."""
        return {name: flatten_optimizer(optimizer)[1] for name, optimizer in self.optimizers.items()}

    def load(self, tensors: Mapping[str, Mapping[str, Tensor]], settings: Mapping[str, Any]) -> None:
        """Restore what `tensors` and `settings` returned, strictly."""
        for name, module in self.raw.items():
            load_strict(module, tensors[name])
        for name, optimizer in self.optimizers.items():
            own = [{k: v for k, v in group.items() if k != "params"} for group in optimizer.param_groups]
            restore_optimizer(optimizer, tensors[f"optimizer-{name}"], settings[name])
            _match_layout(optimizer)
            # State comes from the checkpoint, settings from the config: a changed config has been accepted by now.
            for group, setting in zip(optimizer.param_groups, own, strict=True):
                group.update(setting)
        for name, held in self.state.items():
            held.copy_(tensors["state"][name])


def _add(totals: Terms, terms: Terms, parts: int) -> None:
    """Add a micro-batch's share of the mean to the totals."""
    for key, value in terms.items():
        totals[key] = totals.get(key, torch.zeros((), device=value.device)) + value.detach() / parts


def _match_layout(optimizer: Optimizer) -> None:
    """Give restored state the memory layout of its weights: fused optimizers walk through both in memory order."""
    for weight, state in optimizer.state.items():
        for key, value in state.items():
            if isinstance(value, Tensor) and value.shape == weight.shape and value.stride() != weight.stride():
                state[key] = torch.empty_like(weight, dtype=value.dtype).copy_(value)
