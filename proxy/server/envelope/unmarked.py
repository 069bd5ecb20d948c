"""Objects without this format's mark: stored plain, or encrypted by somebody else's client.

A message of the AWS Encryption SDK that names the object in its context is as good as an object of ours.
Everything else could have been put there by whoever holds the store, so it is served only where the
bucket says that it holds such objects (`read_plaintext`).
"""

from __future__ import annotations

from dataclasses import replace

from aiohttp import web

from proxy.envelope.foreign import looks_foreign
from proxy.envelope.message import MAX_HEADER
from proxy.envelope.s3ec import (
    ClientObjectOpener,
    is_client_encrypted,
    need_client_object,
    without_client_fields,
)
from proxy.errors import S3Error
from proxy.forward import Step
from proxy.s3.etags import quote_etag
from proxy.s3.ranges import ByteRange, current_range
from proxy.server.envelope.concealed import Found, conceal
from proxy.server.envelope.fields import pinned, stored_fields
from proxy.server.envelope.holding import Holding, refuse_large_object
from proxy.server.envelope.keys import Capsules, Place
from proxy.server.envelope.messages import MessageReader, read_start, send_held
from proxy.server.envelope.multiparts import Asking
from proxy.server.envelope.passage import REPLACED, replaced
from proxy.server.envelope.plain_access import admit_plain
from proxy.server.envelope.unmarked_looks import Look, UnmarkedLooks
from proxy.server.relay import answer_fields, begin, relay
from proxy.server.store import Store
from proxy.server.upstream import UpstreamAnswer

# Parameters that would make another operation of a read.
_OF_OPERATION = frozenset({"attributes", "partNumber"})


