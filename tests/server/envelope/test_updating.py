"""UpdateObjectEncryption: another key for one object, and nothing else of it changes."""

from __future__ import annotations

import base64
import os
import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from proxy.audit.chain import records
from proxy.audit.journal import journal_places
from proxy.envelope.sizes import FRAME, MIN_PART
from tests.conftest import ACCOUNT, Store
from tests.server.envelope.conftest import Sealed, fetch, sealed_proxy
from tests.server.envelope.test_multipart import LARGE, upload
from tests.server.envelope.test_sse import capsule_of, context, refused, shown

ARN = f"arn:aws:kms:us-east-1:{ACCOUNT}:key/"
KEYS = f"""\
  off: {{type: aes, enabled: false, material: {base64.b64encode(bytes(32)).decode()}}}
  from-only: {{type: aes, policy: from-only.yaml, material: {base64.b64encode(b"f" * 32).decode()}}}
  to-only: {{type: aes, policy: to-only.yaml, material: {base64.b64encode(b"t" * 32).decode()}}}
"""
# moto checks no conditions of copies: what is told to go on there does.
EXTRA = """\
  "update-*": {encryption: {mode: envelope, key: hr, object_api: always, sse_c: true, sse_c_over_http: true}}
  "closed-*": {encryption: {mode: envelope, key: hr, object_api: refuse}}
audit: {path: keys.jsonl}
"""
NO_UPDATES = """\
Version: "2012-10-17"
Statement:
  - Sid: NoUpdates
    Effect: Deny
    Principal: "*"
    Action: s3:UpdateObjectEncryption
    Resource: arn:aws:s3:::update-*/kept/*
  - Sid: NeverUnderOps
    Effect: Deny
    Principal: "*"
    Action: s3:UpdateObjectEncryption
    Resource: arn:aws:s3:::update-*/not-ops/*
    Condition: {StringLike: {"s3:x-amz-server-side-encryption-aws-kms-key-id": "*/ops"}}
"""


def key_policy(*actions: str) -> str:
    listed = ", ".join(f'"{action}"' for action in actions)
    statement = f'{{Effect: Allow, Principal: {{AWS: "*"}}, Action: [{listed}], Resource: "*"}}'
    return f'Version: "2012-10-17"\nStatement: {statement}\n'


class Relay:
    """Passes connections on to a store, and counts what comes from it."""

    def __init__(self, endpoint: str) -> None:
        parts = urlsplit(endpoint)
        self.target = (parts.hostname or "", parts.port or 80)
        self.received = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            store = socket.create_connection(self.target)
            for source, sink, counts in ((client, store, False), (store, client, True)):
                threading.Thread(target=self._pass, args=(source, sink, counts), daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket, counts: bool) -> None:
        try:
            while data := source.recv(65536):
                self.received += len(data) if counts else 0
                sink.sendall(data)
        except OSError:
            pass
        finally:
            for end in (source, sink):
                end.close()


@pytest.fixture(scope="module")
def relay(moto_store: Store) -> Iterator[Relay]:
    made = Relay(moto_store.endpoint)
    yield made
    made.listener.close()


@pytest.fixture(scope="module")
def proxy(moto_store: Store, relay: Relay, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sealed]:
    folder = tmp_path_factory.mktemp("updating")
    everyday = ("kms:GenerateDataKey", "kms:Decrypt")
    (folder / "from-only.yaml").write_text(key_policy(*everyday, "kms:ReEncryptFrom"))
    (folder / "to-only.yaml").write_text(key_policy(*everyday, "kms:ReEncryptTo"))
    with sealed_proxy(
        folder, moto_store, endpoint=relay.endpoint, keys=KEYS, extra=EXTRA, policy=NO_UPDATES
    ) as running:
        yield running


@pytest.fixture
def bucket(proxy: Sealed) -> str:
    return proxy.bucket("update")


def update(proxy: Sealed, bucket: str, key: str, name: str = "ops", *, flag: bool | None = None, **more: Any) -> Any:
    wanted: dict[str, Any] = {"KMSKeyArn": name if ":" in name else ARN + name}
    if flag is not None:
        wanted["BucketKeyEnabled"] = flag
    return proxy.client.update_object_encryption(Bucket=bucket, Key=key, ObjectEncryption={"SSEKMS": wanted}, **more)


