"""Check that data were prepared as a protocol requires."""

from dataclasses import replace
from typing import TypeVar

from vidgan.data.store.index import Index
from vidgan.errors import ConfigError
from vidgan.evaluation.protocols.base import ForecastProtocol, GenerationProtocol

DEVIATING = "-deviating"  # suffix of the name of a protocol with deviations
Preset = TypeVar("Preset", ForecastProtocol, GenerationProtocol)


def fit_to_data(protocol: Preset, index: Index, *, allow_deviation: bool, split: str = "test") -> Preset:
    """The protocol, if the data were prepared as it requires; renamed where deviations are allowed.

    Raises:
        ConfigError: the data deviate; the message says how, and how to prepare them.
    """
    preparation = protocol.preparation
    if preparation is None:
        return protocol
    deviations = preparation.deviations(index.settings, index.size)
    if split != "test":
        deviations.append(f"{split} clips are scored, not the test split")
    return mark_deviations(protocol, deviations, allow_deviation=allow_deviation)


def mark_deviations(protocol: Preset, deviations: list[str], *, allow_deviation: bool) -> Preset:
    """The protocol itself without deviations; with allowed deviations, a renamed one.

    Raises:
        ConfigError: there are deviations, and they are not allowed.
    """
    if not deviations:
        return protocol
    if not allow_deviation:
        raise ConfigError(
            f"The data deviate from --protocol {protocol.name}: {'; '.join(deviations)}. Prepare them with `vidgan"
            f" prepare SOURCE --out DATA --protocol {protocol.name}`, or pass --allow-deviation to score them anyway,"
            " without published numbers to compare with"
        )
    notes = (*protocol.notes, *(f"deviation: {deviation}" for deviation in deviations))
    name = f"{protocol.name.removesuffix(DEVIATING)}{DEVIATING}"
    return replace(protocol, name=name, published=(), notes=notes)
