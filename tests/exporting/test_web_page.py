"""The page of an exported model, in headless Chromium from a file. Skipped without the runtime or without Chromium.

`VIDGAN_TEST_RUNTIME` names the folder with the archive of onnxruntime-web (`npm pack onnxruntime-web@1.30.0`).
"""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import headless_browser, page_errors, requested
from small_networks import small_mocogan

from vidgan.errors import WeightsError

pytest.importorskip("onnx")
pytest.importorskip("onnxscript")
pytest.importorskip("onnxruntime")

from vidgan.commands.export import describe
from vidgan.exporting.onnx_file import joined, onnx_parts, write_onnx
from vidgan.exporting.runner import OnnxGenerator, open_onnx
from vidgan.exporting.web_page import halved, model_page
from vidgan.exporting.web_runtime import RUNTIME, runtime_files


@pytest.fixture(scope="module")
def generator(tmp_path_factory: pytest.TempPathFactory) -> OnnxGenerator:
    """An exported MoCoGAN with weights in half precision."""
    model = small_mocogan(num_categories=2)
    model.facts = {"frames": 4, "categories": ["a", "</script>"]}
    single, half = (tmp_path_factory.mktemp("page") / name for name in ("single.onnx", "half.onnx"))
    graph = joined(onnx_parts(model))
    write_onnx(graph, single, describe(model))
    write_onnx(halved(graph), half, replace(describe(model), precision="float16"))
    assert half.stat().st_size < 0.75 * single.stat().st_size
    opened, exact = open_onnx(half), open_onnx(single)
    assert isinstance(opened, OnnxGenerator) and isinstance(exact, OnnxGenerator)
    assert np.abs(opened.sample(4, seed=1).astype(int) - exact.sample(4, seed=1)).max() <= 2
    opened.path = half  # type: ignore[attr-defined]
    return opened


def test_a_runtime_of_another_hash_is_refused(tmp_path: Path) -> None:
    (tmp_path / RUNTIME.archive).write_bytes(b"other")
    with pytest.raises(WeightsError, match=r"onnxruntime-web 1\.30\.0"):
        runtime_files(archive=tmp_path)


def test_a_page_draws_the_clips_of_a_seed_without_requests(generator: Any, tmp_path: Path) -> None:
    archive = os.environ.get("VIDGAN_TEST_RUNTIME")
    if archive is None:
        pytest.skip("VIDGAN_TEST_RUNTIME names no folder with the archive of onnxruntime-web")
    page = tmp_path / "page.html"
    runtime_files(archive=Path(archive))
    page.write_text(model_page(generator.path.read_bytes(), generator))
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
        assert [url for url in requested(browser) if not url.startswith(("data:", "blob:"))] == [page.as_uri()]
        assert not page_errors(browser)
