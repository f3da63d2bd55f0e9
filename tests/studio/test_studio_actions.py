"""The studio's actions: their results equal the models', and their command lines write the same bytes."""

import json
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers import run_vidgan, small_config

import vidgan
from vidgan.commands.train import train
from vidgan.errors import ConfigError, DataError
from vidgan.studio.actions import forecast as forecasting
from vidgan.studio.actions import synthesis
from vidgan.studio.catalogue import Catalogue, ModelEntry, ModelShelf
from vidgan.studio.context import open_studio, timed
from vidgan.studio.jobs import CancelledError, Job, Pace
from vidgan.studio.lines import command_line
from vidgan.studio.saving import FORMATS, open_result, save_result
from vidgan.tasks.synthesis.codes import load_codes, render_codes
from vidgan.video.encode import write_mp4


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Catalogue:
    return Catalogue([], tmp_path_factory.mktemp("examples"))


@pytest.fixture(scope="module")
def shelf() -> ModelShelf:
    return ModelShelf()


def run_line(line: str, folder: Path, capfd: Any, monkeypatch: Any) -> None:
    """Run a command line of a page in a folder."""
    monkeypatch.chdir(folder)
    command, *words = shlex.split(line)
    assert command == "vidgan"
    code, _, errors = run_vidgan(capfd, monkeypatch, *words)
    assert code == 0, errors


def test_shipped_weights_and_examples_are_there(catalogue: Catalogue) -> None:
    assert catalogue.models_of("forecast")[-1] == "dual_motion/shapes"
    assert {"dual_motion/driving", "dual_motion/natural"} <= set(catalogue.models_of("forecast"))
    assert (
        catalogue.models_of("clips") == ["mocogan/captions", "mocogan/shapes"] and catalogue.models_of("mapping") == []
    )
    assert catalogue.first_pair("forecast") == (next(iter(catalogue.videos)), "dual_motion/shapes")
    with pytest.raises(DataError, match="not in the list"):
        catalogue.model("mocogan/shapes", "forecast")
    with pytest.raises(DataError, match="passwd"):
        catalogue.video("/etc/passwd")


def test_given_folders_are_listed(tmp_path: Path, catalogue: Catalogue) -> None:
    video = next(iter(catalogue.videos.values())).path
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / "mine.mp4").write_bytes(video.read_bytes())
    vidgan.MoCoGAN.from_pretrained("shapes").save_pretrained(tmp_path / "own")
    vidgan.MoCoGAN.from_pretrained("shapes").save_pretrained(tmp_path / "best")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "vidgan.json").write_text("{")
    listed = Catalogue([tmp_path], tmp_path / "scratch")
    own = [str(tmp_path / name) for name in ("best", "own")]
    assert listed.models_of("clips")[:2] == own, "own models come first, whatever their folder is called"
    assert listed.models[str(tmp_path / "own")].words == (str(tmp_path / "own"),)
    assert next(iter(listed.videos)) == str(tmp_path / "clips" / "mine.mp4")


def test_a_model_can_be_looked_at_while_it_computes(catalogue: Catalogue, shelf: ModelShelf) -> None:
    entry = catalogue.model("dual_motion/shapes", "forecast")
    with shelf.borrow(entry) as model:
        assert shelf.peek(entry) is model, "a wait here would never end"


