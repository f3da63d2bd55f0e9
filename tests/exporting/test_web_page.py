"""The page of an exported model, in headless Chromium from a file. Skipped without the runtime or without Chromium.

`VIDGAN_TEST_RUNTIME` names the folder with the archive of onnxruntime-web (`npm pack onnxruntime-web@1.30.0`).
"""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from browser import headless_browser, page_errors, requested
from small_networks import small_mocogan

from vidgan.errors import RunFailedError, WeightsError

pytest.importorskip("onnx")
pytest.importorskip("onnxscript")
pytest.importorskip("onnxruntime")

from vidgan.commands.export import describe
from vidgan.exporting.onnx_file import joined, onnx_parts, write_onnx
from vidgan.exporting.parity import HALF_LEVELS, Parity
from vidgan.exporting.runner import OnnxGenerator, open_onnx
from vidgan.exporting.web_page import halved, model_page
from vidgan.exporting.web_runtime import RUNTIME, runtime_files


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Exported files of a MoCoGAN, with weights in single and in half precision."""
    model = small_mocogan(num_categories=2)
    model.facts = {"frames": 4, "categories": ["a", "</script>"]}
    folder = tmp_path_factory.mktemp("page")
    single, half = (folder / name for name in ("single.onnx", "half.onnx"))
    graph = joined(onnx_parts(model))
    write_onnx(graph, single, describe(model))
    write_onnx(halved(graph), half, replace(describe(model), precision="float16"))
    return single, half


def opened(file: Path) -> OnnxGenerator:
    generator = open_onnx(file)
    assert isinstance(generator, OnnxGenerator)
    return generator


def test_half_precision_takes_less_and_changes_little(files: tuple[Path, Path]) -> None:
    single, half = files
    assert half.stat().st_size < 0.75 * single.stat().st_size
    assert np.abs(opened(half).sample(4, seed=1).astype(int) - opened(single).sample(4, seed=1)).max() <= 2
    differs = Parity(clips=100, levels=9, share=0.1, rms=1.0)
    replace(differs, levels=8).require(half, HALF_LEVELS)
    with pytest.raises(RunFailedError, match="accepted is 8"):
        differs.require(half, HALF_LEVELS)


def test_a_runtime_of_another_hash_is_refused(tmp_path: Path) -> None:
    (tmp_path / RUNTIME.archive).write_bytes(b"other")
    with pytest.raises(WeightsError, match=r"onnxruntime-web 1\.30\.0"):
        runtime_files(archive=tmp_path)


@pytest.mark.skipif(
    "VIDGAN_TEST_RUNTIME" not in os.environ,
    reason="VIDGAN_TEST_RUNTIME names no folder with the archive of onnxruntime-web",
)
def test_a_page_draws_the_clips_of_a_seed_without_requests(files: tuple[Path, Path], tmp_path: Path) -> None:
    page, generator = tmp_path / "page.html", opened(files[1])
    runtime_files(archive=Path(os.environ["VIDGAN_TEST_RUNTIME"]))
    page.write_text(model_page(files[1].read_bytes(), generator))
    assert page.stat().st_size < 15e6
    with headless_browser(tmp_path) as browser:
        from selenium.webdriver.support.ui import WebDriverWait

        def wait() -> None:
            state = "return document.body.dataset.state"
            WebDriverWait(browser, 120).until(lambda _: browser.execute_script(state) in ("ready", "failed"))
            assert browser.execute_script(state) == "ready", browser.find_element("id", "status").text

        browser.set_script_timeout(120)
        browser.get(page.as_uri())
        wait()
        expected = generator.sample(3, frames=5, seed=7)
        for row in (0, 2):
            script = f"const done = arguments[0]; vidganModel.drawClip(7, {row}, 5).then(x => done(Array.from(x)))"
            drawn = np.array(browser.execute_async_script(script), np.uint8).reshape(expected.shape[1:])
            assert np.abs(drawn.astype(int) - expected[row]).max() <= 1
        browser.find_element("id", "draw").click()
        wait()
        players = browser.find_elements("css selector", ".vidgan-player[data-built] .vp-clip canvas")
        assert len(players) == 4
        assert browser.find_element("css selector", "#category option:last-child").text == "</script>"
        browser.execute_script("document.getElementById('clips').value = 17")
        browser.find_element("id", "draw").click()
        assert browser.find_element("id", "status").text == "Clips: accepted are numbers from 1 to 16"
        assert [url for url in requested(browser) if not url.startswith(("data:", "blob:"))] == [page.as_uri()]
        assert not page_errors(browser)
