"""`vidgan` and `python -m vidgan`: runs the command line and turns errors into one line and an exit code.

2: the user can mend it (usage, config, data, files). 1: the run failed. 130 / 143: stopped by Ctrl-C / SIGTERM, saved.
"""

import os
import sys


def main() -> None:
    """Entry point of the console script."""
    from vidgan.cli import app

    if os.environ.get("VIDGAN_DEBUG"):
        app()
        return
    try:
        app()
    except (ValueError, OSError) as error:
        print(f"vidgan: error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("vidgan: interrupted", file=sys.stderr)
        sys.exit(130)
    except (RuntimeError, MemoryError) as error:
        print(f"vidgan: the run failed: {error} (VIDGAN_DEBUG=1 shows where)", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
