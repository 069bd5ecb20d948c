"""Entity tags, quoted or not, alone or in lists."""

from __future__ import annotations

import pytest

from proxy.s3.etags import map_etags, quote_etag, unquote_etag


@pytest.mark.parametrize("text", ['"abc-2"', "abc-2", ' "abc-2" ', 'W/"abc-2"'])
def test_quotes_and_weakness_come_off(text: str) -> None:
    assert unquote_etag(text) == "abc-2"
    assert quote_etag(unquote_etag(text)) == '"abc-2"'


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ('"abc"', '"abc!"'),
        ("abc", "abc!"),
        ('"a", "b"', '"a!", "b!"'),
        ('W/"a","b"', 'W/"a!","b!"'),
        ("a, b", "a!, b!"),
        ("*", "*"),
        (" * ", " * "),
        ("", ""),
        ('"unclosed', '"unclosed'),
        ('""', '""'),
    ],
)
def test_every_tag_of_a_condition_is_changed_and_nothing_else(value: str, expected: str) -> None:
    assert map_etags(value, lambda tag: tag + "!") == expected
