"""Dual Motion GAN (Liang et al., ICCV 2017) in plain torch, in the structure of `configs/dual_motion/paper.yaml`."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

MAX_FLOW = 20.0  # pixels


def down(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 4, 2, 1), nn.GroupNorm(8, outputs), nn.LeakyReLU(0.2))


def up(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.ConvTranspose2d(inputs, outputs, 4, 2, 1), nn.GroupNorm(8, outputs), nn.LeakyReLU(0.2))


class ConvLSTM(nn.Module):
    """One convolution of input and hidden map gives the four gates (Shi et al. 2015)."""

    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__()
        self.hidden = hidden
        self.gates = nn.Conv2d(inputs + hidden, 4 * hidden, 3, padding=1)

    def forward(self, sequence: Tensor) -> Tensor:
        """(B, T, C, h, w) -> hidden maps of all times, (B, T, hidden, h, w)."""
        hidden = cell = sequence.new_zeros(len(sequence), self.hidden, *sequence.shape[-2:])
        maps = []
        for t in range(sequence.shape[1]):
            enter, forget, new, leave = self.gates(torch.cat([sequence[:, t], hidden], dim=1)).chunk(4, dim=1)
            cell = torch.sigmoid(forget) * cell + torch.sigmoid(enter) * torch.tanh(new)
            hidden = torch.sigmoid(leave) * torch.tanh(cell)
            maps.append(hidden)
        return torch.stack(maps, dim=1)


class Encoder(nn.Module):
    """Mean and log-variance of the motion code."""

    def __init__(self, widths: Sequence[int], latent: int) -> None:
        super().__init__()
        self.stages = nn.Sequential(*(down(a, b) for a, b in pairwise([3, *widths])))
        self.shared = ConvLSTM(widths[-1], latent)
        self.mean_lstm, self.logvar_lstm = ConvLSTM(latent, latent), ConvLSTM(latent, latent)
        self.mean, self.logvar = nn.Conv2d(latent, latent, 1), nn.Conv2d(latent, latent, 1)

    def forward(self, context: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T, 3, H, W) -> twice (B, latent, H/16, W/16)."""
        hidden = self.shared(self.stages(context.flatten(0, 1)).unflatten(0, context.shape[:2]))
        mean = self.mean(self.mean_lstm(hidden)[:, -1])
        return mean, self.logvar(self.logvar_lstm(hidden)[:, -1]).clamp(-10, 10)


def estimator(widths: Sequence[int]) -> nn.Sequential:
    """Two frames, (B, 6, H, W) -> flow before its limit, (B, 2, H, W)."""
    back = [*reversed(widths), widths[0]]
    path = [*(down(a, b) for a, b in pairwise([6, *widths])), *(up(a, b) for a, b in pairwise(back))]
    return nn.Sequential(*path, nn.Conv2d(widths[0], 2, 3, padding=1))


