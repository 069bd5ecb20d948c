"""One request after the other on a client's connection.

Takes the place of the loop in aiohttp's `RequestHandler`, which makes a task, a response and two more turns of
the event loop for each request: a tenth of what a small one costs. Parsing, flow control and shutting down
are aiohttp's as before.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import cast

from aiohttp import web
from aiohttp.http_parser import RawRequestMessage
from aiohttp.http_writer import StreamWriter
from aiohttp.streams import StreamReader
from aiohttp.web_protocol import ERROR, RequestHandler, _ErrInfo

_log = logging.getLogger("s3warden.listener")


class Turns(RequestHandler):
    """A connection whose requests are answered in their order, by the handler of its server.

    The handler has the answer on the wire when it returns, and raises ConnectionError where it had to break off.
    """

    def resume_reading(self, resume_parser: bool = True) -> None:
        """Go on reading, if that was paused: every read of a body asks for it."""
        if self._reading_paused or self._buffer_paused:
            super().resume_reading(resume_parser)

    async def start(self) -> None:
        """Answer until the connection ends; runs as a task as long as it lives."""
        try:
            while not self._force_close:
                message, payload = await self._next_message()
                if not await self._turn(message, payload):
                    break
        except ConnectionError:
            pass  # recorded where it was noticed
        except asyncio.CancelledError:
            self.force_close()
            raise
        except Exception:
            _log.exception("a connection is given up")
            self.force_close()
        if not self._force_close:
            self._task_handler = None
            if self.transport is not None:
                self.transport.close()

    async def _next_message(self) -> tuple[RawRequestMessage | _ErrInfo, StreamReader]:
        """Wait for a head, and let the next ones be parsed that the client has sent already."""
        if not self._messages:
            self._waiter = self._loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        found = self._messages.popleft()
        if self._parser is not None:
            self._parser.message_consumed()
        if self._buffer_paused and len(self._messages) <= self._msg_queue_resume_size:
            self._resume_reading_if_drained()
        return found

    async def _turn(self, message: RawRequestMessage | _ErrInfo, payload: StreamReader) -> bool:
        """Answer one request; tell whether another one may follow."""
        task = cast("asyncio.Task[None]", self._task_handler)
        if isinstance(message, _ErrInfo):
            http = web.BaseRequest(ERROR, payload, self, StreamWriter(self, self._loop), task, self._loop)
            refused = self.handle_error(http, message.status, message.exc, message.message)
            await self.finish_response(http, refused, None)
            return False
        if self._request_handler is None:
            return False  # the connection is lost
        http = web.BaseRequest(message, payload, self, StreamWriter(self, self._loop), task, self._loop)
        self._request_in_progress = True
        self._current_request = http
        try:
            answered = await self._request_handler(http)
        finally:
            self._current_request = None
            self._request_in_progress = False
            if self._handler_waiter is not None and not self._handler_waiter.done():
                self._handler_waiter.set_result(None)
        if not payload.is_eof():
            await self._linger(payload)
        if not answered.keep_alive or not payload.is_eof() or self._close or self._force_close:
            return False
        if self._upgraded and not self._messages:
            # What follows a switch of protocols is parsed no more.
            return False
        self._keepalive = True
        self._next_keepalive_close_time = due = self._loop.time() + self._keepalive_timeout
        if self._keepalive_handle is None:
            self._keepalive_handle = self._loop.call_at(due, self._process_keepalive)
        return True

    async def _linger(self, payload: StreamReader) -> None:
        """Throw the rest of a body away for a while: a client that still writes would not see its answer."""
        with suppress(Exception):  # whatever comes of it, the connection ends
            async with asyncio.timeout(self._lingering_time):
                while not payload.is_eof() and not self._force_close:
                    await payload.readany()
