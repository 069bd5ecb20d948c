"""`s3warden keys create NAME`: a new key, and the lines that tell the proxy of it."""

from __future__ import annotations

import argparse
import base64
import os
import re
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from proxy.cli.command import Command
from proxy.cli.exits import Exit
from proxy.config.keys import AES_KEY_SIZE, FIRST_VERSION
from proxy.diagnostics import Diagnostic, Severity, Span
from proxy.errors import ConfigError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_VERSION = re.compile(r"[A-Za-z0-9_.-]{1,64}")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `keys create`."""
    parser.add_argument("name", metavar="NAME", type=_name, help="name of the key: letters, digits, `_` and `-`")
    parser.add_argument("--type", choices=("aes", "rsa"), default="aes", help="what key to make (default aes)")
    parser.add_argument(
        "--version-id", metavar="ID", type=_version, default=FIRST_VERSION, help="the version to make (default 1)"
    )
    parser.add_argument(
        "--bits", type=int, choices=(2048, 3072, 4096), default=4096, help="size of an RSA key (default 4096)"
    )
    parser.add_argument(
        "--folder",
        metavar="FOLDER",
        type=Path,
        help="write the key to files there, readable by you alone, instead of printing it",
    )


def run(arguments: argparse.Namespace) -> int:
    """Make the key; raises `ConfigError` when a file is there already or cannot be written."""
    make = _rsa if arguments.type == "rsa" else _aes
    files = make(arguments)
    stem = f"{arguments.name}-{arguments.version_id}"
    settings = []
    for setting, (ending, text) in files.items():
        if arguments.folder is not None:
            path = arguments.folder / f"{stem}.{ending}"
            _write(path, text)
            settings.append(f'{setting}: "${{file:{path}}}"')
        elif arguments.type == "aes":
            variable = re.sub(r"[^A-Z0-9]", "_", f"{arguments.name}_KEY_{arguments.version_id}".upper())
            print(f"# for the environment of the proxy, and for a safe place\nexport {variable}={text}")
            settings.append(f'{setting}: "${{env:{variable}}}"')
        else:
            print(f"# {stem}.{ending}\n{text}", end="")
            settings.append(f'{setting}: "${{file:{stem}.{ending}}}"')
    print("# for the configuration")
    print(f"keys:\n  {arguments.name}:\n    type: {arguments.type}")
    if arguments.version_id == FIRST_VERSION:
        print("\n".join(f"    {line}" for line in settings))
    else:
        first, *others = settings
        print(f'    versions:\n      - id: "{arguments.version_id}"')
        print("\n".join(f"        {line}" for line in (first, *others)))
        print("      # the versions there are, after it")
    return Exit.CLEAN


def _aes(arguments: argparse.Namespace) -> dict[str, tuple[str, str]]:
    return {"material": ("key", base64.b64encode(os.urandom(AES_KEY_SIZE)).decode())}


def _rsa(arguments: argparse.Namespace) -> dict[str, tuple[str, str]]:
    key = rsa.generate_private_key(65537, arguments.bits)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    return {"public": ("public.pem", public), "private": ("private.pem", private)}


def _write(path: Path, text: str) -> None:
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with open(file, "w", encoding="utf-8") as stream:
            stream.write(text)
    except OSError as error:
        message = f"cannot write the key: {error.strerror}"
        raise ConfigError([Diagnostic(Severity.ERROR, "unwritable", message, Span(str(path)))]) from error


def _name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise argparse.ArgumentTypeError(f"`{text}` is not a key's name")
    return text


def _version(text: str) -> str:
    if not _VERSION.fullmatch(text):
        raise argparse.ArgumentTypeError(f"`{text}` is not a version")
    return text


COMMAND = Command(
    "keys create",
    "make a local key and print what to write into the configuration",
    configure,
    run,
    "Make an AES or RSA key. Keep what is printed in a safe place too: without it nobody can read what was encrypted "
    "under it.",
)
