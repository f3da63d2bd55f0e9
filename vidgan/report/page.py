"""One HTML file that needs nothing else: style inside, images embedded, no script, and a policy that forbids more."""

import base64
import hashlib
import io
import math
import os
import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from html import escape
from itertools import groupby
from pathlib import Path

from PIL import Image

from vidgan.report.bars import BarChart, render_bars
from vidgan.report.blocks import Animation, Block, Cell, Code, KeyValues, Notes, Picture, Section, Table, Text, Warnings
from vidgan.report.chart import LineChart, render_chart
from vidgan.report.scale import short
from vidgan.report.style import CSS

HALF, FULL = 480, 1000  # pixels across of an image in one of two columns, and of one that takes the whole width
_NUMBER = re.compile(r"(?P<value>[-+]?\d[\d.,]*(e[-+]?\d+)?)\s*(?P<interval>\[[^]]*\])?")
MEDIA = {"PNG": "image/png", "GIF": "image/gif", "WEBP": "image/webp"}


def write_report(
    path: Path, *, title: str, sections: Sequence[Section], subtitle: str = "", refresh: float | None = None
) -> Path:
    """Write the page to the file `path` and return it; an older one is replaced at once or not at all.

    Args:
        refresh: seconds after which a browser that shows the page loads it again; None: never.

    Raises ValueError when the bytes of a picture or animation are no PNG, GIF or WebP image.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        page = render_page(title=title, sections=sections, subtitle=subtitle, refresh=refresh)
        temporary.write_text(page, encoding="utf-8")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def render_page(*, title: str, sections: Sequence[Section], subtitle: str = "", refresh: float | None = None) -> str:
    """The whole page as text; arguments as in `write_report`."""
    digest = base64.b64encode(hashlib.sha256(CSS.encode()).digest()).decode()
    policy = f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    links = "".join(f'<a href="#part-{number}">{escape(part.title)}</a>' for number, part in enumerate(sections, 1))
    navigation = f"<nav>{links}</nav>" if len(sections) > 1 else ""
    below = f'<p class="subtitle">{escape(subtitle)}</p>' if subtitle else ""
    body = "\n".join(
        f'<section id="part-{number}">\n<h2>{escape(part.title)}</h2>\n{render_blocks(part.blocks)}\n</section>'
        for number, part in enumerate(sections, 1)
    )
    again = "" if refresh is None else f'\n<meta http-equiv="refresh" content="{math.ceil(refresh)}">'
    now = datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z")
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{escape(policy)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">{again}
<title>{escape(title)}</title>
<style>{CSS}</style>
</head>
<body>
<header>
<h1>{escape(title)}</h1>
{below}{navigation}
</header>
<main>
{body}
</main>
<footer>Made by vidgan on {now}.</footer>
</body>
</html>
"""


def render_blocks(blocks: Sequence[Block]) -> str:
    """Blocks one under the other; figures that follow each other share a grid."""
    return "\n".join(_grouped(blocks))


def _grouped(blocks: Sequence[Block]) -> Iterator[str]:
    for figures, group in groupby(
        blocks, key=lambda block: isinstance(block, Picture | Animation | LineChart | BarChart)
    ):
        inner = "\n".join(_render(block) for block in group)
        yield f'<div class="figures">\n{inner}\n</div>' if figures else inner


def _render(block: Block) -> str:
    match block:
        case Text(text):
            return "\n".join(f"<p>{escape(part.strip())}</p>" for part in text.split("\n\n") if part.strip())
        case Table():
            return _table(block)
        case KeyValues(items):
            tiles = "".join(f"<div><dt>{escape(k)}</dt><dd>{_cell(v)}</dd></div>" for k, v in items.items())
            return f'<dl class="tiles">{tiles}</dl>'
        case Picture(data, caption, scale):
            return _image(data, caption, scale)
        case Animation(data, caption, scale, columns):
            return _image(data, caption, scale, columns)
        case BarChart():
            return render_bars(block)
        case LineChart():
            return render_chart(block)
        case Warnings():
            return _warnings(block)
        case Notes(notes, title):
            listed = "".join(f"<li>{escape(note)}</li>" for note in notes)
            return f"<details><summary>{escape(title)}</summary><ul>{listed}</ul></details>"
        case Code(text, title):
            return f"<details><summary>{escape(title)}</summary><pre>{escape(text)}</pre></details>"


