"""Large blocks are served from the heap, which the process keeps, instead of being mapped by the kernel."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import vidgan

MODULE = Path(vidgan.__file__).parent / "training" / "allocator.py"
# Prints whether the allocator was configured, and whether a block of 64 MB is then mapped separately.
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
is_set = allocator.keep_large_blocks()
before = libc.mallinfo2().hblkhd
libc.malloc(64 << 20)
print(is_set, libc.mallinfo2().hblkhd - before >= 64 << 20)
"""


@pytest.mark.skipif("CS_GNU_LIBC_VERSION" not in getattr(os, "confstr_names", {}), reason="another C library")
@pytest.mark.parametrize(("variables", "expected"), [({}, "True False"), ({"MALLOC_ARENA_MAX": "2"}, "False True")])
def test_large_blocks_stay(variables: dict[str, str], expected: str) -> None:
    clean = {key: value for key, value in os.environ.items() if not key.startswith("MALLOC_")}
    command = [sys.executable, "-c", PROBE, str(MODULE)]
    ended = subprocess.run(command, env=clean | variables, capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == expected
