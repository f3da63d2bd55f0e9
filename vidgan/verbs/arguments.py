"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

Out = Annotated[Path, typer.Option("--out", help="Where to write; an existing result is not overwritten.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace an existing result.")]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Same seed, same result.")]
