"""A small MoCoGAN with random weights whose clips vary visibly, for tests of inversion and editing."""

import torch

from vidgan.tasks.synthesis.config import MoCoGANConfig
from vidgan.tasks.synthesis.mocogan import MoCoGAN, build_mocogan


def small_mocogan(*, categories: int = 0, kind: str = "style", warm_up: int = 0) -> MoCoGAN:
    """32x32, content of 6, motion of 4."""
    frame = {"kind": kind, "width": 8, "max_width": 16}
    if kind == "style":
        frame |= {"motion_moves_origin": True, "mapping_width": 16}
    config = MoCoGANConfig.model_validate(
        {
            "dim_content": 6,
            "dim_motion": 4,
            "motion": {"hidden": 8, "linear": True, "input_scale": 2.0, "warm_up": warm_up},
            "frame": frame,
        }
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = build_mocogan(config, image_size=(32, 32), num_categories=categories)
        with torch.no_grad():
            for name, weight in model.frame.named_parameters():
                if "style.weight" in name:  # content shows
                    weight.mul_(4)
    model.facts = {"frames": 8}
    return model.eval()
