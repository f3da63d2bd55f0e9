"""Evaluation: metrics on uint8 clips, intervals over source videos, and protocols that can be compared with papers.

Nothing here knows a model or a data set: the evaluators take functions that forecast and clips that were made.
"""

from vidgan.errors import FlowFileError
from vidgan.evaluation.evaluator import copy_last, score_folders, score_forecast, score_synthesis
from vidgan.evaluation.protocols import DEFAULT_METRICS, PROTOCOLS, ForecastProtocol, check_metrics, find_protocol
from vidgan.evaluation.results import FolderScores, ForecastScores, Score, SynthesisScores
from vidgan.metrics.flow import angular_error, end_point_error, fl_all, photometric_error
from vidgan.metrics.flow_files import read_flo, read_kitti, write_flo, write_kitti
from vidgan.metrics.frame import METRICS, FrameMetric
from vidgan.metrics.frechet import frechet_between, frechet_distance, kernel_distance
from vidgan.metrics.masked import MASKED
from vidgan.metrics.motion_control import CategoryCheck, category_scores, train_classifier
from vidgan.metrics.perceptual import lpips_metric
from vidgan.metrics.statistics import Estimate, SourceBootstrap

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
