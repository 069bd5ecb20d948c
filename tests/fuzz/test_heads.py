"""Heads of requests, mutated and made up, through everything that happens before the first byte goes upstream."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.access.body_facts import NO_FACTS
from proxy.access.connection import Connection
from proxy.access.questions import questions
from proxy.access.verdict import Authorized, authorize
from proxy.auth.claim import ANONYMOUS
from proxy.auth.credential import Credential
from proxy.auth.verify import authenticate
from proxy.errors import S3Error
from proxy.forward import AuthorizedRequest, Forwarder, Prepared, Route
from proxy.payload import plan_buffered, plan_stream
from proxy.rewrite import complete
from proxy.s3.head import parse_head
from proxy.s3.headers import Headers
from proxy.s3.request import recognise
from proxy.s3.xml import error_xml
from proxy.server.judge import decider
from proxy.server.lane import serialize_head
from proxy.server.rules import Rules, load_rules
from tests.fuzz.effort import thorough
from tests.journeys.signing import presign_v2, presign_v4, sign_v2, sign_v4
from tests.journeys.walking import ALICE
from tests.journeys.wire import Wire

NOW = time.time()
HOST = "s3.test"
CONFIG = """\
upstream: {endpoint: "http://127.0.0.1:1", credentials: {access_key_id: AKIASTORE, secret_access_key: store-secret}}
listen: {domains: [s3.test]}
owner: "123456789012"
identities:
  - arn: arn:aws:iam::123456789012:user/alice
    access_keys: [{id: AKIAALICE, secret: alice-secret}]
    policies: [full.yaml]
