"""The networks by the names that configs use. A new model is one file and one line here."""

from torch import nn

from vidgan.nn.discriminators import FlowDiscriminator, FrameDiscriminator, VideoDiscriminator
from vidgan.tasks.forecasting.dual_motion import DualMotionGAN
from vidgan.tasks.synthesis.mocogan import MoCoGAN

__all__ = ["DISCRIMINATORS", "GENERATORS", "PREDICTORS"]

GENERATORS: dict[str, type[nn.Module]] = {"mocogan": MoCoGAN}
PREDICTORS: dict[str, type[nn.Module]] = {"dual_motion": DualMotionGAN}
DISCRIMINATORS: dict[str, type[nn.Module]] = {
    "frame": FrameDiscriminator,
    "video": VideoDiscriminator,
    "flow": FlowDiscriminator,
}
