"""Reply: the store's answer on its way to the client, and the proxy's own answers.

Most answers stream through unread. Read whole, and bounded, are errors (their ids and hosts are ours), and
documents that must be changed. A store's complaint about the proxy's own credential is the operator's
business: the client gets ServiceUnavailable, the log the truth.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from aiohttp import web

from proxy.envelope.metadata import ENVELOPE_HEADER
from proxy.errors import S3Error
from proxy.s3.checksum_elements import is_checksum_field
from proxy.s3.forwarding import client_headers
from proxy.s3.xml import DECLARATION, Element, error_xml, parse_xml, render_xml
from proxy.server.envelope.undeclared import refuse_ciphertext
from proxy.server.exchange import Exchange
from proxy.server.store import read_answer
from proxy.server.upstream import UpstreamAnswer, UpstreamError

Edit = Callable[[bytes], bytes]
"""Changes a whole document on its way to the client."""

ERROR_BYTES = 1 << 16
KEEPALIVE_SECONDS = 10.0
"""How long a client waits without a byte while the store works on a completion or a copy."""

SERVER = "s3warden"
_XML = ("Content-Type", "application/xml")

# What the store may say about the proxy's signature, clock or region. None of it is the client's doing.
_ABOUT_US = frozenset(
    {
        "AccessKeyDisabled",
        "AuthorizationHeaderMalformed",
        "ExpiredToken",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "InvalidSecurity",
        "InvalidToken",
        "PermanentRedirect",
        "RequestExpired",
        "RequestTimeTooSkewed",
        "SignatureDoesNotMatch",
        "TemporaryRedirect",
        "XAmzContentSHA256Mismatch",
    }
)
_NOT_SHOWN = frozenset({"RequestId", "HostId", "Endpoint", "Resource"})
_OURS = frozenset({"content-length", "x-amz-request-id", "x-amz-id-2", "x-amzn-requestid"})
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_REFUSES_FRAMING = frozenset({400, 403, 411, 501})


async def refuse(exchange: Exchange, error: S3Error, fields: Iterable[tuple[str, str]] = ()) -> web.StreamResponse:
    """Answer with an error of the proxy's own, as S3 would; `fields` are more header fields."""
    exchange.failed(error)
    if error.close:
        exchange.reply.keep_alive = False
    document = error_xml(error, exchange.http.path, exchange.request_id, exchange.host_id)
    return await reply_document(exchange, error.status, document, [*error.headers.items(), *fields])


async def reply_document(
    exchange: Exchange, status: int, document: bytes, headers: Iterable[tuple[str, str]] = ()
) -> web.StreamResponse:
    """Answer with an XML document that is held whole, or with nothing if it is empty."""
    kind = [_XML] if document else []
    begin(exchange, status, [*headers, *kind], len(document))
    await exchange.reply.write(document)
    return await exchange.reply.finish()


async def relay(exchange: Exchange, answer: UpstreamAnswer) -> web.StreamResponse:
    """Pass an answer on as it comes; raises `IntegrityError` undeclared for ciphertext of the proxy's own."""
    exchange.answered(answer.status, answer.headers)
    try:
        if ENVELOPE_HEADER in answer.headers:
            refuse_ciphertext(exchange)
        if answer.status >= 300 and answer.status != 304:
            return await _relay_problem(exchange, answer)
        begin(exchange, answer.status, answer_fields(exchange, answer), _length(answer))
        reply = exchange.reply
        try:
            while data := await answer.read():
                await reply.write(data)
        except UpstreamError:
            if reply.started:
                # The head is gone: cutting the connection is all that is left to say.
                reply.break_off()
            raise
        return await reply.finish()
    finally:
        answer.close()


async def relay_edited(
    exchange: Exchange, answer: UpstreamAnswer, edit: Edit, document: bytes | None = None
) -> web.StreamResponse:
    """Pass a successful document on after changing it; `document` is given where it was read already.

    Raises what `edit` raises when the document is not what it should be.
    """
    exchange.answered(answer.status, answer.headers)
    if document is None:
        document = await read_answer(answer, exchange.rules.config.limits.xml_bytes)
    document = edit(document)
    fields = [(name, value) for name, value in answer_fields(exchange, answer) if name.lower() != "content-type"]
    return await reply_document(exchange, answer.status, document, fields)


