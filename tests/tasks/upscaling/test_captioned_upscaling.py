"""StackGAN's second stage: an upscaler that reads captions, its training beside partners, and its commands."""

import json
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
import torch
from helpers import run_vidgan, small_config
from torch import Tensor

from vidgan import MoCoGAN
from vidgan.build import build_dataset, build_networks
from vidgan.commands.evaluate import evaluate
from vidgan.commands.generate import generate
from vidgan.commands.report import report
from vidgan.commands.train import train
from vidgan.config import RunConfig
from vidgan.data.preparing.captioned_shapes import prepare_captioned_shapes
from vidgan.data.preparing.prepare import prepare
from vidgan.data.store.index import load_index
from vidgan.errors import ConfigError, DataError
from vidgan.evaluation.mapping import mapping_scores
from vidgan.evaluation.measure import WindowBatch
from vidgan.evaluation.results import MappingScores
from vidgan.losses.adversarial import ADVERSARIAL, matching_aware_discriminator
from vidgan.losses.latent import kl_standard_normal
from vidgan.nn.discriminators import FrameDiscriminator
from vidgan.nn.text import GRUTextEncoder, drawn_code
from vidgan.pixels import to_float
from vidgan.seeding import Draws
from vidgan.tasks.text.discriminator import TextDiscriminator
from vidgan.tasks.text.training import Captioned
from vidgan.tasks.upscaling.config import UpscalerConfig
from vidgan.tasks.upscaling.partners import Partners
from vidgan.tasks.upscaling.scaling import scale_down, scale_up, without_detail
from vidgan.tasks.upscaling.training import UpscalingTraining
from vidgan.tasks.upscaling.upscaler import ClipUpscaler, build_upscaler
from vidgan.tokens import WordTokeniser
from vidgan.training.adversary import Adversary
from vidgan.training.checkpoint import load_checkpoint
from vidgan.types import ByteClip, ClipBatch
from vidgan.video.encode import write_mp4

TEXT = {"kind": "gru", "embedding": 8, "hidden": 8, "dim": 4}
WORDS = ("a", "blue", "disc", "moves", "red", "square")
KINDS = ("frame", "recurrent")


def noise(*shape: int) -> ByteClip:
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def captioned(kind: str = "recurrent", reduction: int = 1) -> Any:
    torch.manual_seed(0)
    network = {"kind": kind, "width": 8, "blocks": 1}
    section = UpscalerConfig.model_validate({"network": network, "text": TEXT, "reduction": reduction})
    return build_upscaler(section, image_size=(32, 32), vocabulary=WORDS).eval()


@pytest.mark.parametrize("kind", KINDS)
def test_the_caption_changes_the_output_and_is_trained(kind: str) -> None:
    model, clip = captioned(kind), to_float(noise(2, 3, 3, 16, 16))
    tokens = model.tokeniser.encode(["a red square", "a disc"])
    drawn = torch.randn(2, 4, generator=torch.Generator().manual_seed(0))
    made = model(clip, tokens, drawn)
    assert isinstance(made, Captioned) and made.clips.shape == (2, 3, 3, 32, 32)
    (made.clips - 0.1).square().sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and bool(parameter.grad.any()), name
    mean, logvar = model.text(tokens)
    assert torch.equal(made.mean, mean) and torch.equal(made.logvar, logvar)
    torch.testing.assert_close(model(clip, tokens), model(clip, tokens, torch.zeros(2, 4)).clips)  # the mean
    torch.testing.assert_close(made.clips, model._enlarged(clip, drawn_code(mean, logvar, drawn)))
    assert (model(clip, tokens) - model(clip, tokens.flip(0))).abs().max() > 1e-3


