"""Where keys of clients (SSE-C) are taken, what is left of them, and what a hostile store can do about it."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from proxy.audit.chain import records
from proxy.audit.journal import journal_places
from proxy.audit.render import RENDERINGS
from proxy.cli.exits import Exit
from proxy.cli.main import main
from proxy.envelope.capsule import parse_capsule
from proxy.envelope.context import object_arn
from proxy.envelope.entropy import SystemEntropy
from proxy.envelope.metadata import decode_value
from proxy.envelope.sizes import FRAME, MIN_PART
from proxy.envelope.state import StateSeal
from tests.conftest import ACCOUNT, Store
from tests.server.envelope.conftest import Sealed, fetch, s3_client, sealed_proxy
from tests.server.envelope.customer_cases import (
    KEY,
    OTHER,
    RULES,
    code_and_words,
    key,
    own_upload,
    source_key,
    with_fields,
)
from tests.server.envelope.customer_links import answer_to
from tests.server.envelope.test_attacks import flip, read
from tests.server.envelope.test_interop import opened
from tests.server.envelope.test_multipart import LARGE, complete, leftovers
from tests.server.envelope.test_single import refused
from tests.server.envelope.test_sse import with_header

pytestmark = pytest.mark.filterwarnings("ignore")

MORE = """\
  "taken-*": {encryption: {mode: envelope, key: hr, sse_c: true}}
  "store-*": {encryption: {mode: forward}}
