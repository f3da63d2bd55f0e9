"""The textbook side of the training benchmark is the same networks and the same losses, so that only speed differs."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from vidgan.build import build_algorithm, build_networks
from vidgan.config import find_config, load_config
from vidgan.nn.conv_lstm import ConvLSTMCell
from vidgan.seeding import Draws
from vidgan.training.accelerator import build_accelerator
from vidgan.types import ClipBatch

TOOLS = Path(__file__).resolve().parents[2] / "tools"
CLIPS = 3


class Data:
    """The facts of a data set that networks are built from."""

    def __init__(self, size: tuple[int, int], num_categories: int) -> None:
        self.size, self.num_categories, self.captions = size, num_categories, None


def build(config: str, data: Data, *changes: str) -> Any:
    settings = load_config(find_config(config), ["data.root=unused", *changes])
    networks = build_networks(settings, data)  # type: ignore[arg-type]
    return build_algorithm(settings, networks, build_accelerator("cpu"))


def layers(module: nn.Module) -> Iterator[list[Tensor]]:
    """Parameters of each layer in order; the two convolutions of a ConvLSTM as the single one that they equal."""
    for child in module.children():
        if isinstance(child, ConvLSTMCell):
            both = torch.cat([child.input_gates.weight, child.hidden_gates.weight], dim=1)
            yield [both, child.input_gates.bias]  # type: ignore[list-item]
        elif any(True for _ in child.children()):
            yield from layers(child)
        elif own := list(child.parameters()):
            yield own


def copy_weights(ours: nn.Module, plain: nn.Module) -> None:
    """Copy our weights to the textbook's network; norms have the same order in both, and so have the other layers."""
    with torch.no_grad():
        for norms in (True, False):
            pairs = [[layer for layer in layers(module) if (layer[0].dim() == 1) == norms] for module in (ours, plain)]
            for from_layer, to_layer in zip(*pairs, strict=True):
                for source, target in zip(from_layer, to_layer, strict=True):
                    target.copy_(source)


def parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def weighted(terms: dict[str, Tensor], weights: dict[str, float]) -> Tensor:
    return sum((weights[name] * terms[name] for name in weights), torch.zeros(()))


def test_mocogan(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(TOOLS))
    from textbook.mocogan import Drawn, Training

    ours = build("mocogan/paper", Data((32, 32), 3), *(f"{key}=4" for key in (
        "model.frame.width", "discriminators.frame.width", "discriminators.video.width")))  # fmt: skip
    plain = Training(size=32, categories=3, width=4, sigma=0.0)
    for name, network in ours.trainees.raw.items():
        assert parameters(network) == parameters(plain.networks[name])
        copy_weights(network, plain.networks[name])
    for name in ours.game.adversaries:
        ours.trainees.raw[name].set_noise(0.0)
    clips = torch.randint(256, (CLIPS, 13, 3, 32, 32), dtype=torch.uint8)
    labels = torch.tensor([2, 0, 1])
    batch = ClipBatch(clip=clips, category=labels, flow=torch.zeros(CLIPS, 0), item=torch.arange(CLIPS))
    draws = Draws(0, "step", 0, rows=range(CLIPS))
    for name in ("frame", "video", "generator"):
        turn = draws.fork(name)
        latents = ours.trainees.raw["generator"].draw_latents(turn.fork("latents"), 13)
        keys = ("times", "times") if name == "generator" else ("real times", "fake times")
        times = [ours._random_times(turn.fork(key), 13)[:, 0] for key in keys]
        drawn = Drawn(latents.content, latents.motion, latents.category, times[0], times[1])
        # Batch norm's statistics depend on the rendered frames: ours are the scored ones, the textbook's whole clips.
        for network in (ours.trainees.raw["generator"], plain.generator):
            network.train(name != "frame")
        if name == "generator":
            measured = weighted(ours.generator_losses(batch, draws).losses, ours.game.weights)
        else:
            adversary = ours.game.adversaries[name]
            measured = weighted(ours.discriminator_losses(adversary, 0, batch, draws).losses, adversary.weights(0))
        torch.testing.assert_close(plain.losses[name](clips.float() / 127.5 - 1, labels, drawn), measured)


def test_dual_motion(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(TOOLS))
    from textbook.dual_motion import Training

    widths = [8, 8, 16, 16]
    ours = build(
        "dual_motion/paper", Data((32, 48), 0), f"model.widths={widths}", f"model.estimator.widths={widths}",
        "model.dim_latent=16", "discriminators.frame.width=4", "discriminators.flow.width=4",
        "data.frames=4", "data.context=3", "objective.kl_warmup=null", "objective.turns=null",
    )  # fmt: skip
    plain = Training(context=3, widths=widths, latent=16, estimator_widths=widths, width=4, layers=2)
    for name, network in ours.trainees.raw.items():
        assert parameters(network) == parameters(plain.networks[name])
        copy_weights(network, plain.networks[name])
    clips = torch.randint(256, (CLIPS, 4, 3, 32, 48), dtype=torch.uint8)
    flow = 3 * torch.randn(CLIPS, 3, 2, 32, 48)
    batch = ClipBatch(clip=clips, category=torch.zeros(CLIPS).long(), flow=flow, item=torch.arange(CLIPS))
    draws = Draws(0, "step", 0, rows=range(CLIPS))
    for name in ("frame", "flow", "generator"):
        noise = draws.fork(name).fork("posterior").normal(16, 2, 3)
        if name == "generator":
            measured = weighted(ours.generator_losses(batch, draws).losses, ours.game.weights)
        else:
            adversary = ours.game.adversaries[name]
            measured = weighted(ours.discriminator_losses(adversary, 0, batch, draws).losses, adversary.weights(0))
        loss = plain.losses[name](clips.float() / 127.5 - 1, flow[:, 2], noise)
        torch.testing.assert_close(loss, measured, rtol=1e-5, atol=1e-6)
