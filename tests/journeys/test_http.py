"""HTTP as S3 speaks it: who waits for whom, what is framed how, and what becomes of a store's worst moments."""

from __future__ import annotations

import hashlib
import http.client
import socket
import threading
import time
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.conftest import Store
from tests.journeys.front import Front, until
from tests.journeys.scripted import ScriptedStore, answer, error
from tests.journeys.signing import SIGNED_CHUNKS, SIGNED_TRAILER, UNSIGNED, UNSIGNED_TRAILER, Key, chunked, sign_v4
from tests.journeys.walking import ALICE, BOB, Walk, make_bucket, store_client, walking
from tests.journeys.wire import Answer, Wire

LARGE = b"0123456789abcdef" * (1 << 16)
PATH = "/private/an%20object"


def head_of(wire: Wire, **more: str) -> bytes:
    fields = [*wire.headers, *((name.replace("_", "-"), value) for name, value in more.items())]
    lines = [f"{wire.method} {wire.target} HTTP/1.1", *(f"{name}: {value}" for name, value in fields)]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def connect(walk: Walk) -> socket.socket:
    parts = urlsplit(walk.endpoint)
    return socket.create_connection((parts.hostname or "", parts.port or 0), timeout=20)


def read_answer(connection: socket.socket) -> tuple[int, http.client.HTTPMessage, bytes]:
    response = http.client.HTTPResponse(connection)
    response.begin()
    return response.status, response.headers, response.read()


def ask(walk: Walk, method: str, path: str = PATH, body: bytes = b"", key: Key = ALICE, **headers: str) -> Answer:
    bare, _, query = path.partition("?")
    pairs = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    parameters = tuple((n, v) for n, _, v in (each.partition("=") for each in query.split("&") if each))
    return walk.send(sign_v4(Wire(method, bare, parameters, pairs, body), key, walk.host))


# Who waits for whom


def test_a_client_that_asks_first_is_told_to_go_on_once_it_is_allowed(walk: Walk, direct: Any) -> None:
    wire = sign_v4(Wire("PUT", "/private/asked"), ALICE, walk.host, UNSIGNED)
    with connect(walk) as connection:
        connection.sendall(head_of(wire, Expect="100-continue", Content_Length="5"))
        assert connection.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b"hello")
        status, _, _ = read_answer(connection)
    assert status == 200
    assert direct.get_object(Bucket="private", Key="asked")["Body"].read() == b"hello"


@pytest.mark.parametrize("key", [BOB, Key("AKIAALICE", "wrong")], ids=["denied", "wrong signature"])
def test_a_client_that_asks_first_and_is_refused_need_not_send_its_body(walk: Walk, front: Front, key: Key) -> None:
    wire = sign_v4(Wire("PUT", "/private/asked"), key, walk.host, UNSIGNED)
    with front.watched() as seen, connect(walk) as connection:
        connection.sendall(head_of(wire, Expect="100-continue", Content_Length="5"))
        status, headers, body = read_answer(connection)
        assert connection.recv(1) == b""
    assert (status, headers["Connection"], seen) == (403, "close", [])
    assert b"<Error>" in body


def test_a_client_that_does_not_ask_hears_the_refusal_nevertheless(walk: Walk, front: Front) -> None:
    wire = sign_v4(Wire("PUT", "/private/asked"), BOB, walk.host, UNSIGNED)
    with front.watched() as seen, connect(walk) as connection:
        connection.sendall(head_of(wire, Content_Length=str(len(LARGE))))
        writer = threading.Thread(target=connection.sendall, args=(LARGE,))
        writer.start()
        status, _, body = read_answer(connection)
        writer.join(20)
    assert (status, seen) == (403, [])
    assert b"AccessDenied" in body


def test_one_connection_serves_many_requests(walk: Walk) -> None:
    get, denied = (sign_v4(Wire("GET", PATH), key, walk.host) for key in (ALICE, BOB))
    with connect(walk) as connection:
        for wire, expected in ((get, 200), (denied, 403), (get, 200)):
            connection.sendall(head_of(wire))
            assert read_answer(connection)[0] == expected


