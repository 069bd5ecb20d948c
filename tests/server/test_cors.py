"""Pages of another origin can read the proxy's own refusals exactly where the bucket allows the origin."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from tests.journeys.front import Seen
from tests.journeys.scripted import ScriptedStore, answer, error
from tests.journeys.signing import sign_v4
from tests.journeys.walking import ALICE, BOB, Walk, walking
from tests.journeys.wire import Answer, Wire

ORIGIN = "https://page.example"
ALLOWED = answer(
    200,
    Access_Control_Allow_Origin=ORIGIN,
    Access_Control_Allow_Methods="GET",
    Access_Control_Allow_Credentials="true",
    Access_Control_Expose_Headers="ETag",
    Vary="Origin",
    X_Amz_Request_Id="STORE",
)
SHOWN = ("access-control-allow-origin", "access-control-allow-credentials", "access-control-expose-headers", "vary")


@pytest.fixture(scope="module")
def scripted() -> Iterator[ScriptedStore]:
    with ScriptedStore().running() as store:
        yield store


@pytest.fixture(scope="module")
def walk(scripted: ScriptedStore, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Walk]:
    with walking(tmp_path_factory.mktemp("cors"), scripted.store) as running:
        yield running


def ask(walk: Walk, scripted: ScriptedStore, method: str = "GET", origin: str | None = ORIGIN) -> Answer:
    """Ask for what Bob may not have."""
    scripted.seen.clear()
    headers = () if origin is None else (("Origin", origin),)
    return walk.send(sign_v4(Wire(method, "/bucket/a%20key", (), headers), BOB, walk.host))


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_a_refusal_carries_what_the_store_allows_the_origin(walk: Walk, scripted: ScriptedStore, method: str) -> None:
    scripted.script = lambda seen: [ALLOWED]
    refused = ask(walk, scripted, method)
    assert (refused.status, refused.code) == (403, "AccessDenied")
    assert [refused.headers[name] for name in SHOWN] == [ORIGIN, "true", "ETag", "Origin"]
    assert "access-control-allow-methods" not in refused.headers
    assert refused.headers["x-amz-request-id"] != "STORE"
    asked: list[Seen] = scripted.seen
    assert [(each.method, each.target) for each in asked] == [("OPTIONS", "/bucket/a%20key")]
    assert asked[0].headers["origin"] == ORIGIN
    assert asked[0].headers["access-control-request-method"] == method
    assert "authorization" not in asked[0].headers


def test_a_signature_that_does_not_match_can_be_read_too(walk: Walk, scripted: ScriptedStore) -> None:
    scripted.script = lambda seen: [ALLOWED]
    wire = sign_v4(Wire("GET", "/bucket/key", (), (("Origin", ORIGIN),)), ALICE, walk.host)
    refused = walk.send(wire.with_(path="/bucket/other"))
    assert refused.code == "SignatureDoesNotMatch"
    assert refused.headers["access-control-allow-origin"] == ORIGIN


@pytest.mark.parametrize(
    "said",
    [
        error(403, "AccessForbidden", Access_Control_Allow_Origin="*"),
        answer(200),
        answer(204, Access_Control_Allow_Origin="*"),
        b"no HTTP\r\n\r\n",
        b"",
    ],
)
def test_what_the_store_does_not_allow_stays_hidden(walk: Walk, scripted: ScriptedStore, said: bytes) -> None:
    scripted.script = lambda seen: [said]
    refused = ask(walk, scripted)
    assert (refused.status, refused.code) == (403, "AccessDenied")
    assert not any(name in refused.headers for name in SHOWN)


def test_a_request_without_an_origin_costs_the_store_nothing(walk: Walk, scripted: ScriptedStore) -> None:
    assert ask(walk, scripted, origin=None).status == 403
    assert scripted.seen == []


def test_a_refusal_does_not_wait_for_a_store_that_is_silent(walk: Walk, scripted: ScriptedStore) -> None:
    refused = threading.Event()

    def silent(seen: Seen) -> Iterator[bytes]:
        refused.wait(20)
        yield ALLOWED

    scripted.script = silent
    found = ask(walk, scripted)
    assert not refused.is_set()
    refused.set()
    assert found.code == "AccessDenied"
    assert "access-control-allow-origin" not in found.headers
