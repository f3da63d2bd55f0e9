"""Import Gradio faster, and without writing into its folder.

At every import, Gradio parses the source of each of its components and writes type stubs (`.pyi`) beside them, for
editors alone. That is about a third of its import time, and fails where the installation cannot be written to.
"""

import os
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Final

__all__ = ["import_gradio"]

STUB_WRITER: Final = "gradio.component_meta"
NO_REQUESTS: Final = {"GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_DISABLE_TELEMETRY": "1"}


def import_gradio() -> ModuleType:
    """The module gradio, which then sends no request of its own.

    Raises:
        ModuleNotFoundError: it is not installed.
    """
    os.environ.update(NO_REQUESTS)  # read at import
    finder = _WithoutStubs()
    sys.meta_path.insert(0, finder)
    try:
        import gradio
    finally:
        sys.meta_path.remove(finder)
    return gradio


class _WithoutStubs(MetaPathFinder):
    """Finds the module that writes the stubs, and disables its function."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        spec = PathFinder.find_spec(fullname, path) if fullname == STUB_WRITER else None
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader)
        return spec


class _Loader(Loader):
    def __init__(self, loader: Loader) -> None:
        self.loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self.loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self.loader.exec_module(module)
        if hasattr(module, "create_or_modify_pyi"):
            vars(module)["create_or_modify_pyi"] = lambda component_class, class_name, events: None
