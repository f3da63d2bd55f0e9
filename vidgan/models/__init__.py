"""The networks by the names that configs use. A new model is one file and one line here."""

from torch import nn

from vidgan.models.baselines import BASELINES
from vidgan.models.discriminators import FlowDiscriminator, FrameDiscriminator, VideoDiscriminator
from vidgan.models.dual_motion import DualMotionGAN
from vidgan.models.mocogan import MoCoGAN

__all__ = ["BASELINES", "DISCRIMINATORS", "GENERATORS", "PREDICTORS"]

GENERATORS: dict[str, type[nn.Module]] = {"mocogan": MoCoGAN}
PREDICTORS: dict[str, type[nn.Module]] = {"dual_motion": DualMotionGAN}
DISCRIMINATORS: dict[str, type[nn.Module]] = {
    "frame": FrameDiscriminator,
    "video": VideoDiscriminator,
    "flow": FlowDiscriminator,
}
