"""Bodies that lie: broken framing at every offset, lengths that are not kept, and XML made to hurt."""

from __future__ import annotations

import time
from contextlib import ExitStack

import pytest

from tests.hostile.arena import Arena
from tests.hostile.rawclient import as_bytes
from tests.journeys.front import until
from tests.journeys.signing import (
    SIGNED_CHUNKS,
    SIGNED_TRAILER,
    UNSIGNED_TRAILER,
    chunked,
    sign_v4,
)
from tests.journeys.walking import ALICE
from tests.journeys.wire import Wire

CRC = {"x-amz-checksum-crc32": "NhCmhg=="}
"""Of `hello`."""
FRAMED = {
    "signed chunks": (SIGNED_CHUNKS, None),
    "signed chunks and trailer": (SIGNED_TRAILER, CRC),
    "unsigned with trailer": (UNSIGNED_TRAILER, CRC),
}
REFUSALS = frozenset(
    {
        "BadDigest",
        "IncompleteBody",
        "InvalidChunkSizeError",
        "InvalidRequest",
        "MalformedTrailerError",
        "SignatureDoesNotMatch",
    }
)


def framed(arena: Arena, kind: str) -> Wire:
    mode, trailers = FRAMED[kind]
    return chunked(Wire("PUT", "/bucket/key"), ALICE, arena.host, mode, [b"hello"], trailers)


@pytest.mark.parametrize("kind", FRAMED)
def test_framing_that_is_whole_goes_through(arena: Arena, kind: str) -> None:
    assert arena.talk(as_bytes(framed(arena, kind))).answer.status == 200
    assert b"hello" in arena.requests[0].body


@pytest.mark.parametrize("kind", FRAMED)
def test_framing_that_ends_too_early_is_refused_wherever_it_ends(arena: Arena, kind: str) -> None:
    wire = framed(arena, kind)
    with arena.client() as client:
        for end in range(len(wire.body)):
            if wire.body[end:].strip(b"\r\n") == b"":
                break  # only line ends are missing, which sloppy clients leave out
            client.send(as_bytes(wire.with_(body=wire.body[:end])))
            client.data = b""
            heard = client.hear()
            assert heard.answer.code in REFUSALS, (end, heard.data)
            if heard.answer.headers["Connection"] == "close":
                client.__init__(arena.endpoint)  # type: ignore[misc]  # another connection for the rest
    assert not arena.requests


@pytest.mark.parametrize("kind", FRAMED)
def test_framing_with_a_wrong_byte_is_refused_wherever_it_is(arena: Arena, kind: str) -> None:
    wire = framed(arena, kind)
    taken = []
    for at in range(len(wire.body)):
        wrong = bytes([wire.body[at] ^ 0x20 or 1])
        heard = arena.talk(as_bytes(wire.with_(body=wire.body[:at] + wrong + wire.body[at + 1 :])))
        if heard.answer.status == 200:
            taken.append(at)
        else:
            assert heard.answer.code in REFUSALS, (at, heard.data)
    # The names of trailers may be written in capitals, which is a change of that bit.
    names = {"unsigned with trailer": 20, "signed chunks and trailer": 20 + 23}
    assert len(taken) <= names.get(kind, 0), [wire.body[at - 5 : at + 5] for at in taken]
    for seen in arena.requests:
        assert b"hello" in seen.body


@pytest.mark.parametrize("kind", FRAMED)
def test_framing_that_arrives_byte_by_byte_goes_through(arena: Arena, kind: str) -> None:
    wire = as_bytes(framed(arena, kind))
    body = wire.index(b"\r\n\r\n") + 4
    with arena.client() as client:
        client.send(wire[:body])
        for at in range(body, len(wire)):
            client.send(wire[at : at + 1])
        assert client.hear().answer.status == 200


def test_a_chunk_without_end_is_never_held(arena: Arena) -> None:
    """A chunk may be 5 GiB; its data goes on as it comes."""
    wire = Wire("PUT", "/open/key").with_header("x-amz-decoded-content-length", str(1 << 30))
    wire = wire.with_header("x-amz-content-sha256", UNSIGNED_TRAILER).with_header("Content-Length", str(1 << 30))
    before = arena.rss()
    with arena.client() as client:
        client.send(as_bytes(wire, arena.host) + b"40000000\r\n")
        for _ in range(64):
            client.send(bytes(1 << 20))
        assert arena.rss() - before < 24 << 20
    assert until(lambda: arena.in_flight() == 0)


