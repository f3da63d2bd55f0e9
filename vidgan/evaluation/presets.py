"""Presets held against the data that are to be scored."""

from dataclasses import replace
from typing import TypeVar

from vidgan.data.store.index import Index
from vidgan.errors import ConfigError
from vidgan.evaluation.protocols import ForecastProtocol, GenerationProtocol
from vidgan.evaluation.settings import Settings

DEVIATING = "-deviating"  # ends the name of what is not quite the preset
Preset = TypeVar("Preset", ForecastProtocol, GenerationProtocol)


def fitting(protocol: Preset, index: Index, settings: Settings) -> Preset:
    """The protocol, if the data were prepared as it fixes; renamed where the user allows deviations.

    Raises:
        ConfigError: they were prepared in another way; the message says what differs and how to prepare them.
    """
    preparation = protocol.preparation
    if preparation is None:
        return protocol
    deviations = preparation.deviations(index.settings, index.size)
    if settings.split != "test":
        deviations.append("all clips are scored, not the test split")
    return deviating(protocol, deviations, settings)


def deviating(protocol: Preset, deviations: list[str], settings: Settings) -> Preset:
    """The protocol itself without deviations; with them a renamed one, if the user allows it.

    Raises:
        ConfigError: he does not.
    """
    if not deviations:
        return protocol
    if not settings.allow_deviation:
        raise ConfigError(
            f"--protocol {protocol.name} does not fit: {'; '.join(deviations)}. Prepare the data with `vidgan prepare"
            f" SOURCE --out DATA --protocol {protocol.name}`, or score them all the same with --allow-deviation, and no"
            " published number can stand beside"
        )
    notes = (*protocol.notes, *(f"deviation: {deviation}" for deviation in deviations))
    name = f"{protocol.name.removesuffix(DEVIATING)}{DEVIATING}"
    return replace(protocol, name=name, published=(), notes=notes)
