"""Freed memory goes back to the system, though something still stands above it in the heap."""

import platform
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# Blocks of 64 kB come from the heap, which shrinks from its end only: the last one keeps all below it.
CODE = """
from etp.training.processes.memory import release_freed_memory

def resident_mb():
    return int(open("/proc/self/statm").read().split()[1]) * 4096 / 2**20

blocks = [bytearray(b"x" * 65536) for _ in range(4000)]
del blocks[:-1]
before = resident_mb()
release_freed_memory()
print(before - resident_mb())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another allocator than glibc's keeps no such memory")
def test_freed_memory_is_given_back():
    done = subprocess.run([sys.executable, "-c", CODE], cwd=ROOT, capture_output=True, text=True, check=True)
    assert float(done.stdout) > 150
