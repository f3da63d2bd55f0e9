"""
Synthesise clips
================

A MoCoGAN draws clips from random codes. Each row of the sheet is one clip, and the category says how it moves.
"""

from pathlib import Path

import torch

from vidgan import MoCoGAN
from vidgan.video import contact_sheet, tile, write_gif, write_png

model = MoCoGAN.from_pretrained("shapes")
clips = torch.cat([model.sample(2, frames=24, seed=3, category=name) for name in ("across", "circle", "down")])
print(tuple(clips.shape), clips.dtype)

write_gif(Path("synthesised.gif"), tile(clips, columns=6), fps=12)
write_png(Path("synthesised-sheet.png"), contact_sheet(clips, frames=10))
