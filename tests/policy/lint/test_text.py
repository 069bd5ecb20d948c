"""What another reader, human or machine, would read differently is found."""

from __future__ import annotations

import pytest

from proxy.policy.lint import lint_text

POLICY = """\
Version: "2012-10-17"
Id: {id}
Statement:
  - Effect: Deny{comment}
    Principal: "*"
    Action: s3:*
    Resource: ["arn:aws:s3:::b", "arn:aws:s3:::b/{key}"]
    Condition:
      {condition}
"""
CONDITION = 'NumericLessThan: {s3:max-keys: 5, s3:TlsVersion: "1.2"}'


def found(id: str = '""', comment: str = "", key: str = "*", condition: str = CONDITION) -> list[tuple[str, str]]:
    linted = lint_text(POLICY.format(id=id, comment=comment, key=key, condition=condition), "p.yaml", "bucket")
    of_text = ("hidden-characters", "lookalike-characters", "mangled-scalar")
    return [(f.rule.name, f.diagnostic.message) for f in linted.findings if f.rule.name in of_text]


@pytest.mark.parametrize("char", ["\u200b", "\u202e", "\u2066", "\u00ad", "\ufeff", "\u2060"])
def test_an_invisible_character_is_found_in_values_and_comments(char: str) -> None:
    assert [name for name, _ in found(key=f"a{char}b")] == ["hidden-characters"]
    assert [name for name, _ in found(comment=f" # a{char}b")] == ["hidden-characters"]


def test_the_place_of_an_invisible_character_is_its_own() -> None:
    linted = lint_text(POLICY.format(id='""', comment="", key="a\u202eb", condition=CONDITION), "p.yaml", "bucket")
    finding = next(finding for finding in linted.findings if finding.rule.name == "hidden-characters")
    assert (finding.span.line, finding.span.column, finding.span.length) == (7, 51, 1)
    assert "U+202E (RIGHT-TO-LEFT OVERRIDE)" in finding.diagnostic.message


@pytest.mark.parametrize(
    ("word", "why"),
    [
        ("s\u0435cret", "`\u0435` is CYRILLIC SMALL LETTER IE"),
        ("\u0391lpha", "`\u0391` is GREEK CAPITAL LETTER ALPHA"),
        ("\uff53ecret", "it looks like `secret`"),
        ("\U0001d42cecret", "it looks like `secret`"),
    ],
)
def test_a_word_of_several_scripts_is_found(word: str, why: str) -> None:
    (finding,) = found(key=word)
    assert finding[0] == "lookalike-characters"
    assert why in finding[1]


@pytest.mark.parametrize("word", ["café", "Größe", "данные", "δεδομένα", "日本語", "naïve/данные", "数据-data"])
def test_words_of_one_script_are_left_alone(word: str) -> None:
    assert found(key=word) == []


@pytest.mark.parametrize(
    ("scalar", "what"),
    [
        ("2012-10-17", "a date"),
        ("123456789012", "a number"),
        ("012345670123", "a number"),
        ("0123", "an octal number"),
        ("12:30:45", "a number to the base of 60"),
        ("yes", "a boolean"),
        ("Off", "a boolean"),
    ],
)
def test_a_plain_scalar_that_others_read_otherwise_is_found(scalar: str, what: str) -> None:
    assert found(id=scalar) == [("mangled-scalar", f"other tools read `{scalar}` as {what}")]
    assert found(id=f'"{scalar}"') == []


def test_numbers_where_numbers_are_meant_are_left_alone() -> None:
    assert found(condition="NumericLessThan: {s3:max-keys: 5, s3:TlsVersion: 1.2}") == []
    assert found(condition="Bool: {aws:SecureTransport: false}") == []
