"""The precision of a run where the config says `auto`: measured, since it depends on the processor and on the layers.

bfloat16 is twice as fast as float32 where the processor has matrix units for it (AMX). With the bfloat16 instructions
of AVX-512 alone, which many virtual machines offer, it can be the slower one. A few steps of the run's own networks
decide, with a few clips and throw-away weights. The result is kept per machine, torch version, networks and clip
size, so that equal runs make equal choices. It is written to the config of the run, so that a resumed run keeps it.
"""

import platform
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from vidgan.build import build_algorithm, build_loader, build_networks
from vidgan.config import RunConfig
from vidgan.cores import adapted_threads
from vidgan.data.dataset import ClipDataset
from vidgan.errors import JsonError
from vidgan.files import cache_folder, digest_of, read_json, write_json
from vidgan.sections import OBJECT
from vidgan.seeding import Draws
from vidgan.training.accelerator import Accelerator
from vidgan.training.ranks import max_over_processes

__all__ = ["PRECISIONS", "faster_precision", "resolve_precision", "step_seconds", "with_precision"]

PRECISIONS = ("fp32", "bf16")
CLIPS = 4  # of a measured step, per process
ROUNDS = 3  # after a warm-up; both precisions alternate
CLEAR = 1.3  # times faster in the first round: no further rounds
MARGIN = 1.05  # times faster that bf16 has to be, as it rounds
CACHE = "precision.json"


def resolve_precision(
    config: RunConfig,
    dataset: ClipDataset,
    accelerator: Accelerator,
    *,
    device: torch.device | None = None,
    recorded: str | None = None,
) -> str:
    """ "bf16" or "fp32": the config's setting, or for `auto` the recorded one, or the faster one.

    On a GPU, `auto` is bf16 where the hardware multiplies it natively. Every process must make the call.

    Args:
        config, dataset, accelerator: of the run.
        device: on which the run will compute, if that is not the accelerator's.
        recorded: precision in the config of the run that is resumed.
    """
    if config.train.precision != "auto":
        return config.train.precision
    if recorded in PRECISIONS:
        return str(recorded)
    if (device or accelerator.device).type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported() else "fp32"
    if not torch.cpu._is_avx512_bf16_supported():
        return "fp32"
    if _has_objects(config.model_dump()):
        return "bf16"  # a step would change the networks that were passed from Python
    key = _key(config, dataset)
    cached = _read_cache().get(key, "") if accelerator.is_main_process else ""
    choice = max_over_processes(accelerator, PRECISIONS.index(cached) + 1 if cached in PRECISIONS else 0)
    if choice == 0:
        faster = faster_precision(step_seconds(config, dataset, accelerator))
        choice = max_over_processes(accelerator, PRECISIONS.index(faster) + 1 if accelerator.is_main_process else 0)
        if accelerator.is_main_process:
            with suppress(OSError):  # a read-only home: the next run measures again
                cache_folder().mkdir(parents=True, exist_ok=True)
                write_json(cache_folder() / CACHE, _read_cache() | {key: PRECISIONS[choice - 1]})
    return PRECISIONS[choice - 1]


def with_precision(config: RunConfig, precision: str) -> RunConfig:
    """The config with this precision."""
    return config.model_copy(update={"train": config.train.model_copy(update={"precision": precision})})


def faster_precision(seconds: Mapping[str, float]) -> str:
    """The precision to use, by its seconds per step: fp32 unless bf16 is faster by 5 %."""
    return "bf16" if seconds["fp32"] > MARGIN * seconds["bf16"] else "fp32"


def step_seconds(config: RunConfig, dataset: ClipDataset, accelerator: Accelerator) -> dict[str, float]:
    """Seconds of the fastest of a few training steps in each precision, with throw-away networks. CPU only.

    The step is one in which a lazy penalty is computed, with every turn. Global random numbers are not touched.
    """
    pieces = accelerator.num_processes
    clips = pieces * min(CLIPS, max(1, config.train.batch_size // (pieces * config.train.micro_batches)))
    changes: dict[str, Any] = {"batch_size": clips, "micro_batches": 1, "compile": False, "warmup": 0}
    trial = config.with_every_turn().model_copy(
        update={
            "train": config.train.model_copy(update=changes),
            "data": config.data.model_copy(update={"workers": 0}),
        }
    )
    loader = build_loader(trial, dataset, accelerator)
    (batch,) = next(loader.batches(0))
    micros = [(batch, Draws(config.seed, "precision", rows=loader.rows(0)))]
    step = config.lazy_period() - 1
    fastest: dict[str, float] = {}
    with torch.random.fork_rng(devices=[]), adapted_threads():
        algorithms = {}
        for precision in PRECISIONS:
            settings = with_precision(trial, precision)
            algorithms[precision] = build_algorithm(settings, build_networks(settings, dataset), accelerator)
            algorithms[precision].step(step, micros)
        for _ in range(ROUNDS):
            for precision, algorithm in algorithms.items():
                start = time.perf_counter()
                algorithm.step(step, micros)
                duration = time.perf_counter() - start
                fastest[precision] = min(duration, fastest.get(precision, duration))
            ratio = fastest["fp32"] / fastest["bf16"]
            if pieces == 1 and not 1 / CLEAR < ratio < CLEAR:  # several processes have to make equally many steps
                break
    return fastest


def _key(config: RunConfig, dataset: ClipDataset) -> str:
    """Digest of what the speed depends on."""
    values = config.model_dump(mode="json")
    networks = [values.get(name) for name in ("task", "model", "discriminators", "objective")]
    shape = [dataset.size, dataset.num_categories, config.data.frames, config.train.batch_size]
    layout = [config.train.channels_last, torch.get_num_threads()]
    return digest_of(_processor(), torch.__version__, networks, shape, layout)


def _processor() -> str:
    """Name of the processor, and whether it has matrix units."""
    name = platform.processor()
    with suppress(OSError, StopIteration):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return f"{name}, {torch.backends.cpu.get_cpu_capability()}, amx {torch.cpu._is_amx_tile_supported()}"


def _read_cache() -> dict[str, str]:
    """Digest -> precision; empty where there is no readable cache."""
    try:
        values = read_json(cache_folder() / CACHE)
    except (OSError, JsonError):
        return {}
    return {str(key): str(value) for key, value in values.items()} if isinstance(values, dict) else {}


def _has_objects(values: Any) -> bool:
    """Whether a part of the config was passed from Python."""
    if isinstance(values, Mapping):
        return any(value == OBJECT or _has_objects(value) for value in values.values())
    return isinstance(values, list | tuple) and any(map(_has_objects, values))
