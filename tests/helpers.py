"""Small configs that several tests train with, and the command line run in this process."""

import copy
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from vidgan.__main__ import main
from vidgan.commands.export import EXPORTER
from vidgan.config import RunConfig, parse_config

has_exporter = torch.__version__ >= EXPORTER
needs_exporter = pytest.mark.skipif(not has_exporter, reason="vidgan export needs a newer torch")

SMALL: dict[str, dict[str, Any]] = {
    "mocogan": {
        "task": "synthesis",
        "name": "small",
        "data": {"frames": 13},
        "model": {"dim_content": 4, "dim_motion": 4, "frame": {"kind": "dcgan", "width": 4, "norm": "none"}},
        "discriminators": {"frame": {"width": 4}, "video": {"width": 4}},
        "objective": {
            "weights": {"adversarial_frame": 1.0, "adversarial_video": 1.0, "category": 1.0},
            "category_source": "labels",
            "frames_per_clip": 2,
        },
        "optimizers": {"generator": {}, "frame": {}, "video": {}},
    },
    "dual_motion": {
        "task": "forecasting",
        "name": "small",
        "data": {"frames": 5, "context": 3},
        "model": {
            "widths": [4, 4, 8, 8],
            "dim_latent": 8,
            "estimator": {"kind": "pyramid", "widths": [4, 4, 4, 4]},
        },
        "discriminators": {"frame": {"width": 4}, "flow": {"width": 4}},
        "objective": {
            "weights": {
                "direct": 1.0, "warped": 1.0, "fused": 1.0, "flow": 0.1, "implied_flow": 0.1, "observed_flow": 0.1,
                "kl": 0.001, "adversarial_frame": 0.01, "adversarial_flow": 0.01,
            },
        },
        "optimizers": {"generator": {}, "frame": {}, "flow": {}},
    },
    "translation": {
        "task": "translation",
        "name": "small",
        "data": {"frames": 5},
        "model": {"condition": {"kind": "grey"}, "network": {"kind": "unet", "width": 4, "max_width": 8}},
        "discriminators": {"frame": {"width": 4}, "video": {"width": 4, "max_receptive_frames": 4}},
        "objective": {
            "weights": {
                "l1": 100.0, "raw": 10.0, "feature_matching": 10.0, "flow": 10.0, "temporal": 10.0,
                "adversarial_frame": 1.0, "adversarial_video": 1.0,
            },
            "unroll": 4, "unroll_double": 2,
        },
        "optimizers": {"generator": {}, "frame": {}, "video": {}},
    },
    "unpaired": {
        "task": "unpaired",
        "name": "small",
        "data": {"frames": 4, "other": "unused"},
        "model": {
            "network": {"kind": "resnet", "width": 4, "max_width": 8, "blocks": 1},
            "predictor": {"kind": "unet", "width": 4, "max_width": 8},
        },
        "discriminators": {
            "frame_a": {"width": 4}, "frame_b": {"width": 4},
            "video_a": {"width": 4, "max_receptive_frames": 4}, "video_b": {"width": 4, "max_receptive_frames": 4},
        },
        "objective": {
            "weights": {
                "cycle": 10.0, "identity": 5.0, "predictor": 1.0, "recycle": 1.0, "equivariance": 1.0,
                "motion_cycle": 0.1, "feature_means": 1.0, "adversarial_frame_a": 1.0, "adversarial_frame_b": 1.0,
                "adversarial_video_a": 1.0, "adversarial_video_b": 1.0,
            },
            "pool": 6, "corruption": ["noise", "rounding"],
        },
        "optimizers": {"generator": {}, "frame_a": {}, "frame_b": {}, "video_a": {}, "video_b": {}},
    },
    "upscaling": {
        "task": "upscaling",
        "name": "small",
        "data": {"frames": 5},
        "model": {"scale": 2, "network": {"kind": "recurrent", "width": 4, "blocks": 1}},
        "discriminators": {"frame": {"width": 4}, "video": {"width": 4, "max_receptive_frames": 4}},
        "objective": {
            "weights": {"l1": 1.0, "consistency": 0.1, "adversarial_frame": 0.01, "adversarial_video": 0.01},
            "corruption": {},
        },
        "optimizers": {"generator": {}, "frame": {}, "video": {}},
    },
    "single_clip": {
        "task": "single_clip",
        "name": "small",
        "data": {"frames": 16},
        "model": {"width": 4, "factor": 0.65},
        "discriminators": {"critic": {"width": 4}},
        "objective": {
            "adversarial": "wasserstein", "penalty": {"kind": "gradient_penalty", "weight": 10.0}, "scale_steps": 2,
            "weights": {"reconstruction": 10.0, "adversarial_critic": 1.0}, "turns": [["critic", 2], "generator"],
        },
        "optimizers": {"generator": {"lr": 0.002}, "critic": {"lr": 0.002}},
    },
}  # fmt: skip


