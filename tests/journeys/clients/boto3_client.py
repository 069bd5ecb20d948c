"""boto3, the AWS SDK for Python."""

from __future__ import annotations

from email.header import Header, decode_header, make_header

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.journeys.clients.journey import BODY, LARGE, MANY, ODD_KEYS, UNICODE, refused, same, target, walk

PART = 6 << 20
# A slash at either end, two in a row, and segments that a path would swallow: all are names of objects.
ODDER_KEYS = ("odd//x", "odd/../y", "odd/./z", "odd/ends/", "odd/\\q", 'odd/"&<>')


class Boto3:
    def __init__(self) -> None:
        self.to = target()
        self.s3 = boto3.client(
            "s3",
            endpoint_url=self.to.endpoint,
            aws_access_key_id=self.to.access_key_id,
            aws_secret_access_key=self.to.secret_access_key,
            region_name=self.to.region,
            verify=self.to.authority_file,
            config=Config(retries={"max_attempts": 1}, s3={"addressing_style": self.to.style}),
        )
        self.bucket = self.to.bucket

    def make_bucket(self):
        self.s3.create_bucket(Bucket=f"{self.bucket}-made")
        assert f"{self.bucket}-made" in [each["Name"] for each in self.s3.list_buckets()["Buckets"]]
        self.s3.delete_bucket(Bucket=f"{self.bucket}-made")

    def put_and_get(self):
        self.s3.put_object(Bucket=self.bucket, Key="plain", Body=BODY, ContentType="text/x")
        got = self.s3.get_object(Bucket=self.bucket, Key="plain")
        same((got["Body"].read(), got["ContentType"]), (BODY, "text/x"))

    def head(self):
        same(self.s3.head_object(Bucket=self.bucket, Key="plain")["ContentLength"], len(BODY))
        try:
            self.s3.head_object(Bucket=self.bucket, Key="missing")
        except ClientError as error:
            same(error.response["Error"]["Code"], "404")

    def ranges(self):
        for asked, wanted in (("bytes=1-9", BODY[1:10]), ("bytes=-5", BODY[-5:]), ("bytes=790-", BODY[790:])):
            got = self.s3.get_object(Bucket=self.bucket, Key="plain", Range=asked)
            same((got["ResponseMetadata"]["HTTPStatusCode"], got["Body"].read()), (206, wanted))

    def empty(self):
        self.s3.put_object(Bucket=self.bucket, Key="empty", Body=b"")
        same(self.s3.get_object(Bucket=self.bucket, Key="empty")["Body"].read(), b"")

    def metadata(self):
        # It takes ASCII only, so a program writes such text as mail does, which is also what S3 answers.
        word = Header(UNICODE, "utf-8").encode()
        self.s3.put_object(Bucket=self.bucket, Key="meta", Body=b"x", Metadata={"name": word})
        found = self.s3.head_object(Bucket=self.bucket, Key="meta")["Metadata"]["name"]
        same(str(make_header(decode_header(found))), UNICODE)

    def odd_keys(self):
        keys = ODD_KEYS + (ODDER_KEYS if self.to.store == "moto" else ())
        for key in keys:
            self.s3.put_object(Bucket=self.bucket, Key=key, Body=key.encode())
        listed = self.s3.list_objects_v2(Bucket=self.bucket, Prefix="odd/")["Contents"]
        same(sorted(each["Key"] for each in listed), sorted(keys))
        for key in keys:
            same(self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read(), key.encode())

    def pages(self):
        pages = self.s3.get_paginator("list_objects_v2").paginate(
            Bucket=self.to.listed, Prefix="many/", PaginationConfig={"PageSize": 300}
        )
        found = [[each["Key"] for each in page["Contents"]] for page in pages]
        same((len(found), len({key for page in found for key in page})), (4, MANY))
        old = self.s3.get_paginator("list_objects").paginate(Bucket=self.to.listed)
        same(sum(len(page["Contents"]) for page in old), MANY)

    def multipart(self):
        of = {"Bucket": self.bucket, "Key": "parts"}
        upload = {**of, "UploadId": self.s3.create_multipart_upload(**of)["UploadId"]}
        bodies = {1: LARGE[:PART], 2: LARGE[PART:]}
        parts = [
            {"PartNumber": n, "ETag": self.s3.upload_part(**upload, PartNumber=n, Body=body)["ETag"]}
            for n, body in bodies.items()
        ]
        same([each["Size"] for each in self.s3.list_parts(**upload)["Parts"]], [PART, len(LARGE) - PART])
        self.s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
        same(self.s3.get_object(**of)["Body"].read(), LARGE)
        left = {**of, "UploadId": self.s3.create_multipart_upload(**of)["UploadId"]}
        self.s3.abort_multipart_upload(**left)

    def copy(self):
        self.s3.copy_object(Bucket=self.bucket, Key="copy", CopySource={"Bucket": self.bucket, "Key": ODD_KEYS[1]})
        same(self.s3.get_object(Bucket=self.bucket, Key="copy")["Body"].read(), ODD_KEYS[1].encode())

    def tags(self):
        of = {"Bucket": self.bucket, "Key": "tagged"}
        self.s3.put_object(**of, Body=b"x", Tagging="a=1&b=2")
        same(len(self.s3.get_object_tagging(**of)["TagSet"]), 2)
        self.s3.put_object_tagging(**of, Tagging={"TagSet": [{"Key": "ü", "Value": "3"}]})
        same(self.s3.get_object_tagging(**of)["TagSet"], [{"Key": "ü", "Value": "3"}])

    def presigned_get(self):
        of = {"Bucket": self.bucket, "Key": ODD_KEYS[0]}
        same(self.to.fetch(self.s3.generate_presigned_url("get_object", of)), ODD_KEYS[0].encode())

    def presigned_put(self):
        of = {"Bucket": self.bucket, "Key": "by link ü"}
        self.to.fetch(self.s3.generate_presigned_url("put_object", of), "PUT", BODY)
        same(self.s3.get_object(**of)["Body"].read(), BODY)

    def denied(self):
        with refused():
            self.s3.put_object(Bucket=self.bucket, Key="strict/denied", Body=BODY)

    def conforming(self):
        demanded = (
            {"ServerSideEncryption": "AES256"}
            if self.to.demand == "encryption"
            else {"ACL": "bucket-owner-full-control"}
        )
        self.s3.put_object(Bucket=self.bucket, Key="strict/allowed", Body=BODY, **demanded)
        same(self.s3.get_object(Bucket=self.bucket, Key="strict/allowed")["Body"].read(), BODY)

    def delete(self):
        self.s3.delete_object(Bucket=self.bucket, Key="plain")
        assert "plain" not in self._keys()

    def delete_batch(self):
        done = self.s3.delete_objects(Bucket=self.bucket, Delete={"Objects": [{"Key": key} for key in self._keys()]})
        same(done.get("Errors", []), [])
        same(self._keys(), [])

    def _keys(self):
        return [each["Key"] for each in self.s3.list_objects_v2(Bucket=self.bucket).get("Contents", [])]


if __name__ == "__main__":
    walk(Boto3(), boto3.__version__, {"sync": "a library"})
