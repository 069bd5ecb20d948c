"""Requests that two readers could cut in two ways: one reader refuses them, and the store hears of none."""

from __future__ import annotations

import pytest

from tests.hostile.arena import Arena
from tests.hostile.rawclient import as_bytes
from tests.journeys.front import until
from tests.journeys.signing import form_fields_v4, multipart, presign_v4
from tests.journeys.walking import ALICE
from tests.journeys.wire import Wire

SMUGGLED = b"DELETE /open/victim HTTP/1.1\r\nHost: h\r\n\r\n"
"""What must never become a request of its own."""


def head(*lines: str, method: str = "PUT", target: str = "/open/key", version: str = "HTTP/1.1") -> bytes:
    return "\r\n".join([f"{method} {target} {version}", "Host: h", *lines, "", ""]).encode("latin-1")


AMBIGUOUS = {
    "length and chunks": head("Content-Length: 6", "Transfer-Encoding: chunked") + b"0\r\n\r\n" + SMUGGLED,
    "chunks and length": head("Transfer-Encoding: chunked", "Content-Length: 6") + b"0\r\n\r\n" + SMUGGLED,
    "two lengths": head("Content-Length: 0", f"Content-Length: {len(SMUGGLED)}") + SMUGGLED,
    "the same length twice": head("Content-Length: 0", "Content-Length: 0") + SMUGGLED,
    "a list of lengths": head("Content-Length: 0, 0") + SMUGGLED,
    "a signed length": head("Content-Length: +0") + SMUGGLED,
    "a negative length": head("Content-Length: -1") + SMUGGLED,
    "a hexadecimal length": head("Content-Length: 0x0") + SMUGGLED,
    "a length with an underscore": head("Content-Length: 0_0") + SMUGGLED,
    "an empty length": head("Content-Length:") + SMUGGLED,
    "a length beyond 64 bits": head("Content-Length: 18446744073709551616") + SMUGGLED,
    "a space before the colon": head("Content-Length : 0") + SMUGGLED,
    "chunks twice": head("Transfer-Encoding: chunked", "Transfer-Encoding: chunked") + b"0\r\n\r\n" + SMUGGLED,
    "chunks in a list": head("Transfer-Encoding: chunked, chunked") + b"0\r\n\r\n" + SMUGGLED,
    "chunks, then identity": head("Transfer-Encoding: chunked", "Transfer-Encoding: identity") + b"0\r\n\r\n",
    "identity": head("Transfer-Encoding: identity", "Content-Length: 0") + SMUGGLED,
    "gzip before chunks": head("Transfer-Encoding: gzip, chunked") + b"0\r\n\r\n" + SMUGGLED,
    "chunks before gzip": head("Transfer-Encoding: chunked, gzip") + b"0\r\n\r\n" + SMUGGLED,
    "an unknown coding": head("Transfer-Encoding: xchunked") + b"0\r\n\r\n" + SMUGGLED,
    "a quoted coding": head('Transfer-Encoding: "chunked"') + b"0\r\n\r\n" + SMUGGLED,
    "a vertical tab before the coding": head("Transfer-Encoding: \x0bchunked") + b"0\r\n\r\n" + SMUGGLED,
    "a space before the coding's colon": head("Transfer-Encoding : chunked") + b"0\r\n\r\n" + SMUGGLED,
    "chunks in HTTP/1.0": head("Transfer-Encoding: chunked", version="HTTP/1.0") + b"0\r\n\r\n" + SMUGGLED,
    "a folded coding": head("X: y", " z", "Transfer-Encoding:", " chunked") + b"0\r\n\r\n" + SMUGGLED,
    "a folded line": head("X-Amz-Meta-A: y", "\tz", "Content-Length: 0") + SMUGGLED,
    "a first line that is folded": b"PUT /open/key HTTP/1.1\r\n Host: h\r\nHost: h\r\n\r\n" + SMUGGLED,
    "bare line feeds": b"PUT /open/key HTTP/1.1\nHost: h\nContent-Length: 0\n\n" + SMUGGLED,
    "one bare line feed": b"PUT /open/key HTTP/1.1\r\nHost: h\nContent-Length: 0\r\n\r\n" + SMUGGLED,
    "bare carriage returns": b"PUT /open/key HTTP/1.1\r\nHost: h\rContent-Length: 0\r\n\r\n" + SMUGGLED,
    "a NUL in a value": head("X-Amz-Meta-A: a\0b", "Content-Length: 0") + SMUGGLED,
    "a NUL in a name": head("X-Amz\0: a", "Content-Length: 0") + SMUGGLED,
    "a name that is empty": head(": a", "Content-Length: 0") + SMUGGLED,
    "a line without a colon": head("Content-Length 0") + SMUGGLED,
    "no host": b"PUT /open/key HTTP/1.1\r\nContent-Length: 0\r\n\r\n" + SMUGGLED,
    "two hosts": head("Host: other", "Content-Length: 0") + SMUGGLED,
    "no version": b"PUT /open/key\r\n\r\n" + SMUGGLED,
    "a version of the future": head("Content-Length: 0", version="HTTP/3.0") + SMUGGLED,
    "another protocol": head("Content-Length: 0", version="RTSP/1.0") + SMUGGLED,
    "a space in the target": head("Content-Length: 0", target="/open/a b") + SMUGGLED,
    "a bare byte above ASCII in the target": head("Content-Length: 0", target="/open/\xe9") + SMUGGLED,
    "a switch of protocols": head("Connection: Upgrade", "Upgrade: h2c", "Content-Length: 0") + SMUGGLED,
    "a tunnel": b"CONNECT open:80 HTTP/1.1\r\nHost: h\r\n\r\n" + SMUGGLED,
    "HTTP/2 without asking": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + SMUGGLED,
    "a TLS greeting": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),
    "nothing but noise": bytes(range(256)) * 4,
    "a chunk size with a sign": head("Transfer-Encoding: chunked") + b"+0\r\n\r\n" + SMUGGLED,
    "a chunk size with a prefix": head("Transfer-Encoding: chunked") + b"0x0\r\n\r\n" + SMUGGLED,
    "a chunk size beyond 64 bits": head("Transfer-Encoding: chunked") + b"fffffffffffffffff\r\n" + SMUGGLED,
    "a chunk that is longer than its size": head("Transfer-Encoding: chunked") + b"1\r\nab\r\n0\r\n\r\n" + SMUGGLED,
    "a chunk that ends in a line feed": head("Transfer-Encoding: chunked") + b"1\r\na\n0\r\n\r\n" + SMUGGLED,
    "a chunk size that ends in a line feed": head("Transfer-Encoding: chunked") + b"0\n\r\n" + SMUGGLED,
}


