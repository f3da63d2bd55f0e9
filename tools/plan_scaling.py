"""Simulates how a training step scales with the number of GPUs: computing, stragglers, all-reduce, reading.

    python tools/plan_scaling.py --turn frame:1.1:2.7 --turn video:41:44.6 --turn generator:24:13.0 --gpus 1 8 64 256

One --turn a network: name, milliseconds of computing on one GPU, megabytes of gradients. The megabytes and operations
are what `vidgan train CONFIG --dry-run` prints; the milliseconds are yours to measure (one GPU, the real batch). All
other inputs are options with their unit in the help; none was measured on your cluster, so replace them.

The model. Every GPU holds the same batch (weak scaling). In each turn each process computes for its own, log-normally
distributed time; gradients are averaged when the last is ready. The all-reduce is the faster of a ring (2 (N-1)
messages, 2 (N-1)/N of the bytes) and a double binary tree (2 log2 N messages, twice the bytes), at the bandwidth of the
slowest link on its way; the share of the turn given by --overlap runs while it is under way and hides as much of it.
Data are read ahead: a step lasts at least as long as the storage needs for its clips.
"""

import argparse
import math
import random
import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Turn:
    """One network's turn."""

    name: str
    seconds: float
    bytes: float


@dataclass(frozen=True)
class Cluster:
    """Links and storage. Bandwidths in bytes a second: within a node and between nodes for each GPU, storage in all."""

    gpus_per_node: int = 8
    inside: float = 200e9
    between: float = 25e9
    latency: float = 20e-6
    jitter: float = 0.03  # standard deviation of the logarithm of a process's computing time
    overlap: float = 0.5
    storage: float = 5e9


@dataclass(frozen=True)
class Scaling:
    """A mean step at N GPUs, in seconds and shares."""

    gpus: int
    step: float
    efficiency: float  # clips a second for each GPU, against one GPU alone
    waiting: float  # share of the step spent waiting for the slowest process
    messages: float  # share of the step spent in all-reduces that nothing hides
    reading: float  # bytes a second that the storage delivers in all


def all_reduce(size: float, gpus: int, cluster: Cluster) -> float:
    """Seconds to average `size` bytes over `gpus` processes."""
    if gpus == 1:
        return 0.0
    bandwidth = cluster.inside if gpus <= cluster.gpus_per_node else min(cluster.inside, cluster.between)
    ring = 2 * (gpus - 1) * cluster.latency + 2 * (gpus - 1) / gpus * size / bandwidth
    tree = 2 * math.ceil(math.log2(gpus)) * cluster.latency + 2 * size / bandwidth
    return min(ring, tree)


def simulate(
    turns: Sequence[Turn], gpus: int, cluster: Cluster, *, clip_bytes: float, clips: int, steps: int, seed: int
) -> Scaling:
    """Mean over `steps` simulated steps with `clips` clips on each of `gpus` GPUs."""
    numbers = random.Random(seed)
    alone = sum(turn.seconds for turn in turns)
    need = clip_bytes * clips * gpus / cluster.storage
    lasted, waited, sent = [], [], []
    for _ in range(steps):
        slowest = exposed = 0.0
        for turn in turns:
            # Divided by its mean, so that one process alone takes `seconds` on average.
            spread = math.exp(cluster.jitter**2 / 2)
            times = (turn.seconds * numbers.lognormvariate(0, cluster.jitter) / spread for _ in range(gpus))
            slowest += max(times)
            exposed += max(0.0, all_reduce(turn.bytes, gpus, cluster) - cluster.overlap * turn.seconds)
        lasted.append(max(slowest + exposed, need))
        waited.append(slowest - alone)
        sent.append(exposed)
    step = statistics.fmean(lasted)
    return Scaling(
        gpus=gpus,
        step=step,
        efficiency=alone / step,
        waiting=statistics.fmean(waited) / step,
        messages=statistics.fmean(sent) / step,
        reading=clip_bytes * clips * gpus / step,
    )


def parse_turn(text: str) -> Turn:
    """`name:milliseconds:megabytes`."""
    try:
        name, milliseconds, megabytes = text.split(":")
        return Turn(name, float(milliseconds) / 1e3, float(megabytes) * 1e6)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}: write it as name:milliseconds:megabytes") from None


def main() -> None:
    """Print a table, one line for each number of GPUs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turn", type=parse_turn, action="append", required=True, help="name:milliseconds:megabytes")
    parser.add_argument("--gpus", type=int, nargs="+", default=[1, 8, 64, 256])
    parser.add_argument("--clips", type=int, default=32, help="on each GPU [32]")
    parser.add_argument("--clip-mb", type=float, default=0.197, help="read for one clip [0.197: 16 frames of 64x64]")
    parser.add_argument("--gpus-per-node", type=int, default=8)
    parser.add_argument("--inside-gb", type=float, default=200.0, help="GB/s between GPUs of a node [200]")
    parser.add_argument("--between-gb", type=float, default=25.0, help="GB/s of the ring between nodes [25]")
    parser.add_argument("--storage-gb", type=float, default=5.0, help="GB/s of the shared storage in all [5]")
    parser.add_argument("--latency-us", type=float, default=20.0, help="of one message [20]")
    parser.add_argument("--jitter", type=float, default=0.03, help="spread of computing times between processes [0.03]")
    parser.add_argument("--overlap", type=float, default=0.5, help="share of a turn that hides messages [0.5]")
    parser.add_argument("--steps", type=int, default=200, help="simulated steps [200]")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    cluster = Cluster(
        gpus_per_node=given.gpus_per_node,
        inside=given.inside_gb * 1e9,
        between=given.between_gb * 1e9,
        latency=given.latency_us * 1e-6,
        jitter=given.jitter,
        overlap=given.overlap,
        storage=given.storage_gb * 1e9,
    )
    print(f"{'GPUs':>6}{'batch':>8}{'ms a step':>11}{'clips/s':>11}{'efficiency':>12}", end="")
    print(f"{'waiting':>9}{'messages':>10}{'read MB/s':>11}")
    for gpus in given.gpus:
        told = simulate(
            given.turn, gpus, cluster, clip_bytes=given.clip_mb * 1e6, clips=given.clips, steps=given.steps,
            seed=given.seed,
        )  # fmt: skip
        batch = gpus * given.clips
        print(f"{gpus:6}{batch:8}{told.step * 1e3:11.1f}{batch / told.step:11,.0f}{told.efficiency:12.1%}", end="")
        print(f"{told.waiting:9.1%}{told.messages:10.1%}{told.reading / 1e6:11,.0f}")


if __name__ == "__main__":
    main()
