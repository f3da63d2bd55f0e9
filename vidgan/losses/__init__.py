"""Loss functions: pure functions of tensors, each returning a float32 scalar that is a mean over the batch.

Because every loss is a mean of per-sample values, the mean over equal micro-batches or equal ranks is exactly the loss
of the whole batch. Terms carry no weight; `weighted_sum` applies the configured weights.

- adversarial: `ADVERSARIAL`, name -> `AdversarialLoss`; the metrics `accuracy` and `saturation` of its logits
- penalties: `r1`, `gradient_penalty`, `drift`, `path_lengths`, `clip_weights`
- reconstruction: `l1`, `l2`, `log_l2`, `crps`, `dissimilarity`, `gradient_difference`
- flow: `flow_l1`
- matching: `feature_matching`, `masked_l1`, `warp_confidence`
- latent: `kl_standard_normal`, `category_cross_entropy`, `gaussian_cross_entropy`; the metric `category_accuracy`
- weighted: `weighted_sum`
"""

from vidgan.losses.adversarial import ADVERSARIAL, AdversarialLoss, accuracy, saturation
from vidgan.losses.flow import flow_l1
from vidgan.losses.latent import (
    category_accuracy,
    category_cross_entropy,
    gaussian_cross_entropy,
    kl_standard_normal,
)
from vidgan.losses.matching import feature_matching, masked_l1, warp_confidence
from vidgan.losses.penalties import clip_weights, drift, gradient_penalty, path_lengths, r1
from vidgan.losses.reconstruction import crps, dissimilarity, gradient_difference, l1, l2, log_l2
from vidgan.losses.weighted import weighted_sum

__all__ = [
    "ADVERSARIAL",
    "AdversarialLoss",
    "accuracy",
    "category_accuracy",
    "category_cross_entropy",
    "clip_weights",
    "crps",
    "dissimilarity",
    "drift",
    "feature_matching",
    "flow_l1",
    "gaussian_cross_entropy",
    "gradient_difference",
    "gradient_penalty",
    "kl_standard_normal",
    "l1",
    "l2",
    "log_l2",
    "masked_l1",
    "path_lengths",
    "r1",
    "saturation",
    "warp_confidence",
    "weighted_sum",
]
