"""Looks at objects before a store works on them, where the store does not answer as it should."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.journeys.front import Seen
from tests.journeys.scripted import answer
from tests.server.staging import staged

COPIED = '<CopyObjectResult><ETag>"0"</ETag></CopyObjectResult>'


@pytest.mark.parametrize(
    ("look", "told", "code"),
    [
        (200, 200, ""),
        (404, 200, ""),
        (405, 200, ""),
        (400, 200, ""),
        (403, 403, "AccessDenied"),
        (301, 503, "ServiceUnavailable"),
        (500, 503, "ServiceUnavailable"),
        (503, 503, "ServiceUnavailable"),
    ],
)
async def test_a_copy_goes_on_only_when_it_is_known_what_its_source_is(
    tmp_path: Path, look: int, told: int, code: str
) -> None:
    def script(seen: Seen) -> Iterable[bytes]:
        if seen.method == "HEAD":
            return [answer(look)]
        return [answer(200, COPIED)] if seen.method == "PUT" else [answer(404)]

    async with staged(tmp_path) as stage:
        stage.store.script = script
        found = await stage.ask("PUT", "/bucket/copy", x_amz_copy_source="/bucket/key")
        assert (found.status, found.code) == (told, code)
        looked = [seen for seen in stage.store.seen if seen.method == "HEAD"]
        assert [seen.target for seen in looked] == ["/bucket/key"]
        assert any(seen.method == "PUT" for seen in stage.store.seen) is (told == 200)


async def test_a_store_that_ignores_what_it_was_asked_for_gives_no_ciphertext(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        stage.store.script = lambda seen: [answer(200, b"ciphertext", x_amz_meta_s3w="mark")]
        for query in ((("torrent", ""),), (("annotation", ""), ("annotationName", "a")), (("attributes", ""),), ()):
            found = await stage.ask("GET", "/bucket/key", query=query, x_amz_object_attributes="ETag")
            assert found.status != 200, query
            assert b"ciphertext" not in found.body
