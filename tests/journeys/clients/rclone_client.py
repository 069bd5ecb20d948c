"""rclone: the AWS SDK for Go, version 2; compares MD5 and ETag after an upload."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from tests.journeys.clients.journey import BODY, LARGE, MANY, ODD_KEYS, SYNCED, UNICODE, holds, run, same, target, walk


class Rclone:
    def __init__(self) -> None:
        self.to = target()
        os.environ |= {
            "RCLONE_CONFIG": os.devnull,
            "RCLONE_CONFIG_S_TYPE": "s3",
            "RCLONE_CONFIG_S_PROVIDER": "Other",
            "RCLONE_CONFIG_S_ENDPOINT": self.to.endpoint,
            "RCLONE_CONFIG_S_REGION": self.to.region,
            "RCLONE_CONFIG_S_ACCESS_KEY_ID": self.to.access_key_id,
            "RCLONE_CONFIG_S_SECRET_ACCESS_KEY": self.to.secret_access_key,
            "RCLONE_CONFIG_S_FORCE_PATH_STYLE": str(not self.to.virtual).lower(),
            "RCLONE_CONFIG_S_UPLOAD_CUTOFF": "6Mi",
            "RCLONE_CONFIG_S_CHUNK_SIZE": "6Mi",
            "RCLONE_CA_CERT": self.to.authority_file,
            "RCLONE_RETRIES": "1",
            "RCLONE_LOW_LEVEL_RETRIES": "1",
        }
        self.command = [str(Path(sys.executable).with_name("rclone"))]
        self.bucket = self.to.bucket

    def s3(self, *words: str, fails: bool = False, text: bytes | None = None) -> str:
        return run([*self.command, *words], fails=fails, text=text).decode()

    def at(self, key: str) -> str:
        return f"s:{self.bucket}/{key}"

    def body(self, key: str, *options: str) -> bytes:
        return run([*self.command, "cat", *options, self.at(key)])

    def keys(self, path: str = "") -> list[str]:
        return self.s3("lsf", "-R", "--files-only", self.at(path)).splitlines()

    def make_bucket(self):
        self.s3("mkdir", f"s:{self.bucket}-made")
        holds(self.s3("lsd", "s:"), f"{self.bucket}-made")
        self.s3("rmdir", f"s:{self.bucket}-made")

    def put_and_get(self):
        self.s3("copyto", self.to.file("up", BODY), self.at("plain"))
        same(self.body("plain"), BODY)

    def head(self):
        same(json.loads(self.s3("lsjson", "--stat", self.at("plain")))["Size"], len(BODY))

    def ranges(self):
        same(self.body("plain", "--offset", "1", "--count", "9"), BODY[1:10])
        same(self.body("plain", "--tail", "5"), BODY[-5:])

    def empty(self):
        self.s3("rcat", self.at("empty"), text=b"")
        same(self.body("empty"), b"")

    def metadata(self):
        self.s3("copyto", "-M", "--metadata-set", f"name={UNICODE}", self.to.file("up", BODY), self.at("meta"))
        holds(self.s3("lsjson", "-M", "--stat", self.at("meta")), UNICODE)

    def odd_keys(self):
        for key in ODD_KEYS:
            self.to.file(f"odds/{key}", key.encode())
        self.s3("copy", f"{self.to.folder}/odds", self.at(""))
        same(sorted(self.keys("odd")), sorted(key.removeprefix("odd/") for key in ODD_KEYS))
        for key in ODD_KEYS:
            same(self.body(key), key.encode())

    def pages(self):
        same(self.s3("lsf", f"s:{self.to.listed}/many", "--s3-list-chunk", "300").count("\n"), MANY)

    def multipart(self):
        self.s3("copyto", self.to.file("large", LARGE), self.at("parts"))
        same(self.body("parts"), LARGE)

    def copy(self):
        self.s3("copyto", self.at(ODD_KEYS[1]), self.at("copy"))
        same(self.body("copy"), ODD_KEYS[1].encode())

    def presigned_get(self):
        same(self.to.fetch(self.s3("link", "--expire", "1m", self.at(ODD_KEYS[0])).strip()), ODD_KEYS[0].encode())

    def denied(self):
        holds(self.s3("copyto", self.to.file("up", BODY), self.at("strict/denied"), fails=True), "AccessDenied")

    def conforming(self):
        encrypting = "--s3-server-side-encryption=AES256"
        self.s3("copyto", encrypting, self.to.file("up", BODY), self.at("strict/allowed"))
        same(self.body("strict/allowed"), BODY)

    def sync(self):
        folder = self.to.tree()
        for moved in (SYNCED, 0):
            words = ["sync", "-v", folder, self.at("synced")]
            said = run(["sh", "-c", 'exec "$@" 2>&1', "rclone", *self.command, *words]).decode()
            same(said.count("Copied (new)"), moved)
        self.s3("check", folder, self.at("synced"))

    def delete(self):
        self.s3("deletefile", self.at("plain"))
        assert "plain" not in self.keys()

    def delete_batch(self):
        self.s3("delete", self.at(""))
        same(self.keys(), [])


if __name__ == "__main__":
    client = Rclone()
    lacks = {"tags": "has no command for them", "presigned_put": "makes links for GET only"}
    walk(client, client.s3("version").split()[1].removeprefix("v"), lacks)
