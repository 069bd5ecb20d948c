"""Which bucket and key a request is about: path style or virtual host.

The key is percent-decoded once and otherwise literal: `//` and `a/../b` are parts of a name. What
cannot be a bucket or a key of S3 is refused, and so are the names by which AWS reaches a bucket under
another name (access point aliases, directory buckets), since policies are written for the bucket.

Sources: https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html,
https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html and
https://docs.aws.amazon.com/AmazonS3/latest/userguide/VirtualHosting.html
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal
from urllib.parse import quote, unquote_to_bytes

from proxy.errors import S3Error
from proxy.per_request import per_request
from proxy.s3.head import RequestHead

Style = Literal["path", "virtual"]

KEY_LIMIT = 1024
"""Bytes of UTF-8 a key may have."""

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_IPV4 = re.compile(r"\d+\.\d+\.\d+\.\d+")
# Reserved by AWS for other ways to a bucket: access point aliases, Object Lambda, Outposts, directory
# buckets, multi-region access points, table buckets.
_RESERVED_ENDS = ("-s3alias", "--ol-s3", "--op-s3", "--x-s3", ".mrap", "--table-s3")


@per_request(frozen=True, slots=True)
class Address:
    """What a request is addressed to; `bucket` is None for the service, `key` for a bucket."""

    style: Style
    bucket: str | None
    key: str | None


@dataclass(frozen=True, slots=True)
class Domains:
    """Host names under which buckets are virtual hosts, ready for look-up."""

    names: frozenset[str]
    suffixes: tuple[str, ...]
    """`.` and the name, longest first: the most specific domain decides."""

    @classmethod
    def of(cls, names: Iterable[str]) -> Domains:
        """Make from configured names; ports and letter case do not count."""
        hosts = {_host_name(name) for name in names}
        return cls(frozenset(hosts), tuple(sorted((f".{host}" for host in hosts), key=lambda end: (-len(end), end))))


def parse_address(head: RequestHead, domains: Domains) -> Address:
    """Find bucket and key of a request; raises `S3Error` for what can be neither."""
    bucket = _virtual_bucket(head.headers.get("host"), domains) if domains.suffixes else None
    if bucket is not None:
        return Address("virtual", check_bucket_name(bucket), _decode_key(head.path[1:]))
    name, _, key = head.path[1:].partition("/")
    if not name:
        if key or len(head.path) > 1:
            raise S3Error("InvalidBucketName", extras={"BucketName": ""})
        return Address("path", None, None)
    return Address("path", check_bucket_name(name), _decode_key(key))


@lru_cache(maxsize=4096)  # hot, and only valid names are kept, which are short
def check_bucket_name(name: str) -> str:
    """Return `name` if it can name a general purpose bucket; raises InvalidBucketName or NotImplemented."""
    if not _BUCKET.fullmatch(name) or ("." in name and (".." in name or _IPV4.fullmatch(name))):
        raise S3Error("InvalidBucketName", extras={"BucketName": name})
    if name.endswith(_RESERVED_ENDS):
        raise S3Error(
            "NotImplemented",
            "Access points, directory buckets and table buckets are not supported.",
            {"BucketName": name},
        )
    return name


def check_key(key: str) -> str:
    """Return `key` if S3 could store an object under it; raises KeyTooLongError or InvalidURI."""
    size = len(key) if key.isascii() else len(key.encode("utf-8", "surrogateescape"))
    if size > KEY_LIMIT:
        raise S3Error("KeyTooLongError", extras={"Size": str(size), "MaxSizeAllowed": str(KEY_LIMIT)})
    if "\0" in key or (".." in key and _leaves_its_bucket(key)):
        raise S3Error("InvalidURI", extras={"URI": key})
    return key


def encode_key(key: str) -> str:
    """Percent-encode a key as signatures want it: unreserved characters and `/` stay."""
    return quote(key, safe="/-_.~")


def _virtual_bucket(host: str | None, domains: Domains) -> str | None:
    if host is None:
        return None
    name = _host_name(host)
    if name in domains.names or not name.endswith(domains.suffixes):
        return None
    return next(name[: -len(suffix)] for suffix in domains.suffixes if name.endswith(suffix))


def _host_name(host: str) -> str:
    """Lower-case without port and without the dot that may end an absolute name."""
    if not host.endswith("]"):  # an IPv6 literal without a port
        name, colon, port = host.rpartition(":")
        if colon and (port.isdigit() or not port):
            host = name
    return host.lower().rstrip(".")


def _decode_key(raw: str) -> str | None:
    if not raw:
        return None
    if "%" not in raw:
        return check_key(raw)
    try:
        return check_key(unquote_to_bytes(raw).decode("utf-8"))
    except UnicodeDecodeError:
        raise S3Error("InvalidURI", extras={"URI": raw}) from None


def _leaves_its_bucket(key: str) -> bool:
    """Tell whether `..` ever outnumber the names before them.

    S3 refuses such keys, and a store that resolves them would serve another bucket than was judged.
    """
    depth = 0
    for piece in key.split("/"):
        if piece == "..":
            depth -= 1
            if depth < 0:
                return True
        elif piece not in ("", "."):
            depth += 1
    return False