@pytest.mark.parametrize("name", AMBIGUOUS)
def test_what_two_readers_could_cut_in_two_ways_is_refused_and_ends_the_connection(arena: Arena, name: str) -> None:
    heard = arena.talk(AMBIGUOUS[name], None)
    assert heard.closed
    assert len(heard.answers) == 1, heard.data
    answer = heard.answer
    assert answer.status in (400, 405, 411, 501), heard.data
    assert answer.headers["Content-Type"] == "application/xml"
    assert answer.code, heard.data
    assert answer.element("RequestId") == answer.request_id
    assert not arena.requests
    line = arena.decision(answer)
    assert (line["status"], line["error"], line["decision"]) == (answer.status, answer.code, "none")
    assert line["detail"], line


def test_chunk_extensions_and_trailers_are_read_over(arena: Arena) -> None:
    body = b'5;ext=1;other="a"\r\nhello\r\n0;last\r\nX-Amz-Meta-Late: 1\r\nContent-Length: 3\r\n\r\n'
    wire = head("Transfer-Encoding: chunked", "x-amz-decoded-content-length: 5") + body
    assert arena.talk(wire).answer.code == "InvalidRequest" or not arena.requests


def test_a_request_that_follows_a_refused_one_is_judged_by_itself(arena: Arena) -> None:
    follower = head(method="GET", target="/closed/key")
    heard = arena.talk(head("Content-Length: 5", "Content-MD5: nonsense") + b"hello" + follower, 2)
    assert [answer.code for answer in heard.answers] == ["InvalidDigest", "AccessDenied"]


