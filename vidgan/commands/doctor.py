"""`vidgan doctor`: what this machine can do, and one training step of each model."""

import os
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import av
import torch

import vidgan
from vidgan.build import build_accelerator, resolve_precision
from vidgan.commands.prepare import prepare
from vidgan.commands.train import train
from vidgan.config import load_config, shipped_configs
from vidgan.data.synthetic.shapes import render_shapes
from vidgan.evaluation.results import library_versions
from vidgan.video.optical_flow import default_method

NEEDED_SPACE = 2 * 1024**3
CODECS = ("libx264", "h264", "hevc", "vp9", "libdav1d", "mpeg4")


def doctor() -> int:
    """Print one line a check; returns 1 when a check failed, else 0."""
    checks: dict[str, Callable[[], str]] = {
        "versions": _versions,
        "device": _device,
        "processes": _processes,
        "codecs": _codecs,
        "optical flow": lambda: f"{default_method()} (pip install 'vidgan[flow]' brings dis)",
        "space": _space,
        "one step of each model": _train_steps,
    }
    failed = False
    for name, check in checks.items():
        try:
            print(f"ok      {name}: {check()}")
        except Exception as error:  # whatever is wrong, the other checks still have something to say
            failed = True
            print(f"FAILED  {name}: {type(error).__name__}: {error}")
    return int(failed)


def _versions() -> str:
    known = library_versions() | {"av": av.__version__, "vidgan": vidgan.__version__}
    ffmpeg = ".".join(str(part) for part in av.library_versions["libavcodec"])
    return f"{platform.platform()}; " + ", ".join(f"{k} {v}" for k, v in known.items()) + f"; libavcodec {ffmpeg}"


def _device() -> str:
    accelerator = build_accelerator("auto")
    precision = resolve_precision("auto", accelerator.device)
    return f"{accelerator.device}, {torch.get_num_threads()} threads, precision auto means {precision}"


def _processes() -> str:
    accelerator = build_accelerator("auto")
    return f"{accelerator.num_processes} here, {os.cpu_count()} CPU cores, {torch.cuda.device_count()} GPUs"


def _codecs() -> str:
    missing = [name for name in CODECS if name not in av.codecs_available]
    if missing:
        raise RuntimeError(f"PyAV lacks {', '.join(missing)}")
    return ", ".join(CODECS)


def _space() -> str:
    free = shutil.disk_usage(Path.cwd()).free
    if free < NEEDED_SPACE:
        raise RuntimeError(f"{free / 1e9:.1f} GB free here; training wants {NEEDED_SPACE / 1e9:.1f} GB")
    return f"{free / 1e9:.1f} GB free here"


def _train_steps() -> str:
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        render_shapes(root / "videos", clips=9, frames=28, size=32, seed=0)
        prepare(root / "videos", root / "data", size=(32, 32), flow="auto", categories=True, holdout=0.4)
        changes = [f"data.root={root / 'data'}", f"out={root / 'runs'}", "train.steps=1"]
        changes += ["train.batch_size=2", "train.warmup=0", "every.evaluate=null"]
        for name in ("mocogan/demo", "dual_motion/demo"):
            train(load_config(shipped_configs()[name], changes), quiet=True)
    return f"done in {time.monotonic() - began:.0f} s on {sys.platform}"
