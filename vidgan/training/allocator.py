"""Make glibc's allocator keep large freed blocks.

glibc by default returns every block above 32 MB to the kernel as soon as it is freed. A training step frees hundreds of
them, so the next step pays one page fault per 4 kB again (docs/performance.md gives the cost). The setting is
process-wide, so the `vidgan` command sets it at startup and a program that imports vidgan decides for itself.
"""

import ctypes
import os
import sys

# Parameter of mallopt(3) -> value.
_SETTINGS = {-3: 1 << 30, -1: (1 << 31) - 1}  # M_MMAP_THRESHOLD, M_TRIM_THRESHOLD


def keep_large_blocks() -> bool:
    """Keep freed memory in the process for later allocations, at the price of up to a few hundred MB.

    Does nothing with other C libraries, or when the user has configured the allocator (any variable MALLOC_*).

    Returns:
        Whether the setting was applied.
    """
    if sys.platform != "linux" or any(name.startswith("MALLOC_") for name in os.environ):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    results = [mallopt(parameter, value) for parameter, value in _SETTINGS.items()]
    return results == [1] * len(results)
