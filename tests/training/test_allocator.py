"""Large blocks come from the heap that the process keeps, not from the kernel."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import vidgan

MODULE = Path(vidgan.__file__).parent / "training" / "allocator.py"
# Bytes in blocks mapped one by one, before and after one of 64 MB is taken, and whether the allocator was set.
PROBE = """
import ctypes, importlib.util, sys
spec = importlib.util.spec_from_file_location("allocator", sys.argv[1])
allocator = importlib.util.module_from_spec(spec)
spec.loader.exec_module(allocator)
class Info(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in
                "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost".split()]
libc = ctypes.CDLL(None)
libc.mallinfo2.restype, libc.malloc.restype, libc.malloc.argtypes = Info, ctypes.c_void_p, [ctypes.c_size_t]
told = allocator.keep_large_blocks()
before = libc.mallinfo2().hblkhd
libc.malloc(64 << 20)
print(told, libc.mallinfo2().hblkhd - before >= 64 << 20)
"""


@pytest.mark.skipif("CS_GNU_LIBC_VERSION" not in getattr(os, "confstr_names", {}), reason="another C library")
@pytest.mark.parametrize(("variables", "told"), [({}, "True False"), ({"MALLOC_ARENA_MAX": "2"}, "False True")])
def test_large_blocks_stay(variables: dict[str, str], told: str) -> None:
    clean = {key: value for key, value in os.environ.items() if not key.startswith("MALLOC_")}
    command = [sys.executable, "-c", PROBE, str(MODULE)]
    ended = subprocess.run(command, env=clean | variables, capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == told
