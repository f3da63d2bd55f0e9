"""Building networks that are the user's own, and checking that they keep the protocol of the part they stand for."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from vidgan.errors import ConfigError
from vidgan.own_code import load_own, own_object, path_of
from vidgan.sections import OBJECT, OwnPart

__all__ = ["build_own", "require_output"]


def build_own(section: OwnPart, key: str, given: Mapping[str, Any]) -> nn.Module:
    """The network of a section `kind: my_module:MyClass`, or the object that was passed from Python for `key`.

    Args:
        section: its further keys are keyword arguments of the class.
        key: of the config, such as `model.frame`.
        given: keyword arguments that come from the data and the rest of the config.

    Raises:
        ConfigError: it cannot be built, or is no torch.nn.Module.
    """
    if section.kind == OBJECT:
        network = own_object(key)
    else:
        constructor = load_own(section.kind, key)
        try:
            network = constructor(**given, **section.options)
        except TypeError as error:
            names = ", ".join([*given, *section.options])
            raise ConfigError(f"{key}: {section.kind} must accept the keyword arguments {names}: {error}") from error
    if not isinstance(network, nn.Module):
        raise ConfigError(f"{key}: {path_of(network)} is not a torch.nn.Module")
    return network


def require_output(
    key: str, network: nn.Module, call: Callable[[nn.Module], Any], inputs: str, expected: Mapping[str, tuple[int, ...]]
) -> None:
    """Run an own network once and compare the shapes of what it returns with the protocol.

    Args:
        key: of the config, for the message.
        network: the user's.
        call: runs it on example inputs and returns named outputs as a dictionary of tensors.
        inputs: the example inputs' shapes, for the message.
        expected: name -> shape; -1 stands for any size.

    Raises:
        ConfigError: it raised, or returned other shapes; the message gives the expected ones.
    """
    promised = ", ".join(f"{name} {_readable(shape)}" for name, shape in expected.items())
    training = network.training
    network.eval()
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            returned = call(network)
    except Exception as error:
        raise ConfigError(
            f"{key}: {path_of(network)} failed on {inputs} ({type(error).__name__}: {error}); it must return {promised}"
        ) from error
    finally:
        network.train(training)
    for name, shape in expected.items():
        value = returned.get(name) if isinstance(returned, Mapping) else None
        if not isinstance(value, Tensor) or not _fits(tuple(value.shape), shape):
            got = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
            raise ConfigError(
                f"{key}: {path_of(network)} returned {name} {got} for {inputs}; it must return {promised}"
            )


def _fits(shape: tuple[int, ...], expected: tuple[int, ...]) -> bool:
    if expected and expected[-1] == -1:  # any number of further dimensions
        return shape[: len(expected) - 1] == expected[:-1]
    return shape == expected


def _readable(shape: tuple[int, ...]) -> str:
    return "(" + ", ".join("..." if side == -1 else str(side) for side in shape) + ")"
