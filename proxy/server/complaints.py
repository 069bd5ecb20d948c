"""What goes wrong behind the proxy, in the operator's own log: every request's reason is in the decision log,
which may be kept elsewhere or not at all.

A store that is down fails every request, so each kind of error is told now and then, with a count.
"""

from __future__ import annotations

import logging

from proxy.clock import Clock

TELL_SECONDS = 10.0
"""How often one kind of error is told."""

_log = logging.getLogger("s3warden.pipeline")


class Complaints:
    """Tells the operator of requests that failed for a reason which is not the client's."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._kinds: dict[str, tuple[float, int]] = {}
        """For each error code when it was told last, and how often it was not told since. S3 has few codes."""

    def tell(self, request_id: str, status: int, code: str, detail: str) -> None:
        """Log one failure, unless its kind was logged just now."""
        now = self._clock.now()
        last, kept_back = self._kinds.get(code, (float("-inf"), 0))
        # A clock that was set back must not silence this.
        if 0 <= now - last < TELL_SECONDS:
            self._kinds[code] = (last, kept_back + 1)
            return
        self._kinds[code] = (now, 0)
        more = f" ({kept_back} more since the last line about this)" if kept_back else ""
        # Some reasons have lines of their own, and keys of objects may have any character.
        plain = " ".join("".join(each if each.isprintable() else " " for each in detail).split())
        _log.error("request %s was answered %d %s: %s%s", request_id, status, code, plain, more)
