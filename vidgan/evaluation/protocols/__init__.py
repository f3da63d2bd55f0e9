"""Protocols by name: the data, windows and definitions of published numbers.

A number can be compared with a published one only if preparation, windows, frame size, metric definitions and the
copy-last row agree: reproduce the copy-last row first. ``published`` lists the tables that a protocol compares with.
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


def find_protocol(name: str) -> ForecastProtocol | GenerationProtocol:
    """The protocol of that name.

    Raises:
        ValueError: there is none; the message lists the accepted names.
    """
    if name in PROTOCOLS:
        return PROTOCOLS[name]
    similar = get_close_matches(name, PROTOCOLS, 1)
    hint = f" (did you mean {similar[0]}?)" if similar else ""
    raise ValueError(f"--protocol {name!r} is unknown{hint}; accepted are {', '.join(PROTOCOLS)}")
