"""Reading, removing and inserting units of generators whose units are known."""

import pytest
import torch
from small_networks import small_mocogan, style_mocogan
from torch import Tensor, nn

from vidgan.tasks.synthesis.mocogan import MoCoGAN
from vidgan.tasks.synthesis.units import (
    Intervention,
    intervening,
    parse_units,
    recording,
    unit_layers,
    without_units,
)


@pytest.mark.parametrize("build", [small_mocogan, style_mocogan])
def test_layers_are_read_from_the_code_to_the_frame(build: type[MoCoGAN]) -> None:
    model = build().eval()
    latents = model.latents(2, 3, seed=0)
    with recording(model) as maps:
        model.render(latents)
    assert list(maps) == list(unit_layers(model))
    sides = [part.shape[-1] for part in maps.values()]
    assert sides == sorted(sides) and all(len(part) == 6 for part in maps.values())


@pytest.mark.parametrize("build", [small_mocogan, style_mocogan])
def test_a_model_is_unchanged_afterwards(build: type[MoCoGAN]) -> None:
    model = build().eval()
    latents = model.latents(2, 3, seed=0)
    before = model.render(latents)
    layer = list(unit_layers(model))[1]
    nowhere = torch.zeros(2, 1, 1, dtype=torch.bool)
    with intervening(model, [Intervention(layer, (0, 2), None, nowhere), Intervention(layer, ())]):
        assert model.render(latents).equal(before)
    with without_units(model, {layer: [0, 1, 2, 3]}):
        assert not model.render(latents).equal(before)
    assert model.render(latents).equal(before)
    with pytest.raises(ValueError, match="units"), without_units(model, {layer: [99]}):
        model.render(latents)
    with pytest.raises(ValueError, match="there is no layer"), without_units(model, {"other": [0]}):
        pass
    assert model.render(latents).equal(before)
    assert not any(module._forward_hooks for module in model.modules())


def test_without_all_units_of_the_last_layer_its_bias_is_left() -> None:
    model = small_mocogan().eval()
    with torch.no_grad():
        model.frame.steps[-1].bias.copy_(torch.tensor([0.5, -0.25, 0.0]))
    last = list(unit_layers(model))[-1]
    with without_units(model, {last: list(range(8))}):
        clips = model(model.latents(1, 2, seed=0))
    expected = torch.tanh(torch.tensor([0.5, -0.25, 0.0]))[None, None, :, None, None].expand_as(clips)
    assert torch.allclose(clips, expected)


class OneByOne(nn.Module):
    """Three units that a 1x1 convolution maps to colours: the effect of a unit is where the unit is."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 3, 1)
        self.last = nn.Conv2d(3, 3, 1, bias=False)
        nn.init.zeros_(self.first.weight)
        nn.init.zeros_(self.first.bias)
        with torch.no_grad():
            self.last.weight.copy_(torch.eye(3)[:, :, None, None])

    def forward(self, content: Tensor, motion: Tensor) -> Tensor:
        return torch.tanh(self.last(self.first(content.new_ones(len(content), 1, 32, 32))))


class Straight(nn.Module):
    """The noise is the path."""

    def forward(self, noise: Tensor, condition: Tensor) -> Tensor:
        return noise[:, 1:]


def test_an_insertion_has_its_effect_where_it_was_inserted() -> None:
    model = MoCoGAN(Straight(), OneByOne(), image_size=(32, 32), dim_content=2, dim_motion=2).eval()
    assert list(unit_layers(model)) == ["first"]  # of a generator that names none: all convolutions but the last
    places = torch.zeros(2, 32, 32, dtype=torch.bool)
    places[0, 3, 5] = places[1, 7, 1] = True
    with intervening(model, [Intervention("first", (1,), (0.5,), places)]):
        clips = model(model.latents(2, 3, seed=0))
    expected = torch.zeros(2, 3, 3, 32, 32)
    expected[0, :, 1, 3, 5] = expected[1, :, 1, 7, 1] = torch.tanh(torch.tensor(0.5))
    assert clips.equal(expected)


def test_a_generator_without_inner_convolutions_is_refused() -> None:
    frame = OneByOne()
    frame.first = nn.Identity()  # type: ignore[assignment]
    model = MoCoGAN(Straight(), frame, image_size=(32, 32), dim_content=2, dim_motion=2)
    with pytest.raises(ValueError, match="unit_layers"):
        unit_layers(model)


def test_units_are_read_from_text() -> None:
    assert parse_units(["layers.2:5,9", "layers.0:1", "layers.2:7"]) == {"layers.2": [5, 9, 7], "layers.0": [1]}
    for text in ("layers.2", "layers.2:", ":3", "layers.2:a", "layers.2:-1", ""):
        with pytest.raises(ValueError, match="accepted"):
            parse_units([text])