def test_a_document_is_read_whole_before_it_counts(walk: Walk, front: Front) -> None:
    body = b"<Delete><Object><Key>split</Key></Object></Delete>"
    wire = sign_v4(Wire("POST", "/private", (("delete", ""),), (), body), ALICE, walk.host)
    with front.watched() as seen, connect(walk) as connection:
        connection.sendall(head_of(wire, Content_Length=str(len(body))) + body[:-5])
        time.sleep(0.2)
        assert front.seen[-1:] == [] or not front.seen[-1].target.endswith("?delete=")
        connection.sendall(body[-5:])
        assert read_answer(connection)[0] == 200
    assert len(seen) == 1


# Browsers


def test_a_preflight_goes_to_the_store_unsigned(
    moto_store: Store, moto_front: Front, tmp_path_factory: pytest.TempPathFactory
) -> None:
    direct = store_client(moto_store)
    make_bucket(direct, "cors")
    rule = {"AllowedOrigins": ["https://app.example"], "AllowedMethods": ["PUT"], "AllowedHeaders": ["*"]}
    direct.put_bucket_cors(Bucket="cors", CORSConfiguration={"CORSRules": [rule]})
    folder = tmp_path_factory.mktemp("cors")
    with walking(folder, moto_store, endpoint=moto_front.endpoint) as walk:
        headers = (("Origin", "https://app.example"), ("Access-Control-Request-Method", "PUT"))
        with moto_front.watched() as seen:
            found = walk.send(Wire("OPTIONS", "/cors/object", (), headers))
        assert found.status == 200
        assert found.headers["Access-Control-Allow-Origin"] == "https://app.example"
        assert [(each.method, each.headers.get("authorization")) for each in seen] == [("OPTIONS", None)]
        decision = walk.decision(found)
        assert (decision["operation"], decision["decision"]) == ("CorsPreflight", "none")
        with moto_front.watched() as seen:
            refused = walk.send(Wire("OPTIONS", "/cors/object"))
        assert (refused.status, seen) == (400, [])


# How bodies go on


@pytest.fixture(scope="module", params=["unsigned", "signed-chunks"])
def framed(
    request: pytest.FixtureRequest, store: Store, front: Front, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Walk]]:
    direct = store_client(store)
    make_bucket(direct, "framed")
    folder = tmp_path_factory.mktemp("framed")
    with walking(folder, store, endpoint=front.endpoint, upstream={"payload": request.param}) as walk:
        yield request.param, walk
    for each in direct.list_objects_v2(Bucket="framed").get("Contents", []):
        direct.delete_object(Bucket="framed", Key=each["Key"])
    direct.delete_bucket(Bucket="framed")


def uploads(walk: Walk, body: bytes) -> dict[str, Wire]:
    """The same upload in all modes."""
    wire = Wire("PUT", "/framed/object", (), (("Content-Type", "text/x"),))
    sha256 = {"x-amz-checksum-sha256": base64_sha256(body)}
    pieces = [body[at : at + 65536] for at in range(0, len(body), 65536)]
    plain = wire.with_(body=body)
    return {
        "hash": sign_v4(plain, ALICE, walk.host),
        "unsigned": sign_v4(plain, ALICE, walk.host, UNSIGNED),
        "checksum": sign_v4(plain.with_header(*next(iter(sha256.items()))), ALICE, walk.host, UNSIGNED),
        "chunks": chunked(wire, ALICE, walk.host, SIGNED_CHUNKS, pieces),
        "signed trailer": chunked(wire, ALICE, walk.host, SIGNED_TRAILER, pieces, sha256),
        "trailer": chunked(wire, ALICE, walk.host, UNSIGNED_TRAILER, pieces, sha256),
    }


def base64_sha256(body: bytes) -> str:
    return b64encode(hashlib.sha256(body).digest()).decode()


