"""`vidgan train CONFIG --dry-run`: what a run would compute, hold in memory, read, send and write. Trains nothing.

Operations and memory are counted, not estimated: one step runs on the CPU with two and with three clips, and both
numbers grow linearly with the clips. Only the memory of tensors is counted; a GPU adds its context (about half a GB),
kernel workspaces and the allocator's cache. `train.compile` is counted as if it were off.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from vidgan.build import (
    build_algorithm,
    build_loader,
    build_networks,
    build_training_data,
    share_of_batch,
)
from vidgan.config import RunConfig, differences, dump_config, find_config, load_config
from vidgan.data.dataset import ClipDataset
from vidgan.errors import CheckpointError
from vidgan.precision import resolve_precision
from vidgan.seeding import Draws
from vidgan.training.accelerator import build_accelerator
from vidgan.training.checkpoint import load_latest
from vidgan.training.cost import TurnCost, gradient_bytes, ring_bytes, start_optimizers, state_bytes, turn_costs

MB, GB = 1e6, 1e9


@dataclass(frozen=True)
class Plan:
    """Cost of a training run. Bytes are per process; operations and sent bytes per step.

    Attributes:
        clips: clips of one micro-batch of one process.
        num_items: items of an epoch.
        clip_bytes: bytes read from disk for one clip.
        usage: how many of the prepared clips are used.
        state: part -> bytes that stay in memory between steps: weights, optimizers, average.
        gradients: network -> bytes averaged over the processes in its turn.
        cost_of_two, cost_of_three: network -> cost of its turn with two and with three clips.
    """

    config: RunConfig
    processes: int
    precision: str
    clips: int
    num_items: int
    clip_bytes: int
    usage: str
    state: Mapping[str, int]
    gradients: Mapping[str, int]
    cost_of_two: Mapping[str, TurnCost]
    cost_of_three: Mapping[str, TurnCost]

    @property
    def steps_per_epoch(self) -> float:
        """Steps that read every item once."""
        return self.num_items / self.config.train.batch_size

    @property
    def checkpoint_bytes(self) -> int:
        """Size of one checkpoint on disk, without a few kilobytes of headers."""
        return sum(self.state.values())

    def turn(self, name: str, clips: int) -> TurnCost:
        """Cost of a network's turn with a micro-batch of `clips` clips."""
        return self.cost_of_two[name].with_clips(self.cost_of_three[name], clips)

    def memory(self, clips: int) -> float:
        """Peak bytes of a step with micro-batches of `clips` clips."""
        return self.checkpoint_bytes + max(self.turn(name, clips).peak for name in self.gradients)

    def flops(self, name: str) -> float:
        """Operations of a network's turns per step, over all processes; a turn that is due every N steps counts 1/N."""
        turns = self.processes * self.config.train.micro_batches * self.turn(name, self.clips).flops
        return turns * self.config.updates_per_step(name)

    @property
    def sent(self) -> float:
        """Bytes of gradients that each process contributes to the all-reduce per step."""
        return sum(size * self.config.updates_per_step(name) for name, size in self.gradients.items())


def make_plan(config: RunConfig, processes: int = 1) -> Plan:
    """Count what a run of `config` costs with this many processes.

    Raises:
        ConfigError, DataError: as training would.
    """
    clips = share_of_batch(config, processes)
    dataset, accelerator = build_training_data(config), build_accelerator("cpu")
    gpu = config.train.device != "cpu" and torch.cuda.is_available()
    precision = resolve_precision(config, dataset, accelerator, device=torch.device("cuda" if gpu else "cpu"))
    eager = {"device": "cpu", "precision": precision, "compile": False, "tf32": False, "micro_batches": 1}
    counted = config.with_every_turn().model_copy(update={"train": config.train.model_copy(update=eager)})
    algorithm = build_algorithm(counted, build_networks(counted, dataset), accelerator)
    step = config.lazy_period() - 1  # the first one in which a lazy penalty is computed

    def costs(number: int) -> dict[str, TurnCost]:
        small = counted.model_copy(update={"train": counted.train.model_copy(update={"batch_size": number})})
        (batch,) = next(build_loader(small, dataset, accelerator).batches(0))
        return turn_costs(algorithm, step, [(batch, Draws(config.seed, "plan", rows=range(number)))])

    start_optimizers(algorithm.trainees)
    return Plan(
        config=config,
        processes=processes,
        precision=precision,
        clips=clips,
        num_items=len(dataset),
        clip_bytes=_clip_bytes(dataset),
        usage=dataset.usage,
        state=state_bytes(algorithm),
        gradients=gradient_bytes(algorithm.trainees),
        cost_of_two=costs(2),
        cost_of_three=costs(3),
    )


