"""Fresh keys of our own, and where their secrets go: to files that only their owner reads, or to a printed line."""

from __future__ import annotations

import argparse
import base64
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from proxy.config.keys import AES_KEY_SIZE
from proxy.diagnostics import Diagnostic, Severity, Span
from proxy.errors import ConfigError

_VERSION = re.compile(r"[A-Za-z0-9_.-]{1,64}")


@dataclass(frozen=True, slots=True)
class Fresh:
    """A part of a new key: the setting it belongs to, the ending of its file, and its text."""

    setting: str
    ending: str
    text: str

    def __repr__(self) -> str:
        return f"Fresh({self.setting!r})"


def fresh_aes() -> tuple[Fresh, ...]:
    """Make an AES-256 key."""
    return (Fresh("material", "key", base64.b64encode(os.urandom(AES_KEY_SIZE)).decode()),)


def fresh_rsa(bits: int) -> tuple[Fresh, ...]:
    """Make an RSA key: its public half first."""
    key = rsa.generate_private_key(65537, bits)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    return Fresh("public", "public.pem", public), Fresh("private", "private.pem", private)


def version_id(text: str) -> str:
    """Read a version from the command line."""
    if not _VERSION.fullmatch(text):
        raise argparse.ArgumentTypeError(f"`{text}` is not a version")
    return text


def variable_name(key: str, version: str) -> str:
    """Return the environment variable for a version of a key: `HR_KEY_2`."""
    return re.sub(r"[^A-Z0-9]", "_", f"{key}_KEY_{version}".upper())


def export_line(variable: str, secret: str) -> str:
    """Return what somebody puts into the environment of the proxy."""
    return f"# for the environment of the proxy, and for a safe place\nexport {variable}={secret}"


def write_secrets(folder: Path, stem: str, fresh: tuple[Fresh, ...]) -> Mapping[str, Path]:
    """Write `STEM.ENDING` for each part, readable by its owner alone; returns setting -> path.

    The folder is made where there is none yet in its own. Nothing is overwritten, and no secret stays behind when one
    cannot be written. Raises `ConfigError`.
    """
    written: dict[str, Path] = {}
    with suppress(OSError):  # what is wrong with it shows when the first is written
        folder.mkdir(mode=0o700, exist_ok=True)
    try:
        for part in fresh:
            path = folder / f"{stem}.{part.ending}"
            _write(path, part.text)
            written[part.setting] = path
    except ConfigError:
        remove_secrets(written)
        raise
    return written


def remove_secrets(written: Mapping[str, Path]) -> None:
    """Take back secrets that nothing names."""
    for path in written.values():
        path.unlink(missing_ok=True)


def _write(path: Path, text: str) -> None:
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with open(file, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(file)
    except OSError as error:
        message = f"cannot write the key: {error.strerror}"
        remedy = (
            "nothing is overwritten: move it away if nothing needs it" if isinstance(error, FileExistsError) else ""
        )
        raise ConfigError([Diagnostic(Severity.ERROR, "unwritable", message, Span(str(path)), remedy)]) from error
