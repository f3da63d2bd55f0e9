"""`vidgan train CONFIG --find-batch`: the largest batch that fits this machine. It tries or counts, and trains nothing.

On a GPU, steps of growing batches are run until one does not fit. On a CPU memory cannot be tried out, since the
system ends what takes too much: the plan's count is compared with the memory that is free now.

What it cannot know: other programs that come later, a longer run's fragmentation (a tenth is left free on a GPU, half
on a CPU, where a process was measured at up to 1.9 times the tensors that are counted), and whether a larger batch
trains better. The largest batch is an upper limit, not advice.
"""

import gc
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil
import torch

from vidgan.build import build_algorithm, build_dataset, build_loader, build_networks
from vidgan.commands.plan import GB, Plan, due_step, make_plan
from vidgan.config import RunConfig, find_config, load_config
from vidgan.errors import ConfigError
from vidgan.seeding import Draws
from vidgan.training.accelerator import build_accelerator

CPU_SHARE, GPU_SHARE = 0.5, 0.9
MOST = 4096  # clips at once


def find_batch(config: str | RunConfig, overrides: Sequence[str] = (), *, processes: int = 1, nodes: int = 1) -> str:
    """The largest train.batch_size that fits, for so many processes on each of so many machines like this, as text.

    Raises:
        ConfigError, DataError: as training would; and when not even one clip fits.
    """
    settings = config if isinstance(config, RunConfig) else load_config(find_config(config), overrides)
    pieces = processes * nodes * settings.train.micro_batches
    settings = _with_batch(settings, pieces, settings.train.micro_batches)
    if settings.train.device != "cpu" and torch.cuda.is_available():
        clips, how = _on_gpu(settings)
    else:
        clips, how = _on_cpu(make_plan(settings, processes * nodes), available_memory() / processes)
    if clips == 0:
        raise ConfigError(f"not one clip fits ({how}); use smaller frames or networks, or checkpoint_activations")
    most = " (more are not looked for)" if clips == MOST else ""
    return (
        f"train.batch_size={clips * pieces}: {clips} clips at once{most} in each of {processes * nodes} processes,"
        f" train.micro_batches={settings.train.micro_batches}\n{how}"
    )


def largest(fits: Callable[[int], bool], most: int = MOST) -> int:
    """The largest number from 1 to `most` that fits, 0 for none, if all below one that fits do: doubling, then halving.

    `fits` is asked about at most 2 log2(most) numbers.
    """
    low, high = 0, 1
    while high <= most and fits(high):
        low, high = high, 2 * high
    high = min(high, most + 1)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def available_memory() -> int:
    """Bytes that a new program may take now: what is free, within the limit of a container."""
    free = int(psutil.virtual_memory().available)
    limit, used = Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")
    if limit.is_file() and used.is_file() and (text := limit.read_text().strip()).isdigit():
        free = min(free, int(text) - int(used.read_text()))
    return max(0, free)


def _with_batch(settings: RunConfig, batch_size: int, micro_batches: int) -> RunConfig:
    train = settings.train.model_copy(update={"batch_size": batch_size, "micro_batches": micro_batches})
    return settings.model_copy(update={"train": train})


def _on_cpu(plan: Plan, available: float) -> tuple[int, str]:
    allowed = CPU_SHARE * available
    clips = largest(lambda number: plan.memory(number) <= allowed)
    return clips, (
        f"counted: {plan.memory(max(1, clips)) / GB:.2f} GB for {max(1, clips)}, {plan.memory(clips + 1) / GB:.2f} GB"
        f" for one more; {allowed / GB:.2f} GB allowed (half of what is free for each process)"
    )


def _on_gpu(settings: RunConfig) -> tuple[int, str]:
    accelerator = build_accelerator(settings.train.device)
    dataset = build_dataset(settings)
    algorithm = build_algorithm(settings, build_networks(settings, dataset), accelerator)
    total = torch.cuda.get_device_properties(accelerator.device).total_memory

    def fits(clips: int) -> bool:
        loader = build_loader(_with_batch(settings, clips, 1), dataset, accelerator)
        try:
            (batch,) = next(loader.batches(0))
            moved = type(batch)(*(part.to(accelerator.device) for part in batch))
            draws = Draws(settings.seed, "fit", rows=range(clips), device=accelerator.device)
            torch.cuda.reset_peak_memory_stats(accelerator.device)
            algorithm.step(due_step(settings), [(moved, draws)])
            torch.cuda.synchronize(accelerator.device)
            return bool(torch.cuda.max_memory_reserved(accelerator.device) <= GPU_SHARE * total)
        except torch.OutOfMemoryError:
            return False
        finally:
            for optimizer in algorithm.trainees.optimizers.values():
                optimizer.zero_grad(set_to_none=True)
            gc.collect()
            torch.cuda.empty_cache()

    clips = largest(fits)
    return clips, f"tried on {torch.cuda.get_device_name(accelerator.device)}, a tenth of its {total / GB:.1f} GB left"
