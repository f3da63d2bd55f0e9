"""Speed of generating and of forecasting: eager, bfloat16, compiled and exported, in one run.

    python tools/bench_infer.py [--quick] [--device cuda] [--forms eager bf16 compiled exported] [--json FILE]

Measures clips per second of MoCoGAN (64x64, 16 frames) and milliseconds per forecast frame of Dual Motion GAN (128x160,
10 context frames, horizons 1 and 10), each with one clip and with a batch, from latents or context to uint8 pixels in
memory. The networks are those of the shipped configs with initial weights: speed does not depend on their values. Forms
alternate. The table holds the median and range over the rounds, and the speed relative to eager float32.

- eager: what `sample` and `predict` do.      - bf16: the same under bfloat16 autocast.
- compiled: `torch.compile` of the parts that `train.compile` compiles; the compile time is printed, not counted.
- exported: the whole network as one torch.export program, for one batch size and horizon, run by torch.
"""

import argparse
import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from benching import format_spread, machine, ratios, save, spread, table
from torch import Tensor, nn

from vidgan.build import build_networks
from vidgan.config import find_config, load_config
from vidgan.pixels import to_byte, to_float
from vidgan.seeding import Draws
from vidgan.types import Latents

SYNTHESIS = ("mocogan/paper", "mocogan/vidgan")
FORECASTS = ("dual_motion/paper", "dual_motion/vidgan")
FORMS = ("eager", "bf16", "compiled", "exported")
FRAMES, CONTEXT, CATEGORIES = 16, 10, 6


class Render(nn.Module):
    """Latents as positional arguments -> clips in [-1, 1]; torch.export needs positional tensors."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, content: Tensor, motion: Tensor, category: Tensor, text: Tensor) -> Tensor:
        return self.model(Latents(content, motion, category, text))


class Forecast(nn.Module):
    """Context in [-1, 1] -> the next frames."""

    def __init__(self, model: nn.Module, horizon: int) -> None:
        super().__init__()
        self.model, self.horizon = model, horizon

    def forward(self, context: Tensor) -> Tensor:
        decoding = self.model.decoding  # as `predict` does
        return self.model(context, horizon=self.horizon, decoding=decoding).frames


def network(config: str, device: str) -> Any:
    """The generator of a shipped config."""
    forecasts = config in FORECASTS
    data: Any = SimpleNamespace(size=(128, 160) if forecasts else (64, 64), num_categories=CATEGORIES, captions=None)
    settings = load_config(find_config(config), ["data.root=unused"])
    return build_networks(settings, data)["generator"].to(device).eval()


@contextlib.contextmanager
def precision(form: str, device: str) -> Iterator[None]:
    """bfloat16 autocast for the form "bf16"; no gradients for any form."""
    with torch.no_grad(), torch.autocast(device, dtype=torch.bfloat16, enabled=form == "bf16"):
        yield


def job(form: str, wrapped: nn.Module, inputs: tuple[Tensor, ...], device: str) -> Callable[[], Tensor]:
    """A function that computes uint8 pixels on the CPU from the inputs."""
    run: Callable[..., Tensor] = wrapped
    if form == "compiled":
        for part in wrapped.model.compilable_parts():  # type: ignore[operator, union-attr]
            part.compile(dynamic=False)
    if form == "exported":
        with torch.no_grad():
            run = torch.export.export(wrapped, inputs).module()

    def call() -> Tensor:
        with precision(form, device):
            return to_byte(run(*inputs)).cpu()

    return call


def inputs_of(config: str, model: Any, batch: int, device: str) -> tuple[Tensor, ...]:
    """Latents of a synthesiser, or the context of a forecaster."""
    if config in FORECASTS:
        context = torch.randint(256, (batch, CONTEXT, 3, 128, 160), dtype=torch.uint8, device=device)
        return (to_float(context),)
    return tuple(part.to(device) for part in model.draw_latents(Draws(0, "bench", rows=range(batch)), FRAMES))


def measure(
    config: str, batch: int, horizon: int, *, forms: Sequence[str], rounds: int, device: str
) -> dict[str, dict[str, Any]]:
    """Measurements by form; `rate` is clips per second of a synthesiser, or milliseconds per frame of a forecaster."""
    calls: dict[str, Callable[[], Tensor]] = {}
    ready: dict[str, float] = {}
    failed: dict[str, str] = {}
    for form in forms:
        model = network(config, device)  # one per form: compiling changes it
        wrapped = Forecast(model, horizon) if config in FORECASTS else Render(model)
        start = time.perf_counter()
        try:
            calls[form] = job(form, wrapped, inputs_of(config, model, batch, device), device)
            calls[form]()
        except Exception as error:  # the compiler or the exporter may fail; the other forms are still measured
            failed[form] = (str(error).strip() or type(error).__name__).splitlines()[0][:160]
            calls.pop(form, None)
        ready[form] = time.perf_counter() - start
    seconds: dict[str, list[float]] = {form: [] for form in calls}
    for _ in range(rounds):
        for form, call in calls.items():
            start = time.perf_counter()
            call()  # ends on the CPU, so the GPU has finished
            seconds[form].append(time.perf_counter() - start)
    units = batch * horizon if config in FORECASTS else batch
    results: dict[str, dict[str, Any]] = {form: {"failed": reason} for form, reason in failed.items()}
    for form, samples in seconds.items():
        rates = [1000 * t / units if config in FORECASTS else units / t for t in samples]
        faster = ratios(seconds["eager"], samples) if "eager" in seconds else None
        results[form] = {"rate": spread(rates), "times_eager": faster, "ready_seconds": ready[form]}
    return results


def main(argv: Sequence[str] | None = None) -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", nargs="+", choices=SYNTHESIS + FORECASTS, default=list(SYNTHESIS + FORECASTS))
    parser.add_argument("--forms", nargs="+", choices=FORMS, default=list(FORMS))
    parser.add_argument("--batch", type=int, default=4, help="clips of the batch that is measured beside single clips")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--quick", action="store_true", help="single clips, horizon 1, nothing compiled: one minute")
    parser.add_argument("--json", type=Path, help="also write the results to this file")
    args = parser.parse_args(argv)
    batches, horizons, rounds = (1, args.batch), (1, 10), args.rounds
    forms = list(args.forms)
    if args.quick:
        batches, horizons, rounds = (1,), (1,), 3
        forms = [form for form in forms if form != "compiled"]
    report: dict[str, Any] = {"machine": machine(), "device": args.device, "rows": []}
    lines = []
    for config in args.config:
        for batch in batches:
            for horizon in horizons if config in FORECASTS else (1,):
                results = measure(config, batch, horizon, forms=forms, rounds=rounds, device=args.device)
                unit = "ms a frame" if config in FORECASTS else "clips/s"
                for form in forms:
                    result = results[form]
                    case = {"config": config, "batch": batch, "horizon": horizon, "form": form, "unit": unit}
                    report["rows"].append(case | result)
                    names = [config, batch, horizon if config in FORECASTS else "", form]
                    if "failed" in result:
                        lines.append([*names, "failed", unit, "", result["failed"]])
                        continue
                    faster = format_spread(result["times_eager"]) if result["times_eager"] else ""
                    lines.append(
                        [*names, format_spread(result["rate"]), unit, faster, f"{result['ready_seconds']:.1f} s"]
                    )
                    print(*names, format_spread(result["rate"]), unit, file=sys.stderr, flush=True)
    head = ["config", "batch", "horizon", "form", "median (low-high)", "", "times faster than eager", "ready after"]
    print(table(head, lines))
    save(args.json, report)
    return 0


if __name__ == "__main__":
    sys.exit(main())
