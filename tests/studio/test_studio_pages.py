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
    """A running studio with prepared data, a run of an upscaler, a damaged model, and two folders of videos."""
    folder = tmp_path_factory.mktemp("studio")
    changes: dict[str, Any] = {
        "discriminators": {}, "optimizers": {"generator": {}}, "objective__weights": {"l1": 1.0},
        "train__batch_size": 2, "train__steps": 2, "every__preview": 2, "name": "large",
    }  # fmt: skip
    run = train(small_config("upscaling", shapes_data, folder / "runs", **changes), quiet=True).run_dir
    shutil.copytree(run / "model", folder / "another version")
    (folder / "another version" / "config.json").write_text("{}")  # offered, but no tab may fail because of it
    shutil.copytree(shapes_data, folder / "data")
    for name in ("first", "second"):
        render_shapes(folder / name, clips=2, frames=6, size=32, seed=0)
        for file in (folder / name).rglob("*.mp4"):
            file.rename(folder / name / file.name)
    process = subprocess.Popen(
        [sys.executable, "-m", "vidgan", "studio", "another version", "first", "second", "data", "--port", "0"],
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
        self.errors: list[str] = []

    def leave(self) -> None:
        """Keep the errors of the page; those of requests that end because it is left do not count."""
        self.errors += page_errors(self.browser)
        self.browser.get("about:blank")
        page_errors(self.browser)

    def open(self, query: str) -> None:
        self.leave()
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
        page.leave()
        outside = [url for url in requested(browser) if not url.startswith((address, "data:", "blob:", "about:"))]
        errors = [error for error in page.errors if "422" not in error]  # of refused uploads
        assert not outside and not errors


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clip")
    render_shapes(folder, clips=1, frames=20, size=64, seed=2)
    (file,) = folder.rglob("*.mp4")
    return file.rename(folder / "my shape.mp4")


def test_forecast(page: Page, clip: Path, tmp_path: Path) -> None:
    page.open("?tab=forecast&model=dual_motion/shapes&horizon=3&samples=2&start=1")
    until(lambda: "Takes" in page.text("#forecast-estimate"), "the estimate before the first forecast")
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
    page.picture("forecast", 1250)
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(b"#EXTM3U\nhttp://127.0.0.1/\n")
    page.drop("forecast", bad, "bad.mp4: not a video")
    huge = tmp_path / "huge.mp4"
    with huge.open("wb") as file:
        file.truncate(50_000_001)
    page.drop("forecast", huge, "huge.mp4: larger than 50 MB")


def test_synthesis(page: Page, clip: Path) -> None:
    page.open("?tab=synthesis&clips=2&frames=5&seed=3")
    page.click("synthesis-go")
    page.player("synthesis")
    assert page.count_clips("synthesis") == 4
    assert "--clips 2 --frames 5 --seed 3" in page.text("#synthesis-line")
    until(lambda: "Takes" in page.text("#synthesis-edit-estimate"), "the estimate of an edit")
    page.click("synthesis-edit")
    assert page.player("synthesis-edit") == ["A: 1-1", "B: 2-2", "morph"]
    page.click("synthesis-between")
    until(lambda: page.player("synthesis-edit") == ["A: 1-1", "25%", "50%", "75%", "B: 2-2"], "the interpolation")
    assert "morph-0.75" in page.text("#synthesis-edit-line")
    assert not page.browser.find_elements("css selector", "#synthesis-caption input")
    assert not page.browser.find_elements("css selector", "#synthesis-truncation input"), "this model has none"
    page.drop("synthesis-clip", clip, "20 frames")
    steps = page.find("#synthesis-steps input[type=number]")
    steps.clear(), steps.send_keys("10\t")
    page.click("synthesis-find")
    assert page.player("synthesis-find") == ["real clip", "from its codes"]
    assert "motion correlation" in page.text("#synthesis-find-status")
    assert not page.browser.find_elements("css selector", ".toast-body"), "no complaint while a number is typed"
    page.picture("synthesis", 2050)


def test_captions(page: Page) -> None:
    page.open("?tab=synthesis&model=mocogan/captions&clips=1&caption=a big purple ball")
    assert page.find("#synthesis-caption textarea, #synthesis-caption input").get_attribute("value") == (
        "a big purple ball"
    )
    page.click("synthesis-go")
    until(lambda: "unknown word 'purple'" in page.text("#synthesis-status"), "the unknown word")
    assert "cannot" not in page.text("#synthesis-status") and page.find("#synthesis-no-codes").is_displayed()


def test_transform(page: Page) -> None:
    page.open("?tab=transform&frames=3&video=first/00000.mp4")
    page.click("transform-go")
    until(lambda: "damaged or of another version" in page.text("#transform-status"), "the damaged model")
    page.open("?tab=transform&frames=3&video=first/00000.mp4&model=runs/large")
    until(lambda: "Takes" in page.text("#transform-estimate"), "the estimate")
    page.click("transform-go")
    assert page.player("transform") == ["input", "bicubic", "nearest", "frame by frame", "upscaled"]
    assert "vidgan upscale runs/large first/00000.mp4 --frames 3" in page.text("#transform-line")
    links = page.browser.find_elements("css selector", "#transform-files a")
    assert [link.text for link in links] == ["mp4", "webp", "gif", "png", "npz", "json"]
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
    assert "SSIM" in page.text("#compare-result") and "higher is better" in page.text("#compare-result")
    assert "vidgan compare first second" in page.text("#compare-line")


def test_compare_generators(page: Page) -> None:
    page.open("?tab=compare&kind=two generators&a=mocogan/shapes&b=mocogan/captions&pairs=1")
    until(lambda: "Takes" in page.text("#compare-estimate"), "the estimate")
    page.click("compare-go")
    assert page.player("compare") == ["left", "right"]
    page.click("compare-left")
    until(lambda: "mocogan/captions: " in page.text("#compare-result"), "the result")
    assert "choose prepared data" in page.text("#compare-result")
    assert "vidgan generate --pretrained mocogan/captions --clips 1 --seed 0" in page.text("#compare-line")


RESTORED = {
    "?tab=forecast&model=dual_motion/natural&start=2&context=4&horizon=6&samples=3&seed=9": {
        "Model": "dual_motion/natural", "Start": "2", "Context": "4", "Horizon": "6", "Seed": "9",
    },
    "?tab=synthesis&model=mocogan/shapes&clips=2&frames=7&seed=5&category=circle": {
        "Model": "mocogan/shapes", "Contents and motions": "2", "Frames": "7", "Seed": "5", "Category": "circle",
    },
    "?tab=transform&video=second/00001.mp4&model=runs/large&frames=9": {
        "Video": "second/00001.mp4", "Model": "runs/large", "Frames, at most": "9",
    },
    "?tab=compare&kind=two folders&a=second&b=first&truth=first&pairs=3&seed=8": {
        "A": "second", "B": "first", "True videos, for metrics": "first", "Pairs": "3", "Seed of the order": "8",
    },
    "?tab=data&data=data&split=all&clips=5&seed=2": {"Prepared data": "data", "Clips": "5", "Seed of the choice": "2"},
    "?tab=runs&run=runs/large&config=mocogan/demo": {"Run": "runs/large", "Config": "mocogan/demo"},
}  # fmt: skip

VALUES = """
const visible = [...document.querySelectorAll('input, textarea')].filter(one => one.offsetParent);
return Object.fromEntries(visible.map(one => {
  const block = one.closest('.block') || one.parentElement;
  const label = block.querySelector('[data-testid="block-info"]') || block.querySelector('label span');
  return [one.getAttribute('aria-label') || (label ? label.textContent.trim() : ''), one.value];
}));
"""


@pytest.mark.parametrize("query", RESTORED)
def test_an_address_restores_a_tab_and_its_values(page: Page, query: str) -> None:
    page.open(query)
    tab = query.partition("tab=")[2].partition("&")[0]
    selected = until(lambda: page.browser.find_elements("css selector", "button[role=tab][aria-selected=true]"), "tab")
    assert selected[0].text.lower() == tab
    wanted = RESTORED[query]

    def shown() -> dict[str, str]:
        values = page.browser.execute_script(VALUES)
        return {name: values.get(name, "") for name in wanted}

    if tab == "runs":
        page.browser.execute_script("document.querySelector('#runs-training > button').click()")
    until(lambda: shown() == wanted, str(wanted))


def test_nothing_is_cut_off_on_a_phone(page: Page) -> None:
    phone = {"width": 390, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    page.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)
    try:
        for tab in ("forecast", "synthesis", "transform", "compare", "data", "runs"):
            page.open(f"?tab={tab}")
            if tab == "synthesis":
                page.click("synthesis-go")
                page.player("synthesis")
            until(lambda shown=tab: page.find(f"#{shown}-go").is_displayed(), tab)
            wide = page.browser.execute_script(TOO_WIDE)
            assert not wide, f"{tab}: {wide}"
    finally:
        page.browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


TOO_WIDE = """
const page = document.documentElement.scrollWidth > window.innerWidth ? ['the page scrolls sideways'] : [];
const parts = [...document.querySelectorAll('button, input, textarea, .vg-player, .vg-files, .vg-drop, p, label')];
return page.concat(parts.filter(one => one.offsetParent && !one.closest('[role=tablist], .tab-container, .cm-editor')
  && getComputedStyle(one).position !== 'absolute'
  && one.getBoundingClientRect().right > window.innerWidth + 1).map(one => one.outerHTML.slice(0, 120)));
"""


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
