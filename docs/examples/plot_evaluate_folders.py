"""
Evaluate two folders
====================

`compare` scores predicted videos against true ones of the same name. No model is needed: the predictions may come from
any program. Here they are the true clips, one frame late, which is what repeating the last frame gives.
"""

from pathlib import Path

import numpy as np

import vidgan
from vidgan.data.synthetic.shapes import render_moving_shape
from vidgan.video import contact_sheet, write_png
from vidgan.video.encode import write_clip

clips = np.stack([render_moving_shape(seed=2, index=index, frames=13, size=64).frames for index in range(4)])
for number, clip in enumerate(clips):
    write_clip(Path("true") / f"{number}.mkv", clip[1:], fps=12, format="ffv1")
    write_clip(Path("late") / f"{number}.mkv", clip[:-1], fps=12, format="ffv1")

scores = vidgan.compare("late", "true").scores["prediction"]
for metric in ("psnr", "ssim"):
    print(f"{metric}: {scores[metric].mean.mean:.3f}")

write_png(Path("compared.png"), contact_sheet(np.stack([clips[0, 1:], clips[0, :-1]])))
