"""Small networks that several tests build."""

from typing import Any

import torch

from vidgan.pretrained.sentence_encoder import SentenceEncoder
from vidgan.tasks.forecasting.config import DualMotionConfig
from vidgan.tasks.forecasting.dual_motion import DualMotionGAN, build_dual_motion
from vidgan.tasks.synthesis.config import MoCoGANConfig
from vidgan.tasks.synthesis.mocogan import MoCoGAN, build_mocogan

__all__ = ["small_dual_motion", "small_mocogan", "style_mocogan"]


def small_mocogan(*, image_size: tuple[int, int] = (32, 32), num_categories: int = 0, **options: Any) -> MoCoGAN:
    """MoCoGAN with the DCGAN frame generator, seeded; `options` replace config entries, or extend sections."""
    config: dict[str, Any] = {"dim_content": 6, "dim_motion": 4, "frame": {"width": 8, "norm": "group"}}
    return _build_mocogan(config, options, image_size, num_categories)


def style_mocogan(*, image_size: tuple[int, int] = (32, 32), num_categories: int = 0, **options: Any) -> MoCoGAN:
    """MoCoGAN with the style generator, seeded; `options` as of `small_mocogan`."""
    frame = {"kind": "style", "width": 4, "max_width": 8, "mapping_width": 8}
    return _build_mocogan({"dim_content": 4, "dim_motion": 4, "frame": frame}, options, image_size, num_categories)


def _build_mocogan(
    config: dict[str, Any], options: dict[str, Any], image_size: tuple[int, int], num_categories: int
) -> MoCoGAN:
    for key, value in options.items():
        config[key] = {**config.get(key, {}), **value} if isinstance(value, dict) else value
    torch.manual_seed(0)
    return build_mocogan(MoCoGANConfig(**config), image_size=image_size, num_categories=num_categories)


def small_dual_motion(*, image_size: tuple[int, int] = (32, 32), **options: Any) -> DualMotionGAN:
    """Dual Motion GAN with few channels, seeded; `options` replace entries of the config."""
    config: dict[str, Any] = {"widths": (8, 8, 16, 16), "dim_latent": 8, "max_flow": 6.0}
    torch.manual_seed(0)
    return build_dual_motion(DualMotionConfig(**(config | options)), image_size=image_size)


def small_sentence_encoder() -> SentenceEncoder:
    """Random weights, vectors of the published length, and a few word pieces."""
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "red", "square", "up", "disc", "un", "##aff", "##able", "-"]
    content = ("\n".join(pieces) + "\n").encode()
    torch.manual_seed(0)
    network = SentenceEncoder(layers=1, heads=4, inner=8, pieces=len(pieces), vocabulary_bytes=len(content))
    network.vocabulary.copy_(torch.frombuffer(bytearray(content), dtype=torch.uint8))
    return network.eval().requires_grad_(False)
