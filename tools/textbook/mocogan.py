"""MoCoGAN (Tulyakov et al., CVPR 2018) in plain torch, with the hyper-parameters of `configs/mocogan/paper.yaml`."""

from collections.abc import Callable
from itertools import pairwise
from math import log2
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Noise(nn.Module):
    """Instance noise."""

    def __init__(self, sigma: float) -> None:
        super().__init__()
        self.sigma = sigma

    def forward(self, x: Tensor) -> Tensor:
        return x + self.sigma * torch.randn_like(x)


class Generator(nn.Module):
    """GRU over time, DCGAN over frames."""

    def __init__(self, *, size: int, categories: int, width: int, dim_content: int = 50, dim_motion: int = 10) -> None:
        super().__init__()
        self.dim_content, self.dim_motion, self.categories = dim_content, dim_motion, categories
        self.gru = nn.GRUCell(dim_motion + categories, dim_motion)
        channels = [width * 2**level for level in reversed(range(int(log2(size)) - 2))]
        layers: list[nn.Module] = [nn.ConvTranspose2d(dim_content + dim_motion, channels[0], 4, bias=False)]
        for inputs, outputs in pairwise(channels):
            layers += [nn.BatchNorm2d(inputs), nn.ReLU(), nn.ConvTranspose2d(inputs, outputs, 4, 2, 1, bias=False)]
        layers += [nn.BatchNorm2d(width), nn.ReLU(), nn.ConvTranspose2d(width, 3, 4, 2, 1, bias=False), nn.Tanh()]
        self.frames = nn.Sequential(*layers)

    def forward(self, content: Tensor, motion: Tensor, category: Tensor) -> Tensor:
        """(B, 50), (B, T+1, 10), (B,) -> clips (B, T, 3, H, W) in [-1, 1]."""
        one_hot = F.one_hot(category, self.categories).float()
        state, codes = motion[:, 0], []
        for t in range(1, motion.shape[1]):
            state = self.gru(torch.cat([motion[:, t], one_hot], dim=1), state)
            codes.append(torch.cat([content, state], dim=1))
        code = torch.stack(codes, dim=1)  # (B, T, 60)
        frames = self.frames(code.flatten(0, 1)[:, :, None, None])  # (B*T, 3, H, W)
        return frames.unflatten(0, code.shape[:2])


class FrameDiscriminator(nn.Module):
    """Patches of frames."""

    def __init__(self, *, size: int, width: int, sigma: float) -> None:
        super().__init__()
        channels = [width * 2**level for level in range(int(log2(size)) - 3)]
        layers: list[nn.Module] = [Noise(sigma), nn.Conv2d(3, width, 4, 2, 1, bias=False), nn.LeakyReLU(0.2)]
        for inputs, outputs in pairwise(channels):
            layers += [Noise(sigma), nn.Conv2d(inputs, outputs, 4, 2, 1, bias=False)]
            layers += [nn.BatchNorm2d(outputs), nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers, Noise(sigma), nn.Conv2d(channels[-1], 1, 4, 2, 1, bias=False))

    def forward(self, frames: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, 1, h, w) logits."""
        return self.layers(frames)


class VideoDiscriminator(nn.Module):
    """Whole clips, and their category."""

    def __init__(self, *, size: int, categories: int, width: int, sigma: float) -> None:
        super().__init__()
        channels = [width * 2**level for level in range(int(log2(size)) - 2)]
        down = {"kernel_size": 4, "stride": (1, 2, 2), "padding": (0, 1, 1), "bias": False}
        layers: list[nn.Module] = [Noise(sigma), nn.Conv3d(3, width, **down), nn.LeakyReLU(0.2)]
        for inputs, outputs in pairwise(channels):
            layers += [Noise(sigma), nn.Conv3d(inputs, outputs, **down), nn.BatchNorm3d(outputs), nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers, nn.Conv3d(channels[-1], 1 + categories, 4, bias=False))

    def forward(self, clips: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T, 3, H, W) -> logits (B,) and class logits (B, categories)."""
        answers = self.layers(clips.transpose(1, 2)).flatten(2).mean(dim=2)  # (B, 1 + categories)
        return answers[:, 0], answers[:, 1:]


