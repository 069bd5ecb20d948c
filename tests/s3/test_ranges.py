"""Range as S3 reads it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import S3Error
from proxy.s3.headers import Headers
from proxy.s3.ranges import ByteRange, current_range, parse_range


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("bytes=0-9", (0, 9)),
        ("bytes=5-", (5, 99)),
        ("bytes=-10", (90, 99)),
        ("bytes=-1000", (0, 99)),
        ("bytes=0-1000", (0, 99)),
        ("bytes=99-99", (99, 99)),
        ("Bytes= 1 - 2 ", (1, 2)),
    ],
)
def test_one_range_is_honoured(value: str, expected: tuple[int, int]) -> None:
    found = parse_range(value)
    assert found is not None
    assert found.resolve(100) == expected


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        "bytes",
        "bytes=",
        "bytes=-",
        "bytes=a-b",
        "bytes=5-4",
        "bytes=0-1,3-4",
        "items=0-1",
        "bytes=--1",
        "bytes=١-٢",
        "bytes=1-2x",
        "bytes=" + "9" * 20 + "-",
    ],
)
def test_anything_else_is_ignored(value: str | None) -> None:
    assert parse_range(value) is None


@pytest.mark.parametrize(
    ("value", "size"),
    [("bytes=100-", 100), ("bytes=100-200", 100), ("bytes=0-", 0), ("bytes=-5", 0), ("bytes=-0", 100)],
)
def test_a_range_that_holds_nothing_is_an_error(value: str, size: int) -> None:
    found = parse_range(value)
    assert found is not None
    with pytest.raises(S3Error) as caught:
        found.resolve(size)
    assert (caught.value.status, caught.value.headers) == (416, {"Content-Range": f"bytes */{size}"})
    assert caught.value.extras == {"RangeRequested": str(found), "ActualObjectSize": str(size)}


@given(
    st.one_of(
        st.builds(ByteRange, st.integers(0, 10**12), st.none()),
        st.tuples(st.integers(0, 10**12), st.integers(0, 10**12)).map(lambda pair: ByteRange(min(pair), max(pair))),
        st.integers(0, 10**12).map(lambda size: ByteRange(None, suffix=size)),
    )
)
def test_a_range_that_is_written_reads_back(written: ByteRange) -> None:
    assert parse_range(str(written)) == written


SHOWN = Headers.of([("etag", '"0123-0"'), ("last-modified", "Mon, 23 Nov 2026 20:00:00 GMT")])


@pytest.mark.parametrize(
    ("state", "holds"),
    [
        (None, True),
        ('"0123-0"', True),
        ("Mon, 23 Nov 2026 20:00:00 GMT", True),
        ('"0123"', False),
        ('W/"0123-0"', False),
        ('"0123-0", "4567"', False),
        ("Mon, 23 Nov 2026 20:00:01 GMT", False),
        ("Monday, 23-Nov-26 20:00:00 GMT", False),
        ("", False),
    ],
)
def test_a_range_holds_for_the_state_that_it_was_begun_with(state: str | None, holds: bool) -> None:
    asked = [("range", "bytes=5-9")] if state is None else [("range", "bytes=5-9"), ("if-range", state)]
    assert current_range(Headers.of(asked), SHOWN) == (ByteRange(5, 9) if holds else None)
    assert current_range(Headers.of(asked), Headers.of([])) == (None if state is not None else ByteRange(5, 9))
    assert current_range(Headers.of(asked[1:]), SHOWN) is None
