"""s3fs on aiobotocore: the asynchronous SDK under dask, pandas and zarr."""

from __future__ import annotations

import os
from email.header import Header, decode_header, make_header
from importlib.metadata import version

import s3fs

from tests.journeys.clients.journey import BODY, LARGE, MANY, ODD_KEYS, UNICODE, refused, same, target, walk


class S3fs:
    def __init__(self) -> None:
        self.to = target()
        # As an argument, us-east-1 would be sent as a location constraint, which S3 does not know by that name.
        os.environ["AWS_DEFAULT_REGION"] = self.to.region
        self.fs = s3fs.S3FileSystem(
            key=self.to.access_key_id,
            secret=self.to.secret_access_key,
            endpoint_url=self.to.endpoint,
            client_kwargs={"verify": self.to.authority_file},
            config_kwargs={"retries": {"max_attempts": 1}, "s3": {"addressing_style": self.to.style}},
            use_listings_cache=False,
            skip_instance_cache=True,
        )
        self.bucket = self.to.bucket

    def at(self, key):
        return f"{self.bucket}/{key}"

    def make_bucket(self):
        self.fs.mkdir(f"{self.bucket}-made")
        assert f"{self.bucket}-made" in self.fs.ls("", refresh=True)
        self.fs.rmdir(f"{self.bucket}-made")

    def put_and_get(self):
        self.fs.pipe_file(self.at("plain"), BODY)
        same(self.fs.cat_file(self.at("plain")), BODY)

    def head(self):
        same(self.fs.info(self.at("plain"))["size"], len(BODY))
        assert not self.fs.exists(self.at("missing"))

    def ranges(self):
        same(self.fs.cat_file(self.at("plain"), start=1, end=10), BODY[1:10])
        same(self.fs.cat_file(self.at("plain"), start=-5), BODY[-5:])

    def empty(self):
        self.fs.touch(self.at("empty"))
        same(self.fs.cat_file(self.at("empty")), b"")

    def metadata(self):
        # It takes ASCII only, like boto3.
        word = Header(UNICODE, "utf-8").encode()
        self.fs.pipe_file(self.at("meta"), b"x", Metadata={"name": word})
        same(str(make_header(decode_header(self.fs.metadata(self.at("meta"))["name"]))), UNICODE)

    def odd_keys(self):
        for key in ODD_KEYS:
            self.fs.pipe_file(self.at(key), key.encode())
        same(sorted(self.fs.find(self.at("odd"))), sorted(self.at(key) for key in ODD_KEYS))
        for key in ODD_KEYS:
            same(self.fs.cat_file(self.at(key)), key.encode())

    def pages(self):
        same(len(self.fs.find(f"{self.to.listed}/many")), MANY)

    def multipart(self):
        with self.fs.open(self.at("parts"), "wb", block_size=6 << 20) as file:
            file.write(LARGE[: 7 << 20])
            file.write(LARGE[7 << 20 :])
        assert "-" in self.fs.info(self.at("parts"))["ETag"]
        same(self.fs.cat_file(self.at("parts")), LARGE)

    def copy(self):
        self.fs.copy(self.at(ODD_KEYS[1]), self.at("copy"))
        same(self.fs.cat_file(self.at("copy")), ODD_KEYS[1].encode())

    def tags(self):
        self.fs.put_tags(self.at("plain"), {"a": "1", "ü": "2"})
        same(self.fs.get_tags(self.at("plain")), {"a": "1", "ü": "2"})

    def presigned_get(self):
        same(self.to.fetch(self.fs.sign(self.at(ODD_KEYS[0]))), ODD_KEYS[0].encode())

    def presigned_put(self):
        self.to.fetch(self.fs.sign(self.at("by link"), client_method="put_object"), "PUT", BODY)
        same(self.fs.cat_file(self.at("by link")), BODY)

    def denied(self):
        with refused():
            self.fs.pipe_file(self.at("strict/denied"), BODY)

    def conforming(self):
        self.fs.pipe_file(self.at("strict/allowed"), BODY, ServerSideEncryption="AES256")
        same(self.fs.cat_file(self.at("strict/allowed")), BODY)

    def delete(self):
        self.fs.rm_file(self.at("plain"))
        assert not self.fs.exists(self.at("plain"))

    def delete_batch(self):
        self.fs.rm(self.fs.find(self.bucket))
        same(self.fs.find(self.bucket), [])


if __name__ == "__main__":
    walk(S3fs(), f"{s3fs.__version__}, aiobotocore {version('aiobotocore')}", {"sync": "a library"})
