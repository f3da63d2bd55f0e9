"""Protocols by name: which data, which windows, which definitions a published number rests on.

A number can be compared with a published one only when preparation, windows, frame size, metric definitions and the
copy-last row agree: reproduce the copy-last row first. ``published`` says which tables a protocol may be held against.
"""

from difflib import get_close_matches

from vidgan.evaluation.protocols.base import (
    DEFAULT_METRICS,
    LPIPS,
    ForecastProtocol,
    GenerationProtocol,
    Preparation,
    Windows,
    check_metrics,
)
from vidgan.evaluation.protocols.generation import GENERATIONS
from vidgan.evaluation.protocols.prediction import FORECASTS

__all__ = [
    "DEFAULT_METRICS",
    "LPIPS",
    "PROTOCOLS",
    "ForecastProtocol",
    "GenerationProtocol",
    "Preparation",
    "Windows",
    "check_metrics",
    "find_protocol",
]

_ALL: tuple[ForecastProtocol | GenerationProtocol, ...] = (*FORECASTS, *GENERATIONS)
PROTOCOLS = {protocol.name: protocol for protocol in _ALL}


def find_protocol(name: str, variant: str | None = None) -> ForecastProtocol | GenerationProtocol:
    """The protocol of that name, or its variant (`caltech-10to1` and `openstl`).

    Raises:
        ValueError: there is none; the message lists them.
    """
    full = name if variant is None else f"{name}-{variant}"
    if full in PROTOCOLS:
        return PROTOCOLS[full]
    if variant is not None and name in PROTOCOLS:
        variants = [other.removeprefix(f"{name}-") for other in PROTOCOLS if other.startswith(f"{name}-")]
        raise ValueError(f"protocol {name} has no variant {variant!r}; there are: {', '.join(variants) or 'none'}")
    close = get_close_matches(full, PROTOCOLS, 1)
    hint = f" (did you mean {close[0]}?)" if close else ""
    raise ValueError(f"unknown protocol {full!r}{hint}; there are {', '.join(PROTOCOLS)}")
