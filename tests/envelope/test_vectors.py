"""Known answers: stored objects of format 1 must be written, and read, the same for ever."""

from __future__ import annotations

import base64
import hashlib
import json
import runpy
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidTag

from proxy.envelope.capsule import Capsule, ObjectKeys
from proxy.envelope.checksum import open_checksum
from proxy.envelope.entropy import SystemEntropy
from proxy.envelope.frames import FrameOpener
from proxy.envelope.keyring import AesKeyring, unwrap_any
from proxy.envelope.manifest import open_trailer, parse_locator
from proxy.envelope.multipart import SegmentsOpener, split_part_etag
from proxy.envelope.single import open_body_header, parse_envelope
from proxy.envelope.sizes import FRAME, listed_plain_size, single_plain_size

HERE = Path(__file__).parent.parent / "vectors" / "envelope"
MAKER = runpy.run_path(str(HERE / "make_known_answers.py"))
READER = runpy.run_path(str(HERE / "independent_reader.py"))
READER_LINES = (HERE / "independent_reader.py").read_text().splitlines()
KNOWN: dict[str, Any] = json.loads((HERE / "known-answers.json").read_text())


def keys_of(capsule: Capsule) -> ObjectKeys:
    keyring = AesKeyring("s3w", "hr@1", bytes.fromhex(KNOWN["master_key"]), SystemEntropy())
    return capsule.open(unwrap_any(capsule.edks, [keyring], capsule.context(KNOWN["arn"])), KNOWN["arn"])


def test_what_is_written_today_is_what_was_written_then() -> None:
    assert json.loads(json.dumps(MAKER["build"]())) == KNOWN


@pytest.mark.parametrize("known", KNOWN["singles"], ids=lambda known: str(known["size"]))
def test_single_part_objects_of_then_open_today(known: dict[str, Any]) -> None:
    envelope = parse_envelope(known["metadata"])
    keys = keys_of(envelope.capsule)
    assert envelope.capsule.client_context == KNOWN["client_context"]
    assert open_checksum(known["checksum"], keys) == "crc32c=yZRlqg==;FULL_OBJECT"
    assert single_plain_size(known["body"]["length"]) == known["size"]
    key = open_body_header(envelope.body_header, keys)
    if "base64" in known["body"]:
        opener = FrameOpener(key, known["size"])
        assert bytes(opener.feed(base64.b64decode(known["body"]["base64"]))) == MAKER["plaintext_of"](known["size"])
        opener.finish()


@pytest.mark.parametrize("known", KNOWN["multiparts"], ids=lambda known: str(known["sizes"]))
def test_multipart_objects_of_then_open_today(known: dict[str, Any]) -> None:
    keys = keys_of(parse_envelope(known["metadata"]).capsule)
    size = known["body"]["length"]
    count = len(known["sizes"]) + (not known["spilled"])
    assert listed_plain_size(size, f"x-{count}") == sum(known["sizes"])
    if "base64" in known["body"]:
        body = base64.b64decode(known["body"]["base64"])
        manifest = open_trailer(body[parse_locator(body[-16:], size, count) : -16], size, keys, count)
        opener = SegmentsOpener(manifest, keys)
        plaintext = bytes(opener.feed(body[: manifest.segments_size]))
        opener.finish()
        assert plaintext == b"".join(MAKER["plaintext_of"](size) for size in known["sizes"])
        ids = [split_part_etag(etag)[1] for etag in known["part_etags"]]
        assert ids == [part.message_id for part in manifest.parts]


def test_a_reader_that_shares_nothing_with_the_proxy_reads_them(monkeypatch: pytest.MonkeyPatch) -> None:
    bodies: dict[str, bytes] = {}

    def kept(body: bytes) -> dict[str, object]:
        bodies[hashlib.sha256(body).hexdigest()] = body
        return {}

    # Large bodies stand in the file as their hash: what makes them makes them again.
    monkeypatch.setitem(MAKER["build"].__globals__, "stored_form", kept)
    MAKER["build"]()
    entries = [*KNOWN["singles"], *KNOWN["multiparts"]]
    for entry in entries:
        READER["check"](KNOWN, entry, bodies[entry["body"]["sha256"]])
    assert max(entry["body"]["length"] for entry in entries) > 3 * FRAME
    assert "proxy" not in "".join(line for line in READER_LINES if line.startswith(("import", "from")))


def test_the_independent_reader_notices_a_flipped_bit() -> None:
    entry = KNOWN["multiparts"][1]
    body = bytearray(base64.b64decode(entry["body"]["base64"]))
    for at in (0, 100, 300, len(body) - 30, len(body) - 1):
        body[at] ^= 1
        with pytest.raises((AssertionError, InvalidTag)):
            READER["read"](entry["metadata"], bytes(body), KNOWN["arn"], "hr@1", bytes.fromhex(KNOWN["master_key"]))
        body[at] ^= 1