def test_the_object_is_under_the_other_key_and_all_else_is_as_it_was(proxy: Sealed, bucket: str) -> None:
    body = os.urandom(3 * FRAME)
    put = proxy.client.put_object(
        Bucket=bucket, Key="dir/key ü", Body=body, Metadata={"own": "x"}, ContentType="a/b", CacheControl="no-store",
        Tagging="t=1", ACL="public-read",
    )  # fmt: skip
    stored = proxy.direct.get_object(Bucket=bucket, Key="dir/key ü")["Body"].read()
    granted = proxy.direct.get_object_acl(Bucket=bucket, Key="dir/key ü")["Grants"]
    first = capsule_of(proxy, bucket, "dir/key ü")
    update(proxy, bucket, "dir/key ü")
    got = proxy.client.get_object(Bucket=bucket, Key="dir/key ü")
    assert got["Body"].read() == body
    assert shown(got) == {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": ARN + "ops"}
    assert (got["ETag"], got["Metadata"], got["ContentType"]) == (put["ETag"], {"own": "x"}, "a/b")
    assert got["CacheControl"] == "no-store"
    assert proxy.direct.get_object(Bucket=bucket, Key="dir/key ü")["Body"].read() == stored
    assert proxy.direct.get_object_acl(Bucket=bucket, Key="dir/key ü")["Grants"] == granted
    tags = proxy.client.get_object_tagging(Bucket=bucket, Key="dir/key ü")["TagSet"]
    assert tags == [{"Key": "t", "Value": "1"}]
    second = capsule_of(proxy, bucket, "dir/key ü")
    assert first.raw[3:35] != second.raw[3:35], "another message"
    assert [edk.key_info[:3] for edk in second.edks] == [b"ops"]


def test_not_a_byte_of_the_body_is_downloaded(proxy: Sealed, relay: Relay, bucket: str) -> None:
    proxy.client.put_object(Bucket=bucket, Key="one", Body=os.urandom(4 << 20))
    upload(proxy.client, bucket, {1: os.urandom(LARGE), 3: os.urandom(LARGE), 5: b"end"}, "parts", ACL="public-read")
    update(proxy, bucket, "one")  # the first finds out what the store checks
    before = relay.received
    update(proxy, bucket, "one", "hr")
    update(proxy, bucket, "parts")
    assert relay.received - before < 30_000


def test_objects_of_several_parts_keep_their_parts(proxy: Sealed, bucket: str) -> None:
    parts = {1: os.urandom(LARGE), 7: os.urandom(MIN_PART), 9: b"end"}
    etag = upload(proxy.client, bucket, parts, "parts", Metadata={"own": "x"}, ACL="public-read")
    client, named = proxy.client, {"Bucket": bucket, "Key": "parts"}
    assert client.get_object(**named, Range="bytes=5-9")["Body"].read() == parts[1][5:10], "remembered"
    update(proxy, bucket, "parts")
    got = client.get_object(**named)
    assert got["Body"].read() == b"".join(parts.values())
    assert (got["ETag"].rpartition("-")[2], got["Metadata"]) == (etag.rpartition("-")[2], {"own": "x"})
    assert shown(got) == shown(client.head_object(**named)) == {
        "ServerSideEncryption": "aws:kms", "SSEKMSKeyId": ARN + "ops",
    }  # fmt: skip
    assert client.get_object(**named, PartNumber=7)["Body"].read() == parts[7]
    assert client.get_object(**named, Range="bytes=5-9")["Body"].read() == parts[1][5:10]
    assert [row["Size"] for row in client.list_objects_v2(Bucket=bucket)["Contents"]] == [sum(map(len, parts.values()))]


def test_the_buckets_key_is_shown_as_sse_kms_and_bucket_keys_are_chosen(proxy: Sealed, bucket: str) -> None:
    client, named = proxy.client, {"Bucket": bucket, "Key": "key"}
    client.put_object(**named, Body=b"x")
    assert shown(client.head_object(**named)) == {"ServerSideEncryption": "AES256"}
    update(proxy, bucket, "key", "hr")
    wanted = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": ARN + "hr"}
    assert shown(client.head_object(**named)) == wanted
    update(proxy, bucket, "key", "hr", flag=True)
    assert shown(client.head_object(**named)) == {**wanted, "BucketKeyEnabled": True}
    update(proxy, bucket, "key", "hr", flag=False)
    assert shown(client.get_object(**named)) == wanted


def test_the_clients_context_stays_with_the_object(proxy: Sealed, bucket: str) -> None:
    asked = {"ServerSideEncryption": "aws:kms", "SSEKMSEncryptionContext": context({"department": "hr"})}
    proxy.client.put_object(Bucket=bucket, Key="key", Body=b"x", **asked)
    update(proxy, bucket, "key")
    assert capsule_of(proxy, bucket, "key").client_context == {"department": "hr"}
    assert proxy.client.get_object(Bucket=bucket, Key="key")["Body"].read() == b"x"


def test_both_key_policies_are_asked_and_both_uses_are_on_record(proxy: Sealed, bucket: str) -> None:
    for name in ("from-only", "to-only"):
        under = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": name}
        proxy.client.put_object(Bucket=bucket, Key=name, Body=b"x", **under)
    before = capsule_of(proxy, bucket, "to-only").raw
    for key, to in (("to-only", "ops"), ("from-only", "from-only")):
        answer = refused(update, proxy=proxy, bucket=bucket, key=key, name=to)
        assert answer[:2] == (403, "AccessDenied")
        assert "kms:ReEncrypt" in answer[2]
    assert capsule_of(proxy, bucket, "to-only").raw == before
    update(proxy, bucket, "from-only", "to-only")
    trail = records(journal_places(proxy.folder / "keys.jsonl"))
    found = [
        (each["action"], each["key"].rpartition("/")[2], each["outcome"], each["operation"])
        for each in trail
        if each.get("object") == "from-only" and each.get("operation") == "UpdateObjectEncryption"
    ]
    operation = "UpdateObjectEncryption"
    assert found == [
        ("kms:ReEncryptFrom", "from-only", "allowed", operation),
        ("kms:ReEncryptTo", "from-only", "denied", operation),
        ("kms:ReEncryptFrom", "from-only", "allowed", operation),
        ("kms:ReEncryptTo", "to-only", "allowed", operation),
    ]
    assert refused(update, proxy=proxy, bucket=bucket, key="from-only")[:2] == (403, "AccessDenied")


def test_the_buckets_policy_decides_too_and_sees_the_key_in_the_body(proxy: Sealed, bucket: str) -> None:
    for key in ("kept/key", "not-ops/key"):
        proxy.client.put_object(Bucket=bucket, Key=key, Body=b"x")
        assert refused(update, proxy=proxy, bucket=bucket, key=key)[:2] == (403, "AccessDenied")
        assert capsule_of(proxy, bucket, key).edks[0].key_info[:2] == b"hr"
    update(proxy, bucket, "not-ops/key", "to-only")


@pytest.mark.parametrize(
    ("name", "answered"),
    [
        ("nobody", (400, "KMS.NotFoundException")),
        ("off", (400, "KMS.DisabledException")),
        (f"arn:aws:kms:us-east-1:{ACCOUNT}:alias/x", (400, "InvalidRequest")),
    ],
)
def test_a_key_that_cannot_be_used_changes_nothing(
    proxy: Sealed, bucket: str, name: str, answered: tuple[int, str]
) -> None:
    proxy.client.put_object(Bucket=bucket, Key="key", Body=b"x")
    assert refused(update, proxy=proxy, bucket=bucket, key="key", name=name)[:2] == answered
    assert shown(proxy.client.head_object(Bucket=bucket, Key="key")) == {"ServerSideEncryption": "AES256"}


def test_what_cannot_be_changed_is_refused_as_aws_refuses_it(proxy: Sealed, bucket: str) -> None:
    client = proxy.client
    assert refused(update, proxy=proxy, bucket=bucket, key="nothing")[:2] == (404, "NoSuchKey")
    proxy.direct.put_object(Bucket=bucket, Key="plain", Body=b"x")
    assert refused(update, proxy=proxy, bucket=bucket, key="plain")[1] == "InvalidRequest"
    own = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": "k" * 32}
    client.put_object(Bucket=bucket, Key="own", Body=b"x", **own)
    answer = refused(update, proxy=proxy, bucket=bucket, key="own")
    assert (answer[1], "DSSE-KMS or SSE-C" in answer[2]) == ("InvalidRequest", True)


def test_a_locked_object_is_left_alone(proxy: Sealed) -> None:
    bucket = proxy.bucket("update") + "-locked"
    proxy.direct.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
    until = datetime.now(UTC) + timedelta(days=1)
    proxy.client.put_object(Bucket=bucket, Key="kept", Body=b"x")
    lock = {"Mode": "GOVERNANCE", "RetainUntilDate": until}
    proxy.client.put_object_retention(Bucket=bucket, Key="kept", Retention=lock)
    answer = refused(update, proxy=proxy, bucket=bucket, key="kept")
    assert (answer[:2], "Object Lock" in answer[2]) == ((403, "AccessDenied"), True)
    proxy.client.put_object(Bucket=bucket, Key="held", Body=b"x")
    proxy.client.put_object_legal_hold(Bucket=bucket, Key="held", LegalHold={"Status": "ON"})
    assert refused(update, proxy=proxy, bucket=bucket, key="held")[:2] == (403, "AccessDenied")
    proxy.client.put_object_legal_hold(Bucket=bucket, Key="held", LegalHold={"Status": "OFF"})
    update(proxy, bucket, "held")
    assert proxy.client.get_object(Bucket=bucket, Key="held")["Body"].read() == b"x"


@pytest.mark.parametrize("kind", ["update", "sealed"])
def test_with_versions_it_is_a_new_version_and_old_ones_stay(proxy: Sealed, kind: str) -> None:
    client, bucket = proxy.client, proxy.bucket(kind)
    proxy.direct.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    old = client.put_object(Bucket=bucket, Key="key", Body=b"old")["VersionId"]
    current = client.put_object(Bucket=bucket, Key="key", Body=b"current")["VersionId"]
    assert refused(update, proxy=proxy, bucket=bucket, key="key", VersionId=old)[:2] == (501, "NotImplemented")
    answer = update(proxy, bucket, "key", VersionId=current)
    made = answer["ResponseMetadata"]["HTTPHeaders"]["x-amz-version-id"]
    assert made not in (old, current)
    head = client.head_object(Bucket=bucket, Key="key")
    assert (head["VersionId"], head["SSEKMSKeyId"]) == (made, ARN + "ops")
    assert client.get_object(Bucket=bucket, Key="key")["Body"].read() == b"current"
    for version, body in ((old, b"old"), (current, b"current")):
        got = client.get_object(Bucket=bucket, Key="key", VersionId=version)
        assert (got["Body"].read(), got["ServerSideEncryption"]) == (body, "AES256")
    assert refused(update, proxy=proxy, bucket=bucket, key="key", VersionId=current)[0] == 501
    update(proxy, bucket, "key", "hr")
    client.delete_object(Bucket=bucket, Key="key")
    assert refused(update, proxy=proxy, bucket=bucket, key="key")[:2] == (404, "NoSuchKey")


def test_a_store_that_checks_nothing_is_found_out_and_nothing_is_put_at_risk(proxy: Sealed) -> None:
    bucket = proxy.bucket()
    proxy.client.put_object(Bucket=bucket, Key="key", Body=b"x")
    assert refused(update, proxy=proxy, bucket=bucket, key="key")[:2] == (501, "NotImplemented")
    assert [row["Key"] for row in proxy.direct.list_objects_v2(Bucket=bucket)["Contents"]] == ["key"]
    assert proxy.client.get_object(Bucket=bucket, Key="key")["Body"].read() == b"x"


def test_the_configuration_can_forbid_it(proxy: Sealed) -> None:
    bucket = proxy.bucket("closed")
    proxy.client.put_object(Bucket=bucket, Key="key", Body=b"x")
    assert refused(update, proxy=proxy, bucket=bucket, key="key")[:2] == (403, "AccessDenied")


def test_an_identity_with_a_credential_of_its_own_at_the_store_uses_that(moto_store: Store, tmp_path: Path) -> None:
    with sealed_proxy(tmp_path, moto_store, keys=KEYS.partition("  from-only")[0], extra=EXTRA) as own:
        config = tmp_path / "config.yaml"
        mine = (
            "    policies: [full-access.yaml]\n    upstream: {access_key_id: AKIAOWN, secret_access_key: own-secret}\n"
        )
        config.write_text(config.read_text().replace("    policies: [full-access.yaml]\n", mine, 1))
        fetch(f"http://127.0.0.1:{own.admin}/-/reload", b"").close()
        bucket, parts = own.bucket("update"), {1: os.urandom(LARGE), 2: b"end"}
        own.client.put_object(Bucket=bucket, Key="one", Body=b"x")
        upload(own.client, bucket, parts, "parts", ACL="public-read")
        for key, body in (("one", b"x"), ("parts", b"".join(parts.values()))):
            update(own, bucket, key)
            got = own.client.get_object(Bucket=bucket, Key=key)
            assert (got["Body"].read(), got["SSEKMSKeyId"]) == (body, ARN + "ops")
        assert [row["Key"] for row in own.direct.list_objects_v2(Bucket=bucket)["Contents"]] == ["one", "parts"]
