"""A store that does not know checksum trailers: the client gets its error, the log says which setting helps."""

from __future__ import annotations

import pytest

from tests.hostile.arena import Arena
from tests.hostile.rawclient import as_bytes
from tests.hostile.scripted import answering
from tests.journeys.signing import UNSIGNED_TRAILER, chunked
from tests.journeys.walking import ALICE
from tests.journeys.wire import Wire

UPLOAD = Wire("PUT", "/bucket/key")
TRAILER = {"x-amz-checksum-crc32": "NhCmhg=="}


def refusal(status: str, body: bytes) -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


@pytest.mark.parametrize(
    ("answer", "seen"),
    [
        (refusal("400 Bad Request", b"<Error><Code>InvalidArgument</Code></Error>"), (400, "InvalidArgument")),
        (
            refusal("400 Bad Request", b"<Error><Code>XAmzContentSHA256Mismatch</Code></Error>"),
            (503, "ServiceUnavailable"),
        ),
        (refusal("501 Not Implemented", b""), (503, "ServiceUnavailable")),
    ],
)
def test_the_log_names_the_setting_when_a_store_refuses_a_trailer(
    arena: Arena, answer: bytes, seen: tuple[int, str]
) -> None:
    arena.play(answering(answer))
    framed = chunked(UPLOAD, ALICE, arena.host, UNSIGNED_TRAILER, [b"hello"], TRAILER)
    heard = arena.talk(as_bytes(framed, arena.host), None).answer
    assert (heard.status, heard.code) == seen
    assert "upstream.payload: unsigned" in arena.decision(heard)["detail"]


def test_the_log_does_not_blame_a_trailer_that_was_not_sent(arena: Arena) -> None:
    arena.play(answering(refusal("400 Bad Request", b"<Error><Code>InvalidArgument</Code></Error>")))
    heard = arena.ask(UPLOAD.with_(body=b"hello"))
    assert "upstream.payload" not in (arena.decision(heard).get("detail") or "")
