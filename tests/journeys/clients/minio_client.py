"""minio-py, MinIO's SDK for Python."""

from __future__ import annotations

import io
from datetime import timedelta
from email.header import Header, decode_header, make_header

import minio
import urllib3
from minio.commonconfig import CopySource, Tags
from minio.deleteobjects import DeleteObject
from minio.sse import SseS3

from tests.journeys.clients.journey import BODY, LARGE, MANY, ODD_KEYS, UNICODE, refused, same, target, walk


class Minio:
    def __init__(self) -> None:
        self.to = target()
        self.s3 = minio.Minio(
            self.to.host,
            access_key=self.to.access_key_id,
            secret_key=self.to.secret_access_key,
            secure=self.to.scheme == "https",
            http_client=urllib3.PoolManager(ca_certs=self.to.authority_file, retries=False, timeout=30),
        )
        if self.to.virtual:
            self.s3.enable_virtual_style_endpoint()
        self.bucket = self.to.bucket

    def put(self, key, body, **options):
        return self.s3.put_object(self.bucket, key, io.BytesIO(body), len(body), **options)

    def body(self, key, **options):
        answer = self.s3.get_object(self.bucket, key, **options)
        try:
            return answer.read()
        finally:
            answer.close()
            answer.release_conn()

    def keys(self, bucket, prefix=None):
        return [each.object_name for each in self.s3.list_objects(bucket, prefix, recursive=True)]

    def make_bucket(self):
        self.s3.make_bucket(f"{self.bucket}-made")
        assert f"{self.bucket}-made" in [each.name for each in self.s3.list_buckets()]
        self.s3.remove_bucket(f"{self.bucket}-made")

    def put_and_get(self):
        self.put("plain", BODY, content_type="text/x")
        same(self.body("plain"), BODY)

    def head(self):
        head = self.s3.stat_object(self.bucket, "plain")
        same((head.size, head.content_type), (len(BODY), "text/x"))

    def ranges(self):
        same(self.body("plain", offset=1, length=9), BODY[1:10])

    def empty(self):
        self.put("empty", b"")
        same(self.body("empty"), b"")

    def odd_keys(self):
        for key in ODD_KEYS:
            self.put(key, key.encode())
        same(sorted(self.keys(self.bucket, "odd/")), sorted(ODD_KEYS))
        for key in ODD_KEYS:
            same(self.body(key), key.encode())

    def pages(self):
        same(len(self.keys(self.to.listed, "many/")), MANY)

    def multipart(self):
        made = self.put("parts", LARGE, part_size=6 << 20)
        assert "-" in made.etag
        same(self.body("parts"), LARGE)

    def copy(self):
        self.s3.copy_object(self.bucket, "copy", CopySource(self.bucket, ODD_KEYS[1]))
        same(self.body("copy"), ODD_KEYS[1].encode())

    def tags(self):
        tags = Tags.new_object_tags()
        tags["a"] = "ü"
        self.s3.set_object_tags(self.bucket, "plain", tags)
        same(self.s3.get_object_tags(self.bucket, "plain"), tags)

    def presigned_get(self):
        url = self.s3.presigned_get_object(self.bucket, ODD_KEYS[0], timedelta(minutes=1))
        same(self.to.fetch(url), ODD_KEYS[0].encode())

    def presigned_put(self):
        url = self.s3.presigned_put_object(self.bucket, "by link ü", timedelta(minutes=1))
        self.to.fetch(url, "PUT", BODY)
        same(self.body("by link ü"), BODY)

    def denied(self):
        with refused():
            self.put("strict/denied", BODY)

    def conforming(self):
        self.put("strict/allowed", BODY, sse=SseS3())
        same(self.body("strict/allowed"), BODY)

    def delete(self):
        self.s3.remove_object(self.bucket, "plain")
        assert "plain" not in self.keys(self.bucket)

    def delete_batch(self):
        keys = [DeleteObject(key) for key in self.keys(self.bucket)]
        same([str(error) for error in self.s3.remove_objects(self.bucket, keys)], [])
        same(self.keys(self.bucket), [])

    def metadata(self):
        # It takes ASCII only, so a program writes such text as mail does.
        self.put("meta", b"x", metadata={"name": Header(UNICODE, "utf-8").encode()})
        found = self.s3.stat_object(self.bucket, "meta").metadata["x-amz-meta-name"]
        same(str(make_header(decode_header(found))), UNICODE)


if __name__ == "__main__":
    walk(Minio(), minio.__version__, {"sync": "a library"})
