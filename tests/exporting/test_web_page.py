"""The page of an exported model, in headless Chromium from a file. Skipped without the runtime or without Chromium.

`VIDGAN_TEST_RUNTIME` names the folder with the archive of onnxruntime-web (`npm pack onnxruntime-web@1.30.0`).
"""

import base64
import os
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from browser import headless_browser, page_errors, requested
from helpers import needs_exporter
from small_networks import small_dual_motion, small_mocogan

from vidgan.errors import WeightsError

pytest.importorskip("onnx")
pytest.importorskip("onnxscript")
pytest.importorskip("onnxruntime")

from vidgan.commands.export import describe, export
from vidgan.commands.weights import fetch_weights, list_weights
from vidgan.exporting.onnx_file import onnx_graph, read_onnx, write_onnx
from vidgan.exporting.parity import compare, moving_clips
from vidgan.exporting.runner import OnnxForecaster, OnnxGenerator, open_onnx
from vidgan.exporting.smaller import halved
from vidgan.exporting.web_page import model_page
from vidgan.exporting.web_runtime import RUNTIME, SCRIPT, WASM, runtime_files
from vidgan.tasks.synthesis.config import MoCoGANConfig
from vidgan.tasks.synthesis.mocogan import build_mocogan
from vidgan.video.encode import write_clip

