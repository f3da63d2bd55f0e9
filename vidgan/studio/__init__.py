"""The studio: forecast, synthesise and compare in a browser, without writing code. `vidgan.studio(...)` starts it.

`actions` computes, without any page; `layout` holds the pages (Gradio); `gate` decides who may ask what; `sessions`
keeps the files of each browser apart. `vidgan.studio` is this package and the function: Python gives a package and a
function of the same name one attribute, so the package can be called.
"""

import sys
from types import ModuleType
from typing import Any


class _CallablePackage(ModuleType):
    def __call__(self, *arguments: Any, **options: Any) -> None:
        """Serve the studio; see `vidgan.commands.studio.studio`."""
        from vidgan.commands.studio import studio

        studio(*arguments, **options)


sys.modules[__name__].__class__ = _CallablePackage
