"""Memory that is freed stays with the process, ready to be used again.

The C library's allocator gives large arrays back to the system as soon as they are freed, and asks for new ones: the kernel then
empties each page of them, at its first use. A network's step frees and takes gigabytes so. Linux with glibc only; elsewhere
nothing changes. Values do not change anywhere.
"""

import ctypes
import logging
import os
import platform
import sys

logger = logging.getLogger(__name__)

# Of malloc.h: how much free memory at the top makes it give some back; how many arrays may be mapped by themselves; arenas.
M_TRIM_THRESHOLD, M_MMAP_MAX, M_ARENA_MAX = -1, -4, -8
SETTINGS = {M_MMAP_MAX: 0, M_TRIM_THRESHOLD: -1, M_ARENA_MAX: 1}  # -1: never
THEIR_OWN = "MALLOC_"  # environment variables of the allocator begin so


def keep_freed_pages() -> bool:
    """Let this process keep what it frees; whether it does. Whoever has set the allocator's variables keeps their settings."""
    if not sys.platform.startswith("linux") or platform.libc_ver()[0] != "glibc":
        return False
    if any(name.startswith(THEIR_OWN) for name in os.environ) or "glibc.malloc" in os.environ.get("GLIBC_TUNABLES", ""):
        logger.debug("freed memory: as the environment says")
        return False
    mallopt = ctypes.CDLL(None).mallopt
    taken = [mallopt(ctypes.c_int(what), ctypes.c_int(value)) for what, value in SETTINGS.items()]
    return all(taken)
