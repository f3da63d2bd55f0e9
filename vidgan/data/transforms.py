"""Changes of a clip that its flow must follow. Arrays as they lie on disk: frames (T, H, W, 3), flow (T-1, 2, H, W)."""

import numpy as np


def flip_frames(frames: np.ndarray) -> np.ndarray:
    """Mirror left and right; (T, H, W, 3) of any type, a view."""
    return frames[:, :, ::-1]


def flip_flow(flow: np.ndarray) -> np.ndarray:
    """The flow between mirrored frames: the field is mirrored and dx changes its sign; (T-1, 2, H, W) floats."""
    sign = np.array([-1, 1], flow.dtype).reshape(1, 2, 1, 1)
    return flow[..., ::-1] * sign
