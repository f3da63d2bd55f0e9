"""The features that a discriminator's layers compute on the way to its answer."""

from typing import Any

from torch import Tensor, nn

from vidgan.seeding import Draws

__all__ = ["layer_features"]


def layer_features(network: nn.Module, samples: Tensor, draws: Draws | None = None) -> list[Tensor]:
    """Outputs of `network.layers`, first to last, for samples that the network scores.

    Args:
        network: a discriminator whose attribute `layers` lists its layers.
        samples: as its `forward` takes them.
        draws: as its `forward` takes them.

    Raises:
        ValueError: the network has no `layers`.
    """
    layers: Any = getattr(network, "layers", None)
    if not isinstance(layers, nn.ModuleList):
        raise ValueError(f"{type(network).__name__} has no ModuleList `layers`, whose features could be matched")
    collected: list[Tensor] = []
    handles = [layer.register_forward_hook(lambda _, __, output: collected.append(output)) for layer in layers]
    try:
        network(samples, draws)
    finally:
        for handle in handles:
            handle.remove()
    return collected
