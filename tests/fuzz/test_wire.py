"""Requests of which single bytes were changed, on sockets of the running proxy: it answers, and is never surprised."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator

import pytest

from tests.fuzz.effort import TIMES
from tests.hostile.arena import Arena, besieged
from tests.hostile.rawclient import answers_in, as_bytes
from tests.journeys.signing import (
    SIGNED_CHUNKS,
    SIGNED_TRAILER,
    UNSIGNED_TRAILER,
    chunked,
    form_fields_v4,
    multipart,
    presign_v4,
    sign_v2,
    sign_v4,
)
from tests.journeys.walking import ALICE
from tests.journeys.wire import Wire

DELETES = b"<Delete><Object><Key>a</Key></Object><Object><Key>b</Key></Object></Delete>"
CRC = {"x-amz-checksum-crc32": "NhCmhg=="}
TOKENS = (*b": %00 % & = < 0 -1 chunked AWS".split(), b"\r\n", b"\n", b"\r", b"\0", b" ", b"\t", b"\xff")


@pytest.fixture(scope="module")
def arena(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arena]:
    with besieged(tmp_path_factory.mktemp("fuzz"), idle_seconds=1) as arena:
        yield arena


def seeds(arena: Arena) -> list[bytes]:
    form, kind = multipart(form_fields_v4("bucket", "key", ALICE), b"hello")
    made = [
        sign_v4(Wire("GET", "/bucket/key", query=(("versionId", "1"),)), ALICE, arena.host),
        sign_v4(Wire("PUT", "/bucket/key", body=b"hello", headers=(("x-amz-meta-a", "b"),)), ALICE, arena.host),
        sign_v4(Wire("POST", "/bucket", query=(("delete", ""),), body=DELETES), ALICE, arena.host),
        sign_v2(Wire("GET", "/bucket/key"), ALICE),
        presign_v4(Wire("GET", "/bucket/key"), ALICE, arena.host),
        chunked(Wire("PUT", "/bucket/key"), ALICE, arena.host, SIGNED_CHUNKS, [b"hello"]),
        chunked(Wire("PUT", "/bucket/key"), ALICE, arena.host, SIGNED_TRAILER, [b"hello"], CRC),
        chunked(Wire("PUT", "/bucket/key"), ALICE, arena.host, UNSIGNED_TRAILER, [b"hello"], CRC),
        Wire("POST", "/bucket", headers=(("Content-Type", kind),), body=form),
        Wire("PUT", "/open/key", headers=(("Transfer-Encoding", "chunked"),), body=b"5\r\nhello\r\n0\r\n\r\n"),
        Wire("OPTIONS", "/open/key", headers=(("Origin", "http://a"), ("Access-Control-Request-Method", "PUT"))),
    ]
    return [as_bytes(wire, arena.host) for wire in made]


def mutated(data: bytes, choose: random.Random) -> bytes:
    for _ in range(choose.choice([1, 1, 1, 2, 4])):
        at = choose.randrange(len(data))
        kind = choose.randrange(5)
        if kind == 0:
            data = data[:at] + bytes([data[at] ^ (1 << choose.randrange(8))]) + data[at + 1 :]
        elif kind == 1:
            data = data[:at] + choose.choice(TOKENS) + data[at:]
        elif kind == 2:
            data = data[:at] + data[at + choose.randrange(1, 20) :]
        elif kind == 3:
            end = at + choose.randrange(1, 40)
            data = data[:end] + data[at:]
        else:
            data = data[:at] + choose.randbytes(choose.randrange(1, 5)) + data[at:]
    return data


def test_the_seeds_are_served(arena: Arena) -> None:
    for data in seeds(arena):
        assert arena.talk(data).answer.status in (200, 204, 411), data


def test_no_change_of_bytes_surprises_the_proxy(arena: Arena) -> None:
    choose = random.Random(1 if TIMES == 1 else time.time_ns())
    for number in range(400 * TIMES):
        if number % 200 == 0:
            good = seeds(arena)  # signatures age
        data = mutated(choose.choice(good), choose)
        with arena.client() as client:
            client.send(data)
            client.half_close() if choose.random() < 0.1 else None
            client.hear(seconds=0.1)
            received = client.data
        for answer in answers_in(received):
            assert answer.status < 500 or answer.code == "NotImplemented", (data, received)
            assert answer.status < 300 or answer.code or answer.status == 304, (data, received)
    assert "Traceback" not in arena.walk.log(), arena.walk.log()[-3000:]
    assert not any(line["error"] == "InternalError" for line in arena.walk.decisions())
    arena.assert_well()


def test_nothing_that_was_changed_is_stored_under_a_signature(arena: Arena) -> None:
    """A signed upload goes through as it was signed, or not at all."""
    choose = random.Random(2 if TIMES == 1 else time.time_ns())
    wire = sign_v4(Wire("PUT", "/bucket/key", body=b"hello", headers=(("x-amz-meta-a", "b"),)), ALICE, arena.host)
    good = as_bytes(wire)
    arena.rest()
    for _ in range(200 * TIMES):
        with arena.client() as client:
            client.send(mutated(good, choose))
            client.hear(seconds=0.1)
    for seen in arena.requests:
        if seen.method == "PUT" and seen.path.startswith("/bucket/"):
            assert (seen.path, seen.headers["x-amz-meta-a"], bytes(seen.body)) == ("/bucket/key", "b", b"hello")
