"""Losses: pure functions of tensors, each a float32 scalar that is a mean over the batch.

Because every one is a mean of per-sample values, the mean over equal micro-batches (or over equal ranks) is exactly the
loss of the whole batch. Terms carry no weight; `weighted_sum` joins them with the configured weights.
"""

from vidgan.losses.adversarial import ADVERSARIAL, AdversarialLoss, accuracy, saturation
from vidgan.losses.flow import flow_l1, photometric, smoothness
from vidgan.losses.latent import category_accuracy, category_cross_entropy, kl_standard_normal
from vidgan.losses.penalties import clip_weights, gradient_penalty, r1
from vidgan.losses.reconstruction import gradient_difference, l1, l2
from vidgan.losses.weighted import weighted_sum

__all__ = [
    "ADVERSARIAL",
    "AdversarialLoss",
    "accuracy",
    "category_accuracy",
    "category_cross_entropy",
    "clip_weights",
    "flow_l1",
    "gradient_difference",
    "gradient_penalty",
    "kl_standard_normal",
    "l1",
    "l2",
    "photometric",
    "r1",
    "saturation",
    "smoothness",
    "weighted_sum",
]