pytestmark = needs_exporter


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Exported files of a MoCoGAN, with weights in single and in half precision."""
    model = small_mocogan(num_categories=2)
    model.facts = {"frames": 4, "categories": ["a", "</script>"]}
    folder = tmp_path_factory.mktemp("page")
    single, half = (folder / name for name in ("single.onnx", "half.onnx"))
    graph = onnx_graph(model)
    write_onnx(graph, single, describe(model))
    write_onnx(halved(graph), half, replace(describe(model), precision="float16"))
    return single, half


needs_runtime = pytest.mark.skipif(
    "VIDGAN_TEST_RUNTIME" not in os.environ,
    reason="VIDGAN_TEST_RUNTIME names no folder with the archive of onnxruntime-web",
)


def runtime() -> dict[str, bytes]:
    return runtime_files(archive=Path(os.environ["VIDGAN_TEST_RUNTIME"]))


def wait(browser: Any, *, expected: str = "ready") -> str:
    """Wait until the page has finished what it does, and return its status line."""
    from selenium.webdriver.support.ui import WebDriverWait

    state = "return document.body.dataset.state"
    WebDriverWait(browser, 300).until(lambda _: browser.execute_script(state) in ("ready", "failed"))
    text: str = browser.find_element("id", "status").text
    assert browser.execute_script(state) == expected, text
    return text


def run_script(browser: Any, call: str) -> Any:
    """What a call that returns a promise resolves to."""
    return browser.execute_async_script(f"const done = arguments[0]; {call}.then(done, error => done(String(error)))")


def opened(file: Path) -> OnnxGenerator:
    generator = open_onnx(file)
    assert isinstance(generator, OnnxGenerator)
    return generator


def test_half_precision_takes_less_and_changes_little(files: tuple[Path, Path]) -> None:
    single, half = files
    assert half.stat().st_size < 0.75 * single.stat().st_size
    assert np.abs(opened(half).sample(4, seed=1).astype(int) - opened(single).sample(4, seed=1)).max() <= 2


def test_a_page_keeps_single_precision_where_half_changes_too_much(
    files: tuple[Path, Path], tmp_path: Path, monkeypatch: Any
) -> None:
    """The runtime is a stand-in, since nothing runs the page; the graph is the one that was already made."""
    model = small_mocogan(num_categories=2)
    model.facts = {"frames": 4}
    model.save_pretrained(tmp_path / "model")
    monkeypatch.setattr("vidgan.exporting.onnx_file.onnx_graph", lambda model: read_onnx(files[0]))
    monkeypatch.setattr("vidgan.commands.export.runtime_files", lambda: {SCRIPT: b"script", WASM: b"wasm"})
    monkeypatch.setattr("vidgan.commands.export.compare", partial(compare, clips=4))
    kept = {}
    for levels in (8, -1):
        monkeypatch.setattr("vidgan.commands.export.HALF_LEVELS", levels)
        lines: list[str] = []
        page = tmp_path / f"{levels}.html"
        exported = export(tmp_path / "model", page, to="html", report=lines.append)
        kept[levels] = exported.precision, page.stat().st_size
        assert exported.parity is not None and exported.parity["levels"] <= (1 if levels < 0 else 8)
        assert ("more than -1 levels: the page keeps float32" in lines) == (levels < 0)
    assert kept[8][0] == "float16" and kept[-1][0] == "float32" and kept[8][1] < kept[-1][1]
    assert sorted(file.name for file in tmp_path.iterdir()) == ["-1.html", "8.html", "model"]


def test_a_runtime_of_another_hash_is_refused(tmp_path: Path) -> None:
    (tmp_path / RUNTIME.archive).write_bytes(b"other")
    with pytest.raises(WeightsError, match=r"onnxruntime-web 1\.30\.0"):
        runtime_files(archive=tmp_path)


@needs_runtime
def test_a_page_draws_the_clips_of_a_seed_without_requests(files: tuple[Path, Path], tmp_path: Path) -> None:
    page, generator = tmp_path / "page.html", opened(files[1])
    page.write_text(model_page(files[1].read_bytes(), generator, runtime()))
    assert page.stat().st_size < 15e6
    with headless_browser(tmp_path) as browser:
        browser.set_script_timeout(300)
        browser.get(page.as_uri())
        wait(browser)
        expected = generator.sample(3, frames=5, seed=7)
        for row in (0, 2):
            values = run_script(browser, f"vidganModel.drawClip(7, {row}, 5).then(x => Array.from(x))")
            drawn = np.array(values, np.uint8).reshape(expected.shape[1:])
            assert np.abs(drawn.astype(int) - expected[row]).max() <= 1
        browser.find_element("id", "draw").click()
        wait(browser)
        players = browser.find_elements("css selector", ".vidgan-player[data-built] .vp-clip canvas")
        assert len(players) == 4
        assert browser.find_element("css selector", "#category option:last-child").text == "</script>"
        browser.execute_script("document.getElementById('clips').value = 17")
        browser.find_element("id", "draw").click()
        assert browser.find_element("id", "status").text == "Clips: accepted are numbers from 1 to 16"
        assert [url for url in requested(browser) if not url.startswith(("data:", "blob:"))] == [page.as_uri()]
        assert not page_errors(browser)


@needs_runtime
def test_a_page_reads_captions_and_draws_codes(tmp_path: Path) -> None:
    """Words, the noise of text codes, and information codes of every kind."""
    config = {
        "dim_content": 5, "dim_motion": 4, "frame": {"kind": "style", "width": 4, "max_width": 8},
        "text": {"kind": "gru", "embedding": 4, "hidden": 6, "dim": 5},
        "codes": {
            "speed": {"kind": "uniform", "enters": "motion"},
            "shape": {"kind": "categorical", "size": 3, "enters": "content"},
        },
    }  # fmt: skip
    torch.manual_seed(0)
    words = ("a", "ball", "red", "rises", "slowly")
    model = build_mocogan(MoCoGANConfig(**config), image_size=(32, 32), num_categories=0, vocabulary=words).eval()
    model.facts = {"frames": 4, "captions": ["a red ball rises", "slowly"]}
    file, page = tmp_path / "model.onnx", tmp_path / "page.html"
    write_onnx(onnx_graph(model), file, describe(model))
    generator = opened(file)
    page.write_text(model_page(file.read_bytes(), generator, runtime()))
    with headless_browser(tmp_path) as browser:
        browser.set_script_timeout(300)
        browser.get(page.as_uri())
        wait(browser)
        by_default, by_text = generator.sample(2, seed=7), generator.sample(2, seed=7, text="Rises, a ball!")
        for text, expected in (("null", by_default), ("'Rises, a ball!'", by_text)):
            values = run_script(browser, f"vidganModel.drawClip(7, 1, 4, null, {text}).then(x => Array.from(x))")
            drawn = np.array(values, np.uint8).reshape(expected.shape[1:])
            assert np.abs(drawn.astype(int) - expected[1]).max() <= 1
        browser.find_element("id", "caption").send_keys("a green ball")
        browser.find_element("id", "draw").click()
        assert 'unknown word "green"' in wait(browser, expected="failed")
        browser.find_element("id", "caption").clear()
        browser.find_element("id", "caption").send_keys("slowly")
        browser.find_element("id", "draw").click()
        wait(browser)
        assert "slowly" in browser.find_element("css selector", ".vidgan-player").text
        assert not page_errors(browser)


DROP = """
const bytes = Uint8Array.from(atob(arguments[0]), letter => letter.charCodeAt(0)), data = new DataTransfer();
window.dropped = new File([bytes], arguments[1], { type: 'video/mp4' });
data.items.add(dropped);
document.body.dispatchEvent(new DragEvent('drop', { dataTransfer: data, bubbles: true, cancelable: true }));
"""


@needs_runtime
def test_a_page_continues_a_dropped_video(tmp_path: Path) -> None:
    """An mp4 of 12.5 frames per second: the page finds its rate, reads its frames, and forecasts as the file does."""
    model = small_dual_motion().eval()
    model.facts = {"frames": 5, "context": 3}
    file, page, video = tmp_path / "model.onnx", tmp_path / "page.html", tmp_path / "video.mp4"
    write_onnx(onnx_graph(model), file, describe(model))
    forecaster = open_onnx(file)
    assert isinstance(forecaster, OnnxForecaster)
    page.write_text(model_page(file.read_bytes(), forecaster, runtime()))
    frames = moving_clips((32, 32), 1, 14, seed=3)[0]
    enlarged = np.moveaxis(frames, 1, -1).repeat(4, axis=1).repeat(4, axis=2)
    write_clip(video, enlarged, 12.5)
    with headless_browser(tmp_path) as browser:
        browser.set_script_timeout(300)
        browser.get(page.as_uri())
        wait(browser)
        browser.execute_script(DROP, base64.b64encode(video.read_bytes()).decode(), video.name)
        assert wait(browser) == "Done: 3 frames read at 12.5 per second, 10 forecast"
        labels = browser.find_elements("css selector", ".vidgan-player[data-built] .vp-clip figcaption")
        assert [label.text for label in labels] == ["video", "forecast", "last frame held"]
        read = run_script(
            browser, "vidganModel.readVideo(dropped, 13, null).then(v => v.frames.map(frame => Array.from(frame)))"
        )
        context = np.array(read, np.uint8).reshape(13, 3, 32, 32)
        assert np.abs(context.astype(int) - frames[:13]).mean() < 4  # video compression and scaling
        values = run_script(
            browser,
            "vidganModel.readVideo(dropped, 3, null).then(v => vidganModel.continueFrames("
            "Uint8Array.from(v.frames.flatMap(frame => Array.from(frame))), 4)).then(x => Array.from(x))",
        )
        drawn = np.array(values, np.uint8).reshape(4, 3, 32, 32)
        assert np.abs(drawn.astype(int) - forecaster.predict(context[None, :3], 4)[0]).max() <= 1
        browser.execute_script(DROP, base64.b64encode(b"no video").decode(), "broken.mp4")
        assert "broken.mp4: this browser cannot read it as a video" in wait(browser, expected="failed")
        browser.execute_script("document.getElementById('context').value = 30")
        browser.execute_script(DROP, base64.b64encode(video.read_bytes()).decode(), video.name)
        assert "14 frames at 12.5 per second; 30 are needed" in wait(browser, expected="failed")
        assert [url for url in requested(browser) if not url.startswith(("data:", "blob:"))] == [page.as_uri()]
        assert not page_errors(browser)


@needs_runtime
def test_the_runtime_is_fetched_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIDGAN_CACHE", str(tmp_path))
    assert "vidgan weights fetch onnxruntime-web" in list_weights()
    folder = fetch_weights("onnxruntime-web", archive=os.environ["VIDGAN_TEST_RUNTIME"])
    assert {path.name for path in folder.iterdir()} == set(runtime_files())
    assert "vidgan weights fetch onnxruntime-web" not in list_weights()
