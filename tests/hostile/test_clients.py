"""Clients that are slow, silent, half-gone or gone: nobody waits for them, and nothing of theirs is kept."""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack

import pytest

from tests.hostile.arena import Arena
from tests.hostile.scripted import Conversation
from tests.journeys.front import until
from tests.journeys.wire import Wire

GET = Wire("GET", "/bucket/key")
LARGE = Wire("PUT", "/bucket/key", body=bytes(1 << 21))
HEAD = b"GET /open/key HTTP/1.1\r\nHost: h\r\n"
SIZE = 1 << 25


def endless(conversation: Conversation) -> None:
    """Answer with more than all buffers on the way hold."""
    while conversation.receive() is not None:
        conversation.send(f"HTTP/1.1 200 OK\r\nContent-Length: {SIZE}\r\n\r\n".encode())
        for _ in range(SIZE >> 16):
            conversation.send(bytes(1 << 16))


# -- slow ones


def test_a_head_that_never_ends_is_not_waited_for(impatient: Arena) -> None:
    with impatient.client() as client:
        client.send(HEAD)
        heard = client.hear(seconds=6)
        assert client.is_closed()
    assert heard.answer.code == "RequestTimeout"
    line = impatient.decision(heard.answer)
    assert (line["operation"], line["error"]) == ("unknown", "RequestTimeout")
    assert "head" in line["detail"]


def test_a_head_that_trickles_in_is_not_waited_for(impatient: Arena) -> None:
    started = time.monotonic()
    with impatient.client() as client:
        client.send(HEAD)
        for number in range(100):
            client.send(f"X-{number}: 1\r\n".encode())
            time.sleep(0.1)
            if client.hear(seconds=0.01).answers:
                break
        assert client.hear(seconds=1).answer.code == "RequestTimeout"
    assert time.monotonic() - started < 5


def test_a_connection_on_which_nothing_is_asked_is_closed_without_a_word(impatient: Arena) -> None:
    with impatient.client() as client:
        heard = client.hear(seconds=5)
    assert heard.closed
    assert heard.data == b""


def test_a_connection_that_is_kept_alive_is_closed_in_time(impatient: Arena) -> None:
    with impatient.client() as client:
        client.send(HEAD + b"\r\n")
        assert client.hear().answer.status == 200
        assert client.is_closed(5)


def test_a_body_that_stops_is_not_waited_for(impatient: Arena) -> None:
    with impatient.client() as client:
        client.send(impatient.signed(LARGE)[: -(1 << 20)])
        heard = client.hear(seconds=6)
        assert heard.answer.code == "RequestTimeout"
        assert client.is_closed(8)
    assert until(lambda: impatient.requests and not impatient.requests[0].whole)
    assert impatient.decision(heard.answer)["bytes_in"] == 1 << 20


def test_a_body_that_trickles_in_is_not_waited_for(impatient: Arena) -> None:
    started = time.monotonic()
    with impatient.client() as client:
        client.send(impatient.signed(Wire("PUT", "/bucket/key", body=bytes(1000)))[:-1000])
        for _ in range(100):
            client.send(b"\0")
            if client.hear(seconds=0.1).answers:
                break
        assert client.hear(seconds=3).answers[0].code == "RequestTimeout"
    assert time.monotonic() - started < 6
    assert not impatient.requests


def test_a_client_that_does_not_read_its_answer_is_given_up(impatient: Arena) -> None:
    impatient.play(endless)
    with impatient.client(buffer=4096) as client:
        client.send(impatient.signed(GET))
        assert until(lambda: impatient.in_flight() == 1)
        assert until(lambda: impatient.in_flight() == 0, 8)
    assert until(lambda: "does not read" in impatient.last_decision().get("detail", ""))


def test_a_client_that_reads_a_little_is_given_up_all_the_same(impatient: Arena) -> None:
    impatient.play(endless)
    with impatient.client(buffer=4096) as client:
        client.send(impatient.signed(GET))
        ended = time.monotonic() + 10
        while impatient.in_flight() or not client.data:
            client.data += client.socket.recv(10)
            time.sleep(0.1)
            assert time.monotonic() < ended
    assert until(lambda: "does not read" in impatient.last_decision().get("detail", ""))


def test_a_client_that_reads_slowly_but_steadily_gets_everything(impatient: Arena) -> None:
    impatient.play(endless)
    with impatient.client(buffer=1 << 16) as client:
        client.send(impatient.signed(GET))
        taken = 0
        while taken < 5 << 20:  # for some four seconds, which is four times the idle time
            taken += len(client.socket.recv(1 << 15))
            time.sleep(0.025)
        while taken < SIZE:
            taken += len(client.socket.recv(1 << 20))
    assert taken >= SIZE


# -- gone ones

STAGES = {
    "before a byte": 0,
    "within the request line": 7,
    "within the head": 200,
    "after the head": -(1 << 21),
    "within the body": -(1 << 20),
    "before the last byte": -1,
}


