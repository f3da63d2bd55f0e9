"""Saved weights come back equal, say what they are, and refuse to be what they are not."""

import json
from pathlib import Path

import pytest
import torch

from vidgan import DualMotionGAN, MoCoGAN
from vidgan.errors import PretrainedError
from vidgan.hub import read_facts

SMALL = {"image_size": (32, 48), "dim_content": 4, "dim_motion": 4, "width": 4, "num_categories": 2}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    model = MoCoGAN(**SMALL)
    model.facts = {"frames": 12, "categories": ["walk", "run"], "step": 7}
    model.save_pretrained(tmp_path / "weights")
    return tmp_path / "weights"


def test_round_trip_is_exact(folder: Path) -> None:
    torch.manual_seed(0)
    model, loaded = MoCoGAN(**SMALL), MoCoGAN.from_pretrained(folder)
    assert loaded.image_size == (32, 48) and not loaded.training
    for key, value in model.state_dict().items():
        assert torch.equal(value, loaded.state_dict()[key]), key
    assert loaded.facts == {"frames": 12, "categories": ["walk", "run"], "step": 7}


def test_samples_depend_on_seed_and_row_alone(folder: Path) -> None:
    model = MoCoGAN.from_pretrained(folder)
    clips = model.sample(5, seed=3)
    assert clips.shape == (5, 12, 3, 32, 48) and clips.dtype == torch.uint8
    assert torch.equal(model.sample(3, seed=3, batch_size=2), clips[:3])
    assert not torch.equal(model.sample(5, seed=4), clips)
    assert torch.equal(model.sample(2, seed=3, frames=20)[:, :12], clips[:2]), "a longer clip begins as the shorter one"


def test_category_by_name_or_number(folder: Path) -> None:
    model = MoCoGAN.from_pretrained(folder)
    assert torch.equal(model.sample(2, category="run"), model.sample(2, category=1))
    assert model.latents(3, 4, category="run").category.tolist() == [1, 1, 1]
    with pytest.raises(ValueError, match=r"'swim' is unknown to this model \(accepted: walk, run\)"):
        model.sample(1, category="swim")
    with pytest.raises(ValueError, match="this model has no categories"):
        MoCoGAN(image_size=(32, 32), width=4).sample(1, category="run")


def test_a_name_that_is_a_number_is_not_taken_for_one() -> None:
    model = MoCoGAN(**{**SMALL, "num_categories": 4})
    assert model.latents(2, 4, category=3).category.tolist() == [3, 3]
    assert model.latents(2, 4, category="3").category.tolist() == [3, 3], "without names their numbers are the names"
    model.facts = {"categories": ["0", "1", "3", "4"]}
    assert [model.category_index(number) for number in range(4)] == [0, 1, 2, 3]
    assert [model.category_index(name) for name in ("0", "1", "3", "4")] == [0, 1, 2, 3]
    for wrong in ("2", 4, -1):
        with pytest.raises(ValueError, match=r"unknown to this model \(accepted: 0, 1, 3, 4\)"):
            model.category_index(wrong)


def test_motion_can_be_exchanged_under_held_content(folder: Path) -> None:
    model = MoCoGAN.from_pretrained(folder)
    one, other = model.latents(2, 6, seed=0), model.latents(2, 6, seed=1)
    held = model.render(one._replace(motion=other.motion))
    assert not torch.equal(held, model.render(one)) and not torch.equal(held, model.render(other))
    assert torch.equal(model.render(one._replace(motion=other.motion, content=other.content, category=other.category)),
                       model.render(other))  # fmt: skip


def test_forecasts_of_any_context_and_several_futures(tmp_path: Path) -> None:
    model = DualMotionGAN(image_size=(32, 32), widths=(4, 4, 8, 8), dim_latent=4, estimator_widths=(4, 4, 4, 4))
    model.save_pretrained(tmp_path / "weights")
    loaded = DualMotionGAN.from_pretrained(tmp_path / "weights")
    context = torch.randint(0, 256, (2, 5, 3, 32, 32), dtype=torch.uint8)
    future = loaded.predict(context, horizon=3)
    assert future.shape == (2, 3, 3, 32, 32) and future.dtype == torch.uint8
    assert torch.equal(future, loaded.predict(context, horizon=3)), "the posterior's mean has no chance in it"
    futures = loaded.predict(context, horizon=3, samples=2, seed=5)
    assert futures.shape == (2, 2, 3, 3, 32, 32)
    assert torch.equal(futures[0], loaded.predict(context, horizon=3, seed=5))
    assert loaded.predict(context[:, :2], horizon=1).shape == (2, 1, 3, 32, 32)


def test_the_wrong_class_is_named(folder: Path) -> None:
    with pytest.raises(PretrainedError, match="holds a MoCoGAN, not a DualMotionGAN"):
        DualMotionGAN.from_pretrained(folder)


@pytest.mark.parametrize("damage", ["truncate", "other size", "no json", "gone"])
def test_damage_is_named(folder: Path, damage: str) -> None:
    if damage == "truncate":
        weights = folder / "model.safetensors"
        weights.write_bytes(weights.read_bytes()[:200])
    elif damage == "other size":
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(config | {"width": 8}))
    elif damage == "no json":
        (folder / "vidgan.json").write_text("{")
    else:
        (folder / "model.safetensors").unlink()
    with pytest.raises(PretrainedError):
        MoCoGAN.from_pretrained(folder)


def test_places_without_a_model_are_named(tmp_path: Path) -> None:
    with pytest.raises(PretrainedError, match="no such folder"):
        MoCoGAN.from_pretrained(tmp_path / "nothing")
    with pytest.raises(PretrainedError, match="holds neither a training run nor a model"):
        MoCoGAN.from_pretrained(tmp_path)
    (tmp_path / "config.yaml").write_text("name: x")
    with pytest.raises(PretrainedError, match="no saved model yet"):
        MoCoGAN.from_pretrained(tmp_path)


def test_a_hub_name_without_a_connection_is_refused_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(PretrainedError, match="Hugging Face hub"):
        MoCoGAN.from_pretrained("nobody/such-a-model")


def test_the_card_tells_what_the_weights_are(folder: Path) -> None:
    card = (folder / "README.md").read_text()
    assert "# MoCoGAN" in card and '| categories | ["walk", "run"] |' in card and "from_pretrained" in card
    assert read_facts(folder)["step"] == 7
