"""The places between two requests of a rewrap at which it may be broken off, or overtaken, without losing anything.

Tests end the process here, or write to the store, at each step in turn, and look at what is left.
"""

from __future__ import annotations

STEPS = (
    "document-written", "document-pruned",
    "looked", "told", "copied", "settled",
    "upload-created", "upload-marked", "part-copied", "parts-checked",
)  # fmt: skip


def reached(step: str) -> None:
    """Mark a step; does nothing."""
