"""Conditions that an object does not meet (304, 412): said to those only who bring the object's key.

The store compares ETags and times before the proxy has seen what the object is. S3 checks the key that a
client must send (SSE-C) before its conditions, or else everybody could find out which ETag an object has. So
the object is looked at once more, without conditions, before such an answer goes on.

Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/ServerSideEncryptionCustomerKeys.html: every
request for such an object has to bring its key.
"""

from __future__ import annotations

from proxy.envelope.single import parse_envelope
from proxy.errors import S3Error
from proxy.forward import AuthorizedRequest, Step
from proxy.s3.headers import Headers
from proxy.server.envelope.concealed import conceal
from proxy.server.envelope.customer_keys import refuse_idle_key
from proxy.server.envelope.keys import Capsules, Place
from proxy.server.exchange import Exchange
from proxy.server.relay import ERROR_BYTES
from proxy.server.store import Store, read_answer
from proxy.server.upstream import UpstreamAnswer

UNMET = frozenset({304, 412})
"""What a store answers to a request whose conditions do not hold."""

_NO_OBJECT = frozenset({404, 405})


class _Held:
    """An answer that was read to its end, so that its connection is free again."""

    def __init__(self, status: int, headers: Headers, body: bytes) -> None:
        self.status = status
        self.headers = headers
        self._body = body

    async def read(self) -> bytes:
        body, self._body = self._body, b""
        return body

    def close(self) -> None:
        """There is nothing to let go of."""


class Unmet:
    """Looks at objects whose conditions did not hold."""

    def __init__(self, store: Store, capsules: Capsules) -> None:
        self._store = store
        self._capsules = capsules

    async def held(
        self, exchange: Exchange, authorized: AuthorizedRequest, place: Place, version: str, answer: UpstreamAnswer
    ) -> UpstreamAnswer:
        """Return an answer with 304 or 412 for a caller who may hear it; raises `S3Error`, `IntegrityError`."""
        # Held back without its connection: were all taken by such answers, none would be left to look with.
        held = _Held(answer.status, answer.headers, await read_answer(answer, ERROR_BYTES))
        await self.prove(exchange, authorized, place, version)
        return held

    async def prove(self, exchange: Exchange, authorized: AuthorizedRequest, place: Place, version: str) -> None:
        """Check the key that a request brings, or fails to bring, for an object; `version` is empty for the newest.

        Raises `S3Error` InvalidRequest, AccessDenied as reading it would, ServiceUnavailable when the store does
        not say what the object is; `IntegrityError` for damaged metadata.
        """
        headers = authorized.request.headers
        query = (("versionId", version),) if version else ()
        step = Step("HEAD", place.bucket, place.key, query, {})
        answer = await self._store.send(self._store.forwarder.prepare_step(authorized, step, exchange.time))
        try:
            found = conceal(answer)
        finally:
            answer.close()
        if answer.status in _NO_OBJECT:
            return
        if answer.status != 200:
            raise S3Error("ServiceUnavailable", detail=f"the upstream answered {answer.status} to a look at the object")
        if found.value is None:
            refuse_idle_key(headers, source=place.is_source)
        else:
            await self._capsules.prove(exchange, place, parse_envelope(found.value).capsule, headers)
