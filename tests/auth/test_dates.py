"""Times in requests."""

from __future__ import annotations

import pytest

from proxy.auth import dates


@pytest.mark.parametrize(
    "text",
    [
        "",
        "20130524",
        "20130524T000000",
        "20131324T000000Z",
        "20130524t000000z",
        "20130524T246000Z",
        "2013 524T000000Z",
        "+0130524T000000Z",
        "²0130524T000000Z",
        "٢0130524T000000Z",
    ],
)
def test_what_is_not_a_timestamp(text):
    assert dates.parse_timestamp(text) is None


def test_the_three_forms():
    assert dates.parse_timestamp("20130524T000000Z") == 1369353600
    assert dates.parse_http_date("Fri, 24 May 2013 00:00:00 GMT") == 1369353600
    assert dates.parse_http_date("Fri, 24 May 2013 02:00:00 +0200") == 1369353600
    assert dates.parse_http_date("Fri, 24 May 2013 00:00:00 -0000") == 1369353600
    assert dates.parse_http_date("20130524T000000Z") == 1369353600
    assert dates.write_timestamp(1369353600.9) == "20130524T000000Z"
    assert dates.write_iso(1369353600.9) == "2013-05-24T00:00:00Z"
    assert dates.write_iso(10**18 - 1) == str(10**18 - 1)


@pytest.mark.parametrize("text", ["", "x", "Fri, 99 May 2013 00:00:00 GMT", "Fri, 24 May 99999 00:00:00 GMT"])
def test_what_is_not_an_http_date(text):
    assert dates.parse_http_date(text) is None


def test_days():
    assert dates.is_date("20240229")
    assert not dates.is_date("20230229")
    assert not dates.is_date("2023-1-1")
