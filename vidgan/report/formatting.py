"""Names, numbers and times as a reader wants to see them."""

import re

ABBREVIATIONS = {"psnr", "ssim", "mse", "mae", "fvd", "kvd", "fid", "acd", "mcs", "lpips"}


def words(name: str) -> str:
    """`copy_last` -> `copy last`."""
    return re.sub(r"[_-]+", " ", name).strip()


def heading(name: str) -> str:
    """`psnr` -> `PSNR`, `frechet_inhouse` -> `Frechet inhouse`."""
    text = words(name)
    return text.upper() if text in ABBREVIATIONS else text[:1].upper() + text[1:]


def duration(seconds: float) -> str:
    """`12 s`, `3 min 20 s`, `2 h 05 min`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def count(number: int, singular: str, plural: str = "") -> str:
    """`1 window`, `3 windows`, `2 batches`."""
    return f"{number} {singular if number == 1 else plural or singular + 's'}"


def short(value: float, digits: int = 4) -> str:
    """A number with `digits` significant digits, thousands grouped, and an exponent below 1e-3 and from 1e7."""
    if value == 0:
        return "0"
    size = abs(value)
    if size >= 1e7 or size < 1e-3:
        mantissa, exponent = f"{value:.2e}".split("e")
        return f"{float(mantissa):g}e{int(exponent)}"
    if size >= 1000:
        return f"{value:,.0f}"
    return f"{value:.{digits}g}"


def tick_text(value: float) -> str:
    """`short`, with M and k for round numbers from 100,000, so that tick labels fit their space."""
    for limit, letter in ((1e6, "M"), (1e5, "k")):
        if abs(value) >= limit:
            return f"{value / (1e6 if letter == 'M' else 1e3):g}{letter}"
    return short(value)
