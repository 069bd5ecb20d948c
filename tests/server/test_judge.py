"""What the store is asked before a decision, and what follows where it knows nothing."""

from __future__ import annotations

from pathlib import Path

from tests.journeys.front import Seen
from tests.journeys.scripted import answer, error
from tests.server.staging import staged


async def test_a_store_without_tags_is_not_asked_for_them(tmp_path: Path) -> None:
    async with staged(tmp_path, lacks="tagging") as stage:
        found = await stage.ask("GET", "/labelled/key")
        assert found.status == 200
        assert [seen.target for seen in stage.store.seen] == ["/labelled/key"]


async def test_nothing_is_decided_without_the_tags_that_a_policy_reads(tmp_path: Path) -> None:
    def script(seen: Seen) -> list[bytes]:
        return [error(500, "InternalError") if "tagging" in seen.target else answer(200, "secret")]

    async with staged(tmp_path) as stage:
        stage.store.script = script
        found = await stage.ask("GET", "/labelled/key")
        assert (found.status, found.code) == (503, "ServiceUnavailable")
        assert all("tagging" in seen.target for seen in stage.store.seen), "the object itself was not asked for"
        assert stage.decision()["decision"] == "none"
