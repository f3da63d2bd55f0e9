"""Simulate how a training step scales with the number of GPUs: computation, stragglers, all-reduce, data loading.

    python tools/plan_scaling.py --turn frame:1.1:2.7 --turn video:41:44.6 --turn generator:24:13.0 --gpus 1 8 64 256

Give one --turn per network: name, milliseconds of computation on one GPU, megabytes of gradients. `vidgan train CONFIG
--dry-run` prints the megabytes; measure the milliseconds on one GPU with the real batch. The other options default to
assumed values, not to measurements of your cluster.

Model: every GPU processes a batch of the same size (weak scaling). In each turn the computation time of each process is
log-normally distributed, and the gradients are averaged when the last process is ready. The all-reduce is the faster of
a ring (2 (N-1) messages, 2 (N-1)/N of the bytes) and a double binary tree (2 log2 N messages, twice the bytes), at the
bandwidth of the slowest link. The share --overlap of the computation runs during the all-reduce and hides that much of
it. Data are prefetched: a step lasts at least as long as the storage needs to deliver its clips.
"""

import argparse
import math
import random
import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Turn:
    """The turn of one network: seconds of computation on one GPU, bytes of gradients."""

    name: str
    seconds: float
    bytes: float


@dataclass(frozen=True)
class Cluster:
    """Links and storage.

    Attributes:
        gpus_per_node: number of GPUs that share the fast links.
        inside: bandwidth per GPU within a node, in bytes per second.
        between: bandwidth per GPU between nodes, in bytes per second.
        latency: of one message, in seconds.
        jitter: standard deviation of the logarithm of a process's computation time.
        overlap: share of a turn's computation that runs during the all-reduce.
        storage: total bandwidth of the storage, in bytes per second.
    """

    gpus_per_node: int = 8
    inside: float = 200e9
    between: float = 25e9
    latency: float = 20e-6
    jitter: float = 0.03
    overlap: float = 0.5
    storage: float = 5e9


@dataclass(frozen=True)
class Scaling:
    """The mean step with N GPUs.

    Attributes:
        gpus: N.
        step: duration in seconds.
        efficiency: throughput per GPU relative to a single GPU.
        waiting: share of the step spent waiting for the slowest process.
        communication: share of the step spent in all-reduces that do not overlap with computation.
        reading: bytes per second that the storage delivers in total.
    """

    gpus: int
    step: float
    efficiency: float
    waiting: float
    communication: float
    reading: float


def all_reduce(size: float, gpus: int, cluster: Cluster) -> float:
    """Return the seconds that an all-reduce of `size` bytes over `gpus` processes takes."""
    if gpus == 1:
        return 0.0
    bandwidth = cluster.inside if gpus <= cluster.gpus_per_node else min(cluster.inside, cluster.between)
    ring = 2 * (gpus - 1) * cluster.latency + 2 * (gpus - 1) / gpus * size / bandwidth
    tree = 2 * math.ceil(math.log2(gpus)) * cluster.latency + 2 * size / bandwidth
    return min(ring, tree)


def simulate(
    turns: Sequence[Turn], gpus: int, cluster: Cluster, *, clip_bytes: float, clips: int, steps: int, seed: int
) -> Scaling:
    """Average `steps` simulated steps with `clips` clips of `clip_bytes` bytes on each of `gpus` GPUs."""
    rng = random.Random(seed)
    alone = sum(turn.seconds for turn in turns)
    reading_seconds = clip_bytes * clips * gpus / cluster.storage
    durations, waits, communications = [], [], []
    for _ in range(steps):
        slowest = exposed = 0.0
        for turn in turns:
            # Divided by its mean, so that a single process takes `seconds` on average.
            mean_jitter = math.exp(cluster.jitter**2 / 2)
            times = (turn.seconds * rng.lognormvariate(0, cluster.jitter) / mean_jitter for _ in range(gpus))
            slowest += max(times)
            exposed += max(0.0, all_reduce(turn.bytes, gpus, cluster) - cluster.overlap * turn.seconds)
        durations.append(max(slowest + exposed, reading_seconds))
        waits.append(slowest - alone)
        communications.append(exposed)
    step = statistics.fmean(durations)
    return Scaling(
        gpus=gpus,
        step=step,
        efficiency=alone / step,
        waiting=statistics.fmean(waits) / step,
        communication=statistics.fmean(communications) / step,
        reading=clip_bytes * clips * gpus / step,
    )


def parse_turn(text: str) -> Turn:
    """Parse `name:milliseconds:megabytes`."""
    try:
        name, milliseconds, megabytes = text.split(":")
        return Turn(name, float(milliseconds) / 1e3, float(megabytes) * 1e6)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}: expected name:milliseconds:megabytes") from None


def main() -> None:
    """Print a table with one row per number of GPUs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--turn", type=parse_turn, action="append", required=True, help="name:milliseconds:megabytes, once per network"
    )
    parser.add_argument("--gpus", type=int, nargs="+", default=[1, 8, 64, 256], help="[1 8 64 256]")
    parser.add_argument("--clips", type=int, default=32, help="clips per GPU and step [32]")
    parser.add_argument("--clip-mb", type=float, default=0.197, help="MB read per clip [0.197: 16 frames of 64x64]")
    parser.add_argument("--gpus-per-node", type=int, default=8, help="[8]")
    parser.add_argument("--inside-gb", type=float, default=200.0, help="GB/s per GPU within a node [200]")
    parser.add_argument("--between-gb", type=float, default=25.0, help="GB/s per GPU between nodes [25]")
    parser.add_argument("--storage-gb", type=float, default=5.0, help="total GB/s of the shared storage [5]")
    parser.add_argument("--latency-us", type=float, default=20.0, help="latency of a message in microseconds [20]")
    parser.add_argument("--jitter", type=float, default=0.03, help="relative spread of the computation times [0.03]")
    parser.add_argument("--overlap", type=float, default=0.5, help="share of computation during communication [0.5]")
    parser.add_argument("--steps", type=int, default=200, help="simulated steps [200]")
    parser.add_argument("--seed", type=int, default=0, help="of the simulated computation times [0]")
    options = parser.parse_args()
    cluster = Cluster(
        gpus_per_node=options.gpus_per_node,
        inside=options.inside_gb * 1e9,
        between=options.between_gb * 1e9,
        latency=options.latency_us * 1e-6,
        jitter=options.jitter,
        overlap=options.overlap,
        storage=options.storage_gb * 1e9,
    )
    print(f"{'GPUs':>6}{'batch':>8}{'ms/step':>11}{'clips/s':>11}{'efficiency':>12}", end="")
    print(f"{'waiting':>9}{'comm.':>10}{'read MB/s':>11}")
    for gpus in options.gpus:
        scaling = simulate(
            options.turn, gpus, cluster, clip_bytes=options.clip_mb * 1e6, clips=options.clips, steps=options.steps,
            seed=options.seed,
        )  # fmt: skip
        batch = gpus * options.clips
        print(
            f"{gpus:6}{batch:8}{scaling.step * 1e3:11.1f}{batch / scaling.step:11,.0f}{scaling.efficiency:12.1%}",
            end="",
        )
        print(f"{scaling.waiting:9.1%}{scaling.communication:10.1%}{scaling.reading / 1e6:11,.0f}")


if __name__ == "__main__":
    main()
