"""
Forecast a video
================

A Dual Motion GAN continues a clip by eight frames. Left: the true frames. Right: the context, then the forecast.
"""

from pathlib import Path

from vidgan.commands.predict import predict
from vidgan.data.synthetic.shapes import render_moving_shape
from vidgan.video.encode import write_mp4

clip = render_moving_shape(seed=1, index=0, frames=24, size=64)
video = write_mp4(Path("shape.mp4"), clip.frames, fps=12)

future = predict("shapes", video, Path("forecast.gif"), horizon=8, layout="side")
print(tuple(future.shape), future.dtype)

# %%
# The command also writes ``forecast.png``: context and forecast, the parts that the forecast is made of, its flow, the
# true frames and the error.
