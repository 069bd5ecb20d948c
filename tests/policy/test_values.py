"""Numbers, dates, booleans, binary data and addresses as texts."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from ipaddress import IPv4Address, IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.policy import values


@given(st.decimals(allow_nan=False, allow_infinity=False, places=6, min_value=-(10**12), max_value=10**12))
def test_a_decimal_is_read_exactly(number: Decimal) -> None:
    assert values.read_number(f"{number:f}") == number


@pytest.mark.parametrize(
    "text", ["", ".", "1e3", "NaN", "Infinity", "0x10", "1_000", "1,5", " 1", "1 ", "١", "9" * 101]
)
def test_what_is_not_a_number(text: str) -> None:
    assert values.read_number(text) is None


@given(st.datetimes(timezones=st.just(UTC)))
def test_a_date_is_read_to_its_instant(moment: datetime) -> None:
    text = moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
    read = values.read_date(text)
    assert read is not None
    assert read == Decimal((moment - datetime(1970, 1, 1, tzinfo=UTC)).days) * 86400 + (
        moment.hour * 3600 + moment.minute * 60 + moment.second + Decimal(moment.microsecond) / 1_000_000
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2020-1-1",
        "2020-02-30",
        "2020-01-01T25:00:00Z",
        "2020-01-01 00:00:00",
        "2020-01-01T00:00:00+25",
        "-5",
        "1e9",
        "٢٠٢٠",
    ],
)
def test_what_is_not_a_date(text: str) -> None:
    assert values.read_date(text) is None


def test_four_digits_are_a_year_and_five_are_seconds() -> None:
    assert values.read_date("2020") == 1577836800
    assert values.read_date("20200") == 20200


def test_booleans_binary_and_arns() -> None:
    assert values.read_bool("True") is True
    assert values.read_bool("yes") is None
    assert values.read_binary("cmVk") == b"red"
    assert values.read_binary("cmV") is None
    assert values.read_binary("cm Vk") is None


@given(st.ip_addresses(v=4), st.integers(0, 32))
def test_a_network_holds_the_addresses_the_standard_library_says(address: IPv4Address, length: int) -> None:
    network = values.read_network(f"{address}/{length}")
    assert network is not None
    version, number, shift = network
    for other in (address, IPv4Address(int(address) ^ 1), IPv4Address(int(address) ^ (1 << 31))):
        read = values.read_address(f"::ffff:{other}")
        assert read is not None
        belongs = read[0] == version and read[1] >> shift == number
        assert belongs is (other in IPv4Network((int(address), length), strict=False))


@pytest.mark.parametrize(
    "text",
    [
        "10.0.0.0/33",
        "::/129",
        "10.0.0.0/",
        "10.0.0/8",
        "10.0.0.0/+8",
        "10.0.0.0/8/8",
        "fe80::1%eth0",
        "::ffff:1.2.3.4/95",
        "x",
    ],
)
def test_what_is_not_a_network(text: str) -> None:
    assert values.read_network(text) is None
