"""The position of a process among those that share an evaluation."""

import os
from dataclasses import dataclass

import numpy as np
import torch
import torch.distributed as dist

from vidgan.training.launcher import exit_with_launcher


@dataclass(frozen=True)
class Share:
    """The position of this process among the processes of an evaluation."""

    rank: int = 0
    processes: int = 1

    @classmethod
    def of_launcher(cls) -> "Share":
        """Read the environment of torchrun or accelerate launch, and connect the processes."""
        processes = int(os.environ.get("WORLD_SIZE", "1"))
        if processes == 1:
            return cls()
        exit_with_launcher()
        if not dist.is_initialized():
            dist.init_process_group("gloo")
        return cls(dist.get_rank(), dist.get_world_size())

    @staticmethod
    def leave() -> None:
        """Disconnect the processes, after the last `total`."""
        if dist.is_initialized():
            dist.destroy_process_group()

    def total(self, table: np.ndarray) -> np.ndarray:
        """The sum of the tables of all processes. Exact where all but one hold zeros."""
        if self.processes == 1:
            return table
        shared = torch.from_numpy(np.ascontiguousarray(table))
        dist.all_reduce(shared)
        return shared.numpy()
