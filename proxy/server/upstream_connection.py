"""A connection to the store: aiohttp's response protocol, without what it does anew for each request.

Its parser is kept from one answer to the next, and reading is only resumed where it was paused. What a store
says without being asked is no answer: the connection is not used again.
"""

from __future__ import annotations

import asyncio

from aiohttp.client_proto import ResponseHandler

READ_SIZE = 1 << 16
"""Bytes the stream reader takes before it slows the store down; a transfer holds about twice this."""

MAX_HEADER_BYTES = 1 << 16
MAX_HEADERS = 512


class UpstreamConnection(ResponseHandler):
    """Carries one exchange after the other."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self._asked = False

    def ask(self, *, head: bool) -> None:
        """Expect an answer from now on; one to HEAD has no body, whatever its length says."""
        self._asked = True
        if self._parser is None or head is not self._skip_payload:
            self.set_response_params(
                skip_payload=head,
                read_until_eof=True,
                auto_decompress=False,
                read_bufsize=READ_SIZE,
                max_line_size=MAX_HEADER_BYTES,
                max_field_size=MAX_HEADER_BYTES,
                max_headers=MAX_HEADERS,
            )

    def rest(self) -> bool:
        """Expect nothing until the next `ask`; return whether the store stopped where its answer ended.

        A parser that has seen the beginning of something else would take the next answer for the rest of it.
        """
        self._asked = False
        if self._parser is None:
            return False
        try:
            return self._parser.feed_eof() is None
        except Exception:  # of whatever kind: it is about bytes that nobody asked for
            return False

    def data_received(self, data: bytes) -> None:
        """Take a piece of the answer; anything else ends the connection."""
        if self._asked:
            super().data_received(data)
        elif data:
            self.force_close()

    def resume_reading(self, resume_parser: bool = True) -> None:
        """Go on reading, if that was paused: every read of a body asks for it."""
        if self._reading_paused or self._buffer_paused:
            super().resume_reading(resume_parser)
