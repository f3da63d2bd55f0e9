"""What every generator and every discriminator of the package keeps to; a new entry of the dicts is tested at once."""

import copy
import inspect

import pytest
import torch
from torch import Tensor, nn
from vidgan.tasks.registry import DISCRIMINATORS, GENERATORS

from vidgan.seeding import Draws
from vidgan.types import Judgement, Latents

SIZE = (32, 48)
FRAMES = 16


def generator(name: str, **options: object) -> nn.Module:
    torch.manual_seed(0)
    return GENERATORS[name](image_size=SIZE, width=4, norm="group", **options)


def discriminator(name: str, **options: object) -> nn.Module:
    torch.manual_seed(0)
    return DISCRIMINATORS[name](image_size=SIZE, width=4, **options)


def real(name: str, rows: int = 2) -> Tensor:
    shape = {"frame": (3, *SIZE), "video": (FRAMES, 3, *SIZE), "flow": (2, *SIZE)}[name]
    return torch.rand(rows, *shape, generator=torch.Generator().manual_seed(0)) * 2 - 1


def draws(rows: int = 2) -> Draws:
    return Draws("contract test", rows=range(rows))


@pytest.mark.parametrize("network", [*GENERATORS.values(), *DISCRIMINATORS.values()])
def test_constructors_are_flat_and_keyword_only(network: type[nn.Module]) -> None:
    parameters = list(inspect.signature(network).parameters.values())
    assert parameters[0].name == "image_size"
    assert all(
        p.kind is inspect.Parameter.KEYWORD_ONLY and p.annotation is not inspect.Parameter.empty for p in parameters
    )


@pytest.mark.parametrize("name", GENERATORS)
@pytest.mark.parametrize("categories", [0, 3])
def test_generators_render_clips_of_any_length_from_latents(name: str, categories: int) -> None:
    model = generator(name, num_categories=categories)
    for frames in (2, FRAMES):
        latents = model.draw_latents(draws(), frames)
        assert isinstance(latents, Latents)
        assert latents.content.shape[0] == 2 and latents.motion.shape[:2] == (2, frames + 1)
        assert latents.category.shape == (2,) and latents.category.dtype == torch.int64
        clip = model(latents)
        assert clip.shape == (2, frames, 3, *SIZE) and clip.dtype == torch.float32
        assert float(clip.detach().abs().max()) <= 1
    some = model(latents, times=torch.tensor([[1], [0]]))
    assert some.shape == (2, 1, 3, *SIZE)


@pytest.mark.parametrize("name", GENERATORS)
def test_generators_draw_from_the_keys_alone(name: str) -> None:
    model = generator(name)
    torch.manual_seed(1)
    first = model(model.draw_latents(draws(), 3))
    torch.manual_seed(2)
    assert torch.equal(model(model.draw_latents(draws(), 3)), first)


@pytest.mark.parametrize("name", GENERATORS)
def test_generators_animate_a_first_frame_when_built_for_it(name: str) -> None:
    latents = generator(name).draw_latents(draws(), 3)
    frame = real("frame")
    model = generator(name, image_to_video=True)
    assert model.image_to_video and model(latents, first_frame=frame).shape == (2, 3, 3, *SIZE)
    with pytest.raises(ValueError, match="image_to_video"):
        generator(name)(latents, first_frame=frame)


@pytest.mark.parametrize("name", DISCRIMINATORS)
@pytest.mark.parametrize("patch", [False, True])
@pytest.mark.parametrize("spectral", [False, True])
def test_discriminators_answer_each_row_with_logits(name: str, patch: bool, spectral: bool) -> None:
    model = discriminator(name, patch=patch, spectral=spectral)
    judgement = model(real(name))
    assert isinstance(judgement, Judgement)
    assert judgement.real.shape[0] == 2 and judgement.real.dtype == torch.float32
    assert judgement.category is None
    assert judgement.real.dim() > 1 if patch else judgement.real.shape == (2,)


@pytest.mark.parametrize("name", DISCRIMINATORS)
def test_discriminators_take_noise_from_draws_and_judge_without_it_in_eval_mode(name: str) -> None:
    model, x = discriminator(name), real(name)
    clean = model(x).real
    model.set_noise(0.1)
    assert not torch.allclose(model(x, draws()).real, clean)
    assert torch.equal(model.eval()(x).real, clean)


@pytest.mark.parametrize("name", [*GENERATORS, *DISCRIMINATORS])
def test_weights_survive_a_copy_and_a_reload(name: str) -> None:
    model = generator(name) if name in GENERATORS else discriminator(name, spectral=True)
    x = model.draw_latents(draws(), 3) if name in GENERATORS else real(name)
    twin = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.add_(1)
    twin.load_state_dict(model.state_dict())
    first, second = model.eval()(x), twin.eval()(x)
    assert torch.equal(*((first, second) if name in GENERATORS else (first.real, second.real)))
