"""`vidgan` and `python -m vidgan`: runs the command line and turns errors into one line and an exit code.

2: the user can mend it (usage, config, data, files). 1: the run failed. 130 / 143: stopped by Ctrl-C / SIGTERM, saved.
"""

import os
import sys
import traceback
from typing import NoReturn


def main() -> None:
    """Entry point of the console script."""
    from vidgan.cli.app import app
    from vidgan.training.allocator import keep_large_blocks

    keep_large_blocks()
    if os.environ.get("VIDGAN_DEBUG"):
        app()
        return
    try:
        app()
    except (ValueError, OSError) as error:
        fail(f"error: {error}", 2)
    except KeyboardInterrupt:
        fail("interrupted", 130)
    except (RuntimeError, MemoryError) as error:
        from vidgan.errors import RunFailedError

        told = f"the run failed: {error} (VIDGAN_DEBUG=1 shows where)"
        fail(told, 1, again=not isinstance(error, RunFailedError))
    except Exception:  # a fault of this program: the traceback is wanted, but of one process alone
        if "VIDGAN_REPORTS" not in os.environ:
            raise
        fail(traceback.format_exc(), 1)


def fail(told: str, code: int, *, again: bool = False) -> NoReturn:
    """Tell why and end; one of several processes leaves it to the launcher to tell.

    Args:
        again: whether another attempt may succeed.
    """
    from vidgan.training.launcher import report_failure

    if not report_failure(told, code, can_retry=again):
        print(f"vidgan: {told}", file=sys.stderr)
    sys.exit(code)


if __name__ == "__main__":
    main()