LENGTHS = {
    "shorter than it says": ("10", b"hello", "IncompleteBody"),
    "longer than it says": ("3", b"hello", "BadRequest"),
    "too long for S3": (str((5 << 30) + 1), b"", "EntityTooLarge"),
    "nothing where there is something": ("0", b"hello", "BadRequest"),
}


@pytest.mark.parametrize("name", LENGTHS)
def test_a_length_that_lies_stores_nothing(arena: Arena, name: str) -> None:
    length, body, code = LENGTHS[name]
    wire = sign_v4(Wire("PUT", "/bucket/key", body=b"hello"), ALICE, arena.host)
    with arena.client() as client:
        client.send(as_bytes(wire.with_(body=b"").with_header("Content-Length", length)) + body)
        if code == "IncompleteBody":
            client.half_close()
        assert client.hear().answers[0].code == code
    assert not arena.requests


@pytest.mark.parametrize("decoded", ["4", "6", "0", "-5", "5.0", "99999999999999999999", ""])
def test_a_decoded_length_that_lies_stores_nothing(arena: Arena, decoded: str) -> None:
    wire = Wire("PUT", "/open/key", body=b"5\r\nhello\r\n0\r\n\r\n")
    wire = wire.with_header("x-amz-content-sha256", UNSIGNED_TRAILER)
    heard = arena.talk(as_bytes(wire.with_header("x-amz-decoded-content-length", decoded), arena.host))
    assert heard.answer.status in (400, 411)
    assert not any(seen.whole for seen in arena.requests)


# -- XML

