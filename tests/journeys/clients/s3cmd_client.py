"""s3cmd: checks the MD5 of whatever it uploads or downloads against the ETag."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.journeys.clients.journey import BODY, LARGE, MANY, ODD_KEYS, SYNCED, UNICODE, holds, run, same, target, walk

CONFIG = """\
[default]
access_key = {to.access_key_id}
secret_key = {to.secret_access_key}
host_base = {to.host}
host_bucket = {host_bucket}
bucket_location = {to.region}
use_https = {https}
signurl_use_https = {https}
ca_certs_file = {to.authority_file}
check_md5 = True
multipart_chunk_size_mb = 6
encoding = UTF-8
guess_mime_type = False
stats = False
progress_meter = False
"""


class S3cmd:
    def __init__(self) -> None:
        self.to = target()
        host_bucket = f"%(bucket)s.{self.to.host}" if self.to.virtual else self.to.host
        text = CONFIG.format(to=self.to, host_bucket=host_bucket, https=self.to.scheme == "https")
        config = self.to.file("s3cfg", text.encode())
        self.command = [sys.executable, str(Path(sys.executable).with_name("s3cmd")), "-c", config]
        self.bucket = self.to.bucket

    def s3(self, *words: str, fails: bool = False) -> str:
        return run([*self.command, *words], fails=fails).decode()

    def at(self, key: str) -> str:
        return f"s3://{self.bucket}/{key}"

    def body(self, key: str) -> bytes:
        return run([*self.command, "get", "--no-progress", self.at(key), "-"])

    def make_bucket(self):
        self.s3("mb", f"s3://{self.bucket}-made")
        holds(self.s3("ls"), f"s3://{self.bucket}-made")
        self.s3("rb", f"s3://{self.bucket}-made")

    def put_and_get(self):
        self.s3("put", self.to.file("up", BODY), self.at("plain"))
        same(self.body("plain"), BODY)

    def head(self):
        holds(self.s3("info", self.at("plain")), f"File size: {len(BODY)}")

    def ranges(self):
        # It asks for the rest of a file that it has the beginning of.
        begun = self.to.file("begun", BODY[:100])
        self.s3("get", "--continue", self.at("plain"), begun)
        same(Path(begun).read_bytes(), BODY)

    def empty(self):
        self.s3("put", self.to.file("nothing", b""), self.at("empty"))
        same(self.body("empty"), b"")

    def metadata(self):
        self.s3("put", self.to.file("up", BODY), self.at("meta"), f"--add-header=x-amz-meta-name:{UNICODE}")
        # It sends UTF-8 as it is, and prints what it reads as Latin-1.
        holds(self.s3("info", self.at("meta")), UNICODE.encode().decode("latin-1"))

    def odd_keys(self):
        for key in ODD_KEYS:
            self.to.file(f"odds/{key}", key.encode())
        self.s3("put", "--recursive", f"{self.to.folder}/odds/", self.at(""))
        listed = self.s3("ls", "--recursive", self.at("odd/")).splitlines()
        same(sorted(line.partition("s3://")[2] for line in listed), sorted(self.at(key)[5:] for key in ODD_KEYS))
        for key in ODD_KEYS:
            same(self.body(key), key.encode())

    def pages(self):
        same(self.s3("ls", f"s3://{self.to.listed}/many/").count("\n"), MANY)

    def multipart(self):
        self.s3("put", self.to.file("large", LARGE), self.at("parts"))
        same(self.body("parts"), LARGE)

    def copy(self):
        self.s3("cp", self.at(ODD_KEYS[1]), self.at("copy"))
        same(self.body("copy"), ODD_KEYS[1].encode())

    def tags(self):
        self.s3("settagging", self.at("plain"), "a=1&b=2")
        holds(self.s3("gettagging", self.at("plain")), "a:\t1")

    def presigned_get(self):
        same(self.to.fetch(self.s3("signurl", self.at(ODD_KEYS[0]), "+60").strip()), ODD_KEYS[0].encode())

    def denied(self):
        said = self.s3("put", self.to.file("up", BODY), self.at("strict/denied"), fails=True)
        holds(said, "AccessDenied", "Access to bucket")

    def conforming(self):
        demanded = (
            ["--server-side-encryption"]
            if self.to.demand == "encryption"
            else ["--add-header=x-amz-acl:bucket-owner-full-control"]
        )
        self.s3("put", self.to.file("up", BODY), self.at("strict/allowed"), *demanded)
        same(self.body("strict/allowed"), BODY)

    def sync(self):
        folder = self.to.tree()
        for uploads in (SYNCED, 0):
            said = self.s3("sync", f"{folder}/", self.at("synced/"))
            same(said.count("upload: "), uploads)

    def delete(self):
        self.s3("del", self.at("plain"))
        same("plain" in self.s3("ls", self.at("")), False)

    def delete_batch(self):
        self.s3("del", "--recursive", "--force", self.at(""))
        same(self.s3("ls", "--recursive", self.at("")), "")


if __name__ == "__main__":
    client = S3cmd()
    walk(client, client.s3("--version").split()[-1], {"presigned_put": "signs GET only"})