@pytest.mark.parametrize("size", [0, 5, len(LARGE)], ids=["empty", "small", "large"])
@pytest.mark.parametrize("form", ["hash", "unsigned", "checksum", "chunks", "signed trailer", "trailer"])
def test_every_upload_arrives_in_every_framing(
    framed: tuple[str, Walk], front: Front, direct: Any, form: str, size: int
) -> None:
    payload, walk = framed
    body = LARGE[:size]
    with front.watched() as seen:
        found = walk.send(uploads(walk, body)[form])
    assert found.status == 200, found.body
    [sent] = seen
    digest = sent.headers["x-amz-content-sha256"]
    if payload == "unsigned":
        assert bytes(sent.body) == body
        assert digest == (hashlib.sha256(body).hexdigest() if form == "hash" else UNSIGNED)
        assert not [name for name in sent.headers if "checksum" in name or "trailer" in name or "decoded" in name]
    else:
        # A checksum in a header stays one; a trailer stays behind the body, and both are signed there.
        trailing = "trailer" in form
        assert digest == (SIGNED_TRAILER if trailing else SIGNED_CHUNKS)
        assert sent.headers["x-amz-decoded-content-length"] == str(size)
        assert sent.headers["content-encoding"] == "aws-chunked"
        assert sent.headers.get("x-amz-trailer") == ("x-amz-checksum-sha256" if trailing else None)
        assert b";chunk-signature=" in sent.body
        if trailing and front.name == "rclone":
            return  # it does not know signed trailers, and stores their framing
    got = direct.get_object(Bucket="framed", Key="object")
    assert got["Body"].read() == body
    # Some stores keep the name of the framing with the object; clients do not see it.
    read = ask(walk, "GET", "/framed/object")
    assert (read.body, read.headers["Content-Type"], read.headers["Content-Encoding"]) == (body, "text/x", None)


def test_a_multipart_upload_with_checksums_works_in_every_framing(
    framed: tuple[str, Walk], front: Front, direct: Any
) -> None:
    payload, walk = framed
    s3, of = walk.client(), {"Bucket": "framed", "Key": "parts"}
    with front.watched() as seen:
        upload_id = s3.create_multipart_upload(**of, ChecksumAlgorithm="SHA256")["UploadId"]
        part = s3.upload_part(**of, UploadId=upload_id, PartNumber=1, Body=b"x", ChecksumAlgorithm="SHA256")
        entry = {"PartNumber": 1, "ETag": part["ETag"], "ChecksumSHA256": base64_sha256(b"x")}
        done = s3.complete_multipart_upload(**of, UploadId=upload_id, MultipartUpload={"Parts": [entry]})
    if payload == "unsigned":
        assert not [n for each in seen for n in each.headers if "checksum" in n]
        assert not [each for each in seen if b"Checksum" in each.body]
        assert not [name for answered in (part, done) for name in answered if "Checksum" in name]
    assert direct.get_object(**of)["Body"].read() == b"x"
    objects = [{"Key": "parts"}]
    with front.watched() as seen:
        assert "Errors" not in s3.delete_objects(Bucket="framed", Delete={"Objects": objects})
    # S3 demands a checksum here, whatever the store is said to be able to do.
    assert {"content-md5", "x-amz-checksum-crc32"} & set(seen[0].headers)


# What becomes of a store's worst moments


@pytest.fixture(scope="module")
def scripted() -> Iterator[ScriptedStore]:
    with ScriptedStore().running() as store:
        yield store


@pytest.fixture(scope="module")
def staged(scripted: ScriptedStore, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Walk]:
    limits = {"in_flight": 2, "xml_bytes": 65536, "idle_seconds": 3}
    with walking(tmp_path_factory.mktemp("staged"), scripted.store, limits=limits) as walk:
        yield walk


@pytest.fixture(autouse=True)
def nothing_left(request: pytest.FixtureRequest) -> None:
    if "scripted" in request.fixturenames:
        store = request.getfixturevalue("scripted")
        store.seen.clear()
        store.early = False
        store.script = lambda seen: [answer(200)]


