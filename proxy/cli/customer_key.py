"""A client's own key (SSE-C) for a command: from a file or the environment, as everybody sees command lines."""

from __future__ import annotations

import argparse
import base64
import binascii
import os
from hashlib import md5
from pathlib import Path

from proxy.diagnostics import Diagnostic, Severity, Span
from proxy.envelope.customer_key import CustomerKey
from proxy.envelope.keyring import KEY_SIZE
from proxy.errors import ConfigError

_MAX_FILE = 256


def add_customer_key(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that say where a key is."""
    places = parser.add_mutually_exclusive_group()
    places.add_argument(
        "--sse-c-key-file", metavar="FILE", type=Path, help="the client's key (SSE-C): a file with 32 bytes, or base64"
    )
    places.add_argument(
        "--sse-c-key-env", metavar="NAME", help="the environment variable that holds such a key, in base64"
    )


def read_customer_key(arguments: argparse.Namespace) -> CustomerKey | None:
    """Return the key, None where none is named; raises `ConfigError`, which shows nothing of it."""
    if arguments.sse_c_key_file is not None:
        place = str(arguments.sse_c_key_file)
        try:
            with arguments.sse_c_key_file.open("rb") as file:
                raw = file.read(_MAX_FILE)
        except OSError as error:
            raise _unusable(place, f"cannot read the key: {error.strerror}") from None
        key = raw if len(raw) == KEY_SIZE else _decode(raw.strip())
    elif arguments.sse_c_key_env is not None:
        place = arguments.sse_c_key_env
        text = os.environ.get(place)
        if text is None:
            raise _unusable(place, "there is no such environment variable")
        key = _decode(text.strip().encode("utf-8", "surrogateescape"))
    else:
        return None
    if key is None or len(key) != KEY_SIZE:
        raise _unusable(place, f"the key is not {KEY_SIZE} bytes, nor base64 of as many")
    digest = md5(key, usedforsecurity=False).digest()
    return CustomerKey(key, base64.b64encode(digest).decode("ascii"))


def _decode(text: bytes) -> bytes | None:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None


def _unusable(place: str, message: str) -> ConfigError:
    remedy = "make one: head -c 32 /dev/urandom > own.key"
    return ConfigError([Diagnostic(Severity.ERROR, "unusable-key", message, Span(place), remedy)])
