"""What the operator is told where a store's answer is not enough to go by."""

from __future__ import annotations

import base64
import zlib
from pathlib import Path

import pytest

from tests.journeys.scripted import answer, error
from tests.journeys.signing import UNSIGNED_TRAILER, chunked
from tests.journeys.walking import ALICE
from tests.journeys.wire import Wire
from tests.server.staging import staged


async def test_a_head_that_the_store_refuses_is_explained_to_the_operator_only(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        stage.store.script = lambda seen: [answer(403, length=200)]
        found = await stage.ask("HEAD", "/bucket/key")
        assert (found.status, found.body) == (403, b"")
        assert "check credentials and permissions" in stage.decision()["detail"]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_a_redirect_of_the_stores_never_reaches_a_client(tmp_path: Path, method: str) -> None:
    async with staged(tmp_path) as stage:
        stage.store.script = lambda seen: [answer(301, Location="http://inner.example/")]
        found = await stage.ask(method, "/bucket/key")
        assert (found.status, found.headers["Location"]) == (503, None)
        assert "check endpoint and region" in stage.decision()["detail"]


@pytest.mark.parametrize(
    ("status", "body", "told"),
    [(404, b"", 404), (412, b"", 412), (409, b"", 500), (404, b"<html>", 500), (502, b"<html>", 503), (500, b"", 503)],
)
async def test_of_what_is_no_error_of_s3_only_the_plainest_is_passed_on(
    tmp_path: Path, status: int, body: bytes, told: int
) -> None:
    async with staged(tmp_path) as stage:
        stage.store.script = lambda seen: [answer(status, body)]
        found = await stage.ask("PUT", "/bucket/key", b"content")
        assert found.status == told
        assert b"html" not in found.body
        assert ("without an S3 error" in stage.decision().get("detail", "")) is (told >= 500)


@pytest.mark.parametrize("code", ["SignatureDoesNotMatch", "InvalidAccessKeyId", "RequestTimeTooSkewed"])
async def test_complaints_about_the_proxys_own_credential_are_the_operators(tmp_path: Path, code: str) -> None:
    async with staged(tmp_path) as stage:
        stage.store.script = lambda seen: [error(403, code, "<AWSAccessKeyId>AKIAUP</AWSAccessKeyId>")]
        found = await stage.ask("GET", "/bucket/key")
        assert (found.status, found.code) == (503, "ServiceUnavailable")
        assert b"AKIAUP" not in found.body
        assert code in stage.decision()["detail"]


async def test_a_store_that_takes_no_trailers_is_told_apart_from_a_bad_upload(tmp_path: Path) -> None:
    trailers = {"x-amz-checksum-crc32": base64.b64encode(zlib.crc32(b"content").to_bytes(4, "big")).decode()}
    wire = Wire("PUT", "/bucket/key")
    async with staged(tmp_path) as stage:
        stage.store.script = lambda seen: [error(501, "NotImplemented")]
        host = stage.endpoint.partition("//")[2]
        await stage.send(chunked(wire, ALICE, host, UNSIGNED_TRAILER, [b"content"], trailers))
        assert "`upstream.payload: unsigned`" in stage.decision()["detail"]
        await stage.ask("PUT", "/bucket/key", b"content")
        assert "detail" not in stage.decision(), "there was no trailer that it could be about"