def test_an_error_of_the_store_comes_in_our_own_name(scripted: ScriptedStore, staged: Walk) -> None:
    more = "<BucketName>b</BucketName><Resource>/x</Resource><RequestId>THEIRS</RequestId><HostId>inner-host</HostId>"
    scripted.script = lambda seen: [
        error(
            404,
            "NoSuchBucket",
            more,
            x_amz_request_id="THEIRS",
            x_amz_id_2="inner-host",
            Server="Inner",
            Set_Cookie="a=b",
        )
    ]
    found = ask(staged, "GET", "/bucket?location=")
    assert (found.status, found.code, found.element("Message")) == (404, "NoSuchBucket", "said the store")
    assert (found.element("BucketName"), found.element("Resource")) == ("b", "/bucket")
    assert b"THEIRS" not in found.body
    assert b"inner-host" not in found.body
    assert found.element("RequestId") == found.request_id
    assert (found.headers["Server"], found.headers["Set-Cookie"]) == ("s3warden", None)
    decision = staged.decision(found)
    assert (decision["upstream_request_id"], decision["upstream_id_2"]) == ("THEIRS", "inner-host")
    assert decision["error"] == "NoSuchBucket"


@pytest.mark.parametrize(
    "code", ["SignatureDoesNotMatch", "InvalidAccessKeyId", "ExpiredToken", "RequestTimeTooSkewed"]
)
def test_what_the_store_says_about_our_credential_stays_here(scripted: ScriptedStore, staged: Walk, code: str) -> None:
    more = "<AWSAccessKeyId>AKIASCRIPTED</AWSAccessKeyId>"
    scripted.script = lambda seen: [error(403, code, more)]
    found = ask(staged, "GET")
    assert (found.status, found.code) == (503, "ServiceUnavailable")
    assert b"AKIASCRIPTED" not in found.body
    assert code in staged.decision(found)["detail"]


def test_a_redirect_of_the_store_does_not_lead_around_us(scripted: ScriptedStore, staged: Walk) -> None:
    for status, code in ((301, "PermanentRedirect"), (307, "TemporaryRedirect")):
        more = "<Endpoint>inner.example</Endpoint>"
        scripted.script = lambda seen, s=status, c=code, m=more: [error(s, c, m, Location="http://inner.example/x")]
        found = ask(staged, "GET")
        assert (found.status, found.code, found.headers["Location"]) == (503, "ServiceUnavailable", None)
        assert b"inner.example" not in found.body
        assert "region" in staged.decision(found)["detail"]


def test_a_busy_store_is_passed_on_as_it_is(scripted: ScriptedStore, staged: Walk) -> None:
    scripted.script = lambda seen: [error(503, "SlowDown", Retry_After="7")]
    found = ask(staged, "GET")
    assert (found.status, found.code, found.headers["Retry-After"]) == (503, "SlowDown", "7")


def test_an_answer_that_is_no_s3_is_a_service_unavailable(scripted: ScriptedStore, staged: Walk) -> None:
    scripted.script = lambda seen: [answer(502, "<html>bad gateway at inner-host</html>")]
    found = ask(staged, "GET")
    assert (found.status, found.code) == (503, "ServiceUnavailable")
    assert b"inner-host" not in found.body


def test_an_answer_that_breaks_off_does_not_look_whole(scripted: ScriptedStore, staged: Walk) -> None:
    scripted.script = lambda seen: [answer(200, b"half", length=8), b""]
    with pytest.raises((http.client.IncompleteRead, ConnectionError)):
        ask(staged, "GET")
    assert until(lambda: "broke off" in (staged.last("GetObject").get("detail") or ""))
    chunks = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"
    scripted.script = lambda seen: [chunks, b""]
    with pytest.raises((http.client.IncompleteRead, ConnectionError)):
        ask(staged, "GET")


def test_a_store_that_hangs_is_given_up(scripted: ScriptedStore, tmp_path: Path) -> None:
    def hang(seen: object) -> Iterator[bytes]:
        time.sleep(3)
        yield b""

    scripted.script = hang
    with walking(tmp_path, scripted.store, upstream={"idle_seconds": 1}) as walk:
        found = ask(walk, "GET")
    assert (found.status, found.code) == (503, "ServiceUnavailable")


