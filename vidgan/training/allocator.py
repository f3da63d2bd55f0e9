"""glibc's allocator, told to keep large blocks.

By its defaults it gives every block above 32 MB back to the kernel when it is freed, and a training step frees
hundreds: the next step then pays a page fault for each 4 kB again (docs/performance.md has the cost). The command does
this at its start; a program that imports vidgan decides for itself, as the setting is of its whole process.
"""

import ctypes
import os
import sys

# Parameters of mallopt(3) and what they are set to.
_KEEP = {-3: 1 << 30, -1: (1 << 31) - 1}  # M_MMAP_THRESHOLD, M_TRIM_THRESHOLD


def keep_large_blocks() -> bool:
    """Let the process keep freed memory for its next allocations; it holds up to some hundred MB more for it.

    Nothing is changed where the user has set the allocator (any variable MALLOC_*), and by other C libraries.

    Returns:
        Whether it was set.
    """
    if sys.platform != "linux" or any(name.startswith("MALLOC_") for name in os.environ):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    answers = [mallopt(parameter, value) for parameter, value in _KEEP.items()]
    return answers == [1] * len(answers)
