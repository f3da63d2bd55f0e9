"""What the processes of a run tell each other. All of them must come to each call; with one process nothing is sent."""

import math
from collections.abc import Mapping
from datetime import timedelta

import torch
import torch.distributed as dist
from accelerate import Accelerator
from torch import Tensor, nn

from vidgan.errors import RunFailedError
from vidgan.types import Terms

PATIENCE = timedelta(days=1)


class Ranks:
    """The processes of a run. `main` is the one that writes, previews and evaluates."""

    def __init__(self, accelerator: Accelerator) -> None:
        self.accelerator = accelerator
        self.main = bool(accelerator.is_main_process)
        self.count = int(accelerator.num_processes)
        # A step that takes longer than the process group's limit is a hang. What the main process does alone is none,
        # however long it takes: the others wait for it in a group with a limit of its own, and on the CPU.
        self._patient: dist.ProcessGroup | None = None
        if self.count > 1:
            group = dist.new_group(backend="gloo", timeout=PATIENCE)
            assert isinstance(group, dist.ProcessGroup), "every process is in it"
            self._patient = group

    def wait(self) -> None:
        """Until all are here; for as long as the main process needs to evaluate or to save."""
        if self._patient is not None:
            dist.barrier(group=self._patient)

    def agreed(self, number: int) -> int:
        """The highest of the processes' numbers: all must stop at the same step, or the others wait for ever."""
        if self.count == 1:
            return number
        flag = torch.tensor([number], device=self.accelerator.device)
        return int(self.accelerator.gather(flag).max())

    def averaged(self, measured: Terms) -> dict[str, float]:
        """Mean over processes, in one message; without those that do not exist (no labelled clip in the batch)."""
        names = sorted(measured)
        if not names:
            return {}
        values = torch.stack([measured[name].float() for name in names])
        if self.count > 1:
            values = self.accelerator.reduce(values, reduction="mean")
        return {name: value for name, value in zip(names, values.tolist(), strict=True) if math.isfinite(value)}

    def require_equal_weights(self, networks: Mapping[str, nn.Module], step: int) -> None:
        """Make sure that all processes are at one step and hold the same weights, bit for bit.

        Gradients that were not averaged (a side way around the prepared module) let them drift apart without an error.

        Raises:
            RunFailedError: naming the networks that differ.
        """
        if self.count == 1:
            return
        names = sorted(networks)
        device = self.accelerator.device
        sums = torch.stack([torch.tensor(step, device=device), *(_bit_sum(networks[name]) for name in names)])
        everyone = self.accelerator.gather(sums[None])  # (processes, 1 + networks)
        differs = (everyone != everyone[:1]).any(dim=0).tolist()
        if differs[0]:
            raise RunFailedError(f"the processes are at different steps: {everyone[:, 0].tolist()}")
        if any(differs):
            apart = ", ".join(name for name, differ in zip(names, differs[1:], strict=True) if differ)
            raise RunFailedError(f"step {step}: the processes hold different weights of {apart}; nothing was saved")


def _bit_sum(module: nn.Module) -> Tensor:
    """Sum of the parameters' bytes, an int64 scalar: changes with any single bit."""
    parts = [p.detach().contiguous().view(torch.uint8).sum() for p in module.parameters()]
    return torch.stack(parts).sum()
