"""Errands to the store fail closed: what cannot be learned for certain is an error."""

from __future__ import annotations

from typing import Any

import pytest

from proxy.access.questions import Target
from proxy.auth.credential import Credential
from proxy.clock import FixedClock
from proxy.errors import S3Error
from proxy.forward import Forwarder, Prepared, Route
from proxy.s3.headers import Headers
from proxy.server.metrics import Metrics, render
from proxy.server.store import ERRAND_BYTES, Store, read_answer
from proxy.server.upstream import UpstreamError

TAGGED = b"<Tagging><TagSet><Tag><Key>class</Key><Value>public</Value></Tag></TagSet></Tagging>"
OBJECT = Target("bucket", "a key", None)


class Answer:
    def __init__(self, status: int, body: bytes = b"") -> None:
        self.status = status
        self.headers = Headers.of([("ETag", '"e"')])
        self.pieces = [body[at : at + 1000] for at in range(0, len(body), 1000)]
        self.closed = 0

    async def read(self) -> bytes:
        return self.pieces.pop(0) if self.pieces else b""

    def close(self) -> None:
        self.closed += 1


class Upstream:
    """Answers everything alike and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[Prepared] = []
        self.answer: Answer | UpstreamError = Answer(200)

    async def send(self, request: Prepared) -> Any:
        self.asked.append(request)
        if isinstance(self.answer, UpstreamError):
            raise self.answer
        return self.answer


@pytest.fixture
def upstream() -> Upstream:
    return Upstream()


@pytest.fixture
def metrics() -> Metrics:
    return Metrics("1")


@pytest.fixture
def store(upstream: Upstream, clock: FixedClock, metrics: Metrics) -> Store:
    forwarder = Forwarder(Route("store:9000", "us-east-1"), lambda: Credential("AKIAUP", "up-secret"))
    return Store(upstream, forwarder, metrics, clock)


async def test_tags_are_asked_for_under_the_proxys_own_name(store: Store, upstream: Upstream) -> None:
    upstream.answer = Answer(200, TAGGED)
    assert await store.tags(OBJECT) == (("class", "public"),)
    [asked] = upstream.asked
    assert (asked.method, asked.target) == ("GET", "/bucket/a%20key?tagging=")
    assert "Credential=AKIAUP/" in dict(asked.headers)["authorization"]


async def test_tags_of_a_version_are_those_of_that_version(store: Store, upstream: Upstream) -> None:
    upstream.answer = Answer(200, TAGGED)
    await store.tags(Target("bucket", "k", "v 1"))
    assert upstream.asked[0].target == "/bucket/k?tagging=&versionId=v%201"


async def test_an_object_that_is_not_there_has_no_tags(store: Store, upstream: Upstream) -> None:
    upstream.answer = Answer(404)
    assert await store.tags(OBJECT) == ()


@pytest.mark.parametrize(
    "answer", [Answer(403), Answer(500), Answer(501), Answer(204), Answer(200, b"the object itself")]
)
async def test_tags_that_cannot_be_learned_are_an_error(store: Store, upstream: Upstream, answer: Answer) -> None:
    upstream.answer = answer
    with pytest.raises(S3Error, match="ServiceUnavailable") as caught:
        await store.tags(OBJECT)
    assert "tags" in caught.value.detail
    assert "tags" not in caught.value.message


async def test_what_the_proxy_keeps_is_read_or_absent_or_an_error(store: Store, upstream: Upstream) -> None:
    upstream.answer = Answer(200, b"kept")
    assert await store.get("bucket", ".s3w/x") == b"kept"
    upstream.answer = Answer(404)
    assert await store.get("bucket", ".s3w/x") is None
    upstream.answer = Answer(403)
    with pytest.raises(S3Error, match="ServiceUnavailable"):
        await store.get("bucket", ".s3w/x")


async def test_what_the_proxy_writes_must_have_been_written(store: Store, upstream: Upstream) -> None:
    upstream.answer = Answer(200)
    await store.put("bucket", ".s3w/x", b"keep")
    assert (upstream.asked[0].method, upstream.asked[0].body) == ("PUT", b"keep")
    assert dict(upstream.asked[0].headers)["content-length"] == "4"
    upstream.answer = Answer(500)
    with pytest.raises(S3Error, match="ServiceUnavailable"):
        await store.put("bucket", ".s3w/x", b"keep")


@pytest.mark.parametrize(("status", "agreed"), [(204, True), (200, True), (404, True), (403, False), (500, False)])
async def test_a_deletion_tells_whether_the_store_agreed(
    store: Store, upstream: Upstream, status: int, agreed: bool
) -> None:
    upstream.answer = Answer(status)
    assert await store.delete("bucket", ".s3w/x") is agreed


async def test_an_errand_brings_back_no_more_than_it_can_carry(store: Store, upstream: Upstream) -> None:
    upstream.answer = Answer(200, b"x" * (ERRAND_BYTES + 1))
    with pytest.raises(UpstreamError):
        await store.get("bucket", ".s3w/x")


async def test_a_connection_is_let_go_whatever_was_read(upstream: Upstream) -> None:
    answer = Answer(200, b"x" * 5000)
    with pytest.raises(UpstreamError):
        await read_answer(answer, 4999)
    assert answer.closed
    answer = Answer(200, b"x" * 5000)
    assert len(await read_answer(answer, 5000)) == 5000
    assert answer.closed


async def test_every_answer_and_every_failure_is_counted(store: Store, upstream: Upstream, metrics: Metrics) -> None:
    await store.get("bucket", "k")
    upstream.answer = UpstreamError("gone")
    with pytest.raises(UpstreamError):
        await store.get("bucket", "k")
    counted = render(metrics.sample()).decode()
    for code in ("200", "error"):
        assert f's3warden_upstream_requests_total{{code="{code}"}} 1.0' in counted