def test_codes_stand_beside_every_pixel() -> None:
    """The first layer sees the codes as constant maps: inside, they add a constant per channel."""
    network: Any = captioned("frame").network
    frames, codes = torch.randn(1, 3, 8, 8), torch.randn(1, 4)
    added = network.head(torch.cat([frames, codes[:, :, None, None].expand(-1, -1, 8, 8)], dim=1)) - network.head(
        torch.cat([frames, torch.zeros(1, 4, 8, 8)], dim=1)
    )
    by_hand = torch.einsum("ocij,c->o", network.head.weight[:, 3:], codes[0])
    torch.testing.assert_close(added[0, :, 1:-1, 1:-1], by_hand[:, None, None].expand(-1, 6, 6))


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_of_the_model_sees_what_the_reduction_removes(kind: str) -> None:
    model, clips = captioned(kind, reduction=4), to_float(noise(1, 3, 3, 16, 16))
    soft = scale_up(scale_down(clips[0], 4), 4)[None]
    tokens, sharp = model.tokeniser.encode(["a red square"]), captioned(kind)
    torch.testing.assert_close(model(clips, tokens), sharp(soft, tokens))
    assert not torch.equal(model(clips, tokens), sharp(clips, tokens))
    assert without_detail(torch.ones(1, 3, 9, 2), 16).shape == (1, 3, 9, 2)
    with pytest.raises(ValueError, match="reduction=2"):
        UpscalerConfig.model_validate({"reduction": 2})


