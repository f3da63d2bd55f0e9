"""`vidgan doctor`: check what this machine can do, and run one training step of each model."""

import platform
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

import vidgan
from vidgan.commands.train import CONFIG_FILE, train
from vidgan.config import load_config, shipped_configs
from vidgan.cores import adapt_threads, usable_cores
from vidgan.data.preparing.prepare import prepare
from vidgan.data.synthetic.shapes import render_shapes
from vidgan.evaluation.results import library_versions
from vidgan.files import temporary_folder
from vidgan.training.accelerator import build_accelerator
from vidgan.video.codecs import libavcodec_version, missing_codecs
from vidgan.video.optical_flow import default_method

NEEDED_SPACE = 2 * 1024**3  # bytes
CODECS = ("libx264", "h264", "hevc", "vp9", "libdav1d", "mpeg4")


def doctor() -> int:
    """Print one line per check.

    Returns:
        Exit code: 1 if a check failed, else 0.
    """
    checks: dict[str, Callable[[], str]] = {
        "versions": _versions,
        "device": _device,
        "processes": _processes,
        "codecs": _codecs,
        "optical flow": lambda: f"{default_method()} (pip install 'vidgan[flow]' adds dis)",
        "space": _space,
        "one step of each model": _train_steps,
    }
    failed = False
    for name, check in checks.items():
        try:
            print(f"ok      {name}: {check()}")
        except Exception as error:  # any failure is a result; the other checks still run
            failed = True
            print(f"FAILED  {name}: {type(error).__name__}: {error}")
    return int(failed)


def _versions() -> str:
    versions = library_versions() | {"vidgan": vidgan.__version__, "libavcodec": libavcodec_version()}
    return f"{platform.platform()}; " + ", ".join(f"{name} {version}" for name, version in versions.items())


def _device() -> str:
    threads = f"{adapt_threads()} threads (free of {usable_cores()} usable cores)"
    return f"{build_accelerator('auto').device}, {threads}"


def _processes() -> str:
    accelerator = build_accelerator("auto")
    return f"{accelerator.num_processes} here, {usable_cores()} CPU cores, {torch.cuda.device_count()} GPUs"


def _codecs() -> str:
    if missing := missing_codecs(CODECS):
        raise RuntimeError(f"PyAV lacks {', '.join(missing)}")
    return ", ".join(CODECS)


def _space() -> str:
    folder = Path.cwd()
    free = shutil.disk_usage(folder).free
    if free < NEEDED_SPACE:
        raise RuntimeError(f"{folder}: {free / 1e9:.1f} GB free; training needs {NEEDED_SPACE / 1e9:.1f} GB")
    return f"{free / 1e9:.1f} GB free in {folder}"


def _train_steps() -> str:
    started = time.monotonic()
    with temporary_folder() as root:
        render_shapes(root / "videos", clips=9, frames=28, size=32, seed=0)
        prepare(root / "videos", root / "data", size=(32, 32), flow="auto", categories=True, holdout=0.4)
        changes = [f"data.root={root / 'data'}", f"out={root / 'runs'}", "train.steps=1"]
        changes += ["train.batch_size=2", "train.warmup=0", "every.evaluate=null"]
        chosen = []
        for name in ("mocogan/demo", "dual_motion/demo"):
            config = load_config(shipped_configs()[name], changes)
            train(config, quiet=True)
            chosen.append(f"{name} in {load_config(config.run_dir / CONFIG_FILE).train.precision}")
    return f"{', '.join(chosen)} (train.precision=auto), done in {time.monotonic() - started:.0f} s on {sys.platform}"
