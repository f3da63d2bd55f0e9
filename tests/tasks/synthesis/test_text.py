"""MoCoGAN from captions: encoder, code distributions, discriminators, training and sampling."""

import copy
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import run_vidgan, small_config
from small_networks import small_mocogan, small_sentence_encoder, style_mocogan
from torch import Tensor, nn

from vidgan import MoCoGAN
from vidgan.commands.generate import generate
from vidgan.commands.train import train
from vidgan.config import RunConfig
from vidgan.data.preparing.captioned_shapes import prepare_captioned_shapes
from vidgan.errors import ConfigError, WeightsError
from vidgan.exporting.clip_renderer import ClipRenderer
from vidgan.losses.adversarial import ADVERSARIAL, matching_aware_discriminator
from vidgan.losses.latent import kl_standard_normal
from vidgan.nn.discriminators import FrameDiscriminator, VideoDiscriminator
from vidgan.nn.text import GRUTextEncoder, TextCode
from vidgan.pretrained.sentence_encoder import DIM, SentenceEncoder, load_sentence_encoder
from vidgan.seeding import Draws
from vidgan.tasks.synthesis.config import MoCoGANConfig
from vidgan.tasks.synthesis.inversion import check_invertible
from vidgan.tasks.synthesis.mocogan import build_mocogan
from vidgan.tasks.text import sentence
from vidgan.tasks.text.discriminator import TextDiscriminator
from vidgan.tasks.text.sentence import SentenceTextEncoder
from vidgan.training.checkpoint import load_checkpoint
from vidgan.types import Judgement

TEXT = {"kind": "gru", "embedding": 8, "hidden": 8, "dim": 4}
WORDS = ("a", "down", "moves", "red", "square", "up")


def captioned_mocogan(words: Sequence[str] = WORDS) -> MoCoGAN:
    config = MoCoGANConfig.model_validate(
        {"dim_content": 4, "dim_motion": 4, "frame": {"width": 8, "norm": "group"}, "text": TEXT}
    )
    torch.manual_seed(0)
    model = build_mocogan(config, image_size=(32, 32), num_categories=0, vocabulary=words).eval()
    model.facts = {"frames": 6, "captions": ["a red square", "a square moves"]}
    return model


def test_padding_order_and_spaces_do_not_change_a_code() -> None:
    torch.manual_seed(0)
    encoder = GRUTextEncoder(vocabulary="abcdefghi", embedding=6, hidden=8).eval()
    tokens = torch.tensor([[3, 1, 4, 0], [2, 7, 1, 8], [5, 0, 0, 0]])
    codes = encoder(tokens)
    assert codes.shape == (3, 8) and codes.dtype == torch.float32
    torch.testing.assert_close(encoder(tokens[[2, 0, 1]]), codes[[2, 0, 1]])
    torch.testing.assert_close(encoder(tokens[:1, :3]), codes[:1])
    torch.testing.assert_close(encoder(torch.cat([tokens, torch.zeros(3, 3).long()], dim=1)), codes)
    assert (codes[0] - encoder(tokens[:1, [1, 0, 2]])[0]).abs().max() > 1e-3, "the order of words counts"


def test_a_sentence_encoder_reads_each_caption_once_and_takes_new_words(monkeypatch: pytest.MonkeyPatch) -> None:
    network, read = small_sentence_encoder(), []

    def encode(sentences: Sequence[Sequence[str]]) -> Tensor:
        read.extend(" ".join(words) for words in sentences)
        return SentenceEncoder.encode(network, sentences)

    monkeypatch.setattr(network, "encode", encode)
    monkeypatch.setattr(sentence, "load_sentence_encoder", lambda: network)
    torch.manual_seed(0)
    config = {"dim_content": 4, "dim_motion": 4, "frame": {"width": 8, "norm": "group"}}
    text = {"kind": "sentence", "hidden": 6, "dim": 4}
    model = build_mocogan(
        MoCoGANConfig.model_validate(config | {"text": text}), image_size=(32, 32), num_categories=0, vocabulary=WORDS
    )
    encoder: Any = model.text.encoder if model.text is not None else None
    tokens = model.tokeniser.encode(["a red square", "up", "a red square"])
    vectors = encoder(tokens)
    assert vectors.shape == (3, 6) and torch.equal(vectors[0], vectors[2]) and not torch.equal(vectors[0], vectors[1])
    expected = encoder.layers(network.encode([["up"]]) * DIM**0.5)
    torch.testing.assert_close(vectors[1:2], expected)
    assert encoder(torch.cat([tokens, tokens * 0], dim=1)).shape == (3, 6) and read == ["a red square", "up", "up"]
    # The encoder's weights are not those of the run, new words need none, and a copy reads them too.
    assert not any(DIM in value.shape and len(value) > 12 for value in model.state_dict().values())
    copied = copy.deepcopy(model).eval()
    clips = copied.sample(1, frames=3, text=["a red disc", "a red square"])
    assert read[-1] == "a red disc" and clips.shape == (2, 3, 3, 32, 32)
    assert model.architecture["vocabulary"] == list(WORDS) and "disc" not in model.tokeniser.words
    with pytest.raises(ConfigError, match="kind=sentence"):
        ClipRenderer(model)


