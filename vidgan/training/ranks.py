"""Communication between the processes of a run. Every process must make every call; a single one sends nothing."""

import math
from collections.abc import Mapping
from datetime import timedelta

import torch
import torch.distributed as dist
from accelerate import Accelerator
from torch import Tensor, nn

from vidgan.errors import RunFailedError
from vidgan.types import Terms

MAIN_PROCESS_TIMEOUT = timedelta(days=1)


def max_over_processes(accelerator: Accelerator, number: int) -> int:
    """Return the largest of the processes' numbers, so that all of them take the same decision."""
    if accelerator.num_processes == 1:
        return number
    numbers = torch.tensor([number], device=accelerator.device)
    return int(accelerator.gather(numbers).max())


class Ranks:
    """The processes of a run.

    Attributes:
        is_main: whether this process is the one that writes, previews and evaluates.
        count: number of processes.
    """

    def __init__(self, accelerator: Accelerator) -> None:
        self.accelerator = accelerator
        self.is_main = bool(accelerator.is_main_process)
        self.count = int(accelerator.num_processes)
        # A step that exceeds the timeout of the default process group counts as a hang. What the main process does
        # alone may take much longer, so the others wait for it in a CPU group with its own timeout.
        self._patient_group: dist.ProcessGroup | None = None
        if self.count > 1:
            group = dist.new_group(backend="gloo", timeout=MAIN_PROCESS_TIMEOUT)
            assert isinstance(group, dist.ProcessGroup), "every process is in it"
            self._patient_group = group

    def wait_for_all(self) -> None:
        """Block until all processes get here, however long the main process evaluates or saves."""
        if self._patient_group is not None:
            dist.barrier(group=self._patient_group)

    def max_over_ranks(self, number: int) -> int:
        """`max_over_processes` of this run."""
        return max_over_processes(self.accelerator, number)

    def mean_over_ranks(self, scalars: Terms) -> dict[str, float]:
        """Average scalars over the processes in one message; non-finite means are dropped.

        (A metric of a batch without labelled clips is NaN.)
        """
        names = sorted(scalars)
        if not names:
            return {}
        values = torch.stack([scalars[name].float() for name in names])
        if self.count > 1:
            values = self.accelerator.reduce(values, reduction="mean")
        return {name: value for name, value in zip(names, values.tolist(), strict=True) if math.isfinite(value)}

    def require_equal_weights(self, networks: Mapping[str, nn.Module], step: int) -> None:
        """Check that all processes are at the same step and hold the same weights, bit for bit.

        Weights diverge silently when a network is called other than through its prepared module, because its gradients
        are then not averaged.

        Raises:
            RunFailedError: naming the networks that differ.
        """
        if self.count == 1:
            return
        names = sorted(networks)
        device = self.accelerator.device
        sums = torch.stack([torch.tensor(step, device=device), *(_bit_sum(networks[name]) for name in names)])
        gathered = self.accelerator.gather(sums[None])  # (processes, 1 + networks)
        differs = (gathered != gathered[:1]).any(dim=0).tolist()
        if differs[0]:
            raise RunFailedError(f"the processes are at different steps: {gathered[:, 0].tolist()}")
        if any(differs):
            unequal = ", ".join(name for name, differ in zip(names, differs[1:], strict=True) if differ)
            raise RunFailedError(f"step {step}: the processes hold different weights of {unequal}; nothing was saved")


def _bit_sum(module: nn.Module) -> Tensor:
    """Sum of the bytes of all parameters, an int64 scalar that changes with any single bit."""
    sums = [p.detach().flatten().view(torch.uint8).sum() for p in module.parameters()]
    return torch.stack(sums).sum()
