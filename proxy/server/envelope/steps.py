"""The places between two requests of one operation at which a proxy may die without losing anything.

Tests end the process here, at each step in turn, and look at what is left.
"""

from __future__ import annotations

STEPS = (
    "created", "context-written", "part-sent", "part-placed", "part-spilled", "trailer-noted", "trailer-sent",
    "object-made", "completed", "aborted", "kept-deleted",
    "copy-created", "copy-marked", "copy-part-sent", "copy-sent", "copy-completed",
)  # fmt: skip


def reached(step: str) -> None:
    """Mark a step; does nothing."""