class UnmarkedReader:
    """Answers GetObject and HeadObject for objects that this proxy did not write."""

    def __init__(self, store: Store, capsules: Capsules) -> None:
        self._store = store
        self._capsules = capsules
        self._holding = Holding()
        self._looks = UnmarkedLooks()
        self._messages = MessageReader(capsules, self._ask, self._holding)

    async def head(self, asking: Asking, answer: UpstreamAnswer, found: Found) -> web.StreamResponse:
        """Answer HeadObject; nothing is opened, so sizes are as true as the lengths of what is stored."""
        exchange, parameters = asking.exchange, asking.authorized.request.parameters
        answer.close()
        size = (await self.look(asking, found)).size
        answer.headers = (
            without_client_fields(answer.headers) if is_client_encrypted(found.metadata) else answer.headers
        )
        exchange.answered(200, answer.headers)
        fields = answer_fields(exchange, answer)
        wanted = current_range(asking.authorized.request.headers, answer.headers)
        if "partNumber" in parameters and size:
            wanted = ByteRange(0)
        if wanted is None:
            begin(exchange, 200, fields, size)
        else:
            first, last = wanted.resolve(size)
            begin(exchange, 206, [*fields, ("Content-Range", f"bytes {first}-{last}/{size}")], last - first + 1)
        return await exchange.reply.finish()

    async def look(self, asking: Asking, found: Found) -> Look:
        """Return what an object is; raises `IntegrityError` unmarked where its bucket serves none such."""
        seen = await self._seen(asking, found)
        if not seen.names_itself:
            admit_plain(asking.exchange, asking.place)
        return seen

    async def _seen(self, asking: Asking, found: Found) -> Look:
        async def ask(extent: ByteRange) -> UpstreamAnswer:
            return await self._ask(asking, extent, found.etag, method="GET")

        return await self._looks.look(asking.place, asking.version, found, ask)

    async def listed_size(self, place: Place, version: str, found: Found) -> int:
        """Return the size of an object that a listing shows: nobody asked for it, so the proxy asks for itself."""
        query = [("versionId", version)] if version else []

        async def ask(extent: ByteRange) -> UpstreamAnswer:
            fields = {"range": str(extent), "if-match": quote_etag(found.etag)}
            return await self._store.fetch(place.bucket, place.key, query, fields)

        return (await self._looks.look(place, version, found, ask)).size

    async def _start(self, asking: Asking, found: Found) -> bytes:
        """Read the beginning of an object that is not empty."""
        probe = await self._ask(asking, ByteRange(0, MAX_HEADER - 1), found.etag)
        try:
            _same(probe, found)
            return await read_start(probe, MAX_HEADER)
        finally:
            probe.close()

    async def part(self, asking: Asking, number: int, answer: UpstreamAnswer, found: Found) -> web.StreamResponse:
        """Answer GetObject or HeadObject with a part number; `answer` is the one to HEAD of the whole object.

        What other software encrypted counts as one part: the parts it was stored in are those of its ciphertext.
        """
        seen = await self._seen(asking, found)
        if not seen.is_message and not is_client_encrypted(found.metadata):
            admit_plain(asking.exchange, asking.place)
            method = asking.authorized.request.head.method
            # Bytes come from what was looked at; HEAD has none, and there are stores that compare a part's own ETag.
            same = replace(found, etag="") if method == "HEAD" else found
            part = await self._ask(asking, None, same.etag, method=method, number=number)
            return await self._passed(asking, part, same)
        if number != 1:
            raise S3Error("InvalidPartNumber")
        if asking.authorized.request.head.method == "HEAD":
            return await self.head(asking, answer, found)
        if not seen.size:
            return await self._again(asking, None, found)
        return await self.get(asking, ByteRange(0), answer, found)

    async def get(
        self, asking: Asking, wanted: ByteRange | None, answer: UpstreamAnswer, found: Found
    ) -> web.StreamResponse:
        """Answer GetObject; `answer` has the whole object, or some of it when a range is wanted."""
        if wanted is None:
            return await self._whole(asking, None, answer, found)
        answer.close()
        # What it is shows in its metadata, or at its beginning.
        sealed = is_client_encrypted(found.metadata)
        start = b"" if sealed or not found.size else await self._start(asking, found)
        if looks_foreign(start[:4]):
            answered = await self._messages.frames(asking, wanted, start, found)
            if answered is not None:
                return answered
        if sealed or looks_foreign(start[:4]):
            return await self._again(asking, wanted, found)
        admit_plain(asking.exchange, asking.place)
        first, last = wanted.resolve(found.size)
        return await self._passed(asking, await self._ask(asking, ByteRange(first, last), found.etag), found)

    async def _again(self, asking: Asking, wanted: ByteRange | None, found: Found) -> web.StreamResponse:
        """Answer from a whole object that was looked at before, if it still is the same."""
        whole = await self._ask(asking, None, found.etag)
        try:
            return await self._whole(asking, wanted, whole, _same(whole, found))
        finally:
            whole.close()

    async def _whole(
        self, asking: Asking, wanted: ByteRange | None, answer: UpstreamAnswer, found: Found
    ) -> web.StreamResponse:
        if is_client_encrypted(found.metadata):
            return await self._client_object(asking, wanted, answer, found)
        start = await read_start(answer, MAX_HEADER)
        if looks_foreign(start[:4]):
            return await self._messages.whole(asking, wanted, answer, start, found)
        admit_plain(asking.exchange, asking.place)
        exchange = asking.exchange
        exchange.answered(answer.status, answer.headers)
        begin(exchange, answer.status, answer_fields(exchange, answer), found.length)
        await exchange.reply.write(start)
        while data := await answer.read():
            await exchange.reply.write(data)
        return await exchange.reply.finish()

    async def _client_object(
        self, asking: Asking, wanted: ByteRange | None, answer: UpstreamAnswer, found: Found
    ) -> web.StreamResponse:
        """Open an object of the S3 Encryption Client: one tag, so nothing is released before its end."""
        exchange, place = asking.exchange, asking.place
        admit_plain(exchange, place)
        refuse_large_object(found.size)
        client_object = need_client_object(found.metadata)
        data_key = await self._capsules.unwrap_client_object(exchange, place, client_object)
        with self._holding.of(found.size):
            opener = ClientObjectOpener(client_object, data_key)
            while data := await answer.read():
                opener.feed(data)
            plaintext = opener.finish()
            answer.headers = without_client_fields(answer.headers)
            exchange.answered(answer.status, answer.headers)
            return await send_held(asking, wanted, answer, plaintext)

    async def _passed(self, asking: Asking, answer: UpstreamAnswer, seen: Found) -> web.StreamResponse:
        """Pass on some of an object that is stored plain, if it still is the one that was seen."""
        exchange = asking.exchange
        try:
            said = [(name, answer.headers.joined(name.lower())) for name in ("Content-Range", "x-amz-mp-parts-count")]
            if answer.status >= 300 and answer.status not in REPLACED:
                return await relay(exchange, answer)
            found = _same(answer, seen)
            exchange.answered(answer.status, answer.headers)
            shown = [(name, value) for name, value in said if value is not None]
            begin(exchange, answer.status, [*answer_fields(exchange, answer), *shown], found.length)
            while data := await answer.read():
                await exchange.reply.write(data)
            return await exchange.reply.finish()
        finally:
            answer.close()

    async def _ask(
        self, asking: Asking, wanted: ByteRange | None, etag: str = "", *, method: str = "GET", number: int = 0
    ) -> UpstreamAnswer:
        request = asking.authorized.request
        fields = stored_fields(request.headers)
        if wanted is not None:
            fields["range"] = str(wanted)
        if etag:
            fields = pinned(fields, etag)
        query = [(name, value) for name, value in request.parameters.items() if name not in _OF_OPERATION]
        if number:
            query.append(("partNumber", str(number)))
        step = Step(method, asking.place.bucket, asking.place.key, tuple(query), fields)
        prepared = self._store.forwarder.prepare_step(asking.authorized, step, asking.exchange.time)
        return await self._store.send(prepared)


def _same(answer: UpstreamAnswer, seen: Found) -> Found:
    """Conceal an answer about an object without our mark that was seen before; raises `S3Error` if it is another.

    The store was asked to compare ETags; there are stores that do not. An empty ETag is not compared.
    """
    found = conceal(answer)
    if answer.status >= 300 or found.value is not None or (seen.etag and found.etag != seen.etag):
        raise replaced()
    return found
