"""
Upscale a video
===============

An upscaler learns from clips at the size of the output, which it reduces itself. Forty steps of a small network sharpen
moving shapes. Left: the input, its pixels enlarged. Right: twice the size.
"""

from pathlib import Path

import vidgan
from vidgan.commands.upscale import upscale
from vidgan.data.preparing.shapes import prepare_shapes
from vidgan.data.synthetic.shapes import render_moving_shape
from vidgan.video.encode import write_clip

data = prepare_shapes(Path("large-shapes"), clips=24, frames=8, size=32, seed=0)
short = ["train.steps=40", "train.warmup=0", "train.batch_size=4", "model.network={kind: frame, width: 12, blocks: 2}"]
run = vidgan.train("upscaling/frame", [*short, "every.evaluate=null"], data=data, quiet=True).run_dir

small = render_moving_shape(seed=1, index=4, frames=16, size=32).frames
write_clip(Path("small.mkv"), small, fps=12, format="ffv1")
result = upscale(run, Path("small.mkv"), Path("upscaled.gif"), layout="side")
print(result.frames, "frames of", result.size)
