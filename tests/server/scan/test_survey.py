"""The store is asked in bounded numbers, again when it is in trouble, and believed only in what it says."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from proxy.errors import S3Error
from proxy.s3.headers import Headers
from proxy.server.pace import Pace
from proxy.server.scan import survey
from proxy.server.scan.survey import Listed, Marker, Survey

Answer = tuple[int, Headers, bytes]
LISTED = Listed("a", 100, "e", "now")


class Depot:
    """Answers as it is told, and counts how many ask at once."""

    def __init__(self, answer: Callable[[str, Mapping[str, str]], Answer]) -> None:
        self.answer = answer
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.now = self.most = 0

    async def ask(self, method: str, bucket: str, key: str, query: Any = (), fields: Any = ()) -> Answer:
        self.asked.append((method, dict(fields)))
        self.now += 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(0)
        self.now -= 1
        return self.answer(method, dict(query))


def head(status: int, **fields: str) -> Answer:
    pairs = [(name.replace("_", "-"), value) for name, value in fields.items()]
    return status, Headers.of([("content-length", "100"), ("etag", '"e"'), *pairs]), b""


def looking(depot: Depot, **options: Any) -> Survey:
    settings = {"versions": False, "look_inside": False, "parallel": 4, "pace": Pace(None), **options}
    return Survey(depot, "b", **settings)  # type: ignore[arg-type]  # a depot as far as a survey knows it


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(survey, "_PAUSE_SECONDS", 0.0)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (head(400), "sse-c"),
        (head(200, x_amz_server_side_encryption_customer_algorithm="AES256"), "sse-c"),
        (head(200, x_amz_server_side_encryption="aws:kms:dsse"), "sse-dsse"),
        (head(200, x_amz_server_side_encryption="rot13"), "unknown"),
        (head(200), "none"),
        (head(403), "unknown"),
        (head(301), "unknown"),
    ],
)
async def test_what_a_head_says_is_told_and_nothing_is_guessed(answer: Answer, kind: str) -> None:
    found = await looking(Depot(lambda method, query: answer)).look(LISTED)
    assert found is not None
    assert found.kind == kind
    assert bool(found.detail) is (kind == "unknown" or answer[0] == 400)


@pytest.mark.parametrize("status", [404, 405])
async def test_what_is_gone_meanwhile_is_no_object(status: int) -> None:
    assert await looking(Depot(lambda method, query: head(status))).look(LISTED) is None


async def test_a_version_that_has_no_name_in_its_store_is_asked_for_without() -> None:
    def answer(method: str, query: Mapping[str, str]) -> Answer:
        return head(400) if "versionId" in query else head(200, x_amz_server_side_encryption="AES256")

    kinds = {}
    for version, latest in (("null", True), ("null", False), ("v1", True)):
        found = await looking(Depot(answer)).look(Listed("a", 100, "e", "now", version, latest))
        assert found is not None
        kinds[version, latest] = found.kind
    assert kinds == {("null", True): "sse-s3", ("null", False): "sse-c", ("v1", True): "sse-c"}


async def test_a_store_in_trouble_is_asked_again_a_few_times() -> None:
    answers = iter([head(503), head(500), head(200)])
    found = await looking(Depot(lambda method, query: next(answers))).look(LISTED)
    assert found is not None
    assert found.kind == "none"
    depot = Depot(lambda method, query: head(503))
    found = await looking(depot).look(LISTED)
    assert found is not None
    assert (found.kind, len(depot.asked)) == ("unknown", survey.ATTEMPTS)


async def test_a_store_that_is_gone_makes_an_object_unknown_and_a_listing_fail() -> None:
    def down(method: str, query: Mapping[str, str]) -> Answer:
        raise S3Error("ServiceUnavailable", detail="connection refused")

    found = await looking(Depot(down)).look(LISTED)
    assert found is not None
    assert (found.kind, found.detail) == ("unknown", "ServiceUnavailable: connection refused")
    with pytest.raises(S3Error):
        await anext(looking(Depot(down)).pages(""))


async def test_only_the_beginning_is_read_and_only_of_what_was_looked_at() -> None:
    depot = Depot(lambda method, query: head(200))
    await looking(depot, look_inside=True).look(LISTED)
    assert depot.asked == [("HEAD", {}), ("GET", {"range": "bytes=0-8191", "if-match": '"e"'})]
    sealed = Depot(lambda method, query: head(200, x_amz_meta_s3w="AAAA"))
    await looking(sealed, look_inside=True).look(LISTED)
    assert [method for method, _ in sealed.asked] == ["HEAD"]


async def test_no_more_requests_than_wanted_are_under_way() -> None:
    depot = Depot(lambda method, query: head(200))
    looker = looking(depot, parallel=3)
    await asyncio.gather(*(looker.look(LISTED) for _ in range(50)))
    assert (len(depot.asked), depot.most) == (50, 3)


def page(*keys: str, more: bool) -> Answer:
    rows = "".join(f"<Contents><Key>{key}</Key><Size>1</Size><ETag>e</ETag></Contents>" for key in keys)
    flag = "true" if more else "false"
    ends = f"<EncodingType>url</EncodingType><IsTruncated>{flag}</IsTruncated>"
    return 200, Headers(), f"<ListBucketResult>{ends}{rows}</ListBucketResult>".encode()


async def test_a_listing_goes_on_from_the_last_key() -> None:
    def answer(method: str, query: Mapping[str, str]) -> Answer:
        return {"": page("a", "b%20c", more=True), "b c": page("d", more=False)}[query.get("start-after", "")]

    pages = [each async for each in looking(Depot(answer)).pages("")]
    assert [[row.key for row in each.rows] for each in pages] == [["a", "b c"], ["d"]]
    assert [each.marker for each in pages] == [Marker("b c"), None]
    assert [row.key async for each in looking(Depot(answer)).pages("", Marker("b c")) for row in each.rows] == ["d"]


async def test_a_listing_that_does_not_get_on_ends() -> None:
    depot = Depot(lambda method, query: page("a", more=True))
    with pytest.raises(S3Error):
        [each async for each in looking(depot).pages("")]
    assert len(depot.asked) == 2
