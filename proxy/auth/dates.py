"""The three ways in which S3 requests write the time.

ISO 8601 basic (`20261123T120000Z`) in Signature Version 4, the HTTP date of RFC 9110 5.6.7, and epoch
seconds in Signature Version 2 URLs. Everything is returned as epoch seconds, UTC.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache

MAX_SKEW_SECONDS = 900
"""AWS: 15 minutes, given to clients as MaxAllowedSkewMilliseconds."""


def parse_timestamp(text: str) -> int | None:
    """Parse `YYYYMMDDTHHMMSSZ`; None when it is anything else."""
    # The length is looked at first so that only 16 characters of a client's choice are ever cached.
    return _parse_timestamp(text) if len(text) == 16 else None


@lru_cache(maxsize=1024)
def _parse_timestamp(text: str) -> int | None:
    if text[8] != "T" or text[15] != "Z" or not (text[:8] + text[9:15]).isdecimal() or not text.isascii():
        return None
    try:
        moment = datetime(
            int(text[:4]), int(text[4:6]), int(text[6:8]), int(text[9:11]), int(text[11:13]), int(text[13:15]), 0, UTC
        )
    except ValueError:
        return None
    return int(moment.timestamp())


def is_date(text: str) -> bool:
    """Tell whether `text` is a calendar day written `YYYYMMDD`."""
    return parse_timestamp(f"{text}T000000Z") is not None


def parse_http_date(text: str) -> int | None:
    """Parse the `Date` header: an HTTP date, or the basic ISO form that S3 also takes."""
    timestamp = parse_timestamp(text)
    if timestamp is not None:
        return timestamp
    try:
        moment = parsedate_to_datetime(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return int(moment.timestamp())
    except (ValueError, OverflowError):
        return None


def write_timestamp(seconds: float) -> str:
    """Write epoch seconds as `YYYYMMDDTHHMMSSZ`."""
    return _write_timestamp(int(seconds))


@lru_cache(maxsize=16)
def _write_timestamp(seconds: int) -> str:
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(seconds))


def write_iso(seconds: float) -> str:
    """Write epoch seconds as `YYYY-MM-DDTHH:MM:SSZ`, the form in S3's error documents."""
    try:
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
    except (ValueError, OverflowError, OSError):
        return str(int(seconds))