@pytest.mark.parametrize("way", ["close", "reset", "half close"])
@pytest.mark.parametrize("stage", STAGES)
def test_a_client_that_vanishes_while_it_sends_leaves_no_object(arena: Arena, stage: str, way: str) -> None:
    wire = arena.signed(LARGE)
    with arena.client() as client:
        client.send(wire[: STAGES[stage]])
        if stage in ("within the body", "before the last byte"):
            assert until(lambda: arena.requests)
        if way == "reset":
            client.reset()
        elif way == "half close":
            client.half_close()
            assert client.is_closed(5)
    assert until(lambda: arena.in_flight() == 0)
    assert not any(seen.whole for seen in arena.requests)
    if stage not in ("before a byte", "within the request line", "within the head"):
        assert arena.decided(operation="PutObject", status=499 if way == "reset" else 400)


@pytest.mark.parametrize("size", [1000, 1 << 21])
def test_a_client_that_half_closes_in_mid_upload_is_told_that_its_body_is_incomplete(arena: Arena, size: int) -> None:
    with arena.client() as client:
        client.send(arena.signed(Wire("PUT", "/bucket/key", body=bytes(size)))[: -size // 2])
        client.half_close()
        heard = client.hear(None, seconds=5)
    assert heard.closed
    assert (heard.answer.status, heard.answer.code) == (400, "IncompleteBody")
    line = arena.decision(heard.answer)
    assert (line["operation"], line["error"]) == ("PutObject", "IncompleteBody")
    assert "ended the connection" in line["detail"]
    assert until(lambda: arena.in_flight() == 0)
    assert not any(seen.whole for seen in arena.requests)
    assert "Traceback" not in arena.walk.log()


def test_a_client_that_half_closes_after_a_refused_upload_still_gets_the_refusal(arena: Arena) -> None:
    with arena.client() as client:
        client.send(b"PUT /closed/key HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\nabc")
        assert client.hear().answer.status == 403
        client.half_close()
        assert client.is_closed(5)
    assert "Traceback" not in arena.walk.log()


@pytest.mark.parametrize("way", ["close", "reset", "half close"])
def test_a_client_that_vanishes_while_it_is_answered_lets_the_store_go(arena: Arena, way: str) -> None:
    sent: list[BaseException] = []

    def script(conversation: Conversation) -> None:
        try:
            endless(conversation)
        except OSError as error:
            sent.append(error)

    arena.play(script)
    with arena.client(buffer=4096) as client:
        client.send(arena.signed(GET))
        client.socket.recv(100)
        if way == "reset":
            client.reset()
        elif way == "half close":
            client.half_close()
            assert until(lambda: sent)
    assert until(lambda: sent), "the store must be cut off"
    assert until(lambda: arena.in_flight() == 0)
    assert until(lambda: arena.last_decision().get("detail") == "the client left")


def test_a_client_that_vanishes_before_the_answer_lets_the_store_go(arena: Arena) -> None:
    gone = threading.Event()

    def script(conversation: Conversation) -> None:
        conversation.receive()
        if conversation.socket.recv(1) == b"":
            gone.set()

    arena.play(script)
    with arena.client() as client:
        client.send(arena.signed(GET))
        assert until(lambda: arena.requests)
    assert gone.wait(5)
    assert until(lambda: arena.last_decision().get("status") == 499)


def test_a_small_upload_is_not_sent_before_it_is_whole(arena: Arena) -> None:
    with arena.client() as client:
        client.send(arena.signed(Wire("PUT", "/bucket/key", body=bytes(1000)))[:-1])
        time.sleep(0.1)
    assert until(lambda: arena.in_flight() == 0)
    assert not arena.requests


def test_clients_that_expect_to_be_asked_send_nothing_for_a_refusal(arena: Arena) -> None:
    head = b"PUT /closed/key HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\nExpect: 100-continue\r\n\r\n"
    heard = arena.talk(head)
    assert heard.data.startswith(b"HTTP/1.1 403 ")
    assert heard.answer.headers["Connection"] == "close"


# -- many of them


def test_the_limit_of_requests_under_way_is_told_politely(patient: Arena) -> None:
    released = threading.Event()

    def slow(conversation: Conversation) -> None:
        while conversation.receive() is not None:
            released.wait(60)
            conversation.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    patient.play(slow)
    with ExitStack() as opened:
        opened.callback(released.set)
        clients = [opened.enter_context(patient.client()) for _ in range(200)]
        within, beyond = clients[:150], clients[150:]
        for client in within:
            client.send(patient.signed(GET))
        assert until(lambda: len(patient.requests) == len(within), seconds=30)
        for client in beyond:
            client.send(patient.signed(GET))
        refused = [client.hear().answer for client in beyond]
        assert len(patient.requests) == len(within), "what is refused does not reach the store"
        released.set()
        answered = [client.hear().answer for client in within]
    assert {(answer.status, answer.code) for answer in refused} == {(503, "SlowDown")}
    assert all(answer.headers["Retry-After"] for answer in refused)
    assert {answer.status for answer in answered} == {200}
