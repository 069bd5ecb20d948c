"""How long a client may take to read its answer.

A client that asks for an object and then reads nothing would keep a connection to the store, and a place
among the requests under way, for ever. So would one that reads a byte a minute: what counts is how much it
has taken within the idle time, down to what the kernel still holds for it.

Nothing is done for clients that read: only connections whose buffers are full are looked at, together, by
one timer.
"""

from __future__ import annotations

import asyncio
import fcntl
import struct
import termios
from contextlib import suppress
from typing import Protocol

SLOWEST = 1024
"""Bytes per second that a client must take, or send, to be waited for. A modem of 1990 was faster."""

LOOK_SECONDS = 1.0
TOO_SLOW = "the client does not read its answer"


class Reader(Protocol):
    """A connection with a client at its other end."""

    transport: asyncio.Transport | None

    def give_up(self, why: str) -> None:
        """Break the connection off."""
        ...


class SlowReaders:
    """Gives up connections whose clients do not read."""

    def __init__(self, loop: asyncio.AbstractEventLoop, idle_seconds: float) -> None:
        self._loop = loop
        self.idle_seconds = idle_seconds
        self._waiting: dict[Reader, tuple[float, int]] = {}
        """Since when, and how many bytes were unread then."""
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, connection: Reader) -> None:
        """Its buffers are full: nothing more can be written until the client reads."""
        self._waiting[connection] = (self._loop.time(), unread(connection.transport))
        if self._timer is None:
            self._timer = self._loop.call_later(min(LOOK_SECONDS, self.idle_seconds / 4), self._look)

    def end(self, connection: Reader) -> None:
        """It has read, or it is gone."""
        self._waiting.pop(connection, None)

    def _look(self) -> None:
        self._timer = None
        now = self._loop.time()
        for connection, (since, before) in list(self._waiting.items()):
            if now - since < self.idle_seconds:
                continue
            left = unread(connection.transport)
            if before - left >= SLOWEST * self.idle_seconds:
                self._waiting[connection] = (now, left)
            else:
                del self._waiting[connection]
                connection.give_up(TOO_SLOW)
        if self._waiting:
            self._timer = self._loop.call_later(min(LOOK_SECONDS, self.idle_seconds / 4), self._look)


def unread(transport: asyncio.Transport | None) -> int:
    """Return how many bytes written to a transport its other end has not acknowledged.

    Source: man 7 tcp, SIOCOUTQ, which Linux calls TIOCOUTQ as well.
    """
    if transport is None:
        return 0
    size = transport.get_write_buffer_size()
    socket = transport.get_extra_info("socket")
    with suppress(OSError):
        size += struct.unpack("i", fcntl.ioctl(socket.fileno(), termios.TIOCOUTQ, bytes(4)))[0]
    return size
