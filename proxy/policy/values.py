"""How the texts of condition values are read: numbers, dates, addresses, binary data.

Each reader returns None for a text that is not of its type. Policy values that come back as None are
refused at load; request values that do are simply equal to nothing.

Sources: IAM User Guide "Condition operators"; W3C NOTE-datetime for dates; RFC 4291 2.5.5.2 for
IPv4-mapped addresses.
"""

from __future__ import annotations

import base64
import binascii
import calendar
import ipaddress
import re
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache

# Fixed shapes without nested repetition: matching is linear.
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)")
_DATE = re.compile(
    r"([0-9]{4})(?:-([0-9]{2})(?:-([0-9]{2})"
    r"(?:T([0-9]{2}):([0-9]{2})(?::([0-9]{2})(\.[0-9]{1,9})?)?(Z|[+-][0-9]{2}:?[0-9]{2})?)?)?)?"
)
_EPOCH = re.compile(r"(?:[0-9]{1,3}|[0-9]{5,})(?:\.[0-9]{1,9})?")
_MAX_NUMBER = 100  # characters; S3's longest number has 19 digits


@lru_cache(maxsize=1024)
def read_number(text: str) -> Decimal | None:
    """Read an integer or decimal such as `-1.20`; exponents, `NaN` and blanks are no numbers."""
    return Decimal(text) if len(text) <= _MAX_NUMBER and _NUMBER.fullmatch(text) else None


def read_date(text: str) -> Decimal | None:
    """Read an ISO 8601 date, or seconds since 1970, into seconds since 1970.

    Four digits are a year. A time without an offset is UTC.
    """
    if len(text) > _MAX_NUMBER:
        return None
    if _EPOCH.fullmatch(text):
        return Decimal(text)
    match = _DATE.fullmatch(text)
    if match is None:
        return None
    year, month, day, hour, minute, second, fraction, zone = match.groups()
    try:
        day_start = datetime(int(year), int(month or 1), int(day or 1), tzinfo=UTC)
        moment = day_start.replace(hour=int(hour or 0), minute=int(minute or 0), second=int(second or 0))
    except ValueError:
        return None
    seconds = Decimal(calendar.timegm(moment.utctimetuple())) - _offset_seconds(zone)
    return seconds + Decimal("0" + fraction) if fraction else seconds


def _offset_seconds(zone: str | None) -> int:
    if zone is None or zone == "Z":
        return 0
    digits = zone[1:].replace(":", "")
    seconds = int(digits[:2]) * 3600 + int(digits[2:]) * 60
    return -seconds if zone[0] == "-" else seconds


def read_bool(text: str) -> bool | None:
    """Read `true` or `false` in any case."""
    return {"true": True, "false": False}.get(text.lower())


def read_binary(text: str) -> bytes | None:
    """Decode strict base64."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None


@lru_cache(maxsize=4096)
def read_address(text: str) -> tuple[int, int] | None:
    """Read an address into (version, number); IPv4-mapped IPv6 becomes IPv4."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return address.version, int(address)


def read_network(text: str) -> tuple[int, int, int] | None:
    """Read a CIDR into (version, network, shift): an address belongs when both agree after `>> shift`.

    Without a prefix length it is one host: /32 for IPv4, /128 for IPv6.
    """
    host, slash, length = text.partition("/")
    address = read_address(host) if "%" not in host else None
    if address is None or (slash and not (length.isascii() and length.isdigit() and len(length) <= 3)):
        return None
    version, number = address
    bits = 32 if version == 4 else 128
    prefix = bits
    if slash:
        # `::ffff:10.0.0.0/104` is 10.0.0.0/8: the mapped range starts at bit 96.
        prefix = int(length) - (96 if version == 4 and ":" in host else 0)
    if not 0 <= prefix <= bits:
        return None
    shift = bits - prefix
    return version, number >> shift, shift
