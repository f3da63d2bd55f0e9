"""Memory that is free."""

from pathlib import Path

import psutil

__all__ = ["available_memory"]


def available_memory() -> int:
    """Bytes that a new process can use now: free memory, within the limit of a container."""
    free = int(psutil.virtual_memory().available)
    limit, used = Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")
    if limit.is_file() and used.is_file() and (text := limit.read_text().strip()).isdigit():
        free = min(free, int(text) - int(used.read_text()))
    return max(0, free)
