"""A progress bar on a terminal."""

import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.progress import Progress

Item = TypeVar("Item")


def with_progress(
    items: Iterable[Item], *, total: int, quiet: bool = False, description: str = "scoring"
) -> Iterator[Item]:
    """The same items, with a progress bar on standard error if that is a terminal."""
    console = Console(file=sys.stderr)
    with Progress(console=console, disable=quiet or not console.is_terminal, transient=True) as bar:
        yield from bar.track(items, total=total, description=description)
