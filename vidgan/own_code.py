"""Parts that are not vidgan's: import paths that a config names, and objects that were passed from Python.

A config, a run or a model folder may come from someone else, and importing a module runs it. An import path
(`my_module:MyClass`) is therefore followed only inside `own_code(allowed=True)`.
"""

import importlib
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, NamedTuple

from vidgan.errors import ConfigError

__all__ = ["load_own", "own_code", "own_object", "path_of"]

_PATH = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")


class _OwnCode(NamedTuple):
    allowed: bool
    objects: Mapping[str, Any]


_current: ContextVar[_OwnCode] = ContextVar("vidgan_own_code", default=_OwnCode(False, {}))  # noqa: B039


@contextmanager
def own_code(*, allowed: bool = False, objects: Mapping[str, Any] | None = None) -> Iterator[None]:
    """Inside, import paths are followed if `allowed`, and `objects` stand for the config keys that they are named by.

    An inner context adds to an outer one.
    """
    outer = _current.get()
    token = _current.set(_OwnCode(outer.allowed or allowed, {**outer.objects, **(objects or {})}))
    try:
        yield
    finally:
        _current.reset(token)


def own_object(key: str) -> Any:
    """The object that was passed for a config key.

    Raises:
        ConfigError: none was passed.
    """
    objects = _current.get().objects
    if key not in objects:
        raise ConfigError(
            f"{key}: the run was made with an object that was passed from Python; pass it again (for example"
            f" networks={{{key!r}: my_object}})"
        )
    return objects[key]


def load_own(path: str, key: str) -> Any:
    """The object at `my_module:MyClass`; modules in the current directory are found too.

    Args:
        path: the import path.
        key: of the config, for messages.

    Raises:
        ConfigError: not opted in (says what would be imported), not such a path, or nothing there.
    """
    if not _PATH.fullmatch(path):
        raise ConfigError(f"{key}: {path!r} is not of the form my_module:MyClass")
    if not _current.get().allowed:
        raise ConfigError(
            f"{key}: {path} would import and run the module {path.partition(':')[0]!r}; if you trust it, pass"
            " --allow-own-code (from Python: allow_own_code=True)"
        )
    module_name, _, name = path.partition(":")
    if str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))
    try:
        found: Any = importlib.import_module(module_name)
        for part in name.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"{key}: {path} cannot be imported: {error}") from error
    return found


def path_of(value: Any) -> str:
    """`module:QualifiedName` of a class or function, or of an object's class: for records and messages."""
    named = value if hasattr(value, "__qualname__") else type(value)
    return f"{named.__module__}:{named.__qualname__}"
