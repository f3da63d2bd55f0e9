"""The page: one file, no external resources, every text escaped."""

import base64
import hashlib
import io
import re
from html import escape
from html.parser import HTMLParser
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image

from vidgan.report import (
    Code,
    KeyValues,
    LineChart,
    Notes,
    Picture,
    Player,
    PlayerClip,
    Section,
    Table,
    Text,
    Warnings,
    render_page,
    write_report,
)
from vidgan.report.document import source_hash
from vidgan.report.page import render_blocks
from vidgan.report.player import player_sources

EVIL = "<script>alert('x')</script> & \"quoted\""
VOID = {"meta", "img"}


class Problem(NamedTuple):
    name: str
    step: int
    message: str


def image_bytes(form: str, size: tuple[int, int] = (64, 48), frames: int = 1) -> bytes:
    buffer = io.BytesIO()
    images = [Image.new("RGB", size, (40 * i, 90, 200)) for i in range(frames)]
    extra = {"save_all": True, "append_images": images[1:]} if frames > 1 else {}
    images[0].save(buffer, form, **extra)
    return buffer.getvalue()


def everything() -> list[Section]:
    return [
        Section(
            f"First {EVIL}",
            [
                Text(f"One {EVIL}\n\nTwo"),
                KeyValues({f"key {EVIL}": EVIL, "steps": 12_345, "rate": 2e-4, "on": True, "none": None}),
                Table(["name", EVIL], [[EVIL, 1.5], ["b", None]], caption=EVIL),
                Warnings([Problem("mode_collapse", 1800, EVIL)]),
                Code(EVIL, EVIL),
                Notes([EVIL], EVIL),
            ],
        ),
        Section(
            "Second",
            [
                Picture(image_bytes("PNG", (700, 20)), EVIL, rows=[EVIL], columns=[EVIL, "b"]),
                Player([PlayerClip(EVIL, np.zeros((2, 8, 8, 3), np.uint8))], EVIL),
                LineChart({EVIL: [(0, 1.0), (1, 2.0)]}, EVIL, caption=EVIL),
            ],
        ),
    ]


