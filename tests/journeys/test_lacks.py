"""A store that does not know sub-resources is not asked about them once the configuration says so."""

from __future__ import annotations

from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from tests.conftest import Store
from tests.journeys.walking import walking


def test_objects_survive_what_the_store_would_misunderstand(rclone_store: Store, tmp_path: Path) -> None:
    with walking(tmp_path, rclone_store, upstream={"lacks": ["tagging", "acl", "retention", "legal-hold"]}) as running:
        s3 = running.client()
        s3.create_bucket(Bucket="lacking")
        s3.put_object(Bucket="lacking", Key="kept", Body=b"content")
        tags = {"TagSet": [{"Key": "a", "Value": "b"}]}
        for ask in (
            lambda: s3.put_object_tagging(Bucket="lacking", Key="kept", Tagging=tags),
            lambda: s3.delete_object_tagging(Bucket="lacking", Key="kept"),
            lambda: s3.put_object_acl(Bucket="lacking", Key="kept", ACL="private"),
        ):
            with pytest.raises(ClientError, match="NotImplemented"):
                ask()
        assert s3.get_object(Bucket="lacking", Key="kept")["Body"].read() == b"content"


def test_a_copy_needs_no_tags_of_a_store_that_has_none(rclone_store: Store, tmp_path: Path) -> None:
    may_not_tag = {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Action": "s3:*", "Resource": "*"},
            {"Effect": "Deny", "Action": ["s3:*Tagging"], "Resource": "*"},
        ],
    }
    with walking(tmp_path, rclone_store, upstream={"lacks": ["tagging"]}, policies={"full": may_not_tag}) as running:
        s3 = running.client()
        s3.create_bucket(Bucket="lacking-tags")
        s3.put_object(Bucket="lacking-tags", Key="source", Body=b"content")
        s3.copy_object(Bucket="lacking-tags", Key="copy", CopySource={"Bucket": "lacking-tags", "Key": "source"})
        assert s3.get_object(Bucket="lacking-tags", Key="copy")["Body"].read() == b"content"
