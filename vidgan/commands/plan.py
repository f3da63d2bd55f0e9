"""`vidgan train CONFIG --dry-run`: what a run would compute, hold, read, send and write; nothing is trained or written.

Operations and memory are counted, not guessed: one step runs on the CPU with two and with three clips, and both numbers
grow by the clip. Counted are tensors; a GPU adds its context (about half a GB), its kernels' workspaces and what its
allocator keeps. `train.compile` is counted as if it were off.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import lcm

import torch

from vidgan.build import build_algorithm, build_dataset, build_loader, build_networks, resolve_precision, share_of_batch
from vidgan.config import RunConfig, differences, dump_config, find_config, load_config
from vidgan.data.dataset import ClipDataset
from vidgan.errors import ConfigError
from vidgan.seeding import Draws
from vidgan.training.accelerator import build_accelerator
from vidgan.training.checkpoint import CheckpointError, load_latest
from vidgan.training.cost import TurnCost, gradient_bytes, ring_bytes, start_optimizers, state_bytes, turn_costs

MB, GB = 1e6, 1e9


@dataclass(frozen=True)
class Plan:
    """What a training run costs. Bytes are of one process, operations and clips of one step over all processes."""

    config: RunConfig
    processes: int
    precision: str
    clips: int  # of one micro-batch of one process
    items: int  # of an epoch
    clip_bytes: int  # read from disk for one clip
    state: Mapping[str, int]  # what stays between steps: weights, optimizers, average
    gradients: Mapping[str, int]  # network -> bytes that are averaged over the processes in its turn
    two: Mapping[str, TurnCost]  # network -> cost of its turn with two clips
    three: Mapping[str, TurnCost]  # the same with three

    @property
    def steps_per_epoch(self) -> float:
        """Steps in which every item is seen once."""
        return self.items / self.config.train.batch_size

    @property
    def checkpoint_bytes(self) -> int:
        """One checkpoint on disk, but for a few kilobytes of headers."""
        return sum(self.state.values())

    def turn(self, name: str, clips: int) -> TurnCost:
        """Cost of a network's turn with a micro-batch of `clips` clips."""
        return self.two[name].with_clips(self.three[name], clips)

    def memory(self, clips: int) -> float:
        """Bytes at the dearest moment of a step, with micro-batches of `clips` clips."""
        return self.checkpoint_bytes + max(self.turn(name, clips).peak for name in self.gradients)

    def flops(self, name: str) -> float:
        """Operations of a network's turns in a step over all processes, averaged over the generator's rarer turns."""
        turns = self.processes * self.config.train.micro_batches * self.turn(name, self.clips).flops
        return turns / self._every(name)

    @property
    def sent(self) -> float:
        """Bytes of gradients that each process hands to the all-reduce in a step."""
        return sum(size / self._every(name) for name, size in self.gradients.items())

    def _every(self, name: str) -> int:
        return self.config.objective.critic_steps if name == "generator" else 1


def make_plan(config: RunConfig, processes: int = 1) -> Plan:
    """Count what the run of `config` in so many processes costs.

    Raises:
        ConfigError, DataError: as training would.
    """
    clips = share_of_batch(config, processes)
    gpu = config.train.device != "cpu" and torch.cuda.is_available()
    precision = resolve_precision(config.train.precision, torch.device("cuda" if gpu else "cpu"))
    eager = {"device": "cpu", "precision": precision, "compile": False, "tf32": False, "micro_batches": 1}
    dataset = build_dataset(config)
    accelerator = build_accelerator("cpu")
    counted = config.model_copy(update={"train": config.train.model_copy(update=eager)})
    algorithm = build_algorithm(counted, build_networks(counted, dataset), accelerator)
    step = due_step(config)

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
        items=len(dataset),
        clip_bytes=_clip_bytes(dataset),
        state=state_bytes(algorithm),
        gradients=gradient_bytes(algorithm.trainees),
        two=costs(2),
        three=costs(3),
    )


def due_step(config: RunConfig) -> int:
    """The first step at which all that comes now and then is due: a lazy penalty, the generator's turn."""
    penalty = config.objective.penalty
    return lcm(penalty.every if penalty is not None else 1, config.objective.critic_steps) - 1


