# %% [markdown]
"""
Your own videos, from folder to report
======================================

All steps from a folder of videos to a trained model and its report. This page is a notebook: download it at the end, or
open the script with jupytext. Rendered shapes stand for your videos, and two training steps for a whole training.
"""

# %% [markdown]
# First a folder of videos. Replace this cell by the path of your own folder.

# %%
from pathlib import Path

import vidgan
from vidgan.commands.predict import predict
from vidgan.commands.report import report
from vidgan.data.synthetic.shapes import render_shapes

videos = Path("my_videos")
render_shapes(videos, clips=12, frames=24, size=64, seed=0)

# %% [markdown]
# Prepare it: files are checked, cut into shots, scaled, and split. Look at the contact sheet before training.

# %%
vidgan.prepare(videos, "data-mine", size=(32, 32), holdout=0.4)

# %% [markdown]
# Train. Leave the list empty for the whole training.

# %%
two_steps = ["train.steps=2", "train.batch_size=2", "train.warmup=0", "every.evaluate=null", "name=mine"]
run = vidgan.train("dual_motion/videos", two_steps, data="data-mine", quiet=True).run_dir
print(run)

# %% [markdown]
# Forecast one of the videos.

# %%
video = next(videos.rglob("*.mp4"))
future = predict(run, video, Path("mine.gif"), horizon=5, layout="side")
print(tuple(future.shape))

# %% [markdown]
# Score the held-out clips beside baselines. A model that does not exceed copy-last and the constant-velocity warp has
# learned nothing useful. After two steps, nearly all of the forecast is the extrapolated motion that the model is built
# on.

# %%
result = vidgan.evaluate(run, horizon=3)
for name, scores in result.scores.items():
    print(f"{name:28} {scores['psnr'].mean.mean:.2f} dB")

# %% [markdown]
# The report opens offline in a browser: curves, forecasts beside the truth, all scores.

# %%
print(report(run))
