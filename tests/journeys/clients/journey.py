"""What every client does, and how a driver tells what came of it.

Runs inside a client's own environment, so it needs nothing but the standard library. A driver is a class with
one method per step that its client can do, and a reason for every step that it cannot. It gets its target
from the environment, and prints one JSON document.
"""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import sys
import traceback
import urllib.request
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

STEPS = {
    "make_bucket": "makes a bucket",
    "put_and_get": "puts an object and gets it back",
    "head": "asks for an object's head",
    "ranges": "gets a part of an object",
    "empty": "puts and gets an empty object",
    "metadata": "keeps metadata that is not ASCII",
    "odd_keys": "puts, lists and gets keys that need quoting",
    "pages": "lists more than one page",
    "multipart": "puts and gets an object in parts",
    "copy": "copies an object on the store",
    "tags": "sets and reads tags",
    "presigned_get": "makes a link to get an object",
    "presigned_put": "makes a link to put an object",
    "denied": "is told that an upload is denied",
    "conforming": "puts what the policy demands",
    "sync": "synchronises a folder, and moves nothing the second time",
    "delete": "deletes an object",
    "delete_batch": "deletes many objects at once",
}

BODY = "grüße\n".encode() * 100
LARGE = bytes(range(256)) * (11 * 4096)  # 11 MiB: two parts even where a client's parts are 10 MiB
UNICODE = "grüße, 日本"
ODD_KEYS = (
    "odd/a b+c~d.txt",
    "odd/ü (1)!'.txt",
    "odd/100%.txt",
    "odd/a=b&c;d@e,f.txt",
    "odd/日本/%41.txt",
)
YESTERYEAR = 1_750_000_000
SYNCED = len(ODD_KEYS) + 1
"""How many files are in the folder that is synchronised."""
DOMAIN = "s3.localhost"
"""The base domain of virtual-host style. TLS knows no wildcards right under a top-level name."""

MANY = 1050
"""How many objects a bucket of the test has under `many/`: more than one page of a listing."""


@dataclass(frozen=True, slots=True)
class Target:
    """The proxy, as a client is pointed at it."""

    scheme: str
    port: int
    style: str
    """`path` or `virtual`."""
    access_key_id: str
    secret_access_key: str
    region: str
    bucket: str
    listed: str
    """Name of the bucket with `MANY` objects."""
    demand: str
    """What uploads under strict/ must carry: `encryption` (AES256) or `acl` (bucket-owner-full-control)."""
    authority_file: str
    folder: str
    store: str

    @property
    def host(self) -> str:
        """Buckets of virtual-host style are names under this one."""
        return f"{DOMAIN}:{self.port}" if self.virtual else f"localhost:{self.port}"

    @property
    def endpoint(self) -> str:
        return f"{self.scheme}://{self.host}"

    @property
    def virtual(self) -> bool:
        return self.style == "virtual"

    @property
    def path(self) -> Path:
        return Path(self.folder)

    def file(self, name: str, content: bytes) -> str:
        """Write a file for a client to upload, and return its path."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return str(path)

    def tree(self) -> str:
        """Write a folder to synchronise, one of its files large enough for parts; return its path."""
        for name, content in {"large": LARGE, **{key: key.encode() for key in ODD_KEYS}}.items():
            # Stores tell whole seconds: a file of this one may seem to be younger than its upload.
            os.utime(self.file(f"tree/{name}", content), (YESTERYEAR, YESTERYEAR))
        return str(self.path / "tree")

    def fetch(self, url: str, method: str = "GET", body: bytes | None = None) -> bytes:
        """Use a presigned URL as anybody could who was given it."""
        context = ssl.create_default_context(cafile=self.authority_file) if self.scheme == "https" else None
        request = urllib.request.Request(url, body, method=method)  # noqa: S310  the proxy under test
        if body is not None:
            request.add_header("Content-Type", "")  # urllib would add one that nobody signed
        with urllib.request.urlopen(request, timeout=30, context=context) as answer:  # noqa: S310  likewise
            return bytes(answer.read())


def target() -> Target:
    """Return what the test asks this process to work on."""
    return Target(**json.loads(os.environ["JOURNEY"]))


def same(found: object, wanted: object) -> None:
    """Fail unless both are equal; long values are cut in the message."""
    if found != wanted:
        raise AssertionError(f"{found!r:.300} is not {wanted!r:.300}")


def holds(text: str, *parts: str) -> None:
    """Fail unless `text` has one of `parts` in it."""
    if not any(part in text for part in parts):
        raise AssertionError(f"none of {parts} is in {text[-600:]!r}")


class refused:  # noqa: N801  read as `with refused():`
    """Expects the block to fail with a refusal of the proxy's, as the client words it."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        if error is None:
            raise AssertionError("the upload was not refused")
        holds(
            f"{type(error).__name__}: {error}",
            "AccessDenied",
            "Access Denied",
            "ACCESS_DENIED",
            "Forbidden",
            "not authorized",
        )
        return True


def run(command: Sequence[str], *, fails: bool = False, text: bytes | None = None) -> bytes:
    """Run a client's command and return its standard output, with its standard error when it should fail."""
    done = subprocess.run(command, input=text, capture_output=True, timeout=100, check=False)
    said = done.stdout.decode(errors="replace") + done.stderr.decode(errors="replace")
    if fails != (done.returncode != 0):
        raise AssertionError(f"{' '.join(command)} ended with {done.returncode}: {said[-1500:]}")
    return done.stdout + done.stderr if fails else done.stdout


def walk(client: object, version: str, lacks: Mapping[str, str], steps: Iterable[str] = STEPS) -> None:
    """Take every step in order, and print what came of each; a failure does not stop the rest."""
    outcomes: dict[str, str] = {}
    for step in steps:
        act = getattr(client, step, None)
        if (act is None) != (step in lacks):
            raise TypeError(f"{type(client).__name__} must either take the step {step} or say why not")
        if act is None:
            outcomes[step] = f"not offered: {lacks[step]}"
            continue
        try:
            act()
        except Exception as error:
            traceback.print_exc()
            outcomes[step] = f"failed: {type(error).__name__}: {error}"
        else:
            outcomes[step] = "passed"
    json.dump({"version": version, "steps": outcomes}, sys.stdout)