def _clip_bytes(dataset: ClipDataset) -> int:
    """Bytes of one prepared clip: uint8 pixels, and float16 flow if it is read."""
    height, width = dataset.size
    flow = (dataset.frames - 1) * 2 * 2 if dataset.flow else 0
    return (dataset.frames * 3 + flow) * height * width


def plan_training(config: str, overrides: Sequence[str] = (), *, processes: int = 1, nodes: int = 1) -> str:
    """Describe the run that `vidgan train` would start.

    Args:
        config, overrides: as in `vidgan.commands.train.train`.
        processes: on each of `nodes` machines.

    Raises:
        ConfigError, DataError: as training would.
    """
    settings = load_config(find_config(config), overrides)
    return describe(make_plan(settings, processes * nodes))


def describe(plan: Plan) -> str:
    """Blocks of text: config, networks, memory, disk, data, communication, resuming."""
    train, state = plan.config.train, plan.state
    lines = ["config", *(f"  {line}" for line in dump_config(plan.config).splitlines())]
    lines += ["", f"{'network':12}{'parameters':>14}{'GFLOP/step':>15}{'peak GB/turn':>16}"]
    for name, size in plan.gradients.items():
        cost = plan.turn(name, plan.clips)
        lines.append(f"{name:12}{size // 4:14,}{plan.flops(name) / GB:15,.1f}{cost.peak / GB:16.2f}")
    total = sum(map(plan.flops, plan.gradients))
    lines.append(f"{'all':12}{sum(plan.gradients.values()) // 4:14,}{total / GB:15,.1f}")
    if plan.config.lazy_period() > 1:
        lines.append(f"  including the penalty, which is due every {plan.config.lazy_period()} steps")
    lines += [
        "",
        f"memory per process, micro-batch of {plan.clips} clips in {plan.precision}: "
        f"{plan.memory(plan.clips) / GB:.2f} GB",
        *(f"  {part:32}{size / GB:8.3f} GB" for part, size in state.items()),
        f"  {'activations, gradients, other':32}{(plan.memory(plan.clips) - sum(state.values())) / GB:8.3f} GB",
        "  tensors only: CPU processes used 1.4 to 1.9 times the last line; a GPU context adds half a GB",
        "",
        f"disk: {plan.checkpoint_bytes / MB:,.1f} MB per checkpoint; {plan.config.every.keep} and the best are kept",
        f"data: {plan.num_items:,} clips; {plan.steps_per_epoch:,.1f} steps per epoch, {train.steps:,} steps are"
        f" {train.steps / plan.steps_per_epoch:,.1f} epochs",
        f"  {plan.usage}",
        f"  {plan.clip_bytes / MB:.3f} MB per clip, {plan.clip_bytes * train.batch_size / MB:.2f} MB per step over all"
        " processes",
        _communication(plan),
        _start(plan.config),
    ]
    return "\n".join(lines)


def _communication(plan: Plan) -> str:
    """What the processes of the run send to each other."""
    if plan.processes == 1:
        return f"communication: none with one process; with more, {plan.sent / MB:.1f} MB of gradients per step"
    ring = ring_bytes(plan.sent, plan.processes)
    return (
        f"communication: {plan.sent / MB:.1f} MB of gradients per step, averaged over {plan.processes} processes; in a"
        f" ring, each process sends and receives {ring / MB:.1f} MB"
    )


def _start(config: RunConfig) -> str:
    """The step at which training would start or resume."""
    run_dir = config.run_dir
    if not run_dir.exists():
        return f"run: {run_dir} is new and starts at step 0"
    try:
        checkpoint = load_latest(run_dir / "checkpoints")
    except CheckpointError as error:
        return f"run: cannot be resumed: {error}"
    start = "step 0" if checkpoint is None else f"step {checkpoint.step} ({checkpoint.path.name})"
    written = run_dir / "config.yaml"
    changed = differences(load_config(written), config) if written.is_file() else []
    changes = f"; changed settings: {'; '.join(changed)}" if changed else ""
    return f"run: {run_dir} resumes at {start} of {config.train.steps}{changes}"