def test_a_missing_sentence_encoder_names_the_command() -> None:
    encoder = SentenceTextEncoder(vocabulary=WORDS, hidden=6)
    load_sentence_encoder.cache_clear()
    with pytest.raises(WeightsError, match="vidgan weights fetch minilm"):
        encoder(torch.tensor([[1, 2]]))


def test_code_distributions_are_not_clipped() -> None:
    """Means below 0 and deviations below 1 are possible: there is no ReLU."""
    torch.manual_seed(0)
    code = TextCode(GRUTextEncoder(vocabulary="abcdefghi", embedding=6, hidden=8), 16)
    mean, logvar = (part.detach() for part in code(torch.randint(1, 10, (32, 5))))
    assert mean.shape == logvar.shape == (32, 16)
    assert float(mean.min()) < 0 < float(mean.max()) and float((0.5 * logvar).exp().max()) < 1


def test_kl_by_hand() -> None:
    mean, logvar = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, math.log(4.0)]])
    assert float(kl_standard_normal(mean[:, :1], logvar[:, :1])) == pytest.approx(0.5)
    assert float(kl_standard_normal(mean[:, 1:], logvar[:, 1:])) == pytest.approx(0.5 * (4 - 1 - math.log(4)))
    assert float(kl_standard_normal(mean, logvar)) == pytest.approx(0.653426, abs=1e-6)


def test_matching_aware_loss_by_hand() -> None:
    loss = ADVERSARIAL["non_saturating"]
    real, wrong, fake = torch.tensor([2.0]), torch.tensor([[1.0]]), torch.tensor([-1.0])
    assert float(matching_aware_discriminator(loss, real, fake, wrong, 0.5)) == pytest.approx(0.940190, abs=1e-6)
    plain = float(loss.discriminator(real, fake))
    assert float(matching_aware_discriminator(loss, real, fake, wrong, 0.0)) == pytest.approx(plain)
    two = torch.tensor([[1.0, 3.0]])
    both = 0.5 * (math.log1p(math.exp(1)) + math.log1p(math.exp(3)))
    of_fake = 0.5 * math.log1p(math.exp(-1))
    by_hand = math.log1p(math.exp(-2)) + 0.5 * both + of_fake
    assert float(matching_aware_discriminator(loss, real, fake, two, 0.5)) == pytest.approx(by_hand, abs=1e-6)
    by_hand = math.log1p(math.exp(-2)) + 0.25 * math.log1p(math.exp(1)) + 0.75 * math.log1p(math.exp(-1))
    assert float(matching_aware_discriminator(loss, real, fake, wrong, 0.25)) == pytest.approx(by_hand, abs=1e-6)


class Sums(nn.Module):
    """A discriminator whose answer is 0 and whose features are the two means of its samples."""

    num_features = 2

    def forward(self, samples: Tensor, draws: Draws | None = None) -> Judgement:
        return Judgement(samples.new_zeros(len(samples)), None, samples.flatten(2).mean(dim=2)[:, :2])


class Lengths(nn.Module):
    """An encoder that returns the number of words, and one."""

    hidden = 2

    def forward(self, tokens: Tensor) -> Tensor:
        number = (tokens > 0).sum(dim=1).float()
        return torch.stack([number, torch.ones_like(number)], dim=1)