NAMESPACE = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
BOMBS = {
    "a billion laughs": f'<?xml version="1.0"?><!DOCTYPE d [<!ENTITY l0 "lol">{LAUGHS}]><Delete>&l9;</Delete>',
    "quadratic blow-up": f'<!DOCTYPE d [<!ENTITY a "{"a" * 50000}">]><Delete>{"&a;" * 50000}</Delete>',
    "a file of ours": '<!DOCTYPE d [<!ENTITY f SYSTEM "file:///etc/passwd">]><Delete><Object><Key>&f;</Key></Object></Delete>',
    "a page of somebody's": '<!DOCTYPE d SYSTEM "http://127.0.0.1:1/evil.dtd"><Delete/>',
    "parameter entities": '<!DOCTYPE d [<!ENTITY % p SYSTEM "http://127.0.0.1:1/"> %p;]><Delete/>',
    "a deep one": "<Delete>" + "<a>" * 100_000,
    "many elements": "<Delete>" + "<a/>" * 300_000 + "</Delete>",
    "many attributes": "<Delete " + " ".join(f'a{n}="1"' for n in range(100_000)) + "/>",
    "a huge name": f"<{'a' * 1_000_000}/>",
    "a huge value": f"<Delete><Object><Key>{'k' * 1_000_000}</Key></Object></Delete>",
    "a huge comment": f"<Delete><!--{'-a' * 500_000}--></Delete>",
    "another encoding": '<?xml version="1.0" encoding="utf-16"?><Delete/>',
    "not text": "\0\x01\x02" * 1000,
    "nothing": "",
    "another document": f"<CompleteMultipartUpload {NAMESPACE}/>",
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_document_made_to_hurt_is_refused_fast_and_cheaply(arena: Arena, name: str) -> None:
    before, started = arena.rss(), time.monotonic()
    heard = arena.ask(Wire("POST", "/bucket", query=(("delete", ""),), body=BOMBS[name].encode()))
    assert heard.status == 400
    assert heard.code in {"MalformedXML", "KeyTooLongError", "MissingRequestBodyError", "InvalidRequest"}
    assert time.monotonic() - started < 3
    assert arena.rss() - before < 48 << 20
    assert not arena.requests


def test_a_document_that_is_too_large_is_not_read_to_its_end(arena: Arena) -> None:
    wire = sign_v4(Wire("POST", "/bucket", query=(("delete", ""),)), ALICE, arena.host, "UNSIGNED-PAYLOAD")
    with arena.client() as client:
        client.send(as_bytes(wire.with_header("Content-Length", str(1 << 30))) + bytes(5 << 20))
        assert client.hear().answer.code == "MaxMessageLengthExceeded"
    assert not arena.requests


def test_documents_of_many_clients_together_are_bounded(arena: Arena) -> None:
    """Each of them may be large, and anybody may send one."""
    head = b"POST /open?delete HTTP/1.1\r\nHost: h\r\nContent-Length: 4000000\r\n\r\n"
    before = arena.rss()
    with ExitStack() as opened:
        clients = [opened.enter_context(arena.client()) for _ in range(40)]
        for client in clients:
            client.send(head + bytes(3_900_000))
        assert until(lambda: arena.decided(operation="DeleteObjects", error="SlowDown"))
        assert arena.rss() - before < 120 << 20, "they have sent 156 MB"
    assert until(lambda: arena.in_flight() == 0)
    assert arena.ask(Wire("POST", "/bucket", query=(("delete", ""),), body=b"<Delete/>")).code != "SlowDown"


def test_a_batch_that_is_cut_anywhere_deletes_nothing(arena: Arena) -> None:
    document = f"<Delete {NAMESPACE}><Object><Key>a</Key></Object><Object><Key>b</Key></Object></Delete>".encode()
    with arena.client() as client:
        for end in range(len(document)):
            client.data = b""
            client.send(arena.signed(Wire("POST", "/bucket", query=(("delete", ""),), body=document[:end])))
            answer = client.hear().answer
            assert answer.status == 400, (end, answer)
    assert not arena.requests


def parts(count: int, checksum: str = "") -> bytes:
    rows = "".join(
        f"<Part><PartNumber>{n}</PartNumber><ETag>&quot;{n:032x}&quot;</ETag>{checksum}</Part>"
        for n in range(1, count + 1)
    )
    return f"<CompleteMultipartUpload {NAMESPACE}>{rows}</CompleteMultipartUpload>".encode()


DONE = b"<CompleteMultipartUploadResult><ETag>x-10000</ETag></CompleteMultipartUploadResult>"


def test_a_completion_of_ten_thousand_parts_goes_through(arena: Arena) -> None:
    document = parts(10_000, f"<ChecksumSHA512>{'A' * 86}==</ChecksumSHA512><ChecksumCRC32>AAAAAA==</ChecksumCRC32>")
    assert len(document) > 2_000_000
    before, started = arena.rss(), time.monotonic()
    heard = arena.ask(Wire("POST", "/bucket/key", query=(("uploadId", "u"),), body=document))
    assert heard.status == 200
    assert time.monotonic() - started < 5
    assert arena.requests[0].body.count(b"<PartNumber>") == 10_000
    assert arena.rss() - before < 96 << 20


def test_other_clients_are_served_while_large_documents_are_read(arena: Arena) -> None:
    document = arena.signed(Wire("POST", "/bucket/key", query=(("uploadId", "u"),), body=parts(10_000)))
    with arena.client() as heavy:
        heavy.send(document)
        started = time.monotonic()
        assert arena.ask(Wire("GET", "/bucket/other")).status == 200
        assert time.monotonic() - started < 2
        assert heavy.hear().answer.status == 200


# -- heads


def test_a_head_beyond_the_limit_is_refused_in_s3s_words(arena: Arena) -> None:
    for lines in ([f"X-A: {'a' * 70_000}"], [f"X-{n}: {'a' * 1000}" for n in range(100)]):
        head = "\r\n".join(["GET /open/key HTTP/1.1", "Host: h", *lines, "", ""]).encode()
        heard = arena.talk(head, None)
        assert heard.closed
        assert heard.answer.code == "RequestHeaderSectionTooLarge"
        assert arena.decision(heard.answer)["error"] == "RequestHeaderSectionTooLarge"
    heard = arena.talk(b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\nHost: h\r\n\r\n", None)
    assert heard.answer.code == "RequestHeaderSectionTooLarge"
    many = "\r\n".join(["GET /open/key HTTP/1.1", "Host: h", *(f"X-{n}: a" for n in range(600)), "", ""]).encode()
    assert arena.talk(many).answer.status == 400


def test_heads_without_end_cost_no_memory(arena: Arena) -> None:
    before = arena.rss()
    clients = [arena.client() for _ in range(64)]
    try:
        for client in clients:
            client.send(b"GET /open/key HTTP/1.1\r\nHost: h\r\n")
            for number in range(60):
                client.send(f"X-{number}: {'a' * 60_000}\r\n".encode())
        assert arena.rss() - before < 40 << 20, "64 clients have sent 230 MB"
        assert all(client.hear().answer.code == "RequestHeaderSectionTooLarge" for client in clients)
    finally:
        for client in clients:
            client.socket.close()


def test_a_head_just_below_the_limit_is_served(arena: Arena) -> None:
    head = f"GET /open/key HTTP/1.1\r\nHost: h\r\nX-Amz-Meta-A: {'a' * 60_000}\r\n\r\n".encode()
    assert arena.talk(head).answer.status == 200
