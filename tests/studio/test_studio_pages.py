"""The studio in a headless browser: every tab with real files, and no request to another machine."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from browser import headless_browser, page_errors, requested

pytest.importorskip("gradio")

from vidgan.data.synthetic.shapes import render_shapes

WAIT = 90.0  # seconds for one step on a busy machine


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A running studio."""
    folder = tmp_path_factory.mktemp("studio")
    process = subprocess.Popen(
        [sys.executable, "-m", "vidgan", "studio", "--port", "0"],
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
        element = self.find(f"#{name}")
        self.browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", element)
        element.click()

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

    def query(self) -> dict[str, list[str]]:
        return parse_qs(urlsplit(self.browser.current_url).query)


@pytest.fixture(scope="module")
def page(address: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with headless_browser(tmp_path_factory.mktemp("browser")) as browser:
        page = Page(browser, address)
        yield page
        outside = [url for url in requested(browser) if not url.startswith((address, "data:", "blob:", "about:"))]
        errors = [error for error in page_errors(browser) if "422" not in error]  # the refused upload
        assert not outside and not errors


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clip")
    render_shapes(folder, clips=1, frames=20, size=64, seed=2)
    (file,) = folder.rglob("*.mp4")
    return file.rename(folder / "my shape.mp4")


def test_forecast(page: Page, clip: Path, tmp_path: Path) -> None:
    page.open("?tab=forecast&horizon=3&samples=2&start=1")
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
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(b"#EXTM3U\nhttp://127.0.0.1/\n")
    page.drop("forecast", bad, "bad.mp4: not a video")


def test_synthesis(page: Page, clip: Path) -> None:
    page.open("?tab=synthesis&clips=2&frames=5&seed=3")
    page.click("synthesis-go")
    assert len(page.player("synthesis")) in (0, 4)
    assert "--clips 2 --frames 5 --seed 3" in page.text("#synthesis-line")
    page.click("synthesis-edit")
    assert page.player("synthesis-edit") == ["A: 1-1", "B: 2-2", "morph"]
    page.drop("synthesis-clip", clip, "20 frames")
    steps = page.find("#synthesis-steps input[type=number]")
    steps.clear(), steps.send_keys("10\t")
    page.click("synthesis-find")
    assert page.player("synthesis-find") == ["real clip", "from its codes"]
    assert "motion correlation" in page.text("#synthesis-find-status")
