"""s5cmd: the AWS SDK for Go, version 1, in a fast command."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from tests.journeys.clients.journey import BODY, LARGE, MANY, ODD_KEYS, SYNCED, UNICODE, holds, run, same, target, walk


class S5cmd:
    def __init__(self) -> None:
        self.to = target()
        os.environ |= {
            "AWS_ACCESS_KEY_ID": self.to.access_key_id,
            "AWS_SECRET_ACCESS_KEY": self.to.secret_access_key,
            "AWS_REGION": self.to.region,
            "AWS_CA_BUNDLE": self.to.authority_file,
        }
        binary = str(Path(sys.executable).with_name("s5cmd"))
        self.command = [binary, "--endpoint-url", self.to.endpoint, "--retry-count", "0"]
        self.bucket = self.to.bucket

    def s3(self, *words: str, fails: bool = False, text: bytes | None = None) -> str:
        return run([*self.command, *words], fails=fails, text=text).decode()

    def at(self, key: str) -> str:
        return f"s3://{self.bucket}/{key}"

    def body(self, key: str) -> bytes:
        return run([*self.command, "cat", "--raw", self.at(key)])

    def keys(self) -> list[str]:
        listed = run([*self.command, "--json", "ls", self.at("*")]).splitlines()
        return [json.loads(line)["key"].removeprefix(self.at("")) for line in listed]

    def make_bucket(self):
        self.s3("mb", f"s3://{self.bucket}-made")
        holds(self.s3("ls"), f"s3://{self.bucket}-made")
        self.s3("rb", f"s3://{self.bucket}-made")

    def put_and_get(self):
        self.s3("cp", self.to.file("up", BODY), self.at("plain"))
        same(self.body("plain"), BODY)

    def head(self):
        same(json.loads(self.s3("head", self.at("plain")))["size"], len(BODY))

    def empty(self):
        self.s3("pipe", self.at("empty"), text=b"")
        same(self.body("empty"), b"")

    def metadata(self):
        self.s3("cp", "--metadata", f"name={UNICODE}", self.to.file("up", BODY), self.at("meta"))
        same(json.loads(self.s3("head", self.at("meta")))["metadata"], {"name": UNICODE})

    def odd_keys(self):
        for key in ODD_KEYS:
            self.to.file(f"odds/{key}", key.encode())
        self.s3("cp", f"{self.to.folder}/odds/", self.at(""))
        same(sorted(key for key in self.keys() if key.startswith("odd/")), sorted(ODD_KEYS))
        for key in ODD_KEYS:
            same(self.body(key), key.encode())

    def pages(self):
        same(self.s3("ls", f"s3://{self.to.listed}/many/").count("\n"), MANY)

    def multipart(self):
        self.s3("cp", "--part-size", "6", self.to.file("large", LARGE), self.at("parts"))
        down = self.to.path / "large-back"
        self.s3("cp", "--part-size", "5", self.at("parts"), str(down))
        same(down.read_bytes(), LARGE)

    def ranges(self):
        # A file is fetched in ranges, several at once.
        down = self.to.path / "ranges"
        self.s3("cp", "--part-size", "5", "--concurrency", "3", self.at("plain"), str(down))
        same(down.read_bytes(), BODY)

    def copy(self):
        self.s3("cp", "--raw", self.at(ODD_KEYS[1]), self.at("copy"))
        same(self.body("copy"), ODD_KEYS[1].encode())

    def presigned_get(self):
        same(self.to.fetch(self.s3("presign", self.at(ODD_KEYS[0])).strip()), ODD_KEYS[0].encode())

    def denied(self):
        holds(self.s3("cp", self.to.file("up", BODY), self.at("strict/denied"), fails=True), "AccessDenied")

    def conforming(self):
        self.s3("cp", "--sse", "AES256", self.to.file("up", BODY), self.at("strict/allowed"))
        same(self.body("strict/allowed"), BODY)

    def sync(self):
        folder = self.to.tree()
        for uploads in (SYNCED, 0):
            said = self.s3("sync", f"{folder}/", self.at("synced/"))
            same(said.count("cp "), uploads)

    def delete(self):
        self.s3("rm", self.at("plain"))
        assert "plain" not in self.keys()

    def delete_batch(self):
        self.s3("rm", self.at("*"))
        holds(self.s3("ls", self.at("*"), fails=True), "no object found")


if __name__ == "__main__":
    client = S5cmd()
    lacks = {"tags": "has no command for them", "presigned_put": "presigns GET only"}
    walk(client, client.s3("version").strip().partition("-")[0].removeprefix("v"), lacks)