def _clip_bytes(dataset: ClipDataset) -> int:
    """Bytes of one clip as prepared: uint8 pixels, and float16 flow where it is read."""
    height, width = dataset.size
    flow = (dataset.frames - 1) * 2 * 2 if dataset.flow else 0
    return (dataset.frames * 3 + flow) * height * width


def plan_command(
    config: str, overrides: Sequence[str], *, processes: int, nodes: int, dry_run: bool, find_batch: bool
) -> str:
    """What `vidgan train` prints instead of training.

    Raises:
        ConfigError, DataError: as training would; and for both questions at once.
    """
    if dry_run and find_batch:
        raise ConfigError("--dry-run and --find-batch: ask for one at a time")
    if find_batch:
        from vidgan.commands import find_batch as fit

        return fit.find_batch(config, overrides, processes=processes, nodes=nodes)
    settings = load_config(find_config(config), overrides)
    return describe(make_plan(settings, processes * nodes))


def describe(plan: Plan) -> str:
    """Several blocks of text: config, networks, memory, disk, data, messages, resuming."""
    train, state = plan.config.train, plan.state
    lines = ["config", *(f"  {line}" for line in dump_config(plan.config).splitlines())]
    lines += ["", f"{'network':12}{'parameters':>14}{'GFLOP a step':>15}{'peak GB a turn':>16}"]
    for name, size in plan.gradients.items():
        cost = plan.turn(name, plan.clips)
        lines.append(f"{name:12}{size // 4:14,}{plan.flops(name) / GB:15,.1f}{cost.peak / GB:16.2f}")
    total = sum(map(plan.flops, plan.gradients))
    lines.append(f"{'all':12}{sum(plan.gradients.values()) // 4:14,}{total / GB:15,.1f}")
    if plan.config.objective.penalty is not None and plan.config.objective.penalty.every > 1:
        lines.append(f"  with the penalty, which is due at each {plan.config.objective.penalty.every}th step")
    lines += [
        "",
        f"memory of a process, {plan.clips} clips at once in {plan.precision}: {plan.memory(plan.clips) / GB:.2f} GB",
        *(f"  {part:32}{size / GB:8.3f} GB" for part, size in state.items()),
        f"  {'activations, gradients, the rest':32}{(plan.memory(plan.clips) - sum(state.values())) / GB:8.3f} GB",
        "  tensors alone: on a CPU 1.4 to 1.9 times the last line was measured; a GPU's context is half a GB more",
        "",
        f"disk: a checkpoint is {plan.checkpoint_bytes / MB:,.1f} MB; {plan.config.every.keep} are kept, and the best",
        f"data: {plan.items:,} clips; {plan.steps_per_epoch:,.1f} steps an epoch, {train.steps:,} steps are"
        f" {train.steps / plan.steps_per_epoch:,.1f} epochs",
        f"  {plan.clip_bytes / MB:.3f} MB a clip, {plan.clip_bytes * train.batch_size / MB:.2f} MB a step over all"
        " processes",
        _messages(plan),
        _resuming(plan.config),
    ]
    return "\n".join(lines)


def _messages(plan: Plan) -> str:
    if plan.processes == 1:
        return f"messages: none with one process; with more, {plan.sent / MB:.1f} MB of gradients a step to average"
    ring = ring_bytes(plan.sent, plan.processes)
    return (
        f"messages: {plan.sent / MB:.1f} MB of gradients a step to average over {plan.processes} processes; in a ring,"
        f" each sends and receives {ring / MB:.1f} MB"
    )


def _resuming(config: RunConfig) -> str:
    """What the command without --dry-run would find."""
    run_dir = config.run_dir
    if not run_dir.exists():
        return f"run: {run_dir} is new and starts at step 0"
    try:
        found = load_latest(run_dir / "checkpoints")
    except CheckpointError as error:
        return f"run: cannot be resumed: {error}"
    start = "step 0" if found is None else f"step {found.step} ({found.path.name})"
    written = run_dir / "config.yaml"
    changed = differences(load_config(written), config) if written.is_file() else []
    told = f"; changed since: {'; '.join(changed)}" if changed else ""
    return f"run: {run_dir} goes on at {start} of {config.train.steps}{told}"
