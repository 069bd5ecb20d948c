"""The body of a client's request: read piece by piece, patiently but not for ever.

The first read answers ``Expect: 100-continue``, so a client that asked first sends nothing until the
walk wants its body: a denied upload costs the client no bytes.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from time import monotonic
from typing import Protocol

from aiohttp import web

from proxy.errors import S3Error
from proxy.s3.checksums import Buffer
from proxy.server.patience import SLOWEST

DOCUMENTS_BYTES = 1 << 26
"""What documents may take together: anybody may send one, and it is held before it can be decided on."""

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class BodyMachine(Protocol):
    """A sans-I/O transformer of an upload: what comes in, what may go on."""

    def feed(self, data: Buffer) -> list[Buffer]:
        """Take received bytes, return the pieces that may be sent upstream now."""
        ...

    def finish(self) -> list[Buffer]:
        """Check everything that was declared, return the pieces held back; raises `S3Error`."""
        ...


class Documents:
    """How much memory all documents together take that are held whole."""

    __slots__ = ("held",)

    def __init__(self) -> None:
        self.held = 0

    def take(self, size: int) -> None:
        """Take so many bytes; raises `S3Error` SlowDown when there is no room for them now."""
        if self.held + size > DOCUMENTS_BYTES:
            detail = f"documents of other requests hold {self.held} bytes"
            raise S3Error("SlowDown", headers={"Retry-After": "1"}, close=True, detail=detail)
        self.held += size

    def give(self, size: int) -> None:
        """Give back what was taken."""
        self.held -= size


class ClientBody:
    """Reads a request body with an idle limit, and counts it; `documents` is shared by all requests."""

    def __init__(self, http: web.BaseRequest, idle_seconds: float, documents: Documents | None = None) -> None:
        self._http = http
        self._idle_seconds = idle_seconds
        self._documents = documents or Documents()
        self._held = 0
        self._expects_continue = http.headers.get("Expect", "").lower() == "100-continue"
        self._waited = 0.0
        self._since: float | None = None
        """Since when the client is waited for, if it is."""
        self._watch: asyncio.TimerHandle | None = None
        self.received = 0

    async def read(self) -> bytes:
        """Return the next bytes, `b""` at the end.

        Raises `S3Error` RequestTimeout when nothing arrives for the idle time, or too little for long, and
        IncompleteBody when the framing breaks; `ConnectionError` when the client is gone.
        """
        if self._expects_continue:
            self._send_continue()
        stream = self._http.content
        if stream.at_eof():
            return b""
        if stream.is_eof() and stream.exception() is None:
            # All of it is here already: nobody is waited for.
            data = stream.read_nowait()
            self.received += len(data)
            return data
        self._since = started = monotonic()
        if self._watch is None:
            self._watch = asyncio.get_running_loop().call_later(self._idle_seconds, self._look)
        try:
            data = await stream.readany()
        except TimeoutError as error:
            raise S3Error("RequestTimeout", close=True) from error
        except ConnectionError:
            raise
        except Exception as error:
            raise S3Error("IncompleteBody", close=True, detail=str(error)) from error
        finally:
            self._since = None
        self.received += len(data)
        # Only what the client makes us wait counts, not what the store does.
        self._waited += monotonic() - started
        if data and self._waited > self._idle_seconds and self.received < SLOWEST * self._waited:
            raise S3Error("RequestTimeout", close=True, detail=f"{self.received} bytes in {self._waited:.0f} s")
        return data

    async def read_all(self, limit: int) -> bytes:
        """Return the whole body; raises `S3Error` MaxMessageLengthExceeded beyond `limit` bytes, or SlowDown.

        It counts among the documents until `release`.
        """
        pieces: list[bytes] = []
        while data := await self.read():
            self._documents.take(len(data))
            self._held += len(data)
            if self._held > limit:
                raise S3Error("MaxMessageLengthExceeded", close=True)
            pieces.append(data)
        return b"".join(pieces)

    def release(self) -> None:
        """Say that the request is over, and what was held of it is let go."""
        if self._watch is not None:
            self._watch.cancel()
        if self._held:
            self._documents.give(self._held)
            self._held = 0

    async def through(self, machine: BodyMachine) -> AsyncIterator[Buffer]:
        """Yield what `machine` makes of the body; its checks come before its last piece."""
        while data := await self.read():
            for piece in machine.feed(data):
                yield piece
                # Memory that is still looked at cannot take the next piece.
                del piece
        for piece in machine.finish():
            yield piece

    def _look(self) -> None:
        """Give up a client that sends nothing: one timer a body, since one a piece would cost more than the piece."""
        self._watch = None
        if self._since is None:
            return
        left = self._since + self._idle_seconds - monotonic()
        if left > 0:
            self._watch = asyncio.get_running_loop().call_later(left, self._look)
        else:
            self._http.content.set_exception(TimeoutError())

    def _send_continue(self) -> None:
        self._expects_continue = False
        transport = self._http.transport
        if transport is None:
            raise ConnectionResetError("the client is gone")
        transport.write(_CONTINUE)
