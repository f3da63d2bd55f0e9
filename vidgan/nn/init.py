"""Weight initialisation."""

from collections.abc import Iterator

from torch import nn
from torch.nn.utils.parametrize import is_parametrized, remove_parametrizations

from vidgan.nn.blocks import require_choice
from vidgan.nn.conv_lstm import ConvLSTMCell
from vidgan.nn.spectral_norm import spectral_normalise

__all__ = ["SCHEMES", "initialise"]

SCHEMES = ("default", "normal", "orthogonal")

_WEIGHTED = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d, nn.Linear)
_NORMS = (nn.BatchNorm2d, nn.BatchNorm3d, nn.InstanceNorm2d, nn.InstanceNorm3d, nn.GroupNorm)
_RECURRENT = (nn.RNNCellBase, ConvLSTMCell)


def initialise(module: nn.Module, scheme: str) -> None:
    """Initialise all convolutions, linear layers and norms of `module` in place.

    Recurrent cells keep the initialisation of their constructors. Spectral normalisation is kept. Random numbers come
    from torch's global generator, as in constructors.

    Args:
        scheme:
            "default": keep the initialisation of the constructors, as in MoCoGAN's released code.
            "normal": weights N(0, 0.02), scales of norms N(1, 0.02), biases zero (DCGAN, Radford et al. 2016).
            "orthogonal": orthogonal weight matrices, biases zero (Saxe et al. 2014; BigGAN, Brock et al. 2019).

    Raises:
        ValueError: unknown scheme.
    """
    require_choice("init", scheme, SCHEMES)
    if scheme == "default":
        return
    for layer in list(_outside_cells(module)):
        if isinstance(layer, _WEIGHTED):
            spectral = is_parametrized(layer, "weight")
            if spectral:  # its power iteration must start from the new weight
                remove_parametrizations(layer, "weight", leave_parametrized=False)
            if scheme == "normal":
                nn.init.normal_(layer.weight, 0.0, 0.02)
            else:
                nn.init.orthogonal_(layer.weight)
            if spectral:
                spectral_normalise(layer)
        elif isinstance(layer, _NORMS) and layer.weight is not None:
            if scheme == "normal":
                nn.init.normal_(layer.weight, 1.0, 0.02)
        else:
            continue
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)


def _outside_cells(module: nn.Module) -> Iterator[nn.Module]:
    """Yield `module` and its descendants, except recurrent cells and their descendants."""
    if isinstance(module, _RECURRENT):
        return
    yield module
    for child in module.children():
        yield from _outside_cells(child)
