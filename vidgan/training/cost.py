"""What a training step costs, counted on a few clips: floating-point operations, bytes of tensors, bytes to send."""

import contextlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from vidgan.training.ema import ExponentialMovingAverage
from vidgan.training.meter import Meter
from vidgan.training.trainees import Micro, Trainees
from vidgan.types import Terms


class Steps(Protocol):
    """MoCoGANTraining or DualMotionTraining."""

    trainees: Trainees
    ema: ExponentialMovingAverage

    def step(self, step: int, micros: Sequence[Micro]) -> Terms:
        """One iteration."""
        ...


class TurnCost(NamedTuple):
    """One network's turn with one micro-batch."""

    flops: int  # of matrix products and convolutions, forward and backward; a multiply and an add count as two
    alive: tuple[int, ...]  # bytes of activations, gradients and temporaries after each operation of the turn

    @property
    def peak(self) -> int:
        """Bytes alive at once, beyond what stays between steps."""
        return max(self.alive)

    def with_clips(self, larger: "TurnCost", clips: int) -> "TurnCost":
        """The cost with `clips` clips, from this one with 2 clips and a larger one with 3.

        Every moment grows by the clip, but the dearest moment of a large batch may be another one than of a small.
        (A batch of 1 takes other operations: copies that it does not need, being contiguous either way.)
        """
        pairs = [(self.peak, larger.peak)]  # unless operation by operation, then the peaks as a whole
        if len(self.alive) == len(larger.alive):
            pairs = list(zip(self.alive, larger.alive, strict=True))
        alive = tuple(two + (three - two) * (clips - 2) for two, three in pairs)
        return TurnCost(self.flops + (larger.flops - self.flops) * (clips - 2), alive)


def turn_costs(algorithm: Steps, step: int, micros: Sequence[Micro]) -> dict[str, TurnCost]:
    """Run one step and count each turn, by the name of the network whose turn it is; `start_optimizers` before."""
    costs: dict[str, TurnCost] = {}

    @contextlib.contextmanager
    def counted(name: str) -> Iterator[None]:
        with Meter() as meter:
            yield
        costs[name] = TurnCost(meter.flops, tuple(meter.history))

    before, algorithm.trainees.around = algorithm.trainees.around, counted
    try:
        algorithm.step(step, micros)
    finally:
        algorithm.trainees.around = before
    return costs


def start_optimizers(trainees: Trainees) -> None:
    """Let optimizers make the state that they otherwise make in their first step, which would count as temporary."""
    for name, optimizer in trainees.optimizers.items():
        for parameter in trainees.raw[name].parameters():
            parameter.grad = torch.zeros_like(parameter)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)


def state_bytes(algorithm: Steps) -> dict[str, int]:
    """Bytes that stay between steps, on the device and in a checkpoint: "weights", "optimizers", "average"."""

    def total(tensors: dict[str, Tensor]) -> int:
        return sum(tensor.nbytes for tensor in tensors.values())

    groups = algorithm.trainees.tensors()
    optimizers = {name: tensors for name, tensors in groups.items() if name.startswith("optimizer-")}
    return {
        "weights": sum(total(tensors) for name, tensors in groups.items() if name not in optimizers),
        "optimizers": sum(map(total, optimizers.values())),
        "average": total(algorithm.ema.state_dict()),
    }


def gradient_bytes(trainees: Trainees) -> dict[str, int]:
    """Network -> bytes of its gradients: what data parallelism averages over the processes once a turn."""
    return {name: sum(p.numel() * p.element_size() for p in net.parameters()) for name, net in trainees.raw.items()}


def ring_bytes(gradients: float, processes: int) -> float:
    """Bytes that each process sends (and receives) in a ring all-reduce of `gradients` bytes.

    2 (N - 1) / N times the bytes: a reduce-scatter and an all-gather of N pieces (Patarasuk and Yuan 2009).
    """
    return 2 * (processes - 1) / processes * gradients
