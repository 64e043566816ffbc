"""Freed memory stays with the process."""

import ctypes
import subprocess
import sys

import pytest

from tests.subprocesses import ROOT

MEASURE = """
import ctypes, resource, sys
if sys.argv[1] == "keep":
    from training.process import keep_freed_memory
    assert keep_freed_memory()
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]
size = 64 * 2**20  # more than glibc ever keeps by itself

def use():
    block = libc.malloc(size)
    ctypes.memset(block, 1, size)
    libc.free(block)

use()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
use()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def page_faults(how):
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, how], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return int(done.stdout)


@pytest.mark.skipif(
    not sys.platform.startswith("linux") or not hasattr(ctypes.CDLL(None), "mallopt"),
    reason="the C library has no mallopt",
)
def test_a_block_that_was_freed_is_used_again():
    # With huge pages 64 MB are 32 faults, without 16,384; kept memory has none.
    assert page_faults("keep") < 16 <= page_faults("by default")


def test_elsewhere_nothing_is_changed(monkeypatch):
    from training.process import keep_freed_memory

    monkeypatch.setattr(sys, "platform", "darwin")
    assert keep_freed_memory() is False
