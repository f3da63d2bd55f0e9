"""
Swap motion
===========

A clip of MoCoGAN is a content code and a path of motion codes. Rendering the content of one clip with the motion of
another exchanges what moves and how it moves. Upper row: two clips. Lower row: the same with exchanged motion.
"""

from pathlib import Path

import torch

from vidgan import MoCoGAN
from vidgan.video import tile, write_gif

model = MoCoGAN.from_pretrained("shapes")
first = model.latents(1, frames=32, seed=1, category="across")
second = model.latents(1, frames=32, seed=2, category="circle")

# The category describes the motion, so it moves with it.
swapped = [
    one._replace(motion=other.motion, category=other.category) for one, other in ((first, second), (second, first))
]
clips = torch.cat([model.render(latents) for latents in (first, second, *swapped)])
write_gif(Path("swapped.gif"), tile(clips, columns=2), fps=12)