def small_config(model: str, data: Path, out: Path, **changes: Any) -> RunConfig:
    """A config whose steps take well under a second.

    Args:
        model: a key of `SMALL`.
        data: prepared clips.
        out: folder of the runs.
        changes: values of single keys, with `__` for the dots.
    """
    values = copy.deepcopy(SMALL[model])
    values["data"]["root"] = str(data)
    values |= {
        "out": str(out),
        "train": {"steps": 4, "batch_size": 4, "precision": "fp32", "device": "cpu", "ema_decay": 0.9},
        "every": {"log": 1, "preview": 100, "checkpoint": 2},
    }
    for key, value in changes.items():
        section = values
        *path, last = key.split("__")
        for part in path:
            section = section.setdefault(part, {})
        section[last] = value
    return parse_config(values, "small")


def run_vidgan(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *arguments: object
) -> tuple[int, str, str]:
    """Run the command in this process: exit code, standard output, standard error."""
    monkeypatch.setattr(sys, "argv", ["vidgan", *map(str, arguments)])
    try:
        main()
        code = 0
    except SystemExit as stop:
        code = int(stop.code or 0)
    out, err = capfd.readouterr()
    return code, out, err


@contextmanager
def double_precision() -> Iterator[None]:
    """Train in float64 without hooks, so that a difference above 1e-9 is not a rounding error."""
    from vidgan.pixels import to_float
    from vidgan.training.recorder import Hooks

    def to_double(pixels: torch.Tensor) -> torch.Tensor:
        return to_float(pixels).double()

    before = torch.get_default_dtype()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.Tensor, "float", torch.Tensor.double)
        patch.setattr("vidgan.tasks.synthesis.training.to_float", to_double)
        patch.setattr("vidgan.tasks.forecasting.training.to_float", to_double)
        patch.setattr("vidgan.tasks.upscaling.training.to_float", to_double)
        patch.setattr("vidgan.commands.train.build_hooks", lambda *_, **__: Hooks())
        torch.set_default_dtype(torch.float64)
        try:
            yield
        finally:
            torch.set_default_dtype(before)


@contextmanager
def second_process(code: str, *arguments: object) -> Iterator[None]:
    """Make this process rank 0 of two, and run `code` with these arguments in rank 1, as a launcher would."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2", "GLOO_SOCKET_IFNAME": "lo"}
    other = subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        env=os.environ | place | {"RANK": "1", "LOCAL_RANK": "1", "OMP_NUM_THREADS": "1"},
    )
    with pytest.MonkeyPatch.context() as patch:
        for name, text in (place | {"RANK": "0"}).items():
            patch.setenv(name, text)
        patch.setattr("vidgan.evaluation.share.exit_with_launcher", lambda: None)  # pytest is no launcher
        try:
            yield
            assert other.wait(timeout=60) == 0
        finally:
            other.kill()
            if torch.distributed.is_initialized():
                torch.distributed.destroy_process_group()
