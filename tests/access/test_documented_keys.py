"""The reference page about condition keys says what the code does."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from proxy.access.upload_context import UploadContext
from proxy.policy.names import KEYS, Key, find_key

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "condition-keys.md"
Ask = Any


def keys_of_buckets() -> list[Key]:
    """The keys of bucket and identity policies; those of `kms:` belong to the policies of keys."""
    return [key for key in KEYS.values() if not key.name.startswith("kms:")]


def test_the_page_has_a_row_for_every_key_and_for_nothing_else() -> None:
    rows = re.findall(r"^\| `.*$", PAGE.read_text(), re.MULTILINE)
    assert sorted(rows) == sorted(f"| `{key.name}` | {key.type} | {key.about} |" for key in KEYS.values())


def test_every_key_that_has_a_source_gets_a_value_and_no_other_does(ask: Ask) -> None:
    """Sends requests until every key was seen."""
    arn = "arn:aws:kms:eu-central-1:123456789012:key/abc"
    grants = ("full-control", "read", "read-acp", "write", "write-acp")
    put = {
        "User-Agent": "u",
        "Referer": "r",
        "If-Match": "e",
        "If-None-Match": "*",
        "x-amz-acl": "private",
        **{f"x-amz-grant-{grant}": "id=1" for grant in grants},
        "x-amz-server-side-encryption": "aws:kms",
        "x-amz-server-side-encryption-aws-kms-key-id": arn,
        "x-amz-server-side-encryption-customer-algorithm": "AES256",
        "x-amz-storage-class": "STANDARD",
        "x-amz-website-redirect-location": "/",
        "x-amz-tagging": "a=1",
        "x-amz-object-lock-mode": "GOVERNANCE",
        "x-amz-object-lock-retain-until-date": "2030-01-01T00:00:00Z",
        "x-amz-object-lock-legal-hold": "ON",
    }
    tags = "<Tags><Tag><Key>a</Key><Value>1</Value></Tag></Tags>"
    bucket = f"<CreateBucketConfiguration><LocationConstraint>eu</LocationConstraint>{tags}</CreateBucketConfiguration>"
    found = [
        *ask("PUT", "/theirs/k", put, own={"s3w:envelope": "true"}),
        *ask("PUT", "/bkt/k", {"x-amz-copy-source": "from/s", "x-amz-metadata-directive": "COPY"}),
        *ask("PUT", "/bkt", {"x-amz-object-ownership": "o", "x-amz-bucket-namespace": "n"}, bucket.encode()),
        *ask("GET", "/bkt?versions&prefix=a&delimiter=b"),
        *ask("GET", "/bkt/k?versionId=1"),
        *ask("PUT", "/bkt/k?partNumber=1&uploadId=u", upload=UploadContext()),
    ]
    seen = {find_key(key) for question in found for key in question.context}
    given = {"request", "connection", "clock", "identity", "bucket"}
    assert {key.name for key in keys_of_buckets() if key.source in given and key not in seen} == set()
    assert {key.source for key in seen if key is not None} <= given | {"proxy", "mapped"}