def decoder(widths: Sequence[int], latent: int, outputs: int) -> nn.Sequential:
    """Motion code (B, latent, H/16, W/16) -> (B, outputs, H, W)."""
    path = [latent, widths[2], widths[1], widths[0], max(widths[0] // 2, 8)]
    last = nn.Sequential(nn.Conv2d(path[-1], path[-1], 3, padding=1), nn.GroupNorm(8, path[-1]), nn.LeakyReLU(0.2))
    return nn.Sequential(*(up(a, b) for a, b in pairwise(path)), last, nn.Conv2d(path[-1], outputs, 3, padding=1))


def warp(frames: Tensor, flow: Tensor) -> Tensor:
    """(B, C, H, W) sampled at x + flow(x), flow in pixels (B, 2, H, W)."""
    height, width = frames.shape[-2:]
    y, x = torch.meshgrid(torch.arange(height).to(flow), torch.arange(width).to(flow), indexing="ij")
    places = torch.stack([(2 * (x + flow[:, 0]) + 1) / width - 1, (2 * (y + flow[:, 1]) + 1) / height - 1], dim=-1)
    return F.grid_sample(frames, places, padding_mode="border", align_corners=False)


class Forecast(NamedTuple):
    fused: Tensor  # P, (B, 3, H, W)
    warped: Tensor  # W
    direct: Tensor  # A
    flow: Tensor  # f, (B, 2, H, W)
    implied: Tensor  # f'
    mean: Tensor  # (B, latent, H/16, W/16)
    logvar: Tensor


class Generator(nn.Module):
    """Encoder, frame and flow generator, estimator, fusion."""

    def __init__(self, widths: Sequence[int], latent: int, estimator_widths: Sequence[int]) -> None:
        super().__init__()
        self.encoder = Encoder(widths, latent)
        self.estimator = estimator(estimator_widths)
        self.frame_generator, self.flow_generator = decoder(widths, latent, 3), decoder(widths, latent, 2)
        self.fusion = nn.Conv2d(6, 3, 1)

    def forward(self, context: Tensor, noise: Tensor) -> Forecast:
        mean, logvar = self.encoder(context)
        code, last = mean + noise * torch.exp(logvar / 2), context[:, -1]
        direct = torch.tanh(self.frame_generator(code))
        flow = MAX_FLOW * torch.tanh(self.flow_generator(code) / MAX_FLOW)
        warped = warp(last, flow)
        implied = MAX_FLOW * torch.tanh(self.estimator(torch.cat([direct, last], dim=1)) / MAX_FLOW)
        fused = self.fusion(torch.cat([direct, warped], dim=1)).clamp(-1, 1)
        return Forecast(fused, warped, direct, flow, implied, mean, logvar)


def discriminator(channels: int, width: int, layers: int) -> nn.Sequential:
    """Patches of frames or flows."""
    widths = [min(width * 2**level, 512) for level in range(layers)]
    path = [nn.Sequential(nn.Conv2d(a, b, 4, 2, 1), nn.LeakyReLU(0.2)) for a, b in pairwise([channels, *widths])]
    return nn.Sequential(*path, nn.Conv2d(widths[-1], 1, 4, 2, 1))


class Training:
    """The networks, their optimizers and the three turns of an iteration: Wasserstein losses, clipped weights."""

    def __init__(
        self,
        *,
        context: int = 10,
        widths: Sequence[int] = (64, 128, 256, 512),
        latent: int = 512,
        estimator_widths: Sequence[int] = (64, 128, 256, 512),
        width: int = 64,
        layers: int = 4,
        device: str = "cpu",
    ) -> None:
        self.context, self.latent, self.device = context, latent, device
        self.generator = Generator(widths, latent, estimator_widths).to(device)
        self.frame = discriminator(3, width, layers).to(device)
        self.flow = discriminator(2, width, layers).to(device)
        self.networks = {"frame": self.frame, "flow": self.flow, "generator": self.generator}
        self.optimizers = {
            name: torch.optim.RMSprop(network.parameters(), lr=5e-5) for name, network in self.networks.items()
        }
        self.losses: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
            "frame": self.frame_loss,
            "flow": self.flow_loss,
            "generator": self.generator_loss,
        }

    def draw(self, clips: Tensor) -> Tensor:
        """Noise of the motion code."""
        return torch.randn(len(clips), self.latent, clips.shape[-2] // 16, clips.shape[-1] // 16, device=self.device)

    def frame_loss(self, clips: Tensor, labels: Tensor, noise: Tensor) -> Tensor:
        forecast = self.generator(clips[:, : self.context], noise)
        fakes = (forecast.direct, forecast.warped, forecast.fused)
        return sum(self.frame(fake.detach()).mean() for fake in fakes) / 3 - self.frame(clips[:, self.context]).mean()

    def flow_loss(self, clips: Tensor, labels: Tensor, noise: Tensor) -> Tensor:
        forecast = self.generator(clips[:, : self.context], noise)
        on_fakes = sum(self.score_flow(fake.detach()).mean() for fake in (forecast.flow, forecast.implied)) / 2
        return on_fakes - self.score_flow(labels).mean()

    def score_flow(self, flow: Tensor) -> Tensor:
        return self.flow(flow / 16)

    def generator_loss(self, clips: Tensor, labels: Tensor, noise: Tensor) -> Tensor:
        forecast, truth = self.generator(clips[:, : self.context], noise), clips[:, self.context]
        frames = (forecast.direct, forecast.warped, forecast.fused)
        flows = (forecast.flow, forecast.implied)
        loss = sum(F.l1_loss(frame, truth) for frame in frames) + 0.05 * sum(F.l1_loss(flow, labels) for flow in flows)
        mean, logvar = forecast.mean, forecast.logvar
        loss = loss + 1e-3 * 0.5 * (logvar.exp() + mean.square() - 1 - logvar).mean()
        loss = loss - 1e-3 * sum(self.frame(frame).mean() for frame in frames) / 3
        return loss - 1e-3 * sum(self.score_flow(flow).mean() for flow in flows) / 2

    def turn(self, name: str, clips: Tensor, labels: Tensor) -> float:
        """One optimizer step of one network: uint8 clips (B, T, 3, H, W), flow (B, 2, H, W) into the frame after the
        context -> its loss."""
        real = clips.to(self.device).float() / 127.5 - 1
        loss = self.losses[name](real, labels.to(self.device).float(), self.draw(clips))
        self.optimizers[name].zero_grad()
        loss.backward()
        self.optimizers[name].step()
        if name != "generator":
            with torch.no_grad():
                for parameter in self.networks[name].parameters():
                    parameter.clamp_(-0.01, 0.01)
        return loss.item()