policies: [buckets]
"""
FULL = 'Version: "2012-10-17"\nStatement: {Effect: Allow, Action: "s3:*", Resource: "*"}\n'
OPEN = """\
Version: "2012-10-17"
Statement:
  - {Effect: Allow, Principal: "*", Action: "s3:*", Resource: ["arn:aws:s3:::open", "arn:aws:s3:::open/*"]}
  - Effect: Deny
    Principal: "*"
    Action: s3:PutObject
    Resource: arn:aws:s3:::open/*
    Condition: {StringNotEqualsIfExists: {"s3:x-amz-server-side-encryption": "aws:kms"}}
"""


@pytest.fixture(scope="session")
def rules(tmp_path_factory: pytest.TempPathFactory) -> Rules:
    folder = tmp_path_factory.mktemp("rules")
    (folder / "buckets").mkdir()
    (folder / "config.yaml").write_text(CONFIG)
    (folder / "full.yaml").write_text(FULL)
    (folder / "buckets" / "open.yaml").write_text(OPEN)
    return load_rules(folder / "config.yaml", {})


def walk(rules: Rules, method: str, target: str, fields: list[tuple[bytes, bytes]]) -> Prepared | str:
    """Do what the pipeline does before it sends; return the request for the store, or the error's code."""
    try:
        head = parse_head(method, target, Headers(fields))
        request = recognise(head, rules.domains)
        if request.operation.name == "CorsPreflight":
            claim = ANONYMOUS
        elif request.operation.body == "form":
            return "form"
        else:
            claim = authenticate(head, request.address, rules.credential, rules.auth, NOW)
        settings = None if request.bucket is None else rules.config.bucket(request.bucket)
        request = complete(request, claim, settings, rules.access.kms).request
        caller = rules.caller(claim.access_key_id)
        asked = questions(
            request, claim, caller.identity, Connection("127.0.0.1", secure=True), rules.access, NOW, facts=NO_FACTS
        )
        # A store answers preflights by its own rules, nobody is asked; everything else somebody decides.
        assert bool(asked) == (request.operation.name != "CorsPreflight"), request.operation.name
        verdict = authorize(asked, decider(rules, caller))
        if not isinstance(verdict, Authorized):
            return "AccessDenied"
        authorized = AuthorizedRequest(request, claim, caller.identity, verdict)
        forwarder = Forwarder(Route("store.test", "us-east-1"), lambda: Credential("A", "B"))
        if request.operation.body == "stream":
            framing = plan_stream(request, claim, "checksums").framing
        else:
            framing = plan_buffered(request, claim, "checksums", b"").framing
        prepared = forwarder.prepare(authorized, framing, lambda signer: b"", NOW)
    except S3Error as error:
        error_xml(error, "/a", "ID", "HOST")
        return error.code
    serialize_head(prepared)
    return prepared


@contextmanager
def still() -> Iterator[None]:
    """Let signatures be made for the moment at which they are checked."""
    with patch("time.time", return_value=NOW):
        yield


def seeds() -> list[Wire]:
    """Good requests of every form of signature."""
    with still():
        plain = [
            Wire("GET", "/bucket/key"),
            Wire("GET", "/bucket", query=(("list-type", "2"), ("prefix", "a/"))),
            Wire("PUT", "/bucket/a%20key", headers=(("Content-Length", "0"), ("x-amz-meta-a", "b"))),
            Wire(
                "PUT", "/bucket/key", query=(("partNumber", "1"), ("uploadId", "u")), headers=(("Content-Length", "0"),)
            ),
            Wire("PUT", "/bucket/key", headers=(("x-amz-copy-source", "/bucket/other%20key?versionId=1"),)),
            Wire("POST", "/bucket/key", query=(("uploads", ""),)),
            Wire("DELETE", "/bucket/key", query=(("versionId", "null"),)),
            Wire("HEAD", "/"),
        ]
        made = [sign_v4(wire, ALICE, HOST) for wire in plain]
        made += [
            presign_v4(wire, ALICE, HOST, signed=[name.lower() for name, _ in wire.headers if name.startswith("x-")])
            for wire in plain
        ]
        # Version 2 signs a sub-resource without a value as it is spelt, which is not what is tested here.
        older = [wire for wire in plain if wire.parameter("uploads") is None]
        made += [sign_v2(wire, ALICE) for wire in older] + [presign_v2(wire, ALICE) for wire in older]
        return [wire if wire.header("Host") else wire.with_header("Host", HOST) for wire in made]


SEEDS = seeds()
NOISE = (
    *[
        "%",
        "%00",
        "%2F",
        "%2f",
        "%25",
        "%ff",
        "%C3%A9",
        "/",
        "//",
        "/../",
        "/./",
        "?",
        "&",
        "=",
        "+",
        "#",
        ";",
        ":",
        "@",
        ",",
        "*",
        "-",
        "0",
        "-1",
        "http://",
        "bytes=0-",
        "aws-chunked",
    ],
    *[
        "uploads",
        "uploadId=u",
        "partNumber=10001",
        "partNumber=x",
        "versionId=",
        "acl",
        "policy",
        "tagging",
        "delete",
        "x-id=GetObject",
    ],
    *["list-type=3", "max-keys=-1", "x-amz-acl=public-read", "response-content-type=a%0d%0ab", "X-Amz-Signature=0"],
    *["X-Amz-Algorithm=AWS4-HMAC-SHA256", "Signature=x", "AWSAccessKeyId=AKIAALICE", "Credential=", "SignedHeaders="],
    *[
        "Signature=",
        "AKIAALICE/",
        "/us-east-1/s3/aws4_request",
        "UNSIGNED-PAYLOAD",
        "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
    ],
    *["STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "99999999999999999999", "20261123T000000Z", "arn:aws:s3:::bucket/key"],
    "AWS4-HMAC-SHA256 ",
    "Thu, 01 Jan 1970 00:00:00 GMT",
    " ",
    "\t",
    "\u00e9",
    "a" * 300,
)
NAMES = (
    *[
        "Authorization",
        "Host",
        "Date",
        "Content-Length",
        "Content-MD5",
        "Content-Type",
        "Content-Encoding",
        "Range",
        "If-Match",
        "Expect",
    ],
    *[
        "Connection",
        "Origin",
        "Access-Control-Request-Method",
        "x-amz-date",
        "x-amz-content-sha256",
        "x-amz-acl",
        "x-amz-mfa",
    ],
    *["x-amz-copy-source", "x-amz-copy-source-range", "x-amz-decoded-content-length", "x-amz-trailer", "x-amz-meta-"],
    *["x-amz-grant-read", "x-amz-tagging", "x-amz-server-side-encryption", "x-amz-security-token", "x-amz-region-set"],
    *["x-amz-server-side-encryption-aws-kms-key-id", "x-amz-server-side-encryption-customer-key"],
    *["x-amz-checksum-crc32", "x-amz-sdk-checksum-algorithm", "x-amz-storage-class", "x-amz-object-lock-mode"],
    *["x-amz-object-lock-retain-until-date", "x-amz-bypass-governance-retention", "x-amz-write-offset-bytes"],
    *["x-amz-object-attributes", "x-amz-rename-source"],
)

noise = st.sampled_from(NOISE) | st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=3)
text = st.lists(noise, max_size=5)

value = text.map("".join)
edits = st.lists(st.tuples(st.integers(0, 400), st.integers(0, 4), value), min_size=1, max_size=3)
more = st.lists(st.tuples(st.sampled_from(NAMES), value), max_size=3)


def edited(original: str, changes: list[tuple[int, int, str]]) -> str:
    """Replace some characters by others, here and there."""
    for at, removed, inserted in changes:
        start = at % (len(original) + 1)
        original = original[:start] + inserted + original[start + removed :]
    return original


def on_the_wire(target: str) -> str:
    """Only what aiohttp's parser lets through: ASCII without spaces and controls."""
    return "".join(char for char in target if "!" <= char <= "~") or "/"


def fields(wire: Wire) -> list[tuple[bytes, bytes]]:
    return [(name.encode("latin-1"), line.encode("utf-8")) for name, line in wire.headers]


@pytest.mark.parametrize("number", range(len(SEEDS)))
def test_the_seeds_are_good_requests(rules: Rules, number: int) -> None:
    wire = SEEDS[number]
    found = walk(rules, wire.method, wire.target, fields(wire))
    assert isinstance(found, Prepared) or (wire.path == "/" and found == "MethodNotAllowed"), found


@thorough
@given(wire=st.sampled_from(SEEDS), changes=edits)
def test_a_target_that_was_changed_is_served_as_judged_or_refused(
    rules: Rules, wire: Wire, changes: list[tuple[int, int, str]]
) -> None:
    walk(rules, wire.method, on_the_wire(edited(wire.target, changes)), fields(wire))


@thorough
@given(wire=st.sampled_from(SEEDS), number=st.integers(0, 20), changes=edits, added=more)
def test_headers_that_were_changed_are_served_as_judged_or_refused(
    rules: Rules, wire: Wire, number: int, changes: list[tuple[int, int, str]], added: list[tuple[str, str]]
) -> None:
    lines = list(wire.headers)
    name, old = lines[number % len(lines)]
    lines[number % len(lines)] = name, edited(old, changes)
    raw = [(n.encode("latin-1"), v.strip().encode("utf-8")) for n, v in (*lines, *added)]
    found = walk(rules, wire.method, wire.target, raw)
    if isinstance(found, Prepared):
        assert not any("\r" in v or "\n" in v or "\0" in v for _, v in found.headers)


@pytest.mark.parametrize("origin", [b"https://app.test", b"null", b""])
@pytest.mark.parametrize("path", ["/open", "/open/key", "/bucket"])
def test_a_preflight_is_passed_on_whatever_its_origin_is(rules: Rules, path: str, origin: bytes) -> None:
    raw = [(b"Host", HOST.encode()), (b"Origin", origin), (b"Access-Control-Request-Method", b"PUT")]
    found = walk(rules, "OPTIONS", path, raw)
    assert isinstance(found, Prepared)
    assert dict(found.headers)["origin"].encode() == origin
    assert "authorization" not in dict(found.headers)


@thorough
@given(
    method=st.sampled_from(["GET", "PUT", "POST", "DELETE", "HEAD", "OPTIONS", "PATCH", "get"]),
    path=st.sampled_from(["/open", "/open/key", "/", "/bucket"]),
    rest=text,
    added=more,
)
def test_anonymous_requests_of_all_kinds_are_served_as_judged_or_refused(
    rules: Rules, method: str, path: str, rest: list[str], added: list[tuple[str, str]]
) -> None:
    target = on_the_wire(path + "?" + "&".join(rest) if rest else path)
    raw = [(b"Host", HOST.encode()), *((n.encode(), v.strip().encode()) for n, v in added if n != "Host")]
    found = walk(rules, method, target, raw)
    if isinstance(found, Prepared):
        # A preflight asks any bucket: what may be done there it only asks.
        assert found.target.startswith("/open") or found.method == "OPTIONS"
