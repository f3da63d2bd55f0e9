"""`vidgan` and `python -m vidgan`: run the command line and turn an error into one line and an exit code.

0: success. 1: the run failed. 2: user error (usage, config, data, files). 130 / 143: stopped by Ctrl-C / SIGTERM.
"""

import logging
import os
import sys
import traceback
from typing import NoReturn, TextIO

from vidgan.files import escape_controls


def main() -> None:
    """Entry point of the console script. Errors keep their traceback if VIDGAN_DEBUG is set."""
    from vidgan.cli.app import app
    from vidgan.cores import watch_start
    from vidgan.training.allocator import keep_large_blocks

    keep_large_blocks()
    watch_start()
    escape_output()
    if os.environ.get("VIDGAN_DEBUG"):
        app()
        return
    try:
        app()
    except (ValueError, OSError) as error:
        from vidgan.files import DISK_FULL_ERRNOS

        is_disk_full = isinstance(error, OSError) and error.errno in DISK_FULL_ERRNOS
        fail(f"error: {error}", 1 if is_disk_full else 2)
    except KeyboardInterrupt:
        fail("interrupted", 130)
    except (RuntimeError, MemoryError) as error:
        from vidgan.errors import RunFailedError

        reason = str(error) or ("out of memory" if isinstance(error, MemoryError) else type(error).__name__)
        message = f"the run failed: {reason} (VIDGAN_DEBUG=1 prints the traceback)"
        fail(message, 1, again=not isinstance(error, RunFailedError))
    except Exception:  # a bug: print the traceback, but of only one of several processes
        if "VIDGAN_REPORTS" not in os.environ:
            raise
        fail(traceback.format_exc(), 1)


class _Escaped:
    """A text stream on which nothing can control the terminal: names of files, categories and tensors are not ours."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write `text` with escapes instead of control characters."""
        return self._stream.write(escape_controls(text, keep="\n\t"))

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)


class _EscapedLines(logging.Formatter):
    """Log records as text without control characters."""

    def format(self, record: logging.LogRecord) -> str:
        """Format a record."""
        return escape_controls(super().format(record), keep="\n\t")


def escape_output() -> None:
    """Escape control characters in standard output and log messages. Progress displays use standard error as it is."""
    if not isinstance(sys.stdout, _Escaped):
        sys.stdout = _Escaped(sys.stdout)
    if logging.lastResort is not None:
        logging.lastResort.setFormatter(_EscapedLines())


def fail(message: str, code: int, *, again: bool = False) -> NoReturn:
    """Print why the command failed, and exit. One of several processes leaves the printing to its launcher.

    Args:
        code: exit code.
        again: whether another attempt may succeed.
    """
    from vidgan.training.launcher import report_failure

    message = escape_controls(message, keep="\n\t")
    if not report_failure(message, code, can_retry=again):
        print(f"vidgan: {message}", file=sys.stderr)
    sys.exit(code)


if __name__ == "__main__":
    main()
