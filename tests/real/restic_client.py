"""restic: backups in packs; minio-go underneath. Its journey has steps of its own."""

from __future__ import annotations

import os
import shutil

from tests.journeys.clients.journey import BODY, LARGE, holds, run, same, target, walk

STEPS = {
    "repository": "makes a repository",
    "backup": "backs a folder up",
    "unchanged": "backs it up again, and stores nothing new",
    "check": "reads every pack and checks it against its index",
    "restore": "restores what it backed up",
    "prune": "forgets a snapshot and deletes what nobody needs",
    "denied": "is told that an upload is denied",
}


class Restic:
    def __init__(self) -> None:
        self.to = target()
        os.environ |= {
            "AWS_ACCESS_KEY_ID": self.to.access_key_id,
            "AWS_SECRET_ACCESS_KEY": self.to.secret_access_key,
            "RESTIC_PASSWORD": "for the test",
        }
        self.source = self.to.path / "source"
        for name, content in {"a b+c/ü.txt": BODY, "large": LARGE, "empty": b""}.items():
            self.to.file(f"source/{name}", content)
        os.chdir(self.to.path)  # or the folders above, in which others write, would be backed up as well

    def restic(self, *words: str, place: str = "backup", fails: bool = False) -> str:
        repository = f"s3:{self.to.endpoint}/{self.to.bucket}/{place}"
        lookup = f"s3.bucket-lookup={'dns' if self.to.virtual else 'path'}"
        options = ["-r", repository, "-o", lookup, "--cacert", self.to.authority_file, "--no-cache"]
        return run(["restic", *options, *words], fails=fails).decode()

    def repository(self):
        self.restic("init")

    def backup(self):
        holds(self.restic("backup", self.source.name), "Files:           3 new")

    def unchanged(self):
        said = self.restic("backup", self.source.name)
        holds(said, "Files:           0 new,     0 changed,     3 unmodified")
        holds(said, "Added to the repository: 0 B ")

    def check(self):
        holds(self.restic("check", "--read-data"), "no errors were found")

    def restore(self):
        self.restic("restore", "latest", "--target", str(self.to.path / "back"))
        back = self.to.path / "back" / self.source.name
        same((back / "large").read_bytes() == LARGE, True)
        same((back / "a b+c/ü.txt").read_bytes(), BODY)

    def prune(self):
        shutil.rmtree(self.source / "a b+c")
        self.restic("backup", self.source.name)
        self.restic("forget", "--keep-last", "1", "--prune")
        holds(self.restic("check"), "no errors were found")

    def denied(self):
        holds(self.restic("init", place="strict/denied", fails=True), "Access Denied", "not authorized")


if __name__ == "__main__":
    client = Restic()
    walk(client, run(["restic", "version"]).split()[1].decode(), {}, STEPS)