def test_a_refused_upload_takes_its_body_with_it(arena: Arena) -> None:
    """The body looks like a request; a reader that stopped at the head would serve it."""
    wire = head(f"Content-Length: {len(SMUGGLED)}", target="/closed/key") + SMUGGLED
    heard = arena.talk(wire, 2, seconds=0.5)
    assert [answer.code for answer in heard.answers] == ["AccessDenied"]
    assert not arena.requests


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE"])
def test_a_body_where_none_belongs_is_not_the_next_request(arena: Arena, method: str) -> None:
    heard = arena.talk(head(f"Content-Length: {len(SMUGGLED)}", method=method) + SMUGGLED, None)
    assert heard.closed
    assert heard.data.startswith(b"HTTP/1.1 400 ")
    assert not arena.requests


def test_requests_in_a_row_are_answered_in_a_row(arena: Arena) -> None:
    many = b"".join(head(method="GET", target=f"/open/{number}") for number in range(200))
    heard = arena.talk(many, 200)
    assert [answer.body for answer in heard.answers] == [b"hello"] * 200
    assert [seen.target for seen in arena.requests] == [f"/open/{number}" for number in range(200)]


def test_an_answer_comes_before_what_follows_it_is_refused(arena: Arena) -> None:
    with arena.client() as client:
        client.send(head(method="GET"))
        client.hear(1)
        client.send(b"nonsense\r\n\r\n" + SMUGGLED)
        heard = client.hear(None)
    assert [answer.status for answer in heard.answers] == [200, 400]
    assert heard.closed
    assert [seen.method for seen in arena.requests] == ["GET"]


def test_nothing_is_served_of_a_piece_that_ends_in_nonsense(arena: Arena) -> None:
    heard = arena.talk(head(method="GET") + b"nonsense\r\n\r\n" + SMUGGLED, None)
    assert heard.answers[-1].status == 400
    assert heard.closed
    assert all(seen.method == "GET" for seen in arena.requests)


def test_the_target_of_a_client_that_takes_it_for_a_forward_proxy_is_its_path(arena: Arena) -> None:
    assert arena.talk(head(method="GET", target="http://elsewhere.example/open/key")).answer.status == 200
    assert [seen.target for seen in arena.requests] == ["/open/key"]


def test_headers_for_one_hop_end_here(arena: Arena) -> None:
    lines = ("Connection: keep-alive, te", "Keep-Alive: 5", "TE: trailers", "Proxy-Authorization: Basic eA==")
    assert arena.talk(head(*lines, "Trailer: x", method="GET")).answer.status == 200
    assert until(lambda: arena.requests)
    assert not arena.requests[0].headers.keys() & {"keep-alive", "te", "proxy-authorization", "trailer", "connection"}


def test_a_header_of_the_request_cannot_be_declared_one_of_the_connection(arena: Arena) -> None:
    """It would be judged, and then left out on its way."""
    assert (
        arena.talk(head("Connection: x-amz-acl", "x-amz-acl: private", "Content-Length: 0")).answer.code == "BadRequest"
    )
    assert not arena.requests


@pytest.mark.parametrize("name", ["x-amz-meta-a", "x-amz-tagging", "Content-Type", "x-amz-meta-\r\nb"])
@pytest.mark.parametrize("value", ["1\r\nX-Amz-Acl: public-read", "a\0b"])
def test_line_breaks_hidden_in_a_presigned_query_do_not_become_headers(arena: Arena, name: str, value: str) -> None:
    wire = presign_v4(Wire("PUT", "/bucket/key", query=((name, value),)), ALICE, arena.host)
    assert arena.talk(as_bytes(wire.with_header("Content-Length", "0"))).answer.code == "InvalidArgument"
    assert not arena.requests


@pytest.mark.parametrize("name", ["x-amz-meta-a", "Content-Type"])
@pytest.mark.parametrize("value", ["1\r\nX-Amz-Acl: public-read", "a\0b", "a\x7f"])
def test_line_breaks_hidden_in_a_form_do_not_become_headers(arena: Arena, name: str, value: str) -> None:
    body, kind = multipart(form_fields_v4("bucket", "key", ALICE, (name, value)), b"hello")
    wire = Wire("POST", "/bucket", headers=(("Content-Type", kind),), body=body)
    assert arena.talk(as_bytes(wire, arena.host)).answer.code == "InvalidArgument"
    assert not arena.requests