def test_a_pooled_connection_that_died_costs_nobody_a_request(scripted: ScriptedStore, staged: Walk) -> None:
    # Answered as if the connection stayed, and closed right after.
    scripted.script = lambda seen: [answer(200, b"hello"), b""]
    before = scripted.connections
    for _ in range(3):
        assert ask(staged, "GET").body == b"hello"
        time.sleep(0.05)
        assert ask(staged, "PUT", "/private/upload", b"small").status == 200
    assert scripted.connections - before >= 6


def test_a_store_that_refuses_early_is_heard(scripted: ScriptedStore, staged: Walk) -> None:
    scripted.early = True
    scripted.script = lambda seen: [error(403, "AccessDenied")]
    wire = sign_v4(Wire("PUT", "/private/upload"), ALICE, staged.host, UNSIGNED)
    with connect(staged) as connection:
        connection.sendall(head_of(wire, Content_Length=str(len(LARGE))))
        connection.sendall(LARGE[: len(LARGE) // 2])
        status, _, body = read_answer(connection)
    assert status == 403
    assert b"AccessDenied" in body


def test_a_completion_may_fail_after_it_began(scripted: ScriptedStore, staged: Walk) -> None:
    body = b"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>e</ETag></Part></CompleteMultipartUpload>"
    late = "   " + error(500, "InternalError").decode().partition("\r\n\r\n")[2].partition("?>")[2]
    scripted.script = lambda seen: [answer(200, '<?xml version="1.0"?>' + late)]
    found = ask(staged, "POST", "/private/upload?uploadId=U", body)
    assert (found.status, found.code) == (200, "InternalError")
    scripted.script = lambda seen: [
        answer(200, "<CompleteMultipartUploadResult><ETag>x</ETag></CompleteMultipartUploadResult>")
    ]
    found = ask(staged, "POST", "/private/upload?uploadId=U", body)
    assert (found.status, found.element("ETag")) == (200, "x")


def test_a_completion_does_not_tell_where_the_store_is(scripted: ScriptedStore, staged: Walk) -> None:
    body = b"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>e</ETag></Part></CompleteMultipartUpload>"
    inner = "<Location>http://inner.example/private/up%20load</Location>"
    scripted.script = lambda seen: [
        answer(200, f"<CompleteMultipartUploadResult>{inner}<ETag>x</ETag></CompleteMultipartUploadResult>")
    ]
    found = ask(staged, "POST", "/private/up%20load?uploadId=U", body)
    assert found.element("Location") == f"{staged.endpoint}/private/up%20load"


@pytest.mark.parametrize(
    ("sub_resource", "root"),
    [("acl", "AccessControlPolicy"), ("legal-hold", "LegalHold"), ("retention", "Retention"), ("tagging", "Tagging")],
)
def test_a_store_that_ignores_a_sub_resource_gives_no_object_away(
    scripted: ScriptedStore, staged: Walk, sub_resource: str, root: str
) -> None:
    target = f"/private/key?{sub_resource}="
    for content in ("the object", "<Other><Key>k</Key></Other>", f"<{root}Like/>", f"x<{root}/>", ""):
        scripted.script = lambda seen, c=content: [answer(200, c)]
        found = ask(staged, "GET", target)
        assert (found.status, found.code) == (501, "NotImplemented")
        assert "does not know" in staged.decision(found)["detail"]
    for document in (f"<{root}/>", f'<?xml version="1.0"?>\n<{root} xmlns="x"><A/></{root}>'):
        scripted.script = lambda seen, d=document: [answer(200, d)]
        found = ask(staged, "GET", target)
        assert (found.status, found.body) == (200, document.encode())


def test_a_store_that_ignores_a_setting_of_a_bucket_gives_no_listing_away(
    scripted: ScriptedStore, staged: Walk
) -> None:
    listing = '<?xml version="1.0"?>\n<ListBucketResult xmlns="x"><Name>private</Name></ListBucketResult>'
    scripted.script = lambda seen: [answer(200, listing)]
    for setting in ("website", "lifecycle", "location"):
        found = ask(staged, "GET", f"/private?{setting}=")
        assert (found.status, found.code) == (501, "NotImplemented")
    assert ask(staged, "GET", "/private").body == listing.encode()
    scripted.script = lambda seen: [answer(200, "<LocationConstraint/>")]
    assert ask(staged, "GET", "/private?location=").body == b"<LocationConstraint/>"


def test_a_list_of_buckets_that_cannot_be_read_is_not_passed_on(scripted: ScriptedStore, staged: Walk) -> None:
    scripted.script = lambda seen: [answer(200, "<ListAllMyBucketsResult><Buckets><Bucket><Name>secret")]
    found = ask(staged, "GET", "/")
    assert (found.status, found.code) == (500, "InternalError")
    assert b"secret" not in found.body


def test_documents_have_a_limit(scripted: ScriptedStore, staged: Walk) -> None:
    found = ask(staged, "POST", "/private?delete=", b"<Delete>" + b" " * 65536 + b"</Delete>")
    assert (found.status, found.code) == (400, "MaxMessageLengthExceeded")
    assert scripted.seen == []


def test_a_client_that_stalls_is_told_so(scripted: ScriptedStore, staged: Walk) -> None:
    wire = sign_v4(Wire("PUT", "/private/upload"), ALICE, staged.host, UNSIGNED)
    with connect(staged) as connection:
        connection.sendall(head_of(wire, Content_Length="10") + b"half")
        status, headers, body = read_answer(connection)
    assert (status, headers["Connection"]) == (400, "close")
    assert b"RequestTimeout" in body
    assert not any(each.whole for each in scripted.seen)


def test_too_many_at_once_are_told_to_slow_down(scripted: ScriptedStore, staged: Walk) -> None:
    go_on = threading.Event()

    def wait(seen: object) -> Iterator[bytes]:
        go_on.wait(10)
        yield answer(200, b"late")

    scripted.script = wait
    found: list[Answer] = []
    threads = [threading.Thread(target=lambda: found.append(ask(staged, "GET"))) for _ in range(2)]
    for thread in threads:
        thread.start()
    assert until(lambda: len(scripted.seen) == 2)
    busy = ask(staged, "GET")
    go_on.set()
    for thread in threads:
        thread.join()
    assert (busy.status, busy.code, busy.headers["Retry-After"]) == (503, "SlowDown", "1")
    assert [each.body for each in found] == [b"late", b"late"]
    assert ask(staged, "GET").status == 200


def test_metadata_keeps_its_bytes_both_ways(scripted: ScriptedStore, staged: Walk) -> None:
    raw = "grüße".encode()
    scripted.script = lambda seen: [b"HTTP/1.1 200 OK\r\nx-amz-meta-name: " + raw + b"\r\nContent-Length: 0\r\n\r\n"]
    found = ask(staged, "PUT", "/private/upload", b"x", x_amz_meta_name="grüße")
    assert found.headers["x-amz-meta-name"].encode("latin-1") == raw
    assert scripted.seen[0].headers["x-amz-meta-name"].encode("latin-1") == raw


@pytest.mark.parametrize(
    ("method", "status", "headers"),
    [
        ("GET", 304, {"ETag": '"e"'}),
        ("HEAD", 200, {"ETag": '"e"', "Content-Length": "7"}),
        ("GET", 412, {}),
        ("DELETE", 204, {"x-amz-version-id": "v"}),
    ],
)
def test_answers_without_a_body_stay_without_one(
    scripted: ScriptedStore, staged: Walk, method: str, status: int, headers: dict[str, str]
) -> None:
    fields = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    ending = "Content-Length: 0\r\n" if status == 412 else ""
    scripted.script = lambda seen: [f"HTTP/1.1 {status} S\r\n{fields}{ending}\r\n".encode()]
    with connect(staged) as connection:
        for _ in range(2):  # the second shows that the first left nothing behind
            wire = sign_v4(Wire(method, PATH), ALICE, staged.host)
            connection.sendall(head_of(wire))
            response = http.client.HTTPResponse(connection, method=method)
            response.begin()
            assert (response.status, response.read()) == (status, b"")
            assert headers.items() <= dict(response.headers).items()
