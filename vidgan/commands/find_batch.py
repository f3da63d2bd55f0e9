"""`vidgan train CONFIG --find-batch`: the largest batch that fits this machine. Trains nothing.

Steps with growing batches are executed on a GPU until one does not fit. On a CPU that is impossible, because the
system kills a process that takes too much: the plan's count is compared with the memory that is free now.

The margins are for what the search cannot know: programs that start later, and fragmentation in a longer run. A tenth
stays free on a GPU. Half stays free on a CPU, where a process was measured at up to 1.9 times the counted tensors. The
result is an upper limit: whether a larger batch trains better is another question.
"""

import gc
from collections.abc import Callable, Sequence

import torch

from vidgan.build import build_algorithm, build_dataset, build_loader, build_networks
from vidgan.commands.plan import GB, Plan, make_plan
from vidgan.config import RunConfig, find_config, load_config
from vidgan.errors import ConfigError
from vidgan.memory import available_memory
from vidgan.precision import resolve_precision, with_precision
from vidgan.seeding import Draws
from vidgan.training.accelerator import build_accelerator

CPU_SHARE, GPU_SHARE = 0.5, 0.9  # of the memory that a batch may use
MAX_CLIPS = 4096  # largest micro-batch that is tried


def find_batch(config: str | RunConfig, overrides: Sequence[str] = (), *, processes: int = 1, nodes: int = 1) -> str:
    """Find the largest train.batch_size that fits, and describe it.

    Args:
        config, overrides: as in `vidgan.commands.train.train`.
        processes: on each of `nodes` machines like this one.

    Raises:
        ConfigError, DataError: as training would; ConfigError also if a single clip does not fit.
    """
    settings = config if isinstance(config, RunConfig) else load_config(find_config(config), overrides)
    pieces = processes * nodes * settings.train.micro_batches
    settings = _with_batch(settings, pieces, settings.train.micro_batches)
    if settings.train.device != "cpu" and torch.cuda.is_available():
        clips, method = _measure_on_gpu(settings)
    else:
        clips, method = _count_on_cpu(make_plan(settings, processes * nodes), available_memory() / processes)
    if clips == 0:
        raise ConfigError(
            f"train.batch_size: a single clip does not fit ({method}); use smaller frames or networks, or"
            " checkpoint_activations"
        )
    limit = " (search limit)" if clips == MAX_CLIPS else ""
    return (
        f"train.batch_size={clips * pieces}: {clips} clips at once{limit} in each of {processes * nodes} processes,"
        f" train.micro_batches={settings.train.micro_batches}\n{method}"
    )


def largest(fits: Callable[[int], bool], limit: int = MAX_CLIPS) -> int:
    """Find the largest number from 1 to `limit` that fits by doubling, then bisection; 0 if none fits.

    Args:
        fits: whether a number fits; must hold for every number below one that fits. Called at most 2 log2(limit) times.
    """
    low, high = 0, 1
    while high <= limit and fits(high):
        low, high = high, 2 * high
    high = min(high, limit + 1)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def _with_batch(settings: RunConfig, batch_size: int, micro_batches: int) -> RunConfig:
    train = settings.train.model_copy(update={"batch_size": batch_size, "micro_batches": micro_batches})
    return settings.model_copy(update={"train": train})


def _count_on_cpu(plan: Plan, available: float) -> tuple[int, str]:
    """The largest micro-batch, and how it was determined.

    Args:
        available: bytes for each process.
    """
    allowed = CPU_SHARE * available
    clips = largest(lambda number: plan.memory(number) <= allowed)
    return clips, (
        f"counted: {plan.memory(max(1, clips)) / GB:.2f} GB for {max(1, clips)}, {plan.memory(clips + 1) / GB:.2f} GB"
        f" for one more; {allowed / GB:.2f} GB allowed (half of the free memory per process)"
    )


def _measure_on_gpu(settings: RunConfig) -> tuple[int, str]:
    """The largest micro-batch, and how it was determined."""
    accelerator = build_accelerator(settings.train.device)
    dataset = build_dataset(settings)
    settings = with_precision(settings, resolve_precision(settings, dataset, accelerator))
    algorithm = build_algorithm(settings.with_every_turn(), build_networks(settings, dataset), accelerator)
    total = torch.cuda.get_device_properties(accelerator.device).total_memory

    def fits(clips: int) -> bool:
        loader = build_loader(_with_batch(settings, clips, 1), dataset, accelerator)
        try:
            (batch,) = next(loader.batches(0))
            on_device = type(batch)(*(part.to(accelerator.device) for part in batch))
            draws = Draws(settings.seed, "fit", rows=range(clips), device=accelerator.device)
            torch.cuda.reset_peak_memory_stats(accelerator.device)
            algorithm.step(settings.lazy_period() - 1, [(on_device, draws)])
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
    name = torch.cuda.get_device_name(accelerator.device)
    return clips, f"measured on {name}; a tenth of its {total / GB:.1f} GB stays free"
