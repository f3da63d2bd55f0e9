"""Optical flow between neighbouring frames: the teacher that labels motion when a data set is prepared.

The flow is *backward*: for each pixel x of the current frame it says where in the previous frame that pixel came from,
``current(x) = previous(x + flow(x))``, in pixels, x component first.

Mean end-point error in pixels on the seven dense pairs of Middlebury and FlyingChairs, brought to three sizes, and time
for a pair on two cores:

=============================  =======  =======  =======  ==================
method                         64x64    160x128  240x180  ms at 160x128
=============================  =======  =======  =======  ==================
no motion at all               0.59     1.39     2.05
`dis`                          0.19     0.34     0.41     10
DIS, medium preset as it is    0.29     0.44     0.55     3
`tvl1`                         0.24     0.40     0.53     180
=============================  =======  =======  =======  ==================

`dis` refines up to the full resolution; the preset stops at half of it, which costs a third of the accuracy.
"""

import importlib.util
from collections.abc import Callable
from typing import Final

import numpy as np

__all__ = ["METHODS", "MIN_SIDE", "clip_flow", "default_method", "estimate_flow"]

MIN_SIDE: Final = 16
"""The smallest height and width in pixels: two patches of the inverse search."""

_LUMA: Final = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601


def estimate_flow(current: np.ndarray, previous: np.ndarray, *, method: str) -> np.ndarray:
    """Backward flow from one frame to the one before it.

    Args:
        current: (H, W, 3) uint8 RGB.
        previous: (H, W, 3) uint8 RGB, of the same size.
        method: a key of `METHODS`.

    Returns:
        (2, H, W) float32, pixels, dx then dy, with ``current(x) = previous(x + flow(x))``.

    Raises:
        ValueError: an unknown method, or frames of other shapes or types, or smaller than `MIN_SIDE`.
        ImportError: `dis` without OpenCV; the message says how to install it.
    """
    if current.shape != previous.shape:
        raise ValueError(f"both frames must have one shape, got {current.shape} and {previous.shape}")
    return clip_flow(np.stack([previous, current]), method)[0]


def clip_flow(frames: np.ndarray, method: str) -> np.ndarray:
    """Backward flow of every frame but the first.

    Args:
        frames: (T, H, W, 3) uint8 RGB, T >= 1.
        method: a key of `METHODS`.

    Returns:
        (T-1, 2, H, W) float32; row t leads from frame t+1 back to frame t.

    Raises:
        ValueError, ImportError: as in `estimate_flow`.
    """
    if method not in METHODS:
        raise ValueError(f"unknown flow method {method!r}; known: {', '.join(METHODS)}")
    if frames.ndim != 4 or frames.shape[-1] != 3 or frames.dtype != np.uint8 or len(frames) == 0:
        raise ValueError(f"frames must be (T, H, W, 3) uint8 with T >= 1, got {frames.shape} {frames.dtype}")
    height, width = frames.shape[1:3]
    if min(height, width) < MIN_SIDE:
        raise ValueError(f"optical flow needs frames of at least {MIN_SIDE}x{MIN_SIDE} pixels, got {height}x{width}")
    estimate = METHODS[method]()
    flow = np.empty((len(frames) - 1, 2, height, width), np.float32)
    previous = _luma(frames[0])  # (H, W)
    for t in range(len(flow)):
        current = _luma(frames[t + 1])
        flow[t] = estimate(current, previous)
        previous = current
    return flow


def default_method() -> str:
    """`dis` where OpenCV is installed, `tvl1` elsewhere."""
    return "dis" if importlib.util.find_spec("cv2") is not None else "tvl1"


def _luma(frame: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 -> (H, W) uint8."""
    return np.rint(frame @ _LUMA).astype(np.uint8)


Estimator = Callable[[np.ndarray, np.ndarray], np.ndarray]


def _dis() -> Estimator:
    """Dense inverse search (Kroeger et al., 2016), OpenCV's medium preset refined to full resolution."""
    try:
        import cv2
    except ImportError as error:
        raise ImportError("the flow method 'dis' needs OpenCV: pip install 'vidgan[flow]', or choose 'tvl1'") from error
    solver = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    solver.setFinestScale(0)

    def estimate(current: np.ndarray, previous: np.ndarray) -> np.ndarray:
        return solver.calc(current, previous, None).transpose(2, 0, 1)  # (H, W, 2) -> (2, H, W)

    return estimate


def _tvl1() -> Estimator:
    """Duality-based TV-L1 (Zach et al., 2007; Wedel et al., 2009) with scikit-image's defaults."""
    from skimage.registration import optical_flow_tvl1  # takes most of a second to import

    def estimate(current: np.ndarray, previous: np.ndarray) -> np.ndarray:
        return optical_flow_tvl1(current, previous, dtype=np.float32)[::-1]  # (2, H, W), rows first -> dx first

    return estimate


METHODS: Final[dict[str, Callable[[], Estimator]]] = {"dis": _dis, "tvl1": _tvl1}
"""Name -> maker of a function of (current, previous), both (H, W) uint8 luma, to backward flow (2, H, W)."""
