"""How the process handles the memory that a step frees and the next one needs again."""

import ctypes
import sys

# Parameters of glibc's `mallopt`, from malloc.h.
M_TRIM_THRESHOLD = -1
M_MMAP_MAX = -4
GREATEST_INT = 2**31 - 1


def keep_freed_memory() -> bool:
    """Lets C's allocator keep freed memory for the next step, where it can be told to.

    glibc otherwise hands blocks of 32 MB and more back to the system as soon as they are freed, and
    smaller ones under a rule that adapts to what the program frees first. Which way that goes
    depends on chance; where a step's activations go back, the system has to clear as much again in
    each step, which shows in the benchmark of a ResNet-50. What the process needs at its peak it
    needs either way, but it keeps it until it ends.

    Returns:
        Whether the allocator could be told: it could not on another system or C library.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    told = [mallopt(M_MMAP_MAX, 0), mallopt(M_TRIM_THRESHOLD, GREATEST_INT)]
    return all(told)