def test_projection_by_hand() -> None:
    """Logit = features . wanted / sqrt(2), for right and wrong captions, with features computed once."""
    judge = TextDiscriminator(Sums(), Lengths())
    with torch.no_grad():
        judge.wanted.weight.copy_(torch.eye(2))
        judge.wanted.bias.zero_()
    samples = torch.stack([torch.full((3, 4, 4), 2.0), torch.full((3, 4, 4), -1.0)])
    right = torch.tensor([[1, 2, 3], [1, 0, 0]])
    answer = judge(samples, None, right, torch.tensor([[[1, 0, 0]], [[1, 2, 0]]]))
    assert answer.real.tolist() == pytest.approx([(2 * 3 + 2) / 2**0.5, (-1 - 1) / 2**0.5])
    assert answer.wrong is not None and answer.wrong.shape == (2, 1)
    assert answer.wrong[:, 0].tolist() == pytest.approx([(2 + 2) / 2**0.5, (-2 - 1) / 2**0.5])
    assert judge(samples, None, right).wrong is None
    frames = judge(samples, None, right[:1])  # two frames of one clip
    assert frames.real.tolist() == pytest.approx([(2 * 3 + 2) / 2**0.5, (-1 * 3 - 1) / 2**0.5])


@pytest.mark.parametrize("match", ["projection", "concatenation"])
@pytest.mark.parametrize("patch", [False, True])
def test_both_discriminators_read_captions(match: str, patch: bool) -> None:
    torch.manual_seed(0)
    networks = {
        "frame": FrameDiscriminator(image_size=(32, 32), width=4, patch=patch, num_features=6),
        "video": VideoDiscriminator(image_size=(32, 32), width=4, patch=patch, num_features=6, num_categories=3),
    }
    right, wrong = torch.tensor([[1, 2], [3, 0]]), torch.tensor([[3, 0], [1, 2]])
    for name, network in networks.items():
        samples = torch.randn(2, 3, 32, 32) if name == "frame" else torch.randn(2, 16, 3, 32, 32)
        judge = TextDiscriminator(network, GRUTextEncoder(vocabulary="abc", embedding=4, hidden=4), match=match)
        answer = judge(samples, None, right, wrong[:, None].expand(-1, 3, -1))
        shape = network(samples).real.shape
        assert answer.wrong is not None and answer.real.shape == shape and answer.wrong.shape == (2, 3, *shape[1:])
        assert not torch.equal(answer.real, answer.wrong[:, 0])
        torch.testing.assert_close(judge(samples, None, wrong).real, answer.wrong[:, 2])
        assert (answer.category is None) == (name == "frame")
        answer.wrong.sum().backward()
        assert all(weight.grad is not None for weight in judge.encoder.parameters()), "the loss trains its encoder"


def test_text_changes_clips_and_nothing_else_of_the_latents() -> None:
    model = captioned_mocogan()
    one = model.latents(2, 6, seed=3, text=["a red square moves up", "a square"])
    two = model.latents(2, 6, seed=3, text="a red square moves up")
    for name in ("content", "motion", "category"):
        assert torch.equal(getattr(one, name)[:2], getattr(two, name))
        assert torch.equal(getattr(one, name)[2:], getattr(two, name)), "the same noise for each text"
    torch.testing.assert_close(one.text[:2], two.text)
    clips = model.render(one)
    assert clips.shape == (4, 6, 3, 32, 32) and not torch.equal(clips[:2], clips[2:])
    assert torch.equal(model.sample(2, seed=3, text=["a red square moves up", "a square"]), clips)
    assert model.sample(text=["a square"], frames=4).shape == (1, 4, 3, 32, 32)
    assert torch.equal(model.sample(2, seed=1), model.sample(2, seed=1)), "its own captions by default"


def test_codes_between_two_texts() -> None:
    model = captioned_mocogan()
    ends = model.latents(1, 6, seed=2, text=["a red square", "a square moves up"])
    between = model.latents_between("a red square", "a square moves up", 5, 6, seed=2)
    assert between.content.shape == (5, 4) and torch.equal(between.motion[4], ends.motion[0])
    torch.testing.assert_close(between.text[[0, 4]], ends.text)
    torch.testing.assert_close(between.text[1], 0.75 * ends.text[0] + 0.25 * ends.text[1])
    assert torch.equal(model.render(between)[:1], model.sample(text="a red square", frames=6, seed=2))
    with pytest.raises(ValueError, match="steps is 1"):
        model.latents_between("a", "a", 1, 6)


def test_the_noise_of_the_code_is_used_as_deviation() -> None:
    model = captioned_mocogan()
    latents = model.draw_latents(Draws("text", rows=range(3)), 4)
    caption = model.tokeniser.encode(["a red square", "up", "a square moves down"])
    with torch.no_grad():
        coded, mean, logvar = model.with_text(latents, caption)
        torch.testing.assert_close(coded.text, mean + (0.5 * logvar).exp() * latents.text)
        rendered = model(latents, caption=caption)
        torch.testing.assert_close(rendered.clips, model(coded))
    plain = small_mocogan().draw_latents(Draws("text", rows=range(3)), 4)
    assert plain.text.shape == (3, 0)


