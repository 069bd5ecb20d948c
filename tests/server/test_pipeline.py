"""The walk in one process, where a test can make happen what does not happen by itself."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from time import sleep

import pytest

from proxy.server import pipeline, relay
from tests.journeys.front import Seen
from tests.journeys.scripted import answer, error
from tests.server.staging import Stage, staged

TAGGED = "<Tagging><TagSet><Tag><Key>class</Key><Value>{}</Value></Tag></TagSet></Tagging>"
COMPLETE = b"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>e</ETag></Part></CompleteMultipartUpload>"


@pytest.fixture
async def stage(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Stage]:
    async with staged(tmp_path, payload=getattr(request, "param", "checksums")) as stage:
        yield stage


# Without checksums, the proxy reads the whole result before it passes it on.
READS_RESULTS = pytest.mark.parametrize("stage", ["unsigned"], indirect=True)


@READS_RESULTS
async def test_a_client_is_kept_awake_while_a_completion_takes_long(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "KEEPALIVE_SECONDS", 0.05)
    result = '<?xml version="1.0"?>\n<CompleteMultipartUploadResult><ETag>e</ETag></CompleteMultipartUploadResult>'

    def slow(seen: Seen) -> Iterator[bytes]:
        sleep(0.3)
        yield answer(200, result)

    stage.store.script = slow
    found = await stage.ask("POST", "/bucket/key", COMPLETE, (("uploadId", "U"),))
    assert (found.status, found.element("ETag")) == (200, "e")

    def late(seen: Seen) -> Iterator[bytes]:
        text = f"{result[:21]}{' ' * 3}{result[21:]}"
        yield answer(200, b"", length=len(text))
        sleep(0.3)
        yield text.encode()

    stage.store.script = late
    found = await stage.ask("POST", "/bucket/key", COMPLETE, (("uploadId", "U"),))
    assert (found.status, found.element("ETag")) == (200, "e")
    # The declaration came first, then what kept the client awake, then the document.
    assert found.body.startswith(b'<?xml version="1.0" encoding="UTF-8"?>')
    assert found.body.count(b"<?xml") == 1
    assert b" <CompleteMultipartUploadResult>" in found.body
    assert found.headers["Transfer-Encoding"] == "chunked"


@READS_RESULTS
async def test_a_completion_that_breaks_off_while_the_client_waits_does_not_look_done(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "KEEPALIVE_SECONDS", 0.05)

    def broken(seen: Seen) -> Iterator[bytes]:
        yield answer(200, b"<Complete", length=100)
        sleep(0.2)
        yield b""

    stage.store.script = broken
    with pytest.raises(Exception, match=r"IncompleteRead|reset|closed"):
        await stage.ask("POST", "/bucket/key", COMPLETE, (("uploadId", "U"),))
    assert stage.decision()["error"] == "ServiceUnavailable"


async def test_a_mistake_of_ours_is_an_internal_error_and_no_more(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def mistake(*arguments: object) -> None:
        raise RuntimeError("with a secret in it")

    monkeypatch.setattr(pipeline, "recognise", mistake)
    with caplog.at_level(logging.ERROR):
        found = await stage.ask("GET", "/bucket/key")
    assert (found.status, found.code) == (500, "InternalError")
    assert b"secret" not in found.body
    assert stage.decision()["detail"] == "RuntimeError"
    assert "with a secret in it" in caplog.text  # for those who can mend it


async def test_a_process_that_is_about_to_end_sends_its_clients_elsewhere(stage: Stage) -> None:
    stage.store.script = lambda seen: [answer(200, b"hello")]
    assert (await stage.ask("GET", "/bucket/key")).headers["Connection"] is None
    stage.worker._pipeline.draining = True
    assert (await stage.ask("GET", "/bucket/key")).headers["Connection"] == "close"


async def test_the_tags_of_an_object_are_looked_up_once_for_all_questions(stage: Stage) -> None:
    def tags(value: str) -> Callable[[Seen], list[bytes]]:
        return lambda seen: [answer(200, TAGGED.format(value) if "tagging" in seen.target else "hello")]

    stage.store.script = tags("public")
    assert (await stage.ask("GET", "/labelled/key")).body == b"hello"
    assert [each.target for each in stage.store.seen] == ["/labelled/key?tagging=", "/labelled/key"]
    stage.store.script = tags("secret")
    found = await stage.ask("GET", "/labelled/key")
    assert (found.status, found.code) == (403, "AccessDenied")
    assert "NotSecret" in found.element("Message")


async def test_tags_are_not_looked_up_for_buckets_whose_policies_do_not_ask(stage: Stage) -> None:
    stage.store.script = lambda seen: [answer(200, b"hello")]
    assert (await stage.ask("GET", "/other/key")).status == 200
    assert [each.target for each in stage.store.seen] == ["/other/key"]


@pytest.mark.parametrize(
    ("tags", "status"),
    [(answer(200, TAGGED.format("any")), 403), (error(404, "NoSuchTagSet"), 200), (error(500, "InternalError"), 503)],
    ids=["tagged", "not tagged", "unknown"],
)
async def test_who_may_not_copy_tags_may_copy_what_has_none(stage: Stage, tags: bytes, status: int) -> None:
    copied = "<CopyObjectResult><ETag>e</ETag></CopyObjectResult>"
    answers = {"GET": tags, "HEAD": answer(200), "PUT": answer(200, copied)}
    stage.store.script = lambda seen: [answers[seen.method]]
    found = await stage.ask("PUT", "/bucket/copy", x_amz_copy_source="/bucket/key")
    assert found.status == status
    assert len(stage.store.seen) == (3 if status == 200 else 1)
    if status != 503:
        assert stage.decision()["decision"] == ("allow" if status == 200 else "implicit_deny")


async def test_every_request_is_recorded_and_counted_once(stage: Stage) -> None:
    stage.store.script = lambda seen: [answer(200, b"hello")]
    for path in ("/bucket/key", "/bucket/other"):
        await stage.ask("GET", path)
    await stage.ask("DELETE", "/bucket/key")
    lines = (stage.folder / "decisions.jsonl").read_text().splitlines()
    assert [json.loads(line)["status"] for line in lines] == [200, 200, 403]
    assert stage.worker._pipeline.in_flight == 0
