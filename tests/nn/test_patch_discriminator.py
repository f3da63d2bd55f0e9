"""The patch discriminator and the networks from maps to maps."""

import pytest
import torch

from vidgan.nn.frame_networks import ResNet, UNet
from vidgan.nn.layer_features import layer_features
from vidgan.nn.patch_discriminator import PatchDiscriminator


@pytest.mark.parametrize(("layers", "field"), [(1, 16), (2, 34), (3, 70)])
def test_receptive_field(layers: int, field: int) -> None:
    """The pixels that the gradient of one answer in the middle reaches: 16, 34, 70 as in pix2pix."""
    size = 160
    torch.manual_seed(0)
    network = PatchDiscriminator(image_size=(size, size), channels=1, layers=layers, width=2, max_width=2)
    for layer in network.modules():
        if isinstance(layer, torch.nn.Conv2d):
            torch.nn.init.constant_(layer.weight, 0.1)
    frames = torch.ones(1, 1, size, size, requires_grad=True)
    logits = network(frames).real
    middle = logits.shape[-1] // 2
    (gradient,) = torch.autograd.grad(logits[0, middle, middle], frames)
    reached = gradient[0, 0].abs().sum(dim=0).nonzero().flatten()
    assert int(reached[-1] - reached[0]) + 1 == field == len(reached)


def test_refusals() -> None:
    with pytest.raises(ValueError, match="layers=4.*48 pixels"):
        PatchDiscriminator(image_size=(32, 64), layers=4)
    with pytest.raises(ValueError, match="3 channels and 32x48"):
        PatchDiscriminator(image_size=(32, 48), width=2)(torch.zeros(1, 4, 32, 48))


def test_features_are_those_of_the_layers() -> None:
    network = PatchDiscriminator(image_size=(32, 32), layers=2, width=2, max_width=4)
    frames = torch.rand(2, 3, 32, 32)
    features = layer_features(network, frames)
    assert [tuple(feature.shape[1:]) for feature in features] == [(2, 16, 16), (4, 8, 8), (4, 7, 7)]
    assert torch.equal(network.head(features[-1])[:, 0], network(frames).real)
    assert not any(layer._forward_hooks for layer in network.layers)
    with pytest.raises(ValueError, match="no ModuleList"):
        layer_features(torch.nn.Linear(1, 1), torch.zeros(1, 1))


@pytest.mark.parametrize("kind", [UNet, ResNet])
@pytest.mark.parametrize("size", [(32, 48), (64, 64)])
def test_networks_keep_the_size_and_start_small(kind: type[torch.nn.Module], size: tuple[int, int]) -> None:
    network = kind(inputs=4, outputs=5, image_size=size, width=4, max_width=8)
    maps = torch.rand(2, 4, *size)
    assert network(maps).shape == (2, 5, *size)
    assert network(maps).abs().max() < 1
    network.head.weight.data.normal_()  # type: ignore[union-attr, operator]
    whole = network(maps)
    assert torch.allclose(whole[:1], network(maps[:1]), atol=1e-3), "rows of a batch are independent"
