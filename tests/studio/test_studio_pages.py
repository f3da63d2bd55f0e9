"""The studio in a headless browser: every tab with real files, and no request to another machine.

With VIDGAN_STUDIO_IMAGES=docs/images/studio in the environment, the images of the documentation are written.
"""

import io
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import headless_browser, page_errors, requested
from helpers import small_config
from PIL import Image

pytest.importorskip("gradio")

from vidgan.commands.train import train
from vidgan.data.synthetic.shapes import render_shapes

WAIT = 240.0  # seconds for one step on a busy machine


@pytest.fixture(scope="module")
def address(shapes_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A running studio with prepared data, a run of an upscaler, and two folders of videos."""
    folder = tmp_path_factory.mktemp("studio")
    changes: dict[str, Any] = {
        "discriminators": {}, "optimizers": {"generator": {}}, "objective__weights": {"l1": 1.0},
        "train__batch_size": 2, "train__steps": 2, "every__preview": 2, "name": "large",
    }  # fmt: skip
    train(small_config("upscaling", shapes_data, folder / "runs", **changes), quiet=True)
    shutil.copytree(shapes_data, folder / "data")
    for name in ("first", "second"):
        render_shapes(folder / name, clips=2, frames=6, size=32, seed=0)
        for file in (folder / name).rglob("*.mp4"):
            file.rename(folder / name / file.name)
    process = subprocess.Popen(
        [sys.executable, "-m", "vidgan", "studio", "first", "second", "data", "--port", "0"],
        cwd=folder,
        env={**os.environ, "TMPDIR": str(folder), "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line.startswith("vidgan studio: http://127.0.0.1:")
    yield line.split()[-1]
    process.terminate()
    assert process.wait(60) == 143
    assert not list(folder.glob("vidgan-temporary-*")), "all temporary files are gone"


def until(look: Callable[[], Any], what: str) -> Any:
    """The first true result of `look`."""
    end = time.monotonic() + WAIT
    while time.monotonic() < end:
        try:
            if result := look():
                return result
        except Exception:
            pass
        time.sleep(0.1)
    raise AssertionError(f"did not appear: {what}")


class Page:
    """A page of the studio in a browser."""

    def __init__(self, browser: Any, address: str) -> None:
        self.browser, self.address = browser, address

    def open(self, query: str) -> None:
        self.browser.get(f"{self.address}{query}")
        until(lambda: self.browser.execute_script("return window.vidganIsRestored"), "the page")

    def find(self, selector: str) -> Any:
        return until(lambda: self.browser.find_element("css selector", selector), selector)

    def text(self, selector: str) -> str:
        return str(self.browser.find_element("css selector", selector).text)

    def click(self, name: str) -> None:
        # A click at a place would miss a button that moves while a player above it takes its height.
        self.browser.execute_script("arguments[0].click()", self.find(f"#{name}"))

    def drop(self, name: str, file: Path, expected: str) -> None:
        """Choose a file in a drop zone, and wait for what the page says of it."""
        self.find(f"#{name}-drop input").send_keys(str(file))
        until(lambda: expected in self.text(f"#{name}-drop"), expected)

    def player(self, name: str) -> list[str]:
        """Labels of the clips of a player."""
        self.browser.switch_to.frame(self.find(f"#{name}-player iframe"))
        try:
            until(lambda: self.browser.find_elements("css selector", "canvas"), "canvas")
            return [one.text for one in self.browser.find_elements("css selector", "figcaption") if one.text]
        finally:
            self.browser.switch_to.default_content()

    def count_clips(self, name: str) -> int:
        """Clips that a player shows; in a grid their labels are hidden."""
        self.browser.switch_to.frame(self.find(f"#{name}-player iframe"))
        try:
            return len(self.browser.find_elements("css selector", ".vp-clip canvas"))
        finally:
            self.browser.switch_to.default_content()

    def report(self, name: str) -> str:
        """Text of a report in a frame."""
        self.browser.switch_to.frame(self.find(f"#{name}-player iframe"))
        try:
            return str(until(lambda: self.browser.find_element("css selector", "main").text, "report"))
        finally:
            self.browser.switch_to.default_content()

    def picture(self, name: str, height: int = 1300) -> None:
        """Save the page as an image of the documentation, if the folder for them is named."""
        if folder := os.environ.get("VIDGAN_STUDIO_IMAGES"):
            metrics = {"width": 1280, "height": height, "deviceScaleFactor": 1, "mobile": False}
            self.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
            self.browser.execute_script("window.scrollTo(0, 0)")
            time.sleep(2)
            image = Image.open(io.BytesIO(self.browser.get_screenshot_as_png())).convert("RGB")
            image.save(Path(folder) / f"{name}.webp", quality=80, method=6)
            self.browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


@pytest.fixture(scope="module")
def page(address: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with headless_browser(tmp_path_factory.mktemp("browser")) as browser:
        page = Page(browser, address)
        yield page
        outside = [url for url in requested(browser) if not url.startswith((address, "data:", "blob:", "about:"))]
        expected = "422", "BodyStreamBuffer was aborted", "Connection errored out"  # an upload; a page left early
        errors = [error for error in page_errors(browser) if not any(text in error for text in expected)]
        assert not outside and not errors


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clip")
    render_shapes(folder, clips=1, frames=20, size=64, seed=2)
    (file,) = folder.rglob("*.mp4")
    return file.rename(folder / "my shape.mp4")


def test_forecast(page: Page, clip: Path, tmp_path: Path) -> None:
    page.open("?tab=forecast&model=dual_motion/shapes&horizon=3&samples=2&start=1")
    page.drop("forecast", clip, "20 frames")
    until(lambda: "of 20" in page.text("#forecast-film"), "the film strip of the upload")
    assert "frames 1 to 5" in page.text("#forecast-film") and "6 to 8" in page.text("#forecast-film")
    page.click("forecast-go")
    assert page.player("forecast") == ["truth", "forecast", "copy-last", "warp", "error x3", "flow", "spread x4"]
    until(lambda: "windows of known frames" in page.text("#forecast-trust"), "the trust")
    line = page.text("#forecast-line")
    assert "vidgan predict" in line and "--start 1 --samples 2" in line
    links = page.browser.find_elements("css selector", "#forecast-files a")
    assert [link.text for link in links] == ["mp4", "webp", "gif", "png", "npz"]
    page.picture("forecast", 1000)
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(b"#EXTM3U\nhttp://127.0.0.1/\n")
    page.drop("forecast", bad, "bad.mp4: not a video")


def test_synthesis(page: Page, clip: Path) -> None:
    page.open("?tab=synthesis&clips=2&frames=5&seed=3")
    page.click("synthesis-go")
    page.player("synthesis")
    assert page.count_clips("synthesis") == 4
    assert "--clips 2 --frames 5 --seed 3" in page.text("#synthesis-line")
    page.click("synthesis-edit")
    assert page.player("synthesis-edit") == ["A: 1-1", "B: 2-2", "morph"]
    page.drop("synthesis-clip", clip, "20 frames")
    steps = page.find("#synthesis-steps input[type=number]")
    steps.clear(), steps.send_keys("10\t")
    page.click("synthesis-find")
    assert page.player("synthesis-find") == ["real clip", "from its codes"]
    assert "motion correlation" in page.text("#synthesis-find-status")
    page.picture("synthesis", 1900)


def test_transform(page: Page) -> None:
    page.open("?tab=transform&frames=3&video=first/00000.mp4")
    page.click("transform-go")
    assert page.player("transform") == ["input", "bicubic", "nearest", "frame by frame", "upscaled"]
    assert "vidgan upscale runs/large first/00000.mp4 --frames 3" in page.text("#transform-line")
    links = page.browser.find_elements("css selector", "#transform-files a")
    assert [link.text for link in links] == ["mp4", "json"]
    page.picture("transform", 800)


def test_compare(page: Page) -> None:
    page.open("?tab=compare&kind=two folders&a=first&b=second&pairs=2")
    page.click("compare-go")
    assert page.player("compare") == ["left", "right"]
    assert "second" not in page.text("#compare-progress") and not page.text("#compare-result")
    page.picture("compare", 800)
    page.find("body").send_keys("1")
    until(lambda: "Pair 2 of 2" in page.find("#compare-player iframe").get_attribute("title"), "the second pair")
    page.click("compare-tie")
    until(lambda: "ties: 1" in page.text("#compare-result"), "the result")
    assert "SSIM" in page.text("#compare-result")
    assert "vidgan compare first second" in page.text("#compare-line")


def test_data(page: Page) -> None:
    page.open("?tab=data&clips=3&split=test")
    page.click("data-go")
    text = page.report("data")
    assert "18" in text and "Contact sheet" in text and "No file was refused" in text
    assert "vidgan prepare VIDEOS --size 32x32" in page.text("#data-line")
    page.picture("data", 1200)


def test_runs(page: Page) -> None:
    page.open("?tab=runs")
    page.click("runs-go")
    text = page.report("runs")
    assert "Training" in text and "Previews" in text
    assert "step 2 of 2" in page.text("#runs-status") and "vidgan report runs/large" in page.text("#runs-line")
    page.picture("runs", 1200)
    page.click("runs-stop")
    until(lambda: "no training that was started here" in page.text("#runs-status"), "the refusal")
    page.click("runs-resume")
    until(lambda: "resumed" in page.text("#runs-status"), "the resumed training")
