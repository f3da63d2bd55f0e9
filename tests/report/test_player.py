"""The video player: sheets hold the exact frames, and in a browser all clips follow one clock."""

import base64
import io
import re
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import headless_browser, page_errors, press, requested
from PIL import Image

from vidgan.report.player import (
    BLOCK,
    MAX_SHEET,
    PlayerClip,
    Sheets,
    pack_frames,
    player_assets,
    player_document,
    player_html,
)

EVIL = "</script><script>alert('x')</script>\"&"
HEIGHT, WIDTH = 12, 20
LEFT, RIGHT, HOME, ESCAPE = "\ue012", "\ue014", "\ue011", "\ue00c"


def noise(frames: int, height: int = HEIGHT, width: int = WIDTH, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (frames, height, width, 3), dtype=np.uint8)


def unpacked(sheets: Sheets, shape: tuple[int, ...]) -> np.ndarray:
    """The frames on the sheets, found by the rule that `Sheets` documents."""
    images = [np.asarray(Image.open(io.BytesIO(image)).convert("RGB")) for image in sheets.images]
    count, height, width, _ = shape
    frames = []
    for index in range(count):
        sheet, place = divmod(index, sheets.columns * sheets.rows)
        row, column = divmod(place, sheets.columns)
        top, left = row * sheets.cell[1], column * sheets.cell[0]
        frames.append(images[sheet][top : top + height, left : left + width])
    return np.stack(frames)


