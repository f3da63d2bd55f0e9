"""
Train your own generator
========================

Any module that turns a content code and a motion code into a frame can be MoCoGAN's frame generator. Data, motion
network, discriminators, training, checkpoints and evaluation stay as they are.
"""

from pathlib import Path

import torch
from torch import Tensor, nn

import vidgan
from vidgan.data.preparing.shapes import prepare_shapes
from vidgan.video import contact_sheet, write_png


class Spots(nn.Module):
    """A coloured spot: content gives its colour and size, motion its place."""

    def __init__(self, content: int = 50, motion: int = 16, size: int = 32) -> None:
        super().__init__()
        self.look, self.place = nn.Linear(content, 4), nn.Linear(motion, 2)
        axis = torch.linspace(-1, 1, size)
        self.register_buffer("grid", torch.stack(torch.meshgrid(axis, axis, indexing="xy")))

    def forward(self, content: Tensor, motion: Tensor) -> Tensor:
        """(N, 50) and (N, 16) -> (N, 3, 32, 32) in [-1, 1]."""
        look, place = self.look(content), self.place(motion).tanh()[..., None, None]  # (N, 4), (N, 2, 1, 1)
        distance = (self.grid - place).square().sum(dim=1, keepdim=True) / look[:, 3:, None, None].exp()
        colour = look[:, :3, None, None].sigmoid()
        return 2 * colour * torch.exp(-8 * distance) - 1


data = prepare_shapes(Path("own-shapes"), clips=24, frames=16, size=32, seed=0)
small = ["discriminators.frame.width=8", "discriminators.video.width=8", "data.stride=1", "train.batch_size=4"]
short = ["train.steps=40", "every.evaluate=null"]
networks = {"model.frame": Spots()}
run = vidgan.train("mocogan/videos", [*small, *short], data=data, networks=networks, quiet=True).run_dir

clips = vidgan.MoCoGAN.from_pretrained(run, networks=networks).sample(6, frames=16, seed=0)
write_png(Path("spots.png"), contact_sheet(clips))
