"""ARN patterns are matched part by part."""

from __future__ import annotations

import pytest

from proxy.policy.arns import arn_matcher, literal_head, split_arn
from proxy.policy.patterns import tokenize


@pytest.mark.parametrize(
    ("pattern", "text", "wanted"),
    [
        ("arn:aws:s3:::b/*", "arn:aws:s3:::b/a:b", True),
        ("arn:aws:s3:*:*:hr/*", "arn:aws:s3:::hr/x", True),
        ("arn:aws:s3:*:*:hr/*", "arn:aws:s3:::evil/a:b:hr/x", False),
        ("arn:*:s3:::b", "arn:aws-cn:s3:::b", True),
        ("arn:*", "arn:aws:s3:::b", False),
        ("*", "arn:aws:s3:::b", False),
        ("arn:aws:s3:::b", "b", False),
        ("arn:?ws:s3:::b", "arn:aws:s3:::b", True),
    ],
)
def test_a_wildcard_never_crosses_the_first_five_colons(pattern: str, text: str, wanted: bool) -> None:
    assert arn_matcher(tokenize(pattern))(text) is wanted


def test_the_sixth_part_keeps_its_colons() -> None:
    assert split_arn("arn:aws:s3:::b/a:b:c") == ["arn", "aws", "s3", "", "", "b/a:b:c"]
    assert split_arn("urn:a:b:c:d:e") is None
    assert split_arn("arn:a:b") is None
    assert literal_head(tokenize("arn:aws:s3:::*"))
    assert not literal_head(tokenize("arn:aws:s3:*::b"))
    assert not literal_head(())