class Drawn(NamedTuple):
    """Everything random in a turn, except for the instance noise."""

    content: Tensor  # (B, 50)
    motion: Tensor  # (B, T+1, 10)
    category: Tensor  # (B,)
    real_times: Tensor  # (B,) the frame of each real clip that the frame discriminator scores
    fake_times: Tensor  # (B,) of each fake clip


class Training:
    """The networks, their optimizers and the three turns of an iteration."""

    def __init__(
        self, *, size: int = 64, categories: int = 6, width: int = 64, sigma: float = 0.1, device: str = "cpu"
    ) -> None:
        self.device = device
        self.generator = Generator(size=size, categories=categories, width=width).to(device)
        self.frame = FrameDiscriminator(size=size, width=width, sigma=sigma).to(device)
        self.video = VideoDiscriminator(size=size, categories=categories, width=width, sigma=sigma).to(device)
        self.networks = {"frame": self.frame, "video": self.video, "generator": self.generator}
        self.optimizers = {
            name: torch.optim.Adam(network.parameters(), lr=2e-4, betas=(0.5, 0.999), weight_decay=1e-5)
            for name, network in self.networks.items()
        }
        self.losses: dict[str, Callable[[Tensor, Tensor, Drawn], Tensor]] = {
            "frame": self.frame_loss,
            "video": self.video_loss,
            "generator": self.generator_loss,
        }

    def draw(self, clips: int, frames: int) -> Drawn:
        generator, device = self.generator, self.device
        return Drawn(
            content=torch.randn(clips, generator.dim_content, device=device),
            motion=torch.randn(clips, frames + 1, generator.dim_motion, device=device),
            category=torch.randint(generator.categories, (clips,), device=device),
            real_times=torch.randint(frames, (clips,), device=device),
            fake_times=torch.randint(frames, (clips,), device=device),
        )

    def fake(self, drawn: Drawn) -> Tensor:
        return self.generator(drawn.content, drawn.motion, drawn.category)

    def frame_loss(self, real: Tensor, labels: Tensor, drawn: Drawn) -> Tensor:
        fake, rows = self.fake(drawn).detach(), torch.arange(len(real))
        on_real, on_fake = self.frame(real[rows, drawn.real_times]), self.frame(fake[rows, drawn.fake_times])
        return answer_loss(on_real, True) + answer_loss(on_fake, False)

    def video_loss(self, real: Tensor, labels: Tensor, drawn: Drawn) -> Tensor:
        (on_real, classes), (on_fake, _) = self.video(real), self.video(self.fake(drawn).detach())
        return answer_loss(on_real, True) + answer_loss(on_fake, False) + F.cross_entropy(classes, labels)

    def generator_loss(self, real: Tensor, labels: Tensor, drawn: Drawn) -> Tensor:
        fake, rows = self.fake(drawn), torch.arange(len(real))
        on_frames, (on_clips, classes) = self.frame(fake[rows, drawn.fake_times]), self.video(fake)
        return answer_loss(on_frames, True) + answer_loss(on_clips, True) + F.cross_entropy(classes, drawn.category)

    def turn(self, name: str, clips: Tensor, labels: Tensor) -> float:
        """One optimizer step of one network: uint8 clips (B, T, 3, H, W) and labels (B,) -> its loss."""
        real = clips.to(self.device).float() / 127.5 - 1
        loss = self.losses[name](real, labels.to(self.device), self.draw(*clips.shape[:2]))
        self.optimizers[name].zero_grad()
        loss.backward()
        self.optimizers[name].step()
        return loss.item()


def answer_loss(logits: Tensor, real: bool) -> Tensor:
    """Binary cross-entropy against the same answer for all logits."""
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, float(real)))
