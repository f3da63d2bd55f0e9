"""
Translate a video
=================

A translation model maps clips to clips. This one removes noise: it trains on clean clips, to which it adds the noise
itself. Forty steps of a small network are enough for moving shapes. Left: noisy. Right: translated.
"""

from pathlib import Path

import numpy as np

import vidgan
from vidgan.data.preparing.shapes import prepare_shapes
from vidgan.data.synthetic.shapes import render_moving_shape
from vidgan.video.encode import write_clip

data = prepare_shapes(Path("shapes"), clips=24, frames=8, size=32, seed=0)
small = ["model.network.width=8", "discriminators.frame=null", "discriminators.video=null", "data.frames=4"]
losses = ["objective.adversarial=null", "objective.unroll=2", "optimizers.generator.lr=0.003"]
short = ["train.steps=40", "train.batch_size=4", "every.evaluate=null"]
run = vidgan.train("translation/denoise", [*small, *losses, *short], data=data, quiet=True).run_dir

clean = render_moving_shape(seed=1, index=3, frames=16, size=32).frames.astype(float)
noisy = (clean + np.random.default_rng(0).normal(0, 25, clean.shape)).clip(0, 255).astype(np.uint8)
write_clip(Path("noisy.mkv"), noisy, fps=12, format="ffv1")

result = vidgan.translate(run, Path("noisy.mkv"), Path("translated.gif"), layout="side")
print(result.frames, "frames of", result.size)
