"""Reading untrusted video files, writing clips, shot detection and optical flow.

The only package that uses PyAV. Frames are uint8 RGB; arrays are (T, H, W, 3), tensors (T, 3, H, W).

- decode: `probe`, `read_frames`, `read_video`, `resize_frames`, `fit_image`, `VideoInfo`, `VideoFrames`, `VideoError`
- index: `VideoIndex`, `index_video`
- random_access: `VideoReader`, frames of a file by number
- shots: `find_cuts`, `find_cuts_transnet`, `still_spans`, `black_spans`
- encode: `write_mp4`, `write_gif`, `write_png`, `webp_bytes`, `png_bytes`
- montage: `contact_sheet`, `tile`
- sampling: `clip_starts`, `resample_indices`
- optical_flow: `estimate_flow`, `clip_flow`, `default_method`, and the dictionary `FLOW_METHODS`
"""

from vidgan.video.container import REASONS
from vidgan.video.decode import (
    VideoError,
    VideoFrames,
    VideoInfo,
    fit_image,
    probe,
    read_frames,
    read_video,
    resize_frames,
)
from vidgan.video.encode import png_bytes, webp_bytes, write_gif, write_mp4, write_png
from vidgan.video.index import VideoIndex, index_video
from vidgan.video.montage import contact_sheet, tile
from vidgan.video.optical_flow import METHODS as FLOW_METHODS
from vidgan.video.optical_flow import clip_flow, default_method, estimate_flow
from vidgan.video.random_access import VideoReader
from vidgan.video.sampling import clip_starts, resample_indices
from vidgan.video.shots import black_spans, find_cuts, find_cuts_transnet, still_spans

__all__ = [
    "FLOW_METHODS",
    "REASONS",
    "VideoError",
    "VideoFrames",
    "VideoIndex",
    "VideoInfo",
    "VideoReader",
    "black_spans",
    "clip_flow",
    "clip_starts",
    "contact_sheet",
    "default_method",
    "estimate_flow",
    "find_cuts",
    "find_cuts_transnet",
    "fit_image",
    "index_video",
    "png_bytes",
    "probe",
    "read_frames",
    "read_video",
    "resample_indices",
    "resize_frames",
    "still_spans",
    "tile",
    "webp_bytes",
    "write_gif",
    "write_mp4",
    "write_png",
]
