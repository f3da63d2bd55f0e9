"""Speed of generating and of forecasting: eager, bfloat16, compiled and exported, in one run.

    python tools/bench_infer.py [--quick] [--device cuda] [--forms eager bf16 compiled exported] [--json FILE]

Clips a second of MoCoGAN (64x64, 16 frames, one clip and a batch) and milliseconds a forecast frame of Dual Motion GAN
(128x160, 10 frames of context, 1 and 10 ahead, one clip and a batch), from latents or uint8 context to uint8 pixels in
memory. Networks are those of the shipped configs with weights as they start: speed does not depend on their values.
Forms take turns; shown are medians and ranges of the rounds, and how many times faster than eager float32.

- eager: what `sample` and `predict` do.      - bf16: the same under bfloat16 autocast.
- compiled: `torch.compile` of the parts that `train.compile` compiles; the time it took is printed, not counted.
- exported: the whole network as one program of torch.export, for one batch size and horizon, run by torch.
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
    """Latents -> clips in [-1, 1], by position: what is exported."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, content: Tensor, motion: Tensor, category: Tensor) -> Tensor:
        return self.model(Latents(content, motion, category))


class Forecast(nn.Module):
    """Context in [-1, 1] -> the frames that follow."""

    def __init__(self, model: nn.Module, horizon: int) -> None:
        super().__init__()
        self.model, self.horizon = model, horizon

    def forward(self, context: Tensor) -> Tensor:
        return self.model(context, horizon=self.horizon).frames


def network(config: str, device: str) -> Any:
    """The generator of a shipped config."""
    forecasts = config in FORECASTS
    data: Any = SimpleNamespace(size=(128, 160) if forecasts else (64, 64), num_categories=CATEGORIES)
    settings = load_config(find_config(config), ["data.root=unused"])
    return build_networks(settings, data)["generator"].to(device).eval()


@contextlib.contextmanager
def precision(form: str, device: str) -> Iterator[None]:
    """bfloat16 for that form, without gradients for all."""
    with torch.no_grad(), torch.autocast(device, dtype=torch.bfloat16, enabled=form == "bf16"):
        yield


def job(form: str, wrapped: nn.Module, inputs: tuple[Tensor, ...], device: str) -> Callable[[], Tensor]:
    """From inputs to uint8 pixels on the CPU."""
    run: Callable[..., Tensor] = wrapped
    if form == "compiled":
        for part in wrapped.model.tensor_parts():  # type: ignore[operator, union-attr]
            part.compile(dynamic=False)
    if form == "exported":
        with torch.no_grad():
            run = torch.export.export(wrapped, inputs).module()

    def call() -> Tensor:
        with precision(form, device):
            return to_byte(run(*inputs)).cpu()

    return call


def inputs_of(config: str, model: Any, batch: int, device: str) -> tuple[Tensor, ...]:
    """Latents, or a context."""
    if config in FORECASTS:
        context = torch.randint(256, (batch, CONTEXT, 3, 128, 160), dtype=torch.uint8, device=device)
        return (to_float(context),)
    return tuple(part.to(device) for part in model.draw_latents(Draws(0, "bench", rows=range(batch)), FRAMES))


def measure(
    config: str, batch: int, horizon: int, *, forms: Sequence[str], rounds: int, device: str
) -> dict[str, dict[str, Any]]:
    """Each form's numbers; `rate` is clips a second of a synthesiser and milliseconds a frame of a forecaster."""
    calls: dict[str, Callable[[], Tensor]] = {}
    ready: dict[str, float] = {}
    failed: dict[str, str] = {}
    for form in forms:
        model = network(config, device)  # its own, for compiling changes it
        wrapped = Forecast(model, horizon) if config in FORECASTS else Render(model)
        begun = time.perf_counter()
        try:
            calls[form] = job(form, wrapped, inputs_of(config, model, batch, device), device)
            calls[form]()
        except Exception as error:  # a compiler or the exporter may refuse; the others go on
            failed[form] = (str(error).strip() or type(error).__name__).splitlines()[0][:160]
            calls.pop(form, None)
        ready[form] = time.perf_counter() - begun
    taken: dict[str, list[float]] = {form: [] for form in calls}
    for _ in range(rounds):
        for form, call in calls.items():
            begun = time.perf_counter()
            call()  # ends on the CPU, so all that a GPU had to do is done
            taken[form].append(time.perf_counter() - begun)
    made = batch * horizon if config in FORECASTS else batch
    found: dict[str, dict[str, Any]] = {form: {"failed": why} for form, why in failed.items()}
    for form, samples in taken.items():
        rates = [1000 * t / made if config in FORECASTS else made / t for t in samples]
        faster = ratios(taken["eager"], samples) if "eager" in taken else None
        found[form] = {"rate": spread(rates), "times_eager": faster, "ready_seconds": ready[form]}
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", nargs="+", choices=SYNTHESIS + FORECASTS, default=list(SYNTHESIS + FORECASTS))
    parser.add_argument("--forms", nargs="+", choices=FORMS, default=list(FORMS))
    parser.add_argument("--batch", type=int, default=4, help="beside single clips")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--quick", action="store_true", help="single clips, one step ahead, nothing compiled: a minute")
    parser.add_argument("--json", type=Path, help="also write the numbers there")
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
                found = measure(config, batch, horizon, forms=forms, rounds=rounds, device=args.device)
                unit = "ms a frame" if config in FORECASTS else "clips/s"
                for form in forms:
                    told = found[form]
                    case = {"config": config, "batch": batch, "horizon": horizon, "form": form, "unit": unit}
                    report["rows"].append(case | told)
                    names = [config, batch, horizon if config in FORECASTS else "", form]
                    if "failed" in told:
                        lines.append([*names, "failed", unit, "", told["failed"]])
                        continue
                    faster = format_spread(told["times_eager"]) if told["times_eager"] else ""
                    lines.append([*names, format_spread(told["rate"]), unit, faster, f"{told['ready_seconds']:.1f} s"])
                    print(*names, format_spread(told["rate"]), unit, file=sys.stderr, flush=True)
    head = ["config", "batch", "horizon", "form", "median (low-high)", "", "times faster than eager", "ready after"]
    print(table(head, lines))
    save(args.json, report)
    return 0


if __name__ == "__main__":
    sys.exit(main())
