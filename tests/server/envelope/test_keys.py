"""Keys of objects through a running proxy: key policies, bucket keys, write-only keys."""

from __future__ import annotations

import base64
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from proxy.envelope.sizes import MIN_PART
from tests.conftest import Store
from tests.server.envelope.conftest import Sealed, fetch, sealed_proxy
from tests.server.envelope.test_multipart import complete, send, upload
from tests.server.envelope.test_single import refused

NOBODY_READS = """\
Version: "2012-10-17"
Statement: {Effect: Allow, Principal: {AWS: "*"}, Action: "kms:GenerateDataKey", Resource: "*"}
"""


def test_a_key_policy_keeps_readers_out_whom_the_bucket_lets_in(
    sealed: Sealed, moto_store: Store, tmp_path: Path, bucket: str
) -> None:
    sealed.client.put_object(Bucket=bucket, Key="key", Body=b"text")
    (tmp_path / "key-policy.yaml").write_text(NOBODY_READS)
    with sealed_proxy(tmp_path, moto_store, key_options=", policy: key-policy.yaml") as strict:
        assert refused(strict.client.get_object, Bucket=bucket, Key="key") == (403, "AccessDenied")
        strict.client.put_object(Bucket=bucket, Key="new", Body=b"text")
        assert refused(strict.client.get_object, Bucket=bucket, Key="new", Range="bytes=0-1") == (403, "AccessDenied")
        assert strict.client.head_object(Bucket=bucket, Key="new")["ContentLength"] == 4
        assert any("kms:Decrypt" in row["actions"] and row["decision"] != "allow" for row in strict.decisions())
    assert sealed.client.get_object(Bucket=bucket, Key="new")["Body"].read() == b"text"


def test_a_bucket_key_stands_in_between(sealed: Sealed, moto_store: Store, tmp_path: Path) -> None:
    bucket = sealed.bucket("kek")
    extra = '  "kek-*": {encryption: {mode: envelope, key: hr, kek: {use: always}}}'
    with sealed_proxy(tmp_path, moto_store, extra=extra) as proxy:
        for key in ("a", "b"):
            proxy.client.put_object(Bucket=bucket, Key=key, Body=key.encode())
        assert len(proxy.direct.list_objects_v2(Bucket=bucket, Prefix=".s3w/kek/")["Contents"]) == 1
        assert [row["Key"] for row in proxy.client.list_objects_v2(Bucket=bucket)["Contents"]] == ["a", "b"]
    with sealed_proxy(tmp_path, moto_store, extra=extra) as other:
        assert other.client.get_object(Bucket=bucket, Key="b")["Body"].read() == b"b"


def test_a_public_key_alone_writes_and_cannot_read(sealed: Sealed, moto_store: Store, tmp_path: Path) -> None:
    private = rsa.generate_private_key(65537, 2048)
    public = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    (tmp_path / "public.pem").write_bytes(public)
    (tmp_path / "private.pem").write_bytes(
        private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    bucket = sealed.bucket("drop")
    rule = '  "drop-*": {encryption: {mode: envelope, key: offline}}'
    write_only = '  offline: {type: rsa, public: "${file:public.pem}"}'
    with sealed_proxy(tmp_path, moto_store, keys=write_only, extra=rule) as dropping:
        dropping.client.put_object(Bucket=bucket, Key="key", Body=b"text")
        upload_id = dropping.client.create_multipart_upload(Bucket=bucket, Key="parts")["UploadId"]
        etags = {1: send(dropping.client, bucket, upload_id, 1, b"x" * MIN_PART, "parts")}
        etags[2] = send(dropping.client, bucket, upload_id, 2, b"end", "parts")
        complete(dropping.client, bucket, upload_id, etags, "parts")
        assert refused(dropping.client.get_object, Bucket=bucket, Key="key")[1] == "KMS.NotFoundException"
        sizes = [row["Size"] for row in dropping.client.list_objects_v2(Bucket=bucket)["Contents"]]
        assert sizes == [4, MIN_PART + 3]
    both = '  offline: {type: rsa, private: "${file:private.pem}"}'
    with sealed_proxy(tmp_path, moto_store, keys=both, extra=rule) as reading:
        assert reading.client.get_object(Bucket=bucket, Key="key")["Body"].read() == b"text"
        assert reading.client.get_object(Bucket=bucket, Key="parts")["Body"].read() == b"x" * MIN_PART + b"end"


def test_customer_keys_are_refused_and_never_ignored(sealed: Sealed, bucket: str) -> None:
    own = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": "k" * 32}
    assert refused(sealed.client.put_object, Bucket=bucket, Key="key", Body=b"x", **own) == (400, "InvalidRequest")


def test_a_key_that_is_disabled_serves_no_object_that_is_still_in_memory(
    sealed: Sealed, moto_store: Store, tmp_path: Path, bucket: str
) -> None:
    upload(sealed.client, bucket, {1: b"x" * MIN_PART, 2: b"end"}, "parts")
    with sealed_proxy(tmp_path, moto_store, extra="") as proxy:
        part = {"Bucket": bucket, "Key": "parts", "Range": f"bytes={MIN_PART}-"}
        assert proxy.client.get_object(**part)["Body"].read() == b"end"
        config = tmp_path / "config.yaml"
        config.write_text(config.read_text().replace("hr: {type: aes,", "hr: {type: aes, enabled: false,"))
        fetch(f"http://127.0.0.1:{proxy.admin}/-/reload", b"").close()
        assert refused(proxy.client.get_object, **part) == (400, "KMS.DisabledException")


def test_a_key_that_is_disabled_or_gone_or_another_opens_nothing_and_says_so(
    sealed: Sealed, moto_store: Store, tmp_path: Path, bucket: str
) -> None:
    under = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "ops"}
    sealed.client.put_object(Bucket=bucket, Key="key", Body=b"text", **under)
    upload(sealed.client, bucket, {1: b"x" * MIN_PART, 2: b"end"}, "parts", **under)
    wrong = base64.b64encode(b"w" * 32).decode()
    for change, answered in (
        ("ops: {type: aes, enabled: false,", (400, "KMS.DisabledException")),
        ("spo: {type: aes,", (400, "KMS.NotFoundException")),
        (f"ops: {{type: aes, material: {wrong}}}\n  old: {{type: aes,", (500, "InternalError")),
    ):
        folder = tmp_path / change[:20].replace(" ", "")
        folder.mkdir()
        with sealed_proxy(folder, moto_store) as proxy:
            config = folder / "config.yaml"
            text = config.read_text().replace("  ops: {type: aes,", f"  {change}", 1)
            config.write_text(text.replace('"ops-*": {encryption: {mode: envelope, key: ops}}', '"ops-*": {}'))
            fetch(f"http://127.0.0.1:{proxy.admin}/-/reload", b"").close()
            for key in ("key", "parts"):
                assert refused(proxy.client.get_object, Bucket=bucket, Key=key) == answered
                assert refused(proxy.client.get_object, Bucket=bucket, Key=key, Range="bytes=0-1") == answered
            copy = {"Bucket": bucket, "Key": "copy", "CopySource": f"{bucket}/key"}
            assert refused(proxy.client.copy_object, **copy) == answered
            assert proxy.client.head_object(Bucket=bucket, Key="key")["ContentLength"] == 4
    assert sealed.client.get_object(Bucket=bucket, Key="key")["Body"].read() == b"text"
