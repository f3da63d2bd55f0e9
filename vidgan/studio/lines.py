"""Command lines that repeat what the studio did."""

import shlex
from collections.abc import Iterable

__all__ = ["command_line"]


def command_line(command: str, words: Iterable[object], **options: object) -> str:
    """`vidgan COMMAND WORDS --name value ...`, quoted for a shell.

    Args:
        command: for example "predict".
        words: positional ones, and options that are already written out.
        options: by name; None and False are left out, True stands alone, a sequence repeats its option.
    """
    parts = ["vidgan", *command.split(), *map(str, words)]
    for name, value in options.items():
        flag = f"--{name.replace('_', '-')}"
        if value is None or value is False:
            continue
        for one in value if isinstance(value, list | tuple) else (value,):
            parts += [flag] if one is True else [flag, f"{one:g}" if isinstance(one, float) else str(one)]
    return shlex.join(parts)
