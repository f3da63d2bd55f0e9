"""Names and times as a reader wants to see them."""

import re

ABBREVIATIONS = {"psnr", "ssim", "mse", "mae", "fvd", "kvd", "fid", "acd", "mcs", "lpips"}


def words(name: str) -> str:
    """`copy_last` -> `copy last`."""
    return re.sub(r"[_-]+", " ", name).strip()


def heading(name: str) -> str:
    """`psnr` -> `PSNR`, `frechet_inhouse` -> `Frechet inhouse`."""
    told = words(name)
    return told.upper() if told in ABBREVIATIONS else told[:1].upper() + told[1:]


def duration(seconds: float) -> str:
    """`12 s`, `3 min 20 s`, `2 h 05 min`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