@pytest.mark.parametrize("shape", [(1, 12, 20), (7, 12, 20), (16, 32, 32), (5, 700, 1000), (2, 5, 2500)])
def test_lossless_sheets_hold_the_exact_frames(shape: tuple[int, int, int]) -> None:
    frames = noise(*shape)
    frames[:, shape[1] // 3 :] = np.arange(shape[0], dtype=np.uint8)[:, None, None, None]  # noise alone is slow
    sheets = pack_frames(frames, lossless=True)
    assert np.array_equal(unpacked(sheets, frames.shape), frames)
    assert sheets.cell == (shape[2], shape[1])
    for data in sheets.images:
        assert max(Image.open(io.BytesIO(data)).size) <= max(MAX_SHEET, *shape[1:])


def test_long_clips_take_several_sheets_and_short_ones_a_square() -> None:
    assert len(pack_frames(np.zeros((9, 700, 1000, 3), np.uint8)).images) == 3  # 2 x 2 cells of 1008 x 704 each
    sheets = pack_frames(noise(16, 32, 32))
    assert (sheets.columns, sheets.rows, len(sheets.images)) == (4, 4, 1)


def test_lossy_cells_are_whole_blocks_so_that_frames_do_not_mix() -> None:
    frames = np.zeros((4, HEIGHT, WIDTH, 3), np.uint8)
    frames[1::2] = 255
    sheets = pack_frames(frames)
    assert sheets.cell == (2 * BLOCK, BLOCK)
    assert np.abs(unpacked(sheets, frames.shape).astype(int) - frames).max() <= 8


def test_labels_are_escaped_and_nothing_is_requested() -> None:
    page = player_document([PlayerClip(EVIL, noise(2)), PlayerClip("b", noise(3))], fps=8, title=EVIL)
    assert "alert('x')" not in page and page.count("<script>") == 1
    assert page.count("&lt;/script&gt;&lt;script&gt;alert") >= 4
    assert not re.search(r"https?:|//[a-z]+\.|@import|url\(", page)
    assert "default-src 'none'" in unescape(page) and "script-src 'sha256-" in unescape(page)
    assert player_assets().count("</script>") == 1


def test_a_fragment_describes_each_clip() -> None:
    html = player_html([PlayerClip("truth", noise(5), context=2), PlayerClip("error", noise(3), start=2)], fps=12.5)
    assert 'data-fps="12.5"' in html and 'aria-label="Video player: truth, error"' in html
    assert re.findall(r'data-(frames|start|context)="(\d+)"', html) == [
        *(("frames", "5"), ("start", "0"), ("context", "2")),
        *(("frames", "3"), ("start", "2"), ("context", "0")),
    ]
    images = re.findall(r'<img alt="All frames of (\w+), row by row" src="data:image/webp;base64,([^"]+)">', html)
    assert [name for name, _ in images] == ["truth", "error"]
    assert Image.open(io.BytesIO(base64.b64decode(images[0][1]))).format == "WEBP"


def test_a_grid_has_headings() -> None:
    clips = [PlayerClip(f"{row}, {column}", noise(2)) for row in "ab" for column in "xyz"]
    html = player_html(clips, fps=8, rows=["a", EVIL], columns=list("xyz"))
    assert re.findall(r'<th scope="col">(.*?)</th>', html) == ["x", "y", "z"]
    assert '<th scope="row">&lt;/script&gt;' in html and html.count("<td><figure") == 6
    with pytest.raises(ValueError, match="2 rows and 2 columns do not fit 6 clips"):
        player_html(clips, fps=8, rows=["a", "b"], columns=["x", "y"])


@pytest.mark.parametrize(
    ("clip", "message"),
    [
        ({"frames": noise(2).astype(np.float32)}, "'a'.*float32"),
        ({"frames": noise(2)[..., :2]}, "'a'.*expected"),
        ({"frames": noise(2)[:0]}, "'a'"),
        ({"frames": noise(2), "context": 3}, "'a': context must be 0 to 2, got 3"),
        ({"frames": noise(2), "start": -1}, "'a': start"),
        ({"frames": np.zeros((1, 1, 17000, 3), np.uint8)}, "'a': frames of 17000x1"),
    ],
)
def test_unfit_clips_are_refused(clip: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PlayerClip("a", **clip)


def test_unfit_players_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one clip"):
        player_html([], fps=8)
    with pytest.raises(ValueError, match="fps"):
        player_html([PlayerClip("a", noise(2))], fps=0)


PIXELS = """
const [canvas] = arguments, pen = canvas.getContext('2d');
return [...pen.getImageData(0, 0, canvas.width, canvas.height).data].filter((_, index) => index % 4 < 3);
"""


def passed_in(browser: Any, seconds: float) -> int:
    """Frames that the first player plays in this time, from the first frame on."""
    script = """
    const root = document.querySelector('.vidgan-player'), done = arguments[1];
    root.vidganPlayer.seek(0); root.vidganPlayer.play(true);
    setTimeout(() => { root.vidganPlayer.play(false); done(Number(root.dataset.frame)); }, 1000 * arguments[0]);
    """
    return int(browser.execute_async_script(script, seconds))


def test_a_phone_shows_two_clips_beside_each_other(tmp_path: Path) -> None:
    clips = [PlayerClip(name, noise(3, 128, 160, seed)) for seed, name in enumerate(("truth", "forecast", "warp"))]
    (tmp_path / "page.html").write_text(player_document(clips, fps=8, title="A long title " * 6))
    with headless_browser(tmp_path) as browser:
        phone = {"width": 390, "height": 800, "deviceScaleFactor": 1, "mobile": True}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)
        browser.get((tmp_path / "page.html").as_uri())
        assert browser.execute_script("return document.documentElement.scrollWidth <= window.innerWidth")
        places = [one.rect for one in browser.find_elements("css selector", ".vp-clip canvas")]
        assert places[0]["y"] == places[1]["y"] and places[2]["y"] > places[0]["y"]
        assert places[1]["x"] + places[1]["width"] <= 390 and places[0]["width"] == 160, "without scaling"
        controls = browser.find_elements("css selector", "button, select, input[type=range]")
        assert all(one.rect["x"] + one.rect["width"] <= 390 for one in controls if one.is_displayed())


def test_the_player_in_a_browser(tmp_path: Path) -> None:
    """Clips of different length and size on one clock; keys, wipe, overlay, zoom; no request, no error."""
    truth, forecast, small = noise(6), noise(6, seed=1), noise(4, HEIGHT // 2, WIDTH // 2, seed=2)
    clips = [
        PlayerClip("truth", truth, context=2),
        PlayerClip("forecast", forecast, context=2),
        PlayerClip("small", small, start=1),
    ]
    page = tmp_path / "page.html"
    page.write_text(player_document(clips, fps=50, title="Window 1", lossless=True))
    with headless_browser(tmp_path) as browser:
        browser.set_window_size(1000, 900)
        browser.get(page.as_uri())

        def state(name: str) -> str:
            return str(
                browser.execute_script("return document.querySelector('.vidgan-player').dataset[arguments[0]]", name)
            )

        def pixels(canvas: Any, shape: tuple[int, ...]) -> np.ndarray:
            return np.array(browser.execute_script(PIXELS, canvas), np.uint8).reshape(shape)

        def shown() -> list[int]:
            return [
                int(canvas.get_attribute("data-frame"))
                for canvas in browser.find_elements("css selector", ".vp-clip canvas")
            ]

        frame_at = "return arguments[0].map(t => window.vidganPlayer.frameAt(2, t, 8, 6, arguments[1]).frame)"
        seconds = [0, 0.124, 0.125, 0.3, 0.5, 0.625, 10]
        assert browser.execute_script(frame_at, seconds, True) == [2, 2, 3, 4, 0, 1, 4]
        assert browser.execute_script(frame_at, seconds, False) == [2, 2, 3, 4, 5, 5, 5]

        # It plays when it is first seen; space pauses, and all clips stand at the same time.
        frames = {
            browser.execute_async_script(
                "setTimeout(() => arguments[0](document.querySelector('.vidgan-player').dataset.frame), 90)"
            )
            for _ in range(6)
        }
        assert len(frames) > 1 and state("playing") == "true"
        press(browser, " ")
        assert state("playing") == "false"
        press(browser, HOME)
        assert state("frame") == "0" and shown() == [0, 0, -1]
        canvases = browser.find_elements("css selector", ".vp-clip canvas")
        for time, expected in ((1, [1, 1, 0]), (2, [2, 2, 1]), (3, [3, 3, 2])):
            press(browser, RIGHT)
            assert state("frame") == str(time) and shown() == expected
            for canvas, clip, number in zip(canvases, clips, expected, strict=True):
                assert np.array_equal(pixels(canvas, clip.frames.shape[1:]), clip.frames[number])
        press(browser, LEFT)
        assert shown() == [2, 2, 1]
        scrubber = browser.find_element("css selector", "input[aria-label='Frame']")
        assert scrubber.get_attribute("value") == "2" and scrubber.get_attribute("aria-valuetext") == "frame 3 of 6"
        browser.execute_script("arguments[0].value = 4; arguments[0].dispatchEvent(new Event('input'))", scrubber)
        assert state("frame") == "4" and shown() == [4, 4, 3]
        buttons = {one.get_attribute("aria-label"): one for one in browser.find_elements("tag name", "button")}
        buttons["One frame forward"].click()
        assert state("frame") == "5"
        buttons["One frame back"].click()
        assert state("frame") == "4"
        speed = browser.find_element("css selector", "select[aria-label=Speed]")
        for key, expected_speed in ((">", "2"), (">", "4"), (">", "4"), ("<", "2"), ("<", "1"), ("<", "0.5")):
            press(browser, key)
            assert speed.get_attribute("value") == expected_speed
        press(browser, "<", "<")
        assert speed.get_attribute("value") == "0.1" and passed_in(browser, 0.3) in (1, 2), "50 frames/s at 0.1"
        press(browser, ">", ">", ">")
        press(browser, HOME, LEFT)  # backwards from the first frame to the last one
        assert shown() == [5, 5, 3]

        # Wipe: the left half of one clip, the right half of the other
        press(browser, "w")
        stage = browser.find_element("css selector", ".vp-stage canvas")
        both = pixels(stage, truth.shape[1:])
        assert np.array_equal(both[:, : WIDTH // 2], truth[5, :, : WIDTH // 2])
        assert np.array_equal(both[:, WIDTH // 2 :], forecast[5, :, WIDTH // 2 :])
        browser.execute_script("document.querySelector('.vidgan-player').focus()")
        browser.find_element("css selector", ".vidgan-player").send_keys("\ue008" + LEFT)  # shift
        moved = pixels(stage, truth.shape[1:])
        assert np.array_equal(moved[:, : WIDTH * 45 // 100], truth[5, :, : WIDTH * 45 // 100])
        assert np.array_equal(moved[:, WIDTH * 45 // 100 :], forecast[5, :, WIDTH * 45 // 100 :])
        press(browser, "o", "b")  # overlay with the third clip, enlarged
        blended = pixels(stage, truth.shape[1:]).astype(float)
        large = small[3].repeat(2, axis=0).repeat(2, axis=1)
        assert np.abs(blended - (0.55 * truth[5] + 0.45 * large)).max() < 3
        press(browser, ESCAPE)
        assert state("mode") == "side" and not stage.is_displayed()

        # Zoom: whole factors, without smoothing; clips of one height
        before = int(state("zoom"))
        press(browser, "+")
        after = int(state("zoom"))
        assert after > before
        assert {canvas.size["height"] for canvas in canvases} == {HEIGHT * after}
        assert canvases[0].size["width"] == WIDTH * after
        assert canvases[0].value_of_css_property("image-rendering") == "pixelated"
        press(browser, "0")
        assert int(state("zoom")) == before

        # Without the loop it stops at the end
        press(browser, HOME, "l", " ")
        for _ in range(50):
            if state("playing") == "false":
                break
            browser.execute_async_script("setTimeout(arguments[0], 50)")
        assert state("playing") == "false" and shown() == [5, 5, 3]

        names = [button.get_attribute("aria-label") for button in browser.find_elements("tag name", "button")]
        assert all(names) and {"Play", "Loop", "One frame back", "Zoom in"} <= set(names)
        assert "Space play" in browser.find_element("css selector", ".vp-help").text
        urls = requested(browser)
        assert urls and not [url for url in urls if not url.startswith(("file:", "data:"))]
        assert not page_errors(browser)
