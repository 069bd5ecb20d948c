"""obstore: the object_store library of Rust, from Python."""

from __future__ import annotations

from datetime import timedelta
from email.header import Header, decode_header, make_header
from pathlib import Path

import obstore
from obstore.store import S3Store

from tests.journeys.clients.journey import BODY, LARGE, MANY, ODD_KEYS, UNICODE, refused, same, target, walk


class Obstore:
    def __init__(self) -> None:
        self.to = target()
        self.store = self.open(self.to.bucket)

    def open(self, bucket: str, **options: object) -> S3Store:
        host = f"{bucket}.{self.to.host}" if self.to.virtual else self.to.host
        return S3Store(
            bucket,
            endpoint=f"{self.to.scheme}://{host}",
            virtual_hosted_style_request=self.to.virtual,
            access_key_id=self.to.access_key_id,
            secret_access_key=self.to.secret_access_key,
            region=self.to.region,
            client_options={"allow_http": True, "root_certificate": Path(self.to.authority_file).read_bytes()},
            retry_config={"max_retries": 0},
            **options,
        )

    def body(self, key):
        return bytes(obstore.get(self.store, key).bytes())

    def keys(self, store, prefix=None):
        return [each["path"] for page in obstore.list(store, prefix) for each in page]

    def put_and_get(self):
        obstore.put(self.store, "plain", BODY, attributes={"Content-Type": "text/x"})
        same(self.body("plain"), BODY)

    def head(self):
        same(obstore.head(self.store, "plain")["size"], len(BODY))

    def ranges(self):
        same(bytes(obstore.get_range(self.store, "plain", start=1, end=10)), BODY[1:10])
        got = obstore.get_ranges(self.store, "plain", starts=[0, 700], ends=[5, 710])
        same([bytes(each) for each in got], [BODY[:5], BODY[700:710]])

    def empty(self):
        obstore.put(self.store, "empty", b"")
        same(self.body("empty"), b"")

    def metadata(self):
        word = Header(UNICODE, "utf-8").encode()
        obstore.put(self.store, "meta", b"x", attributes={"name": word})
        found = obstore.get(self.store, "meta").attributes["name"]
        same(str(make_header(decode_header(found))), UNICODE)

    def odd_keys(self):
        for key in ODD_KEYS:
            obstore.put(self.store, key, key.encode())
        same(sorted(self.keys(self.store, "odd/")), sorted(ODD_KEYS))
        for key in ODD_KEYS:
            same(self.body(key), key.encode())

    def pages(self):
        same(len(self.keys(self.open(self.to.listed), "many/")), MANY)

    def multipart(self):
        obstore.put(self.store, "parts", LARGE, use_multipart=True, chunk_size=6 << 20)
        same(self.body("parts"), LARGE)

    def copy(self):
        obstore.copy(self.store, ODD_KEYS[1], "copy")
        same(self.body("copy"), ODD_KEYS[1].encode())

    def presigned_get(self):
        same(self.to.fetch(obstore.sign(self.store, "GET", ODD_KEYS[0], timedelta(minutes=1))), ODD_KEYS[0].encode())

    def presigned_put(self):
        self.to.fetch(obstore.sign(self.store, "PUT", "by link ü", timedelta(minutes=1)), "PUT", BODY)
        same(self.body("by link ü"), BODY)

    def denied(self):
        with refused():
            obstore.put(self.store, "strict/denied", BODY)

    def conforming(self):
        encrypting = self.open(self.to.bucket, server_side_encryption="AES256")
        obstore.put(encrypting, "strict/allowed", BODY, tags={"a": "1"})
        same(self.body("strict/allowed"), BODY)

    def delete(self):
        obstore.delete(self.store, "plain")
        assert "plain" not in self.keys(self.store)

    def delete_batch(self):
        obstore.delete(self.store, self.keys(self.store))
        same(self.keys(self.store), [])


if __name__ == "__main__":
    lacks = {
        "make_bucket": "makes no buckets",
        "tags": "sets them with an upload (done there), reads none",
        "sync": "a library",
    }
    walk(Obstore(), obstore.__version__, lacks)