def test_a_forecast_and_its_command_line(
    catalogue: Catalogue, shelf: ModelShelf, tmp_path: Path, capfd: Any, monkeypatch: Any
) -> None:
    entry, video = catalogue.model("dual_motion/shapes", "forecast"), next(iter(catalogue.videos.values())).path
    options = forecasting.options_of(entry, None, 4, 3, 2, 5)
    assert options == forecasting.ForecastOptions(context=5, horizon=4, start=3, samples=2, seed=5)
    with shelf.borrow(entry) as model:
        made = forecasting.forecast(model, video, options, Job())
        context = made.frames.context
        assert torch.equal(context, forecasting.film(model, video)[3:8])
        assert torch.equal(made.clips["forecast"], model.predict(context[None], 4)[0])
        drawn = model.predict(context[None], 4, samples=2, seed=5)[:, 0]
        trust = forecasting.measure(model, made)
    assert made.samples is not None and torch.equal(made.samples, drawn)
    assert torch.equal(made.clips["copy-last"], context[-1:].expand(4, -1, -1, -1))
    truth = made.clips["truth"].double()
    error = (made.clips["forecast"].double() - truth).square().mean(dim=(1, 2, 3))
    assert made.psnr["forecast"] == pytest.approx((10 * torch.log10(255**2 / error)).tolist(), abs=1e-6)
    assert trust is not None and forecasting.trust_text(trust).startswith(f"From {trust.windows} windows")
    player = {clip.label: clip for clip in made.player_clips()}
    assert (player["truth"].context, player["truth"].start) == (5, 0) and player["flow"].start == 5

    (tmp_path / "saved").mkdir()
    save_result(tmp_path / "saved", made.result("shape-future", {}))
    (tmp_path / video.name).write_bytes(video.read_bytes())
    line = forecasting.predict_line(entry, video.name, options, "shape-future.mp4")
    run_line(line, tmp_path, capfd, monkeypatch)
    for suffix in ("mp4", "png"):
        saved = open_result(tmp_path / "saved", f"shape-future.{suffix}")
        assert saved.read_bytes() == (tmp_path / f"shape-future.{suffix}").read_bytes()
    record = json.loads((tmp_path / "shape-future.json").read_text())
    assert (record["start"], record["context"], record["samples"], record["seed"]) == (3, 5, 2, 5)


def test_every_format_holds_the_clip(tmp_path: Path, catalogue: Catalogue) -> None:
    entry = catalogue.model("dual_motion/shapes", "forecast")
    video = next(iter(catalogue.videos.values())).path
    with ModelShelf().borrow(entry) as model:
        made = forecasting.forecast(model, video, forecasting.options_of(entry, 2, 1, 0, 1, 0), Job())
    save_result(tmp_path, made.result("one", {}))
    starts = {"mp4": b"ftyp", "webp": b"WEBP", "gif": b"GIF8", "png": b"PNG", "npz": b"PK"}
    for suffix in FORMATS:
        assert starts[suffix] in open_result(tmp_path, f"one.{suffix}").read_bytes()[:16]
    with np.load(tmp_path / "one.npz") as arrays:
        assert np.array_equal(arrays["clip"], made.video.numpy()) and arrays["clip"].shape[0] == 3
    for wrong in ("one.exe", "two.mp4", "../one.npz"):
        with pytest.raises(DataError, match="no such"):
            open_result(tmp_path, wrong)


@pytest.mark.parametrize(
    ("values", "name"),
    [((1, 10, 0, 1, 0), "context"), ((3, 0, 0, 1, 0), "horizon"), ((3, 10, -1, 1, 0), "start"),
     ((3, 10.5, 0, 1, 0), "horizon"), ((3, 10, 0, 1000, 0), "samples"), ((3, None, 0, 1, 0), "horizon")],
)  # fmt: skip
def test_values_out_of_range_are_refused(catalogue: Catalogue, values: Any, name: str) -> None:
    with pytest.raises(ConfigError, match=name):
        forecasting.options_of(catalogue.model("dual_motion/shapes", "forecast"), *values)


@pytest.fixture(scope="module")
def drawing(catalogue: Catalogue, shelf: ModelShelf) -> tuple[ModelEntry, Any, synthesis.Drawing]:
    entry = catalogue.model("mocogan/shapes", "clips")
    options = synthesis.draw_options(entry, 2, 6, 4, "circle", "")
    with shelf.borrow(entry) as model:
        return entry, model, synthesis.draw(model, entry, options, Job())


def test_drawn_clips_and_their_command_line(drawing: Any, tmp_path: Path, capfd: Any, monkeypatch: Any) -> None:
    entry, model, made = drawing
    assert torch.equal(made.samples, model.sample(2, frames=6, seed=4, category="circle"))
    latents = model.latents(2, 6, seed=4, category="circle")
    content = latents.content[:1].expand_as(latents.content)
    assert torch.equal(made.grid[:2], model.render(latents._replace(content=content)))
    assert [clip.label for clip in made.player_clips()][1] == "content 1, motion 2"
    (tmp_path / "saved").mkdir()
    save_result(tmp_path / "saved", made.result("clips", {}))
    run_line(synthesis.generate_line(entry, made.options), tmp_path, capfd, monkeypatch)
    for suffix, name in (("gif", "overview.gif"), ("png", "sheet.png")):
        saved = open_result(tmp_path / "saved", f"clips.{suffix}")
        assert saved.read_bytes() == (tmp_path / "clips" / name).read_bytes()