class Parsed(HTMLParser):
    """Tags with their attributes, the text, and a check that every tag is closed in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.open: list[str] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def test_the_page_loads_nothing_external() -> None:
    page = render_page(title="Run", sections=everything(), subtitle="sub")
    parsed = Parsed(page)
    scripts = [attributes for tag, attributes in parsed.tags if tag == "script"]
    assert scripts == [{"type": "application/json"}, {}, {}]  # a chart, and the scripts of players and charts
    assert not {tag for tag, _ in parsed.tags} & {"link", "iframe", "object", "embed", "base", "form"}
    for tag, attributes in parsed.tags:
        for name, value in attributes.items():
            assert not name.startswith("on"), (tag, name)
            assert name != "style", tag  # the policy would forbid it
            if name in ("src", "href", "xlink:href", "srcset", "data", "action", "poster"):
                assert value is not None and value.startswith(("data:image/", "#")), (tag, name)
    visible = re.sub(r'src="data:[^"]*"', "", page)
    assert not re.search(r"https?:|//\w|@import|url\(", visible)


def test_the_policy_allows_this_style_and_script_and_nothing_else() -> None:
    page = render_page(title="Run", sections=everything())
    policy = next(a["content"] for t, a in Parsed(page).tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    directives = dict(part.strip().split(" ", 1) for part in policy.split(";"))
    for element, number in (("style", 1), ("script", 2)):
        contents = re.findall(f"<{element}>(.*?)</{element}>", page, re.S)
        digests = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in contents]
        assert len(digests) == number
        assert directives[f"{element}-src"] == " ".join(f"'sha256-{digest}'" for digest in digests)
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert "unsafe" not in policy
    assert page.index("Content-Security-Policy") < page.index("<style>")


def test_images_are_embedded_byte_for_byte_and_enlarged_by_whole_pixels() -> None:
    webp, gif, png = image_bytes("WEBP", frames=3), image_bytes("GIF", frames=3), image_bytes("PNG", (700, 20))
    html = render_blocks([Picture(webp, "a"), Picture(gif, "b", scale=2), Picture(png, "c")])
    images = [attributes for tag, attributes in Parsed(html).tags if tag == "img"]
    for image, (media, data) in zip(images, (("webp", webp), ("gif", gif), ("png", png)), strict=True):
        head, _, body = (image["src"] or "").partition(",")
        assert head == f"data:image/{media};base64"
        assert base64.b64decode(body) == data
    assert [(image["width"], image["height"], image.get("class")) for image in images] == [
        ("448", "336", "crisp"),  # 64 wide: 7 times, the largest that fits half the page
        ("128", "96", "crisp"),
        ("700", "20", None),
    ]
    assert html.count('class="image wide"') == 1
    assert html.count('class="figures"') == 1


def test_data_that_are_not_an_image_are_rejected() -> None:
    with pytest.raises(ValueError, match="grid"):
        render_blocks([Picture(b"<svg onload=alert(1)>", "grid")])
    with pytest.raises(ValueError, match="not a PNG"):
        render_blocks([Picture(image_bytes("BMP"), "bmp")])


def test_every_text_is_escaped() -> None:
    page = render_page(title=EVIL, sections=everything(), subtitle=EVIL)
    assert page.count("<script") == 3 and "alert('x')" not in page
    assert EVIL in "".join(Parsed(page).text)
    assert page.count("&lt;script&gt;") >= 15


def test_text_makes_paragraphs_and_warnings_read_as_sentences() -> None:
    assert render_blocks([Text("One\nline\n\n  Two ")]) == "<p>One\nline</p>\n<p>Two</p>"
    html = render_blocks([Warnings([Problem("mode_collapse", 1800, "All alike.")])])
    assert "<b>Mode collapse</b><span>since step 1,800</span><p>All alike.</p>" in html
    assert "No problems" in render_blocks([Warnings([])])


def test_tables_align_numbers_and_keep_their_decimals() -> None:
    table = Table(
        ["name", "psnr", "mse", "n", "interval"],
        [["a", 27.3, 0.0123, 12000, "27.31 [26.80, 27.90]"], ["b", None, 0.02, 7, "-"], ["c", 9.0, 0.0, 1, ""]],
    )
    html = render_blocks([table])
    cells = re.findall(r"<td( class=\"number\")?>(.*?)</td>", html)
    assert [text for _, text in cells] == [
        *("a", "27.30", "0.0123", "12,000", "27.31<small>[26.80, 27.90]</small>"),
        *("b", "&ndash;", "0.0200", "7", "-"),
        *("c", "9.00", "0.0000", "1", ""),
    ]
    assert [bool(mark) for mark, _ in cells] == [False, True, True, True, True] * 3
    with pytest.raises(ValueError, match="1 cells.*2"):
        render_blocks([Table(["a", "b"], [["x"]])])
    assert "<tbody></tbody>" in render_blocks([Table(["a"], [])])


def test_the_navigation_links_to_the_sections() -> None:
    page = render_page(title="Run", sections=[Section("A", [Text("x")]), Section("B", [Text("y")])])
    assert '<a href="#part-2">B</a>' in page and '<section id="part-2">' in page
    assert "<nav>" not in render_page(title="Run", sections=[Section("A", [Text("x")])])


def test_the_page_is_written_atomically(tmp_path: Path) -> None:
    path = tmp_path / "new" / "report.html"
    assert write_report(path, title="One ü", sections=everything()) == path
    before = path.read_text(encoding="utf-8")
    assert "<title>One ü</title>" in before
    with pytest.raises(ValueError, match="not a PNG"):
        write_report(path, title="Two", sections=[Section("A", [Picture(b"", "x")])])
    assert path.read_text(encoding="utf-8") == before
    assert [p.name for p in path.parent.iterdir()] == ["report.html"]


def test_rows_and_columns_of_a_picture_are_labelled() -> None:
    page = render_blocks([Picture(image_bytes("PNG"), "c", rows=["truth", EVIL], columns=["+1", "+2"])])
    assert '<div class="columns"><span title="+1">+1</span><span title="+2">+2</span></div>' in page
    assert '<div class="rows"><span title="truth">truth</span><span title="&lt;script&gt;' in page
    assert "labelled" not in render_blocks([Picture(image_bytes("PNG"), "c")])


def test_the_script_of_the_player_is_in_pages_with_a_player_alone() -> None:
    player = Player([PlayerClip("a", np.zeros((2, 8, 8, 3), np.uint8))], "caption")
    page = render_page(title="x", sections=[Section("A", [player]), Section("B", [player])])
    _, script = player_sources()
    assert page.count("<script>") == 1 and page.count(script) == 1 and page.count('class="vidgan-player"') == 2
    assert f"script-src {escape(source_hash(script))}" in page
    assert "script" not in render_page(title="x", sections=[Section("A", [Text("x")])])


def test_small_clips_keep_every_pixel_and_large_ones_do_not() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), dtype=np.uint8)
    for count, is_kept in ((16, True), (17, False)):  # 32 frames of 64 x 64 pixels are kept
        html = Player([PlayerClip(str(number), noise) for number in range(count)]).html()
        data = base64.b64decode(re.findall(r"base64,([^\"]+)", html)[-1])
        sheet = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
        assert np.array_equal(sheet[:64, :64], noise[0]) == is_kept


def test_a_page_reloads_only_on_request() -> None:
    assert '<meta http-equiv="refresh" content="3">' in render_page(title="x", sections=[], refresh=2.5)
    assert "refresh" not in render_page(title="x", sections=[])
