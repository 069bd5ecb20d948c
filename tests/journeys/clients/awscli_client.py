"""The AWS command line interface, version 1."""

from __future__ import annotations

import json
import os
import sys
import tempfile

import awscli
from awscli.clidriver import main

from tests.journeys.clients.journey import BODY, LARGE, MANY, ODD_KEYS, SYNCED, holds, same, target, walk

CONFIG = """\
[default]
region = {region}
retry_mode = standard
max_attempts = 1
s3 =
    addressing_style = {style}
    multipart_threshold = 6MB
    multipart_chunksize = 6MB
"""


class AwsCli:
    def __init__(self) -> None:
        self.to = target()
        config = self.to.file("aws.ini", CONFIG.format(region=self.to.region, style=self.to.style).encode())
        os.environ |= {
            "AWS_CONFIG_FILE": config,
            "AWS_ACCESS_KEY_ID": self.to.access_key_id,
            "AWS_SECRET_ACCESS_KEY": self.to.secret_access_key,
            "AWS_CA_BUNDLE": self.to.authority_file,
            "PYTHONUTF8": "1",
        }
        self.bucket = self.to.bucket

    def s3(self, *words: str, fails: bool = False) -> str:
        return self.run("s3", *words, fails=fails).decode()

    def api(self, operation: str, *words: str, key: str | None = None):
        named = ["--bucket", self.bucket] + ([] if key is None else ["--key", key])
        said = self.run("s3api", operation, *named, *words)
        return json.loads(said) if said.strip() else {}

    def run(self, *words: str, fails: bool = False) -> bytes:
        """Run one command. Loading it takes a second, so it is loaded once, and every command is a fork."""
        with tempfile.TemporaryFile() as output:
            process = os.fork()
            if process == 0:
                os.dup2(output.fileno(), 1)
                os.dup2(output.fileno() if fails else 2, 2)
                sys.argv = ["aws", "--endpoint-url", self.to.endpoint, *words]
                code = main()
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(code)
            _, status = os.waitpid(process, 0)
            output.seek(0)
            said = output.read()
        if fails != (status != 0):
            raise AssertionError(f"aws {' '.join(words)} ended with {status}: {said[-1500:]!r}")
        return said

    def at(self, key: str) -> str:
        return f"s3://{self.bucket}/{key}"

    def make_bucket(self):
        self.s3("mb", f"s3://{self.bucket}-made")
        holds(self.s3("ls"), f"{self.bucket}-made")
        self.s3("rb", f"s3://{self.bucket}-made")

    def put_and_get(self):
        self.s3("cp", self.to.file("up", BODY), self.at("plain"), "--content-type", "text/x")
        same(self.s3("cp", self.at("plain"), "-").encode(), BODY)

    def head(self):
        head = self.api("head-object", key="plain")
        same((head["ContentLength"], head["ContentType"]), (len(BODY), "text/x"))

    def ranges(self):
        down = self.to.path / "range"
        self.api("get-object", "--range", "bytes=1-9", str(down), key="plain")
        same(down.read_bytes(), BODY[1:10])

    def empty(self):
        self.s3("cp", self.to.file("nothing", b""), self.at("empty"))
        same(self.s3("cp", self.at("empty"), "-"), "")

    def odd_keys(self):
        folder = self.to.path / "odds"
        for key in ODD_KEYS:
            self.to.file(f"odds/{key}", key.encode())
        self.s3("cp", str(folder), self.at(""), "--recursive")
        listed = self.api("list-objects-v2", "--prefix", "odd/")["Contents"]
        same(sorted(each["Key"] for each in listed), sorted(ODD_KEYS))
        self.s3("cp", self.at(""), str(self.to.path / "back"), "--recursive", "--exclude", "*", "--include", "odd/*")
        for key in ODD_KEYS:
            same((self.to.path / "back" / key).read_bytes(), key.encode())

    def pages(self):
        same(self.s3("ls", f"s3://{self.to.listed}/many/", "--page-size", "300").count("\n"), MANY)

    def multipart(self):
        self.s3("cp", self.to.file("large", LARGE), self.at("parts"))
        down = self.to.path / "large-back"
        self.s3("cp", self.at("parts"), str(down))
        same(down.read_bytes(), LARGE)

    def copy(self):
        self.s3("cp", self.at(ODD_KEYS[1]), self.at("copy"))
        same(self.s3("cp", self.at("copy"), "-"), ODD_KEYS[1])

    def tags(self):
        self.api("put-object-tagging", "--tagging", "TagSet=[{Key=a,Value=ü}]", key="plain")
        same(self.api("get-object-tagging", key="plain")["TagSet"], [{"Key": "a", "Value": "ü"}])

    def presigned_get(self):
        same(self.to.fetch(self.s3("presign", self.at(ODD_KEYS[0])).strip()), ODD_KEYS[0].encode())

    def denied(self):
        said = self.s3("cp", self.to.file("up", BODY), self.at("strict/denied"), fails=True)
        holds(said, "AccessDenied")

    def conforming(self):
        demanded = ["--sse", "AES256"] if self.to.demand == "encryption" else ["--acl", "bucket-owner-full-control"]
        self.s3("cp", self.to.file("up", BODY), self.at("strict/allowed"), *demanded)
        same(self.s3("cp", self.at("strict/allowed"), "-").encode(), BODY)

    def sync(self):
        folder = self.to.tree()
        same(self.s3("sync", folder, self.at("synced/")).count("upload:"), SYNCED)
        same(self.s3("sync", folder, self.at("synced/")), "")

    def delete(self):
        self.s3("rm", self.at("plain"))
        same("plain" in self.s3("ls", self.at("")), False)

    def delete_batch(self):
        listed = [{"Key": each["Key"]} for each in self.api("list-objects-v2")["Contents"]]
        done = self.api("delete-objects", "--delete", json.dumps({"Objects": listed}))
        same((len(done["Deleted"]), done.get("Errors", [])), (len(listed), []))


if __name__ == "__main__":
    lacks = {"metadata": "takes ASCII only", "presigned_put": "presigns GET only"}
    walk(AwsCli(), awscli.__version__, lacks)
