"""Rendering without units of MoCoGAN's frame generator: the option `--without-units`."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

from vidgan.errors import ConfigError
from vidgan.tasks.synthesis import units
from vidgan.tasks.synthesis.mocogan import MoCoGAN

__all__ = ["rendering_without"]


@contextmanager
def rendering_without(model: Any, texts: Sequence[str]) -> Iterator[None]:
    """Render without units of MoCoGAN's frame generator inside.

    Args:
        model: any model.
        texts: `LAYER:UNIT,UNIT`, the option `--without-units`; none: change nothing.

    Raises:
        ConfigError: units that the model does not have.
    """
    if texts and not isinstance(model, MoCoGAN):
        raise ConfigError(f"--without-units: {type(model).__name__} has no frame generator; accepted is a MoCoGAN")
    try:
        with units.without_units(model, units.parse_units(texts)) if texts else nullcontext():
            yield
    except units.UnitError as error:
        raise ConfigError(f"--without-units: {error}") from None