def test_a_model_without_text_is_unchanged_by_the_new_part() -> None:
    model = style_mocogan()
    assert not model.reads_captions and "vocabulary" not in model.architecture
    with pytest.raises(ValueError, match="reads no captions"):
        model.sample(1, text="a square")
    with pytest.raises(ValueError, match="give the text codes"):
        captioned_mocogan().draw(torch.zeros(1, 4), torch.zeros(1, 2, 4), torch.zeros(1).long())


def test_inversion_is_refused() -> None:
    with pytest.raises(ConfigError, match="model.text"):
        check_invertible(captioned_mocogan(), "run")


def test_vocabulary_travels_with_the_model(tmp_path: Path) -> None:
    model = captioned_mocogan()
    model.save_pretrained(tmp_path)
    again = MoCoGAN.from_pretrained(tmp_path)
    assert again.tokeniser.words == WORDS
    assert torch.equal(again.sample(text="a red square"), model.sample(text="a red square"))
    many = tuple(f"word{number}" for number in range(300))
    captioned_mocogan(many).save_pretrained(tmp_path / "many")
    assert MoCoGAN.from_pretrained(tmp_path / "many").tokeniser.words == many


@pytest.fixture(scope="module")
def captioned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepare_captioned_shapes(tmp_path_factory.mktemp("captioned"), clips=20, size=32, seed=0, holdout=0.2)


def captions_config(data: Path, out: Path, **changes: Any) -> RunConfig:
    options: dict[str, Any] = {
        "data__frames": 8,
        "model__text": TEXT,
        "discriminators__video": {"width": 4, "max_receptive_frames": 7},
        "objective__category_source": None,
        "objective__weights": {"adversarial_frame": 1.0, "adversarial_video": 1.0, "text_kl": 0.1},
        "objective__text": {"features": 4, "negatives": 2},
        "objective__penalty": {"kind": "r1", "weight": 0.1, "every": 2},
    }
    return small_config("mocogan", data, out, **(options | changes))


def test_resume_bit_for_bit_with_text(captioned: Path, tmp_path: Path) -> None:
    changes = {"train__steps": 4, "every__checkpoint": 2, "every__keep": 9, "train__micro_batches": 2}
    whole = train(captions_config(captioned, tmp_path / "whole", **changes), quiet=True).run_dir
    part = train(captions_config(captioned, tmp_path / "part", **(changes | {"train__steps": 2})), quiet=True).run_dir
    train(captions_config(captioned, tmp_path / "part", **changes), quiet=True)
    one, two = (load_checkpoint(run / "checkpoints" / "step-00000004") for run in (whole, part))
    for name, group in one.tensors.items():
        for key, value in group.items():
            assert torch.equal(value, two.tensors[name][key]), f"{name}: {key}"
    assert "accuracy/frame/caption" in (whole / "journal.jsonl").read_text()


def test_generate_from_text_end_to_end(
    captioned: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    run = train(captions_config(captioned, tmp_path, train__steps=1), quiet=True).run_dir
    texts = ["a small red square moves up, slowly", "the big blue disc goes left fast"]
    out = tmp_path / "clips"
    code, _, err = run_vidgan(
        capfd, monkeypatch, "generate", run, "--text", texts[0], "--text", texts[1], "--clips", 2, "--out", out
    )
    assert code == 0, err
    assert len(list(out.glob("clip-*.mp4"))) == 4
    assert f'"{texts[1]}"' in (out / "generated.json").read_text()
    clips = generate(run, tmp_path / "again", clips=2, text=texts)
    assert torch.equal(clips, MoCoGAN.from_pretrained(run).sample(2, text=texts))
    code, _, err = run_vidgan(
        capfd, monkeypatch, "generate", run, "--text", "a smal red square", "--out", tmp_path / "x"
    )
    assert code == 2 and "'smal'" in err and "small" in err and not (tmp_path / "x").exists()


def test_options_that_contradict_captions_are_refused(captioned: Path, tmp_path: Path) -> None:
    for changes, key in (
        (
            {"objective__text": None, "objective__weights": {"adversarial_frame": 1.0, "adversarial_video": 1.0}},
            "model.text",
        ),
        ({"model__text": None}, "text_kl"),
        ({"data__flip": True}, "data.flip"),
        ({"objective__reversal": 0.5}, "objective.reversal"),
        ({"discriminators__frame": {"kind": "patch", "width": 4}}, "discriminators.frame.kind=patch"),
    ):
        with pytest.raises(ConfigError, match=key):
            captions_config(captioned, tmp_path, **changes)
