"""What time it is: a port, so that tests decide.

Everything that looks at the time takes a `Clock`; nothing calls ``time.time`` by itself.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Protocol


class Clock(Protocol):
    """Tells the time of day."""

    def now(self) -> float:
        """Return seconds since the Unix epoch, UTC."""
        ...


@dataclass(frozen=True, slots=True)
class SystemClock:
    """The clock of the machine."""

    def now(self) -> float:
        return time.time()


@dataclass(slots=True)
class FixedClock:
    """A clock that stands still until it is set, for tests and for replaying logs."""

    seconds: float

    def now(self) -> float:
        return self.seconds
