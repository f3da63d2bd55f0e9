"""Metrics: clips in, numbers out. Frames and clips are uint8 RGB; every result repeats the definition of its metrics.

- `frame`: `METRICS`, the metrics of a predicted frame (MSE, MAE, PSNR, SSIM, MS-SSIM, sharpness); `frame_torch`: their
  batched and differentiable forms; `masked`: `MASKED`, the three UCF-101 protocols, which score moving pixels
- `perceptual`: LPIPS and ST-LPIPS
- `flow`: end-point, angular, Fl-all and photometric errors; `flow_files`: .flo and KITTI files
- `frechet`: Fréchet and kernel distances of two sets; `features`, `fvd`, `inception`: the networks behind FVD, KVD, FID
  and the Inception Score
- `clip_statistics`, `motion_histograms`: measures of a set of clips without a trained network
- `content`, `motion_control`: MoCoGAN's ACD and MCS
- `nearest_windows`: memorisation, the closest training window to a generated clip
- `calibration`: rank histogram, coverage and spread-skill ratio of a stochastic forecast
- `values`: the rule for infinite and undefined values; `statistics`: bootstrap intervals over source videos

Networks are loaded from weight files that the caller names (`weights`); nothing is downloaded.
"""

from vidgan.metrics.calibration import coverage, rank_counts, spread_skill, spread_terms
from vidgan.metrics.clip_statistics import motion_energy
from vidgan.metrics.content import content_distance, embedding_distance, face_embedding
from vidgan.metrics.features import FeatureNet, inception_features, script_features
from vidgan.metrics.flow import angular_error, end_point_error, fl_all, photometric_error
from vidgan.metrics.flow_files import read_flo, read_kitti, write_flo, write_kitti
from vidgan.metrics.frame import METRICS, FrameMetric, score_frames
from vidgan.metrics.frame_torch import TORCH_METRICS, metrics_on
from vidgan.metrics.frechet import frechet_between, frechet_distance, kernel_distance
from vidgan.metrics.fvd import i3d
from vidgan.metrics.inception import c3d_classifier, inception_score
from vidgan.metrics.masked import MASKED, MaskedMetric
from vidgan.metrics.motion_control import CategoryCheck, category_scores, train_classifier
from vidgan.metrics.motion_histograms import direction_distance, flow_histograms, speed_distance
from vidgan.metrics.nearest_windows import NearestWindows
from vidgan.metrics.perceptual import lpips_metric, stlpips_metric
from vidgan.metrics.statistics import Estimate, SourceBootstrap
from vidgan.metrics.values import finite_mean

__all__ = [
    "MASKED",
    "METRICS",
    "TORCH_METRICS",
    "CategoryCheck",
    "Estimate",
    "FeatureNet",
    "FrameMetric",
    "MaskedMetric",
    "NearestWindows",
    "SourceBootstrap",
    "angular_error",
    "c3d_classifier",
    "category_scores",
    "content_distance",
    "coverage",
    "direction_distance",
    "embedding_distance",
    "end_point_error",
    "face_embedding",
    "finite_mean",
    "fl_all",
    "flow_histograms",
    "frechet_between",
    "frechet_distance",
    "i3d",
    "inception_features",
    "inception_score",
    "kernel_distance",
    "lpips_metric",
    "metrics_on",
    "motion_energy",
    "photometric_error",
    "rank_counts",
    "read_flo",
    "read_kitti",
    "score_frames",
    "script_features",
    "speed_distance",
    "spread_skill",
    "spread_terms",
    "stlpips_metric",
    "train_classifier",
    "write_flo",
    "write_kitti",
]
