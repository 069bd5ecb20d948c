"""AWS's JSON becomes YAML and comes back byte by byte; comments are kept as the description."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy import yamldoc
from proxy.errors import ConfigError
from proxy.policy.parse import parse_policy
from proxy.policy.translate import canonical, strip_comments, to_json, to_yaml

AWS = """\
{
    "Version": "2012-10-17",
    "Statement": [
        {
            "Sid": "Yes",
            "Effect": "Allow",
            "Principal": {
                "AWS": "012345670123"
            },
            "Action": [
                "s3:GetObject",
                "s3:GetObjectVersion"
            ],
            "Resource": "arn:aws:s3:::reports/${aws:username}/*",
            "Condition": {
                "Bool": {
                    "aws:SecureTransport": true
                },
                "NumericLessThan": {
                    "s3:max-keys": 1.20,
                    "s3:TlsVersion": "1.2"
                },
                "Null": {
                    "aws:Referer": "true"
                }
            }
        }
    ]
}
"""


def back(text: str, **more: Any) -> str:
    return to_json(yamldoc.parse(to_yaml(text)), **more)


def test_what_aws_writes_comes_back_byte_by_byte() -> None:
    assert back(AWS) == AWS


@pytest.mark.parametrize("indent", [2, 4, None])
def test_every_canonical_form_does(indent: int | None) -> None:
    text = canonical(AWS, indent=indent)
    assert back(text, indent=indent) == text
    assert json.loads(text) == json.loads(AWS)


def test_the_yaml_is_the_same_policy_and_what_other_readers_take_it_for() -> None:
    written = to_yaml(AWS, bucket="reports", schema="policy.schema.json")
    assert written.startswith("# yaml-language-server: $schema=policy.schema.json\nbucket: reports\npolicy:\n")
    policy = parse_policy(yamldoc.parse(written), "bucket")
    assert policy.statements[0].sid == "Yes"
    assert yaml.safe_load(written)["policy"] == json.loads(AWS)


def test_comments_become_the_description_and_can_be_written_again() -> None:
    commented = '// who may read\n// the "reports"\n' + AWS.replace('"Sid"', '/* one */ "Sid"') + "# the end\n"
    written = to_yaml(commented)
    document = yamldoc.parse(written)
    assert isinstance(document.data, dict)
    assert document.data["description"] == 'who may read\nthe "reports"\none\nthe end'
    assert to_json(document) == AWS
    again = to_json(document, comments=True)
    assert again == '// who may read\n// the "reports"\n// one\n// the end\n' + AWS
    assert to_yaml(again) == written


def test_what_looks_like_a_comment_in_a_text_is_none() -> None:
    text = '{"Id": "http://x # y /* z */ \\" // w", "Statement": []}'
    assert strip_comments(text) == (text, "")


def test_places_of_mistakes_are_those_of_the_file() -> None:
    with pytest.raises(ConfigError, match=r"p\.json:2:3: error invalid-json not JSON: expecting"):
        to_yaml("{ /* a */ // b\n  x}", "p.json")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "a policy is a JSON object"),
        ('{"a": 1, "a": 2}', "`a` is given twice"),
        ('{"a": NaN}', "`NaN` is not JSON"),
        ('{"a": "\\ud800"}', "half a surrogate pair"),
        ("[" * 100_000, "nested too deeply"),
        ("", "not JSON"),
        ('{"a": "/* never closed', "not JSON"),
        ("/* never closed", "not JSON"),
    ],
)
def test_what_is_no_policy_is_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        to_yaml(text)


def test_only_condition_values_are_bare_in_json() -> None:
    document = yamldoc.parse(
        "Statement: {Principal: {AWS: 123456789012}, Condition: {Bool: {a: true, b: 'true', c: yes}}}"
    )
    assert json.loads(to_json(document)) == {
        "Statement": {"Principal": {"AWS": "123456789012"}, "Condition": {"Bool": {"a": True, "b": "true", "c": "yes"}}}
    }


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.sampled_from(
    [
        "yes",
        "null",
        "1.20",
        "2012-10-17",
        "s3:*",
        "arn:aws:s3:::b/*",
        "a: b",
        "- a",
        "# a",
        "*",
        "${aws:username}",
        "",
        " x ",
    ]
)
DOCUMENT = st.dictionaries(
    TEXT,
    st.recursive(
        TEXT,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
        max_leaves=8,
    ),
    max_size=4,
)


@settings(max_examples=300, deadline=None)
@given(DOCUMENT, DOCUMENT, st.sampled_from([2, 4, None]))
def test_any_document_comes_back_byte_by_byte(
    data: dict[str, Any], condition: dict[str, Any], indent: int | None
) -> None:
    whole = {"Statement": [{**data, "Condition": {"Bool": {"a": True, "n": 1.5, "t": "true"}, **condition}}]}
    separators = (", ", ": ") if indent is None else None
    text = json.dumps(whole, indent=indent, ensure_ascii=False, separators=separators) + "\n"
    written = to_yaml(text)
    assert to_json(yamldoc.parse(written), indent=indent) == text
    assert to_yaml(to_json(yamldoc.parse(written), indent=indent)) == written


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=40) | st.text(st.sampled_from('{}[]":,/*#\\n ua1'), max_size=30))
def test_whatever_is_imported_it_is_translated_or_refused(text: str) -> None:
    with suppress(ConfigError):
        yamldoc.parse(to_yaml(text))
