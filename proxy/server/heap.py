"""What the C library does with memory that was freed: keep enough of it for the bodies that stream.

A transfer takes and frees pieces of some 256 KiB, thousands for each GiB. As it comes, glibc gives the end of
its heap back to the kernel whenever half a MiB of it is free, and takes it again a moment later, page by
page: that is a quarter of what a large download costs. Kept, it is there for the next piece.

Source: man 3 mallopt
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Mapping

KEPT_BYTES = 16 << 20
"""Freed memory at the end of the heap that is not given back: pieces of a few dozen transfers."""
MAPPED_BYTES = 1 << 20
"""Larger blocks are mapped and unmapped one by one; none of a stream is as large."""

_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_SETTINGS = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES")


def keep_freed_memory(environment: Mapping[str, str] = os.environ) -> bool:
    """Tell the C library to keep freed memory; return whether it took the advice.

    An operator who tunes the allocator by its environment variables is not overruled. Other C libraries than
    glibc know no such setting.
    """
    if any(name in environment for name in _SETTINGS):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    return bool(mallopt(_M_TRIM_THRESHOLD, KEPT_BYTES)) and bool(mallopt(_M_MMAP_THRESHOLD, MAPPED_BYTES))