def test_a_caption_and_its_command_line(
    catalogue: Catalogue, shelf: ModelShelf, tmp_path: Path, capfd: Any, monkeypatch: Any
) -> None:
    entry = catalogue.model("mocogan/captions", "clips")
    options = synthesis.draw_options(entry, 2, 4, 0, None, "", " a big green ball goes up, slowly ")
    with shelf.borrow(entry) as model:
        made = synthesis.draw(model, entry, options, Job())
        assert torch.equal(made.samples, model.sample(2, frames=4, seed=0, text=options.text)) and not made.codes
    save_result(tmp_path, made.result("saved", {}))
    run_line(synthesis.generate_line(entry, options), tmp_path, capfd, monkeypatch)
    assert open_result(tmp_path, "saved.png").read_bytes() == (tmp_path / "clips" / "sheet.png").read_bytes()
    with shelf.borrow(catalogue.model("mocogan/shapes", "clips")) as model, pytest.raises(ConfigError, match="caption"):
        synthesis.draw(model, entry, options, Job())


def test_an_edit_and_its_command_line(drawing: Any, tmp_path: Path, capfd: Any, monkeypatch: Any) -> None:
    entry, model, made = drawing
    names = synthesis.keep_codes(tmp_path, model, made.codes)
    assert names == ["1-1", "1-2", "2-1", "2-2"]
    mixed = load_codes(tmp_path / synthesis.CODES_FILE, model)["1-2"]
    assert torch.equal(mixed.content, made.codes["1-1"].content)
    assert torch.equal(mixed.motion, made.codes["2-2"].motion)
    options = synthesis.edit_options("morph", 0.25, "content", 1, 8, None)
    assert options == {"amount": 0.25, "part": "content"}
    edited = synthesis.edit(model, entry, tmp_path, "morph", ["1-1", "2-1", "2-2"], options, Job())
    assert torch.equal(edited.clip, render_codes(model, edited.codes)) and list(edited.sources) == ["A: 1-1", "B: 2-1"]
    (tmp_path / "saved").mkdir()
    save_result(tmp_path / "saved", edited.result("morph", {}))
    line = synthesis.edit_line(entry, "morph", ["1-1", "2-1", "2-2"], options)
    assert "'codes.safetensors#2-1'" in line and "#2-2" not in line
    run_line(line, tmp_path, capfd, monkeypatch)
    for suffix, name in (("mp4", "clip.mp4"), ("png", "sheet.png")):
        saved = open_result(tmp_path / "saved", f"morph.{suffix}")
        assert saved.read_bytes() == (tmp_path / "morph" / name).read_bytes()
    with pytest.raises(DataError, match="9-9"):
        synthesis.edit(model, entry, tmp_path, "reverse", ["9-9"], {}, Job())
    with pytest.raises(ConfigError, match="operation 'explode'"):
        synthesis.edit_options("explode", 1, "both", 1, 8, None)
    assert synthesis.edit_options("reverse", None, "both", None, None, None) == {}, "it takes none of them"
    with pytest.raises(ConfigError, match="amount is None"):
        synthesis.edit_options("slow", None, "both", 1, 8, None)


def test_clips_from_one_to_another(drawing: Any, tmp_path: Path, capfd: Any, monkeypatch: Any) -> None:
    entry, model, made = drawing
    synthesis.keep_codes(tmp_path, model, made.codes)
    clips, result = synthesis.interpolate(model, entry, tmp_path, "1-1", "2-2", Job())
    assert list(clips) == ["A: 1-1", "25%", "50%", "75%", "B: 2-2"]
    assert torch.equal(clips["B: 2-2"], render_codes(model, made.codes["2-2"]))
    assert torch.equal(torch.from_numpy(result.arrays["clips"].numpy()), torch.stack(list(clips.values())))
    line = synthesis.interpolation_lines(entry, "1-1", "2-2").splitlines()[1]
    run_line(line, tmp_path, capfd, monkeypatch)
    assert (tmp_path / "morph-0.5" / "clip.mp4").read_bytes() == write_mp4(
        tmp_path / "middle.mp4", clips["50%"], result.fps
    ).read_bytes()
    with pytest.raises(DataError, match="9-9"):
        synthesis.interpolate(model, entry, tmp_path, "1-1", "9-9", Job())