trusted_proxies: [127.0.0.1/32]
audit: {path: keys.jsonl}
"""
NAMED = """\
Version: "2012-10-17"
Statement:
  - Effect: Deny
    Principal: "*"
    Action: s3:PutObject
    Resource: arn:aws:s3:::own-*/hr/*
    Condition: {StringLike: {"s3w:EnvelopeKeyId": "sse-c"}}
  - Effect: Deny
    Principal: "*"
    Action: s3:PutObject
    Resource: arn:aws:s3:::own-*/private/*
    Condition: {"Null": {"s3:x-amz-server-side-encryption-customer-algorithm": "true"}}
"""


@pytest.fixture(scope="module")
def own(moto_store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sealed]:
    """A proxy with buckets that take keys of clients, and some that do not; it keeps a trail."""
    with sealed_proxy(tmp_path_factory.mktemp("own"), moto_store, extra=RULES + MORE, policy=NAMED) as running:
        yield running


@pytest.fixture
def bucket(own: Sealed) -> str:
    return own.bucket("own")


@contextmanager
def through_tls(client: Any) -> Iterator[None]:
    """Ask as through a proxy in front that ends TLS."""

    def add(request: Any, **_: Any) -> None:
        request.headers["X-Forwarded-For"] = "192.0.2.1"
        request.headers["X-Forwarded-Proto"] = "https"

    client.meta.events.register("before-send.s3", add)
    try:
        yield
    finally:
        client.meta.events.unregister("before-send.s3", add)


def uses(own: Sealed, name: str) -> list[dict[str, Any]]:
    return [record for record in records(journal_places(own.folder / "keys.jsonl")) if record.get("object") == name]


def test_a_key_is_taken_over_tls_only(own: Sealed) -> None:
    bucket = own.bucket("taken")
    arguments = {"Bucket": bucket, "Key": "key"}
    status, code, words = code_and_words(own.client.put_object, **arguments, Body=b"text", **key())
    assert (status, code) == (400, "InvalidRequest")
    assert "must be made over a secure connection" in words
    with through_tls(own.client):
        own.client.put_object(**arguments, Body=b"text", **key())
        assert own.client.get_object(**arguments, **key())["Body"].read() == b"text"
    for call in (own.client.get_object, own.client.head_object, own.client.create_multipart_upload):
        assert refused(call, **arguments, **key())[0] == 400
    copy = {"Bucket": own.bucket("own"), "Key": "copy", "CopySource": f"{bucket}/key"}
    assert refused(own.client.copy_object, **copy, **source_key()) == (400, "InvalidRequest")


def test_a_bucket_takes_keys_for_new_objects_where_it_says_so(own: Sealed, moto_store: Store, tmp_path: Path) -> None:
    bucket = own.bucket("own")
    own.client.put_object(Bucket=bucket, Key="key", Body=b"text", **key())
    upload_id = own.client.create_multipart_upload(Bucket=bucket, Key="parts", **key())["UploadId"]
    closed = RULES.replace(
        '"own-*": {encryption: {mode: envelope, key: hr, sse_c: true,',
        '"own-*": {encryption: {mode: envelope, key: hr,',
    )
    with sealed_proxy(tmp_path, moto_store, extra=closed) as later:
        client = later.client
        for call in (client.put_object, client.create_multipart_upload):
            assert refused(call, Bucket=bucket, Key="new", **key()) == (403, "AccessDenied")
        copy = {"Bucket": bucket, "Key": "new", "CopySource": f"{bucket}/key"}
        assert refused(client.copy_object, **copy, **source_key(), **key(OTHER)) == (403, "AccessDenied")
        assert client.get_object(Bucket=bucket, Key="key", **key())["Body"].read() == b"text"
        client.copy_object(**copy, **source_key())
        assert client.get_object(Bucket=bucket, Key="new")["Body"].read() == b"text"
        arguments = {"Bucket": bucket, "Key": "parts", "UploadId": upload_id}
        etag = client.upload_part(**arguments, PartNumber=1, Body=b"part", **key())["ETag"]
        complete(client, bucket, upload_id, {1: etag}, "parts")
        assert client.get_object(Bucket=bucket, Key="parts", **key())["Body"].read() == b"part"


def test_a_key_goes_to_no_store_in_the_clear(own: Sealed) -> None:
    bucket, source = own.bucket("store"), own.bucket("own")
    own.client.put_object(Bucket=source, Key="key", Body=b"text")
    with through_tls(own.client):
        arguments = {"Bucket": bucket, "Key": "key"}
        assert refused(own.client.put_object, **arguments, Body=b"x", **key()) == (400, "InvalidRequest")
        assert refused(own.client.create_multipart_upload, **arguments, **key()) == (400, "InvalidRequest")
        copy = {**arguments, "CopySource": f"{source}/key"}
        assert refused(own.client.copy_object, **copy, **key()) == (400, "InvalidRequest")
        own.direct.put_object(**arguments, Body=b"x")
        back = {"Bucket": source, "Key": "back", "CopySource": f"{bucket}/key"}
        assert refused(own.client.copy_object, **back, **source_key()) == (400, "InvalidRequest")
        assert refused(own.client.get_object, **arguments, **key()) == (400, "InvalidRequest")


def test_the_next_part_and_the_end_come_to_another_proxy(own: Sealed, moto_store: Store, tmp_path: Path) -> None:
    bucket = own.bucket("own")
    upload_id = own.client.create_multipart_upload(Bucket=bucket, Key="key", **key())["UploadId"]
    arguments = {"Bucket": bucket, "Key": "key", "UploadId": upload_id}
    first, second = os.urandom(LARGE), os.urandom(100)
    etags = {1: own.client.upload_part(**arguments, PartNumber=1, Body=first, **key())["ETag"]}
    with sealed_proxy(tmp_path, moto_store, extra=RULES) as other:
        part = {**arguments, "PartNumber": 2, "Body": second}
        assert refused(other.client.upload_part, **part, **key(OTHER)) == (400, "InvalidRequest")
        assert refused(other.client.upload_part, **part) == (400, "InvalidRequest")
        etags[2] = other.client.upload_part(**part, **key())["ETag"]
        complete(other.client, bucket, upload_id, etags)
    assert own.client.get_object(Bucket=bucket, Key="key", **key())["Body"].read() == first + second
    assert leftovers(own, bucket) == []


def test_policies_tell_keys_of_clients_from_others(own: Sealed, bucket: str) -> None:
    put = own.client.put_object
    assert refused(put, Bucket=bucket, Key="hr/key", Body=b"x", **key()) == (403, "AccessDenied")
    put(Bucket=bucket, Key="hr/key", Body=b"x")
    assert refused(put, Bucket=bucket, Key="private/key", Body=b"x") == (403, "AccessDenied")
    put(Bucket=bucket, Key="private/key", Body=b"x", **key())
    own_upload(own.client, bucket, {1: b"part"}, "private/parts")


def test_every_use_is_on_record_under_a_name_that_stands_for_all_keys(own: Sealed, bucket: str) -> None:
    own.client.put_object(Bucket=bucket, Key="recorded", Body=b"text", **key())
    own.client.get_object(Bucket=bucket, Key="recorded", **key())
    refused(own.client.get_object, Bucket=bucket, Key="recorded", **key(OTHER))
    found = uses(own, "recorded")
    assert [(each["action"], each["key"], each["outcome"]) for each in found] == [
        ("kms:GenerateDataKey", "sse-c", "allowed"),
        ("kms:Decrypt", "sse-c", "allowed"),
        ("kms:Decrypt", "sse-c", "failed"),
    ]
    assert found[2]["error"] == "AccessDenied"
    assert found[0]["principal"].endswith(":user/alice")
    for render in RENDERINGS.values():
        assert "sse-c" in json.dumps(render(found[0]))


SSE = "x-amz-server-side-encryption"
KEY_ARN = f"arn:aws:kms:us-east-1:{ACCOUNT}:key/hr"


@pytest.mark.parametrize(
    "beside",
    [
        {SSE: "AES256"},
        {SSE: "aws:kms", f"{SSE}-aws-kms-key-id": KEY_ARN},
        {f"{SSE}-aws-kms-key-id": KEY_ARN},
        {f"{SSE}-context": base64.b64encode(b'{"a":"b"}').decode()},
    ],
    ids=["SSE-S3", "SSE-KMS", "a key's name alone", "a context alone"],
)
@pytest.mark.parametrize("kind", ["own", "plain"])
def test_no_policy_goes_by_the_name_of_a_key_that_encrypts_nothing(
    own: Sealed, kind: str, beside: dict[str, str]
) -> None:
    bucket = own.bucket(kind)
    named = {"Bucket": bucket, "Key": "both", **key()}
    for operation, more in (("PutObject", {"Body": b"x"}), ("CreateMultipartUpload", {})):
        with pytest.raises(ClientError) as raised:
            with_header(own, operation, beside, **named, **more)
        answer = raised.value.response
        assert (answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"]) == (400, "InvalidArgument")
        assert "Customer provided key is incompatible" in answer["Error"]["Message"]
    assert own.direct.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def traces(secret: bytes) -> list[bytes]:
    """Return what would give a key away: itself and its digests, in the forms in which bytes are written."""
    found = [secret]
    found += [hashlib.new(name, secret).digest() for name in ("md5", "sha1", "sha256", "sha512", "blake2b")]
    written: list[bytes] = []
    for raw in found:
        text = base64.b64encode(raw)
        written += [raw, text, text.rstrip(b"="), base64.urlsafe_b64encode(raw), raw.hex().encode(), repr(raw).encode()]
        written += [urllib.parse.quote(text, safe="").encode(), raw.hex().upper().encode(), base64.b64encode(text)]
    return written


def test_no_key_and_no_digest_of_one_is_left_anywhere(moto_store: Store, tmp_path: Path) -> None:
    secret, other = os.urandom(32), os.urandom(32)
    told: list[str] = []

    def fails(call: Any, **arguments: Any) -> None:
        with pytest.raises(ClientError) as raised:
            call(**arguments)
        told.append(f"{raised.value} {raised.value.response}")

    with sealed_proxy(tmp_path, moto_store, extra=RULES + MORE + "log: {level: debug}\n") as own:
        bucket, client = own.bucket("own"), own.client
        named = {"Bucket": bucket, "Key": "key"}
        client.put_object(**named, Body=b"text", ChecksumAlgorithm="SHA256", **key(secret))
        client.get_object(**named, **key(secret))
        client.copy_object(Bucket=bucket, Key="copy", CopySource=f"{bucket}/key", **source_key(secret), **key(other))
        own_upload(client, bucket, {1: os.urandom(LARGE), 2: b"end"}, "parts", secret)
        client.get_object(Bucket=bucket, Key="parts", Range="bytes=5-9", **key(secret))
        upload_id = client.create_multipart_upload(Bucket=bucket, Key="open", **key(secret))["UploadId"]
        client.upload_part(Bucket=bucket, Key="open", UploadId=upload_id, PartNumber=1, Body=b"x", **key(secret))
        fails(client.get_object, **named, **key(other))
        fails(client.put_object, **named, Body=b"x", ServerSideEncryption="AES256", **key(secret))
        fails(client.put_object, Bucket=own.bucket("sealed"), Key="key", Body=b"x", **key(secret))
        for changed in ({"key_md5": None}, {"key_md5": "AAAA"}, {"algorithm": "AES128"}, {"key": f"{secret.hex()}"}):
            with with_fields(client, **changed):
                fails(client.put_object, **named, Body=b"x", **key(secret))
        client.put_object(Bucket=bucket, Key="plain", Body=b"x")
        fails(client.get_object, Bucket=bucket, Key="plain", **key(secret))
        for version in ("s3", "s3v4"):
            forger = s3_client(own.endpoint, "AKIAALICE", "another-secret", signature_version=version)
            fails(forger.get_object, **named, **key(secret))
            url = forger.generate_presigned_url("get_object", Params={**named, **key(secret)})
            told.append(answer_to(lambda url=url: fetch(url))[1])
        own.rewrite(bucket, "key", body=b"damaged")
        fails(client.get_object, **named, **key(secret))
        with fetch(f"http://127.0.0.1:{own.admin}/metrics") as answer:
            told.append(answer.read().decode())
        stored = []
        for row in own.direct.list_objects_v2(Bucket=bucket)["Contents"]:
            found = own.direct.get_object(Bucket=bucket, Key=row["Key"])
            values = list(found["Metadata"].values())
            stored += [found["Body"].read(), json.dumps(found, default=str).encode()]
            stored += [base64.b64decode(value) for value in values]
            if row["Key"].endswith("/ctx"):
                document = json.loads(stored[-2 - len(values)])
                stored += [base64.b64decode(value) for value in document["envelope"].values()]
        assert any(row["Key"].endswith("/ctx") for row in own.direct.list_objects_v2(Bucket=bucket)["Contents"])
    kept = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert any(b'"sse-c"' in each for each in kept)
    everything = b"\n".join([*kept, *stored, *(each.encode() for each in told)])
    for trace in (*traces(secret), *traces(other)):
        assert trace not in everything


CAPSULE_ATTACKS: dict[str, Callable[[dict[str, bytes]], bytes]] = {
    "that of another object under the same key": lambda raw: raw["same"],
    "that of another object under another key": lambda raw: raw["other"],
    "that of another object under a key of the proxy's": lambda raw: raw["ours"],
    "the wrapped key of another object": lambda raw: _swap_edk(raw["key"], raw["same"]),
    "bit flip in the context": lambda raw: flip(raw["key"], 40),
    "bit flip in the provider": lambda raw: flip(raw["key"], raw["key"].index(b"s3w-sse-c") + 2),
    "bit flip in the name of the key": lambda raw: flip(raw["key"], raw["key"].index(b"sse-c", 60)),
    "bit flip in the wrapped key": lambda raw: flip(raw["key"], raw["key"].index(b"sse-c\0") + 40),
    "bit flip in the commitment": lambda raw: flip(raw["key"], len(raw["key"]) - 188 - 180),
    "bit flip in the body header": lambda raw: flip(raw["key"], len(raw["key"]) - 100),
    "another kind": lambda raw: raw["key"].replace(b"1s", b"1m", 1),
}


def _swap_edk(raw: bytes, donor: bytes) -> bytes:
    mine, theirs = (parse_capsule(each)[0].edks[0] for each in (raw, donor))
    return raw.replace(mine.key_info, theirs.key_info).replace(mine.ciphertext, theirs.ciphertext)


@pytest.mark.parametrize("attack", CAPSULE_ATTACKS.values(), ids=CAPSULE_ATTACKS)
def test_a_changed_or_exchanged_capsule_never_gives_plaintext(
    own: Sealed, bucket: str, attack: Callable[[dict[str, bytes]], bytes]
) -> None:
    body = os.urandom(FRAME + 100)
    kinds: dict[str, dict[str, Any]] = {"key": key(), "same": key(), "other": key(OTHER), "ours": {}}
    for name, brought in kinds.items():
        own.client.put_object(Bucket=bucket, Key=name, Body=body, **brought)
    raw = {name: decode_value(own.direct.head_object(Bucket=bucket, Key=name)["Metadata"]["s3w"]) for name in kinds}
    changed = attack(raw)
    assert changed != raw["key"]
    own.rewrite(bucket, "key", metadata={"s3w": base64.b64encode(changed).decode()})
    for extra in ({}, {"Range": "bytes=0-5"}, {"Range": "bytes=-5"}, {"PartNumber": 1}):
        for brought in (key(), key(OTHER), {}):
            assert read(own, bucket, **extra, **brought) is None
    copy = {"Bucket": bucket, "Key": "copy", "CopySource": f"{bucket}/key"}
    for brought in (source_key(), source_key(OTHER), {}):
        # A copy looks into no body: what is wrong with one shows at the copy.
        with suppress(ClientError):
            own.client.copy_object(**copy, **brought)
        assert read(own, bucket, "copy") is None


@pytest.mark.parametrize("donor", ["same", "other"])
def test_parts_under_the_capsule_of_another_upload_never_give_plaintext(own: Sealed, bucket: str, donor: str) -> None:
    parts = {1: os.urandom(LARGE), 2: os.urandom(100)}
    for name, secret in (("key", KEY), ("same", KEY), ("other", OTHER)):
        own_upload(own.client, bucket, parts, name, secret)
    own.client.get_object(Bucket=bucket, Key="key", Range="bytes=0-5", **key())
    value = own.direct.head_object(Bucket=bucket, Key=donor)["Metadata"]["s3w"]
    own.rewrite(bucket, "key", metadata={"s3w": value})
    for extra in ({}, {"Range": "bytes=0-5"}, {"PartNumber": 2}):
        for brought in (key(), key(OTHER), {}):
            assert read(own, bucket, **extra, **brought) is None


def test_the_state_of_another_upload_ends_none(own: Sealed, bucket: str) -> None:
    """The key of the trailer that lies beside an upload is another upload's: the object is not read with it."""
    uploads = {}
    for name, secret in (("key", KEY), ("other", OTHER)):
        arguments = {"Bucket": bucket, "Key": name}
        upload_id = own.client.create_multipart_upload(**arguments, **key(secret))["UploadId"]
        part = {"UploadId": upload_id, "PartNumber": 1, "Body": os.urandom(MIN_PART)}
        uploads[name] = upload_id, own.client.upload_part(**arguments, **part, **key(secret))["ETag"]
    contexts = [row["Key"] for row in own.direct.list_objects_v2(Bucket=bucket, Prefix=".s3w/")["Contents"]]
    bodies = {name: json.loads(own.direct.get_object(Bucket=bucket, Key=name)["Body"].read()) for name in contexts}
    first, second = contexts
    for one, another in ((first, second), (second, first)):
        mixed = {**bodies[one], "envelope": {**bodies[one]["envelope"], "tail": bodies[another]["envelope"]["tail"]}}
        own.direct.put_object(Bucket=bucket, Key=one, Body=json.dumps(mixed).encode())
    for name, (upload_id, etag) in uploads.items():
        with pytest.raises(ClientError):
            complete(own.client, bucket, upload_id, {1: etag}, name)


def test_an_upload_keeps_the_key_of_its_trailer_and_no_other(own: Sealed, bucket: str) -> None:
    own.client.create_multipart_upload(Bucket=bucket, Key="key", **key())
    [row] = own.direct.list_objects_v2(Bucket=bucket, Prefix=".s3w/")["Contents"]
    kept = json.loads(own.direct.get_object(Bucket=bucket, Key=row["Key"])["Body"].read())["envelope"]
    assert set(kept) == {"value", "tail", "tag"}
    assert len(base64.b64decode(kept["tag"])) == 32
    seal = StateSeal([b"state-secret-of-more-than-thirty-two-bytes"], SystemEntropy())
    assert len(seal.open(base64.b64decode(kept["tail"]), object_arn(bucket, "key"))) == 32


def test_the_official_sdk_opens_it_with_the_clients_key_alone(own: Sealed, bucket: str) -> None:
    body = os.urandom(2 * FRAME + 9)
    own.client.put_object(Bucket=bucket, Key="a/ü", Body=body, **key())
    stored = own.direct.get_object(Bucket=bucket, Key="a/ü")
    capsule, header = parse_capsule(decode_value(stored["Metadata"]["s3w"]))
    context = {"aws:s3:arn": object_arn(bucket, "a/ü")}
    keys = opened(capsule.raw, "sse-c", KEY, context, namespace="s3w-sse-c")
    assert opened(header + stored["Body"].read(), "body", keys[:32]) == body


def test_commands_say_that_only_the_client_has_the_key(own: Sealed, bucket: str, capsys: Any, tmp_path: Path) -> None:
    own.client.put_object(Bucket=bucket, Key="key", Body=b"text", **key())
    config, output = str(own.folder / "config.yaml"), str(tmp_path / "out")
    for words in (["verify"], ["export", "--output", output], ["rebind", "--from", f"{bucket}/old"]):
        assert main(["object", words[0], "--config", config, *words[1:], bucket, "key"]) == Exit.ERROR
        assert "a key of its client (SSE-C)" in capsys.readouterr().err
    assert main(["scan", "--config", config, "--bucket", bucket]) in (Exit.CLEAN, Exit.BAD_NEWS)
    assert own.client.get_object(Bucket=bucket, Key="key", **key())["Body"].read() == b"text"


def test_rotation_leaves_objects_under_clients_keys_alone_and_says_so(own: Sealed, bucket: str, capsys: Any) -> None:
    own.client.put_object(Bucket=bucket, Key="key", Body=b"text", **key())
    own_upload(own.client, bucket, {1: b"part"}, "parts")
    own.client.put_object(Bucket=bucket, Key="ours", Body=b"text")
    own.client.create_multipart_upload(Bucket=bucket, Key="open", **key())
    config = str(own.folder / "config.yaml")
    assert main(["keys", "usage", "--config", config, "--bucket", bucket]) == Exit.CLEAN
    assert f"{bucket}: 2 objects are encrypted with keys of clients (SSE-C)" in capsys.readouterr().out
    assert main(["keys", "usage", "--config", config, "--bucket", bucket, "--retire", "ops"]) == Exit.CLEAN
    capsys.readouterr()
    assert main(["keys", "rewrap", "--config", config, "--bucket", bucket, "--alone"]) == Exit.CLEAN
    said = capsys.readouterr().out
    assert "0 failed" in said
    assert "2 under keys of clients (SSE-C)" in said
    for name, body in (("key", b"text"), ("parts", b"part")):
        assert own.client.get_object(Bucket=bucket, Key=name, **key())["Body"].read() == body


def test_a_store_that_counts_no_parts_reads_and_lists_them_all_the_same(rclone_store: Store, tmp_path: Path) -> None:
    parts = {1: os.urandom(MIN_PART), 2: b"end"}
    with sealed_proxy(tmp_path, rclone_store, extra=RULES, payload="unsigned") as proxy:
        bucket = proxy.bucket("own")
        own_upload(proxy.client, bucket, parts)
        proxy.client.put_object(Bucket=bucket, Key="one", Body=b"text", **key())
        assert proxy.client.get_object(Bucket=bucket, Key="key", **key())["Body"].read() == parts[1] + parts[2]
        assert proxy.client.head_object(Bucket=bucket, Key="key", **key())["ContentLength"] == MIN_PART + 3
        for call in (proxy.client.get_object, proxy.client.head_object):
            assert refused(call, Bucket=bucket, Key="key", **key(OTHER))[0] == 403
        sizes = {row["Key"]: row["Size"] for row in proxy.client.list_objects_v2(Bucket=bucket)["Contents"]}
        assert sizes == {"one": 4, "key": MIN_PART + 3}