async def relay_late(exchange: Exchange, answer: UpstreamAnswer, edit: Edit) -> web.StreamResponse:
    """Pass on a document that the store may take long to write, and keep the client awake meanwhile.

    S3 answers 200 at once, then white space, then the result, which may be an error. The declaration must
    come before that space.
    """
    exchange.answered(answer.status, answer.headers)
    reading = asyncio.ensure_future(read_answer(answer, exchange.rules.config.limits.xml_bytes))
    try:
        while not (await asyncio.wait([reading], timeout=KEEPALIVE_SECONDS))[0]:
            if not exchange.reply.started:
                begin(exchange, answer.status, answer_fields(exchange, answer), None)
                await exchange.reply.write(DECLARATION)
            await exchange.reply.write(b" ")
        document = edit(reading.result().lstrip())
    except UpstreamError:
        if exchange.reply.started:
            exchange.reply.break_off()
        raise
    except S3Error as error:
        if not exchange.reply.started:
            raise
        # The status is gone: as with S3, the document says how it ended.
        exchange.failed(error)
        document = error_xml(error, exchange.http.path, exchange.request_id, exchange.host_id)
    finally:
        reading.cancel()
        answer.close()
    if not exchange.reply.started:
        fields = [(name, value) for name, value in answer_fields(exchange, answer) if name.lower() != "content-type"]
        return await reply_document(exchange, answer.status, document, fields)
    _, _, root = document.partition(b"?>") if document.startswith(b"<?xml") else (b"", b"", document)
    await exchange.reply.write(root.lstrip())
    return await exchange.reply.finish()


async def _relay_problem(exchange: Exchange, answer: UpstreamAnswer) -> web.StreamResponse:
    """Answer with the store's error in our own name."""
    status = answer.status
    if status in _REDIRECTS:
        raise S3Error("ServiceUnavailable", detail=f"the upstream redirects ({status}): check endpoint and region")
    if exchange.http.method == "HEAD":
        if status == 403:
            # Allowed here and refused there; the code that would tell why is in a body that HEAD does not have.
            exchange.detail = "the upstream refuses the proxy's request with 403: check credentials and permissions"
        begin(exchange, status, answer_fields(exchange, answer), _length(answer))
        return await exchange.reply.finish()
    body = await read_answer(answer, ERROR_BYTES)
    try:
        root = parse_xml(body)
        code = root.value("Code") if root.name == "Error" else None
    except S3Error:
        code = None
    if code is None:
        return await _relay_unreadable(exchange, status, body)
    exchange.error = code
    hint = _hint(exchange, status)
    if code in _ABOUT_US:
        raise S3Error("ServiceUnavailable", detail=f"the upstream refuses the proxy's request: {code}{hint}")
    if hint:
        exchange.detail = f"the upstream answered {status} {code}{hint}"
    children = [child for child in root.children if child.name not in _NOT_SHOWN]
    children += [Element("Resource", exchange.http.path), Element("RequestId", exchange.request_id)]
    document = render_xml(Element("Error", children=(*children, Element("HostId", exchange.host_id))))
    fields = [(name, value) for name, value in answer_fields(exchange, answer) if name.lower() != "content-type"]
    return await reply_document(exchange, status, document, fields)


def _hint(exchange: Exchange, status: int) -> str:
    """Return what the operator may try when a store refuses an upload whose framing not every store knows."""
    trailer = "x-amz-trailer" in exchange.http.headers and exchange.rules.config.upstream.payload == "checksums"
    if not trailer or status not in _REFUSES_FRAMING:
        return ""
    return (
        "; the upload went on with a checksum trailer, and a store that takes none needs `upstream.payload: unsigned`"
    )


async def _relay_unreadable(exchange: Exchange, status: int, body: bytes) -> web.StreamResponse:
    """Answer where the store's error is no S3 error: something stands between, or it is no S3."""
    if status >= 500:
        detail = f"the upstream answered {status} without an S3 error{_hint(exchange, status)}"
        raise S3Error("ServiceUnavailable", headers={"Retry-After": "1"}, detail=detail)
    if not body and status in (404, 412):
        return await reply_document(exchange, status, b"")
    detail = f"the upstream answered {status} without an S3 error{_hint(exchange, status)}"
    raise S3Error("InternalError", detail=detail)


def begin(exchange: Exchange, status: int, fields: Iterable[tuple[str, str]], length: int | None) -> None:
    """Write the head of an answer, under our own ids."""
    exchange.status = status
    reply = exchange.reply
    if not exchange.http.content.is_eof():
        # What the client has not sent yet would be read as its next request.
        reply.keep_alive = False
    own = [("Server", SERVER), ("x-amz-request-id", exchange.request_id), ("x-amz-id-2", exchange.host_id)]
    reply.start(status, [*fields, *own], length)
    exchange.began_to_answer()


def answer_fields(exchange: Exchange, answer: UpstreamAnswer) -> list[tuple[str, str]]:
    """Return the header fields of an answer that the client gets, without length and ids."""
    fields = client_headers(answer.headers, _OURS)
    if exchange.rules.config.upstream.payload == "unsigned":
        return [(name, value) for name, value in fields if not is_checksum_field(name.lower())]
    return fields


def _length(answer: UpstreamAnswer) -> int | None:
    text = answer.headers.get("content-length")
    return int(text) if text is not None and text.isascii() and text.isdigit() else None
