"""What S3 does with SSE-S3 and SSE-KMS, as cases for any store; the clients are boto3 and the AWS CLI.

What is looked at follows Ceph's s3-tests (`test_sse_kms_*`, `test_sse_s3_*`); the cases are written anew.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from proxy.envelope.sizes import FRAME, MIN_PART
from tests.conftest import ACCOUNT
from tests.journeys.clients.catalogue import ENVIRONMENTS
from tests.server.envelope.conftest import Sealed
from tests.server.envelope.test_multipart import LARGE, upload
from tests.server.envelope.test_sse import ARN, context, post, refused, shown, with_header

RULES = """\
  "kms-*": {encryption: {mode: envelope, key: hr, kek: {use: always}}}
"""
SSE = "x-amz-server-side-encryption"
S3 = {"ServerSideEncryption": "AES256"}
KMS = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "ops"}
WISHES = {
    "nothing": ({}, S3),
    "SSE-S3": (S3, S3),
    "SSE-KMS": (KMS, {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": ARN + "ops"}),
    "SSE-KMS without a key": (
        {"ServerSideEncryption": "aws:kms"},
        {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": ARN + "hr"},
    ),
}
AWS = ENVIRONMENTS / "tools" / "bin" / "aws"


def aws(sse: Sealed, *words: str) -> Any:
    """Run the AWS CLI and return what it says."""
    assert AWS.exists(), "the AWS CLI is not installed: make .venv-clients"
    config = sse.folder / "aws.ini"
    config.write_text("[default]\nregion = us-east-1\ns3 =\n    addressing_style = path\n")
    environment = {
        **os.environ, "AWS_CONFIG_FILE": str(config), "AWS_ACCESS_KEY_ID": "AKIAALICE",
        "AWS_SECRET_ACCESS_KEY": "alice-secret", "AWS_MAX_ATTEMPTS": "1", "AWS_DEFAULT_OUTPUT": "json",
    }  # fmt: skip
    done = subprocess.run(
        [str(AWS), "--endpoint-url", sse.endpoint, *words],
        env=environment,
        capture_output=True,
        check=False,
        timeout=60,
    )
    said = done.stdout.decode()
    if done.returncode:
        return done.stderr.decode()
    return json.loads(said) if said.startswith("{") else said


@pytest.mark.parametrize("wish", WISHES)
class SseCases:
    """Each way of asking, on a store that the fixture `sse` brings."""

    @pytest.mark.parametrize("size", [0, 1, 13, 1024, FRAME, 1 << 20])
    def test_a_transfer_gives_back_what_went_in(self, sse: Sealed, wish: str, size: int) -> None:
        asked, wanted = WISHES[wish]
        bucket, body = sse.bucket(), os.urandom(size)
        assert shown(sse.client.put_object(Bucket=bucket, Key="key", Body=body, **asked)) == wanted
        got = sse.client.get_object(Bucket=bucket, Key="key")
        assert (got["Body"].read(), shown(got)) == (body, wanted)
        stored = sse.direct.get_object(Bucket=bucket, Key="key")["Body"].read()
        assert size < 13 or body not in stored

    def test_a_head_shows_the_encryption_and_takes_no_headers_about_it(self, sse: Sealed, wish: str) -> None:
        asked, wanted = WISHES[wish]
        bucket = sse.bucket()
        sse.client.put_object(Bucket=bucket, Key="key", Body=b"x" * 1000, **asked)
        named = {"Bucket": bucket, "Key": "key"}
        head = sse.client.head_object(**named)
        assert (shown(head), head["ContentLength"]) == (wanted, 1000)
        for operation in ("HeadObject", "GetObject"):
            headers = {SSE: wanted["ServerSideEncryption"]}
            assert refused(with_header, proxy=sse, operation=operation, headers=headers, **named)[0] == 400

    def test_an_upload_in_parts_is_encrypted_whole_and_read_in_pieces(self, sse: Sealed, wish: str) -> None:
        asked, wanted = WISHES[wish]
        bucket = sse.bucket()
        parts = {1: os.urandom(LARGE), 2: os.urandom(MIN_PART), 3: os.urandom(1000)}
        body = b"".join(parts.values())
        metadata = {"foo": "bar"}
        upload(sse.client, bucket, parts, Metadata=metadata, ContentType="text/bla", **asked)
        got = sse.client.get_object(Bucket=bucket, Key="key")
        assert (got["Body"].read(), got["Metadata"], got["ContentType"]) == (body, metadata, "text/bla")
        assert shown(got) == shown(sse.client.head_object(Bucket=bucket, Key="key")) == wanted
        for step in (1_000_000, 3_333_333):
            for start in range(0, len(body), step):
                span = f"bytes={start}-{start + step - 1}"
                piece = sse.client.get_object(Bucket=bucket, Key="key", Range=span)
                assert piece["Body"].read() == body[start : start + step]
        [row] = sse.client.list_objects_v2(Bucket=bucket)["Contents"]
        assert row["Size"] == len(body)

    def test_a_copy_asks_for_itself(self, sse: Sealed, wish: str) -> None:
        asked, wanted = WISHES[wish]
        here, there = sse.bucket(), sse.bucket("mixed")
        sse.client.put_object(Bucket=here, Key="key", Body=b"text", Metadata={"own": "x"}, **KMS)
        copied = sse.client.copy_object(Bucket=there, Key="copy", CopySource=f"{here}/key", **asked)
        assert shown(copied) == wanted
        got = sse.client.get_object(Bucket=there, Key="copy")
        assert (got["Body"].read(), got["Metadata"], shown(got)) == (b"text", {"own": "x"}, wanted)

    def test_a_form_asks_in_its_fields(self, sse: Sealed, wish: str) -> None:
        asked, wanted = WISHES[wish]
        names = {"ServerSideEncryption": SSE, "SSEKMSKeyId": f"{SSE}-aws-kms-key-id"}
        bucket = sse.bucket()
        with post(sse, bucket, {names[name]: value for name, value in asked.items()}) as answer:
            assert answer.headers[SSE] == wanted["ServerSideEncryption"]
        got = sse.client.get_object(Bucket=bucket, Key="form")
        assert (got["Body"].read(), shown(got)) == (b"file", wanted)

    def test_the_aws_cli_uploads_and_downloads(self, sse: Sealed, wish: str, tmp_path: Path) -> None:
        asked, wanted = WISHES[wish]
        words = []
        if asked:
            words = ["--sse", asked["ServerSideEncryption"]]
            words += ["--sse-kms-key-id", asked["SSEKMSKeyId"]] if "SSEKMSKeyId" in asked else []
        bucket, body = sse.bucket(), os.urandom((8 << 20) + 5)  # more than its threshold for parts
        (tmp_path / "up").write_bytes(body)
        aws(sse, "s3", "cp", "--quiet", *words, str(tmp_path / "up"), f"s3://{bucket}/key")
        aws(sse, "s3", "cp", "--quiet", f"s3://{bucket}/key", str(tmp_path / "down"))
        assert (tmp_path / "down").read_bytes() == body
        assert shown(aws(sse, "s3api", "head-object", "--bucket", bucket, "--key", "key")) == wanted


class RefusalCases:
    """What none of the ways of asking is."""

    @pytest.mark.parametrize(
        ("asked", "answered"),
        [
            ({"SSEKMSKeyId": "testkey-1"}, (400, "InvalidArgument")),
            ({**S3, "SSEKMSKeyId": "ops"}, (400, "InvalidArgument")),
            ({**KMS, "SSEKMSKeyId": "testkey-1"}, (400, "KMS.NotFoundException")),
            ({**KMS, "SSEKMSKeyId": "off"}, (400, "KMS.DisabledException")),
            ({**KMS, "SSEKMSEncryptionContext": "e30"}, (400, "InvalidArgument")),
            ({**KMS, "SSEKMSEncryptionContext": context([])}, (400, "InvalidArgument")),
            ({"ServerSideEncryption": "aws:kms:dsse"}, (501, "NotImplemented")),
        ],
    )
    def test_what_is_wrong_is_refused_and_stores_nothing(
        self, sse: Sealed, asked: dict[str, str], answered: tuple[int, str]
    ) -> None:
        bucket = sse.bucket()
        put = {"Bucket": bucket, "Key": "key"}
        assert refused(sse.client.put_object, **put, Body=b"x", **asked)[:2] == answered
        assert refused(sse.client.create_multipart_upload, **put, **asked)[:2] == answered
        assert sse.direct.list_objects_v2(Bucket=bucket)["KeyCount"] == 0

    def test_the_aws_cli_is_told_too(self, sse: Sealed, tmp_path: Path) -> None:
        (tmp_path / "up").write_bytes(b"x")
        words = ["--sse", "aws:kms", "--sse-kms-key-id", "testkey-1", str(tmp_path / "up"), f"s3://{sse.bucket()}/key"]
        assert "KMS.NotFoundException" in aws(sse, "s3", "cp", *words)

    def test_the_buckets_default_is_told_and_used(self, sse: Sealed) -> None:
        bucket = sse.bucket("kms")
        told = aws(sse, "s3api", "get-bucket-encryption", "--bucket", bucket)["ServerSideEncryptionConfiguration"]
        [rule] = told["Rules"]
        default = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": f"arn:aws:kms:us-east-1:{ACCOUNT}:key/hr"}
        assert (rule["ApplyServerSideEncryptionByDefault"], rule["BucketKeyEnabled"]) == (default, True)
        put = sse.client.put_object(Bucket=bucket, Key="key", Body=b"x", ServerSideEncryption="aws:kms")
        assert (put["SSEKMSKeyId"], put["BucketKeyEnabled"]) == (default["KMSMasterKeyID"], True)
        refusal = aws(sse, "s3api", "delete-bucket-encryption", "--bucket", bucket)
        assert "AccessDenied" in refusal
        assert sse.client.get_object(Bucket=bucket, Key="key")["Body"].read() == b"x"
