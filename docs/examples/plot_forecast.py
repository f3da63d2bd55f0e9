"""
Forecast a video
================

A Dual Motion GAN continues a clip by ten frames. The strip shows context and forecast, then the parts that the
forecast is made of, its flow, the true frames and the error.
"""

from pathlib import Path

from vidgan.commands.predict import predict
from vidgan.data.synthetic.shapes import render_moving_shape
from vidgan.video.encode import write_mp4

clip = render_moving_shape(seed=1, index=0, frames=24, size=64)
video = write_mp4(Path("shape.mp4"), clip.frames, fps=12)

future = predict("shapes", video, Path("forecast.mp4"), horizon=10)
print(tuple(future.shape), future.dtype)