def _cell(value: Cell) -> str:
    if value is None:
        return "&ndash;"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return short(value) if math.isfinite(value) else str(value)
    return escape(value)


def _table(table: Table) -> str:
    for row in table.rows:
        if len(row) != len(table.header):
            raise ValueError(f"table {table.caption!r}: a row has {len(row)} cells, the header {len(table.header)}")
    columns = list(zip(*table.rows, strict=True)) or [()] * len(table.header)
    marks = [' class="number"' if column and all(map(_is_number, column)) else "" for column in columns]
    texts = [_column(column) for column in columns]
    head = "".join(f"<th{mark}>{escape(name)}</th>" for mark, name in zip(marks, table.header, strict=True))
    rows = "\n".join(
        "<tr>" + "".join(f"<td{mark}>{text}</td>" for mark, text in zip(marks, row, strict=True)) + "</tr>"
        for row in zip(*texts, strict=True)
    )
    caption = f"<caption>{escape(table.caption)}</caption>" if table.caption else ""
    return f'<div class="table"><table>{caption}<thead><tr>{head}</tr></thead>\n<tbody>{rows}</tbody></table></div>'


def _is_number(value: Cell) -> bool:
    return value is None or value in ("", "-") or isinstance(value, int | float) or bool(_NUMBER.fullmatch(value))


def _column(values: Sequence[Cell]) -> list[str]:
    """The texts of a column; floats get the same decimals, so that their points stand under each other."""
    sizes = [abs(value) for value in values if isinstance(value, float) and math.isfinite(value) and value != 0]
    power = math.floor(math.log10(max(sizes))) if sizes else 0
    decimals = max(0, 3 - power) if power >= 0 else 2 - power
    texts = []
    for value in values:
        if isinstance(value, float) and math.isfinite(value) and -4 <= power <= 6:
            texts.append(f"{value:,.{decimals}f}")
        elif isinstance(value, str) and (match := _NUMBER.fullmatch(value)) and match["interval"]:
            texts.append(f"{escape(match['value'])}<small>{escape(match['interval'])}</small>")
        else:
            texts.append(_cell(value))
    return texts


def _image(data: bytes, caption: str, scale: int | None, columns: Sequence[str] = ()) -> str:
    try:
        with Image.open(io.BytesIO(data), formats=list(MEDIA)) as image:
            width, height, media = image.width, image.height, MEDIA[str(image.format)]
    except OSError as error:
        raise ValueError(f"image {caption!r}: not a PNG, GIF or WebP image") from error
    room = FULL if width > HALF else HALF
    times = scale if scale is not None else max(1, min(8, room // width))
    wide = " wide" if width * times > HALF else ""
    crisp = ' class="crisp"' if times > 1 else ""
    text = escape(caption)
    labels = "".join(f"<span>{escape(name)}</span>" for name in columns)
    above = f'<div class="columns">{labels}</div>' if labels else ""
    return (
        f'<figure class="image{wide}"><div class="framed">{above}<img{crisp} width="{width * times}"'
        f' height="{height * times}" alt="{text}" src="data:{media};base64,{base64.b64encode(data).decode()}"></div>'
        f"<figcaption>{text}</figcaption></figure>"
    )


def _warnings(block: Warnings) -> str:
    if not block.warnings:
        return '<p class="fine">The journal shows nothing unusual.</p>'
    items = "".join(
        f"<li><b>{escape(warning.name.replace('_', ' ').capitalize())}</b><span>since step {warning.step:,}</span>"
        f"<p>{escape(warning.message)}</p></li>"
        for warning in block.warnings
    )
    return f'<ul class="warnings">{items}</ul>'
