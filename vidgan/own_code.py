"""Parts that are not vidgan's: import paths that a config names, and objects that were passed from Python.

A config, a run or a model folder may come from someone else, and importing a module runs it. An import path
(`my_module:MyClass`, `folder/my.py:my_function`, or the name of an entry point) is therefore followed only inside
`own_code(allowed=True)`.
"""

import importlib
import importlib.util
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from vidgan.errors import ConfigError

__all__ = ["load_entry_point", "load_own", "own_code", "own_object", "path_of"]

_NAME = r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*"
_PATH = re.compile(rf"({_NAME}|.+\.py):{_NAME}")


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
    """The object at `my_module:MyClass` or `folder/my.py:MyClass`; modules in the current directory are found too.

    Args:
        path: the import path.
        key: of the config, or the option, for messages.

    Raises:
        ConfigError: not opted in (says what would be imported), not such a path, or nothing there.
    """
    if not _PATH.fullmatch(path):
        raise ConfigError(f"{key}: {path!r} is not of the form my_module:MyClass or my.py:MyClass")
    module_name, _, name = path.rpartition(":")
    _require_allowed(key, path, module_name)
    if module_name.endswith(".py") and not Path(module_name).is_file():
        raise ConfigError(f"{key}: {path}: there is no file {module_name}")
    folder = Path(module_name).absolute().parent if module_name.endswith(".py") else Path.cwd()
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
    try:
        is_file = module_name.endswith(".py")
        found: Any = _module_of(Path(module_name)) if is_file else importlib.import_module(module_name)
        for part in name.split("."):
            found = getattr(found, part)
    except Exception as error:  # whatever the user's module raises while it is imported
        reason = str(error) if isinstance(error, ImportError | AttributeError) else f"{type(error).__name__}: {error}"
        raise ConfigError(f"{key}: {path} cannot be imported: {reason}") from error
    return found


def load_entry_point(name: str, group: str, key: str) -> Any:
    """The object that an installed package registers as the entry point `name` of `group`.

    Raises:
        ConfigError: no or several packages register it (the message lists the names), or not opted in.
    """
    registered = entry_points(group=group)
    matches = [entry for entry in registered if entry.name == name]
    if len(matches) != 1:
        names = ", ".join(sorted({entry.name for entry in registered})) or "none"
        fault = f"{len(matches)} packages register" if matches else "no installed package registers"
        raise ConfigError(f"{key}: {fault} {name!r} as an entry point of {group}; registered are: {names}")
    _require_allowed(key, name, matches[0].module)
    try:
        return matches[0].load()
    except Exception as error:
        raise ConfigError(f"{key}: {matches[0].value} cannot be imported: {error}") from error


def _require_allowed(key: str, path: str, module_name: str) -> None:
    if not _current.get().allowed:
        raise ConfigError(
            f"{key}: {path} would import and run the module {module_name!r}; if you trust it, pass"
            " --allow-own-code (from Python: allow_own_code=True)"
        )


def _module_of(file: Path) -> ModuleType:
    """The module in a file, imported once; it may import its neighbours."""
    name = f"vidgan_own.{file.absolute()}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ImportError(f"{file} is no Python module")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def path_of(value: Any) -> str:
    """`module:QualifiedName` of a class or function, or of an object's class: for records and messages."""
    named = value if hasattr(value, "__qualname__") else type(value)
    return f"{named.__module__}:{named.__qualname__}"
