"""Spectral normalisation of all layers of a network."""

from torch import Tensor, nn
from torch.nn.utils import parametrizations
from torch.nn.utils.parametrize import is_parametrized

from vidgan.nn.modes import without_autocast

__all__ = ["spectral_normalise"]

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)


class _Float32(nn.Module):
    """Runs a parametrization outside autocast: power iteration in bfloat16 has an error of one percent."""

    def __init__(self, parametrization: nn.Module) -> None:
        super().__init__()
        self.inner = parametrization

    def forward(self, weight: Tensor) -> Tensor:
        with without_autocast(weight.device.type):
            return self.inner(weight)


def spectral_normalise(module: nn.Module) -> None:
    """Divide the weight of each convolution and linear layer by its largest singular value (Miyato et al. 2018).

    Modifies `module` in place. Recurrent cells are not changed.
    """
    for layer in list(module.modules()):
        if isinstance(layer, (*_CONVOLUTIONS, nn.Linear)) and not is_parametrized(layer, "weight"):
            parametrizations.spectral_norm(layer)
            chain = layer.get_submodule("parametrizations.weight")
            assert isinstance(chain, nn.ModuleList)
            chain[0] = _Float32(chain[0])
