"""Evaluation: metrics on uint8 clips, intervals over source videos, and protocols with published numbers.

One pipeline per kind of evaluation: `forecasts`, `clips`, `long_clips` and `folders`. Each goes from settings to data,
model, windows, measurements and the result. Models are asked through the protocols of `vidgan.tasks.base`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vidgan.errors import FlowFileError
    from vidgan.evaluation.baselines import copy_last
    from vidgan.evaluation.folders import score_folders
    from vidgan.evaluation.forecasts import score_forecast
    from vidgan.evaluation.protocols import DEFAULT_METRICS, PROTOCOLS, ForecastProtocol, check_metrics, find_protocol
    from vidgan.evaluation.results import FolderScores, ForecastScores, Score, SynthesisScores
    from vidgan.evaluation.set_scores import score_synthesis
    from vidgan.metrics.flow import angular_error, end_point_error, fl_all, photometric_error
    from vidgan.metrics.flow_files import read_flo, read_kitti, write_flo, write_kitti
    from vidgan.metrics.frame import METRICS, FrameMetric
    from vidgan.metrics.frechet import frechet_between, frechet_distance, kernel_distance
    from vidgan.metrics.masked import MASKED
    from vidgan.metrics.motion_control import CategoryCheck, category_scores, train_classifier
    from vidgan.metrics.perceptual import lpips_metric
    from vidgan.metrics.statistics import Estimate, SourceBootstrap

# Imported on first use, so that a module that needs a protocol alone does not load models and metrics.
_MODULES = {
    "vidgan.errors": ("FlowFileError",),
    "vidgan.evaluation.baselines": ("copy_last",),
    "vidgan.evaluation.folders": ("score_folders",),
    "vidgan.evaluation.forecasts": ("score_forecast",),
    "vidgan.evaluation.protocols": (
        "DEFAULT_METRICS", "PROTOCOLS", "ForecastProtocol", "check_metrics", "find_protocol",
    ),
    "vidgan.evaluation.results": ("FolderScores", "ForecastScores", "Score", "SynthesisScores"),
    "vidgan.evaluation.set_scores": ("score_synthesis",),
    "vidgan.metrics.motion_control": ("CategoryCheck", "category_scores", "train_classifier"),
    "vidgan.metrics.flow": ("angular_error", "end_point_error", "fl_all", "photometric_error"),
    "vidgan.metrics.flow_files": ("read_flo", "read_kitti", "write_flo", "write_kitti"),
    "vidgan.metrics.frame": ("METRICS", "FrameMetric"),
    "vidgan.metrics.frechet": ("frechet_between", "frechet_distance", "kernel_distance"),
    "vidgan.metrics.masked": ("MASKED",),
    "vidgan.metrics.perceptual": ("lpips_metric",),
    "vidgan.metrics.statistics": ("Estimate", "SourceBootstrap"),
}  # fmt: skip
_HOMES = {name: module for module, names in _MODULES.items() for name in names}
__all__ = [
    "DEFAULT_METRICS",
    "MASKED",
    "METRICS",
    "PROTOCOLS",
    "CategoryCheck",
    "Estimate",
    "FlowFileError",
    "FolderScores",
    "ForecastProtocol",
    "ForecastScores",
    "FrameMetric",
    "Score",
    "SourceBootstrap",
    "SynthesisScores",
    "angular_error",
    "category_scores",
    "check_metrics",
    "copy_last",
    "end_point_error",
    "find_protocol",
    "fl_all",
    "frechet_between",
    "frechet_distance",
    "kernel_distance",
    "lpips_metric",
    "photometric_error",
    "read_flo",
    "read_kitti",
    "score_folders",
    "score_forecast",
    "score_synthesis",
    "train_classifier",
    "write_flo",
    "write_kitti",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'vidgan.evaluation' has no attribute {name!r}")