@pytest.mark.parametrize("reduction", [1, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_clips_and_streams_follow_their_own_captions(kind: str, reduction: int) -> None:
    model, clips = captioned(kind, reduction), noise(2, 4, 3, 17, 19)
    texts = ["a red square moves", "a disc"]
    both = model.map_clips(clips, texts)
    for number, text in enumerate(texts):
        assert torch.equal(model.map_clips(clips[number : number + 1], text)[0], both[number])
        streamed = torch.stack(list(model.map_frames(iter(clips[number]), text)))
        assert int((streamed.int() - both[number].int()).abs().max()) <= 1
    assert torch.equal(model.map_clips(clips, "a disc")[1], both[1]), "one caption for all"
    assert not torch.equal(model.map_clips(clips, texts[::-1]), both)
    if kind == "recurrent":
        alone = model.baselines(texts)["frame by frame"](clips)
        assert torch.equal(alone[:, 0], both[:, 0]) and not torch.equal(alone[:, 2], both[:, 2])


def test_a_caption_is_required_or_refused() -> None:
    model, clips = captioned(), noise(2, 2, 3, 16, 16)
    with pytest.raises(ValueError, match="text: required"):
        model.map_clips(clips)
    with pytest.raises(ValueError, match="text: required"):
        model(to_float(clips))
    with pytest.raises(ValueError, match="3 texts for 2 clips"):
        model.map_clips(clips, ["a disc"] * 3)
    with pytest.raises(ConfigError, match="'purple'"):
        model.map_clips(clips, "a purple disc")
    plain = build_upscaler(UpscalerConfig(), image_size=(32, 32))
    assert not plain.reads_captions and plain.usage == ClipUpscaler.usage != model.usage
    with pytest.raises(ValueError, match="reads no captions"):
        plain.map_clips(clips, "a disc")


def test_vocabulary_travels_with_the_model(tmp_path: Path) -> None:
    model, clips = captioned(), noise(1, 2, 3, 16, 16)
    model.facts = {}
    model.save_pretrained(tmp_path)
    again = ClipUpscaler.from_pretrained(tmp_path)
    assert again.tokeniser.words == WORDS
    assert torch.equal(again.map_clips(clips, "a red square"), model.map_clips(clips, "a red square"))
    assert 'text="..."' in (tmp_path / "README.md").read_text()


class Heard(NamedTuple):
    """What an adversary was given."""

    fake: Tensor
    captions: Tensor
    fake_captions: Tensor


class Listening:
    """An adversary of clips that records its arguments."""

    scores_clips = True
    name = "video"
    heard: Heard

    def generator_loss(
        self, fake: Tensor, real: Tensor, draws: Draws, captions: Tensor, fake_captions: Tensor
    ) -> tuple[Tensor, None]:
        self.heard = Heard(fake.detach(), captions, fake_captions)
        return fake.mean(), None

    def discriminator_losses(
        self, real: Tensor, fake: Tensor, draws: Draws, step: int, captions: Tensor, fake_captions: Tensor
    ) -> Heard:
        return Heard(fake, captions, fake_captions)


@pytest.fixture(scope="module")
def partners(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clips of 16x16 with captions of five words, longer than those of the batch."""
    folder = tmp_path_factory.mktemp("partners")
    for number in range(3):
        write_mp4(folder / "videos" / f"{number}.mp4", noise(3 + number, 16, 16, 3)[number:].numpy())
    described = [{"file": f"{n}.mp4", "captions": [f"a red disc moves {WORDS[n]}"]} for n in range(3)]
    (folder / "videos" / "captions.jsonl").write_text("".join(json.dumps(line) + "\n" for line in described))
    prepare(folder / "videos", folder / "data", size=(16, 16), holdout=0.0, min_frames=2)
    return folder / "data"


def test_a_partner_is_enlarged_and_scored_beside_its_own_caption(partners: Path) -> None:
    model = captioned("frame")
    listening = Listening()
    game: Any = SimpleNamespace(
        trainees=SimpleNamespace(prepared={"generator": model}, raw={"generator": model}, autocast=nullcontext),
        ema=None,
        adversaries={"video": listening},
        weights={"l1": 1.0, "text_kl": 0.1, "adversarial_video": 1.0},
        own_terms={},
    )
    own = Partners(partners, size=(16, 16), frames=2, stride=1, seed=0, tokeniser=WordTokeniser(WORDS))
    training = UpscalingTraining(game, scale=2, partners=own)
    texts = [["a red square", "a disc"], ["a blue square", "a red"], ["a disc", "a square"], ["a square", "a disc"]]
    captions = torch.stack([model.tokeniser.encode(pair, 3) for pair in texts])  # (4, 2, 3)
    real = noise(4, 2, 3, 32, 32)
    batch = ClipBatch(real, torch.zeros(4), torch.empty(0), torch.zeros(4), captions)
    draws = Draws("partners", rows=range(4))
    turn = training.generator_losses(batch, draws)
    mean, logvar = model.text(captions[:, 0])
    torch.testing.assert_close(turn.losses["text_kl"], kl_standard_normal(mean, logvar))
    assert turn.metrics.keys() == {"text/kl", "text/deviation"}
    own_draws = draws.fork("generator", "partners")
    clips, tokens = own.draw(own_draws)
    assert tokens is not None and tokens.shape == (4, 5)
    fake, given, told = listening.heard
    assert torch.equal(given, captions), "true clips keep their captions, right and wrong"
    assert torch.equal(told[1::2], tokens[1::2])
    assert torch.equal(told[::2, :3], captions[::2, 0]) and not bool(told[::2, 3:].any())
    described = {entry.captions[0]: entry for entry in own.clips.entries}
    for row in (1, 3):
        (text,) = model.tokeniser.decode(told[row : row + 1])
        entry = described[text]  # the clip of the caption, from a random frame on
        windows = [own.clips.store.frames(entry, [n, n + 1]) for n in range(entry.frames - 1)]
        assert any(torch.equal(clips[row], torch.from_numpy(w).permute(0, 3, 1, 2)) for w in windows)
    inputs = to_float(torch.where(torch.arange(4)[:, None, None, None, None] % 2 == 1, clips, model.pair(real).input))
    noise_of_codes = draws.fork("generator", "text").normal(4)
    torch.testing.assert_close(fake, model(inputs, told, noise_of_codes).clips)
    heard = training.discriminator_losses(listening, 0, batch, draws)  # type: ignore[arg-type]
    assert isinstance(heard, Heard) and torch.equal(heard.captions, captions)
    texts_told = set(model.tokeniser.decode(heard.fake_captions[1::2]))
    assert texts_told <= set(described) and torch.equal(heard.fake_captions[::2, :3], captions[::2, 0])


def test_fakes_are_scored_beside_their_own_captions() -> None:
    """The loss by hand: real clips with right and wrong captions, fakes with theirs."""
    torch.manual_seed(0)
    network = TextDiscriminator(
        FrameDiscriminator(image_size=(32, 32), width=4, num_features=6),
        GRUTextEncoder(vocabulary="abcd", embedding=4, hidden=4),
    )
    trainees: Any = SimpleNamespace(
        prepared={"frame": network}, raw={"frame": network}, autocast=lambda enabled=True: nullcontext()
    )
    loss = ADVERSARIAL["non_saturating"]
    adversary = Adversary(trainees=trainees, name="frame", loss=loss, wrong_share=0.25)
    real, fake = torch.randn(2, 1, 3, 32, 32), torch.randn(2, 1, 3, 32, 32)
    captions, own = torch.tensor([[[1, 2], [3, 0]], [[2, 1], [4, 0]]]), torch.tensor([[4, 4], [3, 1]])
    draws = Draws("score", rows=range(2))
    turn = adversary.discriminator_losses(real, fake, draws, 0, captions=captions, fake_captions=own)
    on_real = network(real[:, 0], None, captions[:, 0], captions[:, 1:])
    on_fake, misheard = (network(fake[:, 0], None, text).real for text in (own, captions[:, 0]))
    expected = matching_aware_discriminator(loss, on_real.real, on_fake, on_real.wrong, 0.25)
    torch.testing.assert_close(turn.losses["adversarial"], expected)
    of_generator, _ = adversary.generator_loss(fake, real, draws, captions=captions, fake_captions=own)
    torch.testing.assert_close(of_generator, loss.generator(on_fake, None))
    unheard, _ = adversary.generator_loss(fake, real, draws, captions=captions)
    torch.testing.assert_close(unheard, loss.generator(misheard, None))
    assert not torch.equal(unheard, of_generator)


def test_partners_need_captions_of_known_words(partners: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = {"size": (16, 16), "frames": 2, "stride": 1, "seed": 0}
    with pytest.raises(ConfigError, match=r"data\.partners=.*1\.mp4: .*'blue'"):
        Partners(partners, tokeniser=WordTokeniser([word for word in WORDS if word != "blue"]), **options)
    write_mp4(tmp_path / "videos" / "silent.mp4", noise(4, 16, 16, 3).numpy())
    prepare(tmp_path / "videos", tmp_path / "data", size=(16, 16), holdout=0.0, min_frames=2)
    with pytest.raises(DataError, match=r"silent\.mp4 has no caption"):
        Partners(tmp_path / "data", tokeniser=WordTokeniser(WORDS), **options)
    assert Partners(tmp_path / "data", **options).draw(Draws("p", rows=range(2)))[1] is None


def upscaling_config(data: Path, out: Path, **changes: Any) -> RunConfig:
    options: dict[str, Any] = {
        "data__frames": 4,
        "model__text": TEXT,
        "objective__weights": {
            "l1": 1.0, "ping_pong": 0.5, "text_kl": 0.01, "adversarial_frame": 0.1, "adversarial_video": 0.1,
        },
        "objective__text": {"features": 4, "negatives": 2},
        "objective__pixel_steps": 1,
        "train__batch_size": 2,
    }  # fmt: skip
    return small_config("upscaling", data, out, **(options | changes))


class Stages(NamedTuple):
    """Data of 32x32 for stage II, a stage I of 16x16, and its prepared clips."""

    data: Path
    first: Path
    partners: Path


@pytest.fixture(scope="module")
def stages(tmp_path_factory: pytest.TempPathFactory) -> Stages:
    folder = tmp_path_factory.mktemp("stages")
    data = prepare_captioned_shapes(folder / "large", clips=24, size=64, seed=0, holdout=0.2)
    small = prepare_captioned_shapes(folder / "small", clips=20, size=32, seed=0)
    changes: dict[str, Any] = {
        "data__frames": 8, "model__text": TEXT, "objective__category_source": None, "train__steps": 1,
        "discriminators__video": {"width": 4, "max_receptive_frames": 7}, "objective__text": {"features": 4},
        "objective__weights": {"adversarial_frame": 1.0, "adversarial_video": 1.0},
    }  # fmt: skip
    first = train(small_config("mocogan", small, folder / "runs", **changes), quiet=True).run_dir
    generate(first, folder / "clips", clips=5, format="npz", seed=2)
    prepare(folder / "clips", folder / "partners", size=(32, 32), holdout=0.0)
    return Stages(data, first, folder / "partners")


def test_generate_writes_the_captions_that_prepare_reads(stages: Stages, tmp_path: Path) -> None:
    """Given or drawn, each clip gets the caption that it was made from; the overviews are no clips."""
    model = MoCoGAN.from_pretrained(stages.first)
    drawn = model.captions(5, seed=2)
    assert len(set(drawn)) > 1 and {
        entry.source: list(entry.captions) for entry in load_index(stages.partners).clips
    } == {f"clip-{number:04d}.npz": [caption] for number, caption in enumerate(drawn)}
    for number, caption in enumerate(drawn[:2]):
        alone = model.latents(number + 1, 8, seed=2, text=caption)
        torch.testing.assert_close(model.latents(5, 8, seed=2).text[number], alone.text[number])
    texts = ["a small red square moves up, slowly", "the big blue disc goes left fast"]
    generate(stages.first, tmp_path / "given", clips=2, text=texts, format="png")
    lines = [json.loads(line) for line in (tmp_path / "given" / "captions.jsonl").read_text().splitlines()]
    assert lines == [{"file": f"clip-{n:04d}", "captions": [texts[n // 2]]} for n in range(4)]
    prepare(tmp_path / "given", tmp_path / "data", size=(32, 32), holdout=0.0)
    assert [entry.captions[0] for entry in load_index(tmp_path / "data").clips] == [texts[n // 2] for n in range(4)]
    generate(stages.first, tmp_path / "grid", clips=2, layout="grid")
    assert not (tmp_path / "grid" / "captions.jsonl").exists()


@pytest.fixture(scope="module")
def second(stages: Stages, tmp_path_factory: pytest.TempPathFactory) -> Path:
    changes = {"train__steps": 3, "every__evaluate": 3, "every__preview": 3, "every__keep": 9}
    out = tmp_path_factory.mktemp("second")
    return train(upscaling_config(stages.data, out, data__partners=str(stages.partners), **changes), quiet=True).run_dir


def test_resume_bit_for_bit_with_captions_and_partners(stages: Stages, second: Path, tmp_path: Path) -> None:
    changes = {
        "data__partners": str(stages.partners),
        "every__evaluate": 3,
        "every__preview": 3,
        "every__checkpoint": 1,
    }
    part = train(upscaling_config(stages.data, tmp_path, **changes, train__steps=2), quiet=True).run_dir
    train(upscaling_config(stages.data, tmp_path, **changes, train__steps=3), quiet=True)
    one, two = (load_checkpoint(run / "checkpoints" / "step-00000003") for run in (second, part))
    for name, group in one.tensors.items():
        for key, value in group.items():
            assert torch.equal(value, two.tensors[name][key]), f"{name}: {key}"
    journal = (second / "journal.jsonl").read_text()
    for key in ("accuracy/frame/caption", "loss/generator/text_kl", "text/deviation", "evaluation/output/psnr"):
        assert key in journal, key


def test_a_second_stage_starts_with_the_reader_of_captions_of_its_first(stages: Stages, tmp_path: Path) -> None:
    config = upscaling_config(stages.data, tmp_path, train__start=str(stages.first))
    dataset = build_dataset(config)
    begun, drawn = (build_networks(config, dataset, start=start)["generator"].state_dict() for start in (True, False))
    first = MoCoGAN.from_pretrained(stages.first).state_dict()
    for key, value in begun.items():
        same = first[key] if key.startswith("text.") else drawn[key]
        assert torch.equal(value, same), key
    assert not torch.equal(begun["text.statistics.weight"], drawn["text.statistics.weight"])
    for changes, part in (
        ({"train__start": "captions", "model__text": TEXT}, "another structure"),
        ({"train__start": str(stages.first), "data__root": str(stages.partners)}, "differ in their words"),
    ):
        other = upscaling_config(stages.data, tmp_path, **changes)
        with pytest.raises(ConfigError, match=rf"train\.start: .*{part}"):
            build_networks(other, build_dataset(other))


def test_micro_batches_add_up_to_the_batch(stages: Stages, tmp_path: Path) -> None:
    changes: dict[str, Any] = {
        "data__partners": str(stages.partners), "train__steps": 1, "objective__pixel_steps": None,
        "every__checkpoint": 1,
    }  # fmt: skip
    runs = [
        train(upscaling_config(stages.data, tmp_path, name=f"m{n}", train__micro_batches=n, **changes), quiet=True)
        for n in (1, 2)
    ]
    one, two = (load_checkpoint(run.run_dir / "checkpoints" / "step-00000001").tensors["generator"] for run in runs)
    for key, value in one.items():
        torch.testing.assert_close(value, two[key], atol=2e-5, rtol=0)


def test_generated_clips_are_enlarged_by_their_captions(stages: Stages, second: Path, tmp_path: Path) -> None:
    first, model = MoCoGAN.from_pretrained(stages.first), ClipUpscaler.from_pretrained(second)
    texts = ["a small red square moves up, slowly", "the big blue disc goes left fast"]
    large = generate(stages.first, tmp_path / "given", clips=1, frames=3, text=texts, upscale=second)
    small = first.sample(1, frames=3, text=texts)
    assert large.shape == (2, 3, 3, 64, 64) and torch.equal(large, model.map_clips(small, texts))
    drawn = generate(stages.first, tmp_path / "drawn", clips=3, frames=3, seed=4, upscale=second)
    assert torch.equal(drawn, model.map_clips(first.sample(3, frames=3, seed=4), first.captions(3, seed=4)))
    assert "captions.jsonl" in {path.name for path in (tmp_path / "drawn").iterdir()}


def test_a_second_stage_without_captions_to_read(shapes_data: Path, second: Path, tmp_path: Path) -> None:
    run = train(small_config("mocogan", shapes_data, tmp_path, train__steps=1), quiet=True).run_dir
    with pytest.raises(ConfigError, match="--upscale .*reads captions"):
        generate(run, tmp_path / "clips", clips=1, upscale=second)


def test_upscale_requires_or_refuses_a_text(
    second: Path, shapes_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_mp4(tmp_path / "film.mp4", noise(3, 18, 20, 3).numpy())
    plain = train(
        small_config(
            "upscaling", shapes_data, tmp_path, name="plain", discriminators={}, optimizers={"generator": {}},
            objective__weights={"l1": 1.0}, train__steps=1,
        ),
        quiet=True,
    ).run_dir  # fmt: skip
    for arguments, parts in (
        ([second, "film.mp4"], ["--text: required"]),
        ([plain, "film.mp4", "--text", "a disc"], ["--text", "reads no captions"]),
        ([second, "film.mp4", "--text", "a rde disc"], ["'rde'", "red"]),
    ):
        code, _, err = run_vidgan(capfd, monkeypatch, "upscale", *arguments)
        assert code == 2 and all(part in err for part in parts), err
        assert not (tmp_path / "film-upscaled.mp4").exists()
    code, _, err = run_vidgan(
        capfd, monkeypatch, "upscale", second, "film.mp4", "--text", "a red disc", "--format", "npz"
    )
    assert code == 0, err
    record = json.loads((tmp_path / "film-upscaled.json").read_text())
    assert record["text"] == "a red disc" and record["frame_size"] == [36, 40]


def test_evaluation_and_report_read_the_captions_of_held_out_clips(stages: Stages, second: Path) -> None:
    scores = evaluate(second, device="cpu")
    assert isinstance(scores, MappingScores)
    assert list(scores.scores) == ["upscaled", "bicubic", "nearest", "frame by frame", "real"]
    page = report(second).read_text()
    assert 'class="vidgan-player"' in page and "not available" not in page
    model, clips = ClipUpscaler.from_pretrained(second), noise(2, 2, 3, 32, 32)
    batches = [
        WindowBatch(clips, ["a", "b"], ["a:0", "b:0"], range(2), texts) for texts in (["red", "disc"], ["", "up"])
    ]
    by_caption, swapped = (
        mapping_scores(model, [batches[0]._replace(captions=texts)], metrics=("mse",), temporal=False).scores
        for texts in (["red", "disc"], ["disc", "red"])
    )
    assert by_caption["upscaled"]["mse"] != swapped["upscaled"]["mse"]
    assert by_caption["bicubic"]["mse"] == swapped["bicubic"]["mse"]
    with pytest.raises(DataError, match="a:0: no caption"):
        mapping_scores(model, batches[1:], metrics=("mse",), temporal=False)


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"objective__text": None}, r"model\.text and objective\.text"),
        ({"model__text": None, "objective__text": None}, "text_kl"),
        ({"data__flip": True}, r"data\.flip"),
        ({"discriminators__frame": {"kind": "patch", "width": 4}}, r"discriminators\.frame\.kind=patch"),
        (
            {"discriminators": {}, "optimizers": {"generator": {}}, "objective__weights": {"l1": 1.0},
             "objective__pixel_steps": None},
            r"objective\.text needs a discriminator",
        ),
    ],
)  # fmt: skip
def test_options_that_contradict_captions_are_refused(changes: dict[str, Any], part: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=part):
        upscaling_config(tmp_path, tmp_path, **changes)