def test_a_page_offers_what_a_model_can_do(catalogue: Catalogue, shelf: ModelShelf) -> None:
    with shelf.borrow(catalogue.model("mocogan/shapes", "clips")) as model:
        shapes = synthesis.abilities(model)
    assert shapes.codes and not shapes.captions and not shapes.first_frame and not shapes.truncation
    assert shapes.levels > 1 and "mix" in shapes.operations and shapes.units
    with shelf.borrow(catalogue.model("mocogan/captions", "clips")) as model:
        captions = synthesis.abilities(model)
    assert captions.captions and not captions.codes


def test_truncation_is_passed_on(shapes_data: Path, tmp_path: Path, shelf: ModelShelf) -> None:
    frame = {"kind": "modulated", "width": 4, "max_width": 8, "mapping_width": 8}
    config = small_config("mocogan", shapes_data, tmp_path / "runs", model__frame=frame, train__steps=1, name="m")
    train(config, quiet=True)
    entry = Catalogue([tmp_path / "runs"], tmp_path / "examples").model(str(tmp_path / "runs" / "m"), "clips")
    options = synthesis.draw_options(entry, 1, 4, 0, None, "", "", 0.5)
    assert synthesis.draw_options(entry, 1, 4, 0, None, "", "", 1).truncation is None
    with shelf.borrow(entry) as model:
        assert synthesis.abilities(model).truncation
        made = synthesis.draw(model, entry, options, Job())
        assert torch.equal(made.samples, model.sample(1, frames=4, seed=0, truncation=0.5))
    assert "--truncation 0.5" in synthesis.generate_line(entry, options)


def test_found_codes_equal_those_of_the_command(
    drawing: Any, catalogue: Catalogue, tmp_path: Path, capfd: Any, monkeypatch: Any
) -> None:
    entry, model, _ = drawing
    video = next(iter(catalogue.videos.values())).path
    (tmp_path / video.name).write_bytes(video.read_bytes())
    monkeypatch.chdir(tmp_path)
    steps: list[float] = []
    found = synthesis.invert(model, Path(video.name), 2, 1, Job(lambda share, text: steps.append(share)))
    assert len(steps) == synthesis.inversion_steps(2) and steps[-1] == 1
    assert torch.equal(found.reconstruction, render_codes(model, found.codes))
    run_line(synthesis.invert_line(entry, video.name, 2, 1), tmp_path, capfd, monkeypatch)
    written = load_codes(tmp_path / "codes.safetensors", model)[found.name]
    assert torch.equal(written.content, found.codes.content) and torch.equal(written.motion, found.codes.motion)


def test_a_cancelled_job_stops(drawing: Any) -> None:
    entry, model, made = drawing
    job = Job()
    job.cancel()
    with pytest.raises(CancelledError):
        synthesis.draw(model, entry, made.options, job)


def test_time_is_estimated_from_what_was_measured() -> None:
    pace = Pace()
    assert pace.estimate("forecast", "a", units=10) is None
    with pace.measure("forecast", "a", units=2):
        pass
    pace._seconds["forecast", "a"] = 0.5
    assert pace.estimate("forecast", "a", units=10) == 5.0 and pace.estimate("forecast", "b", units=1) is None
    with pytest.raises(ValueError, match="failed"), pace.measure("forecast", "a", units=1):
        raise ValueError("failed")
    assert pace.estimate("forecast", "a", units=10) == 5.0, "a failed action is not counted"


def test_a_trial_estimates_work_that_was_never_done(tmp_path: Path) -> None:
    studio = open_studio([], tmp_path, 0)
    assert studio.estimate("draw", "a", units=10, trial=lambda: 0.5) == 5.0
    assert studio.estimate("draw", "a", units=10, trial=lambda: 100.0) == 5.0, "measured already"

    def fails() -> float:
        raise ConfigError("does not work")

    assert studio.estimate("draw", "b", units=10, trial=fails) is None
    calls: list[int] = []
    each = timed(lambda: calls.append(1) or 4.0)()
    assert len(calls) == 2 and 0 <= each < 1


def test_command_lines_are_quoted() -> None:
    line = command_line("predict", ["--pretrained", "a b", "x;rm -rf.mp4"], fps=0.5, strict=True, seed=None, out="-o")
    assert shlex.split(line) == [
        "vidgan", "predict", "--pretrained", "a b", "x;rm -rf.mp4", "--fps", "0.5", "--strict", "--out", "-o"
    ]  # fmt: skip
