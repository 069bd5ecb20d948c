"""The policy document in a form."""

from __future__ import annotations

import base64
import json

import pytest

from proxy.auth.post_policy import check_form, check_size, parse_form_policy
from proxy.errors import S3Error

EXPIRATION = "2030-01-01T00:00:00Z"
BEFORE = 1893455999.0
AFTER = 1893456000.0


def encode(document: object) -> str:
    return base64.b64encode(json.dumps(document).encode()).decode()


def policy(*conditions: object):
    return parse_form_policy(encode({"expiration": EXPIRATION, "conditions": list(conditions)}))


def refused(conditions, fields, now=BEFORE) -> str:
    with pytest.raises(S3Error) as caught:
        check_form(policy(*conditions), fields, "bucket", now)
    assert (caught.value.code, caught.value.status) == ("AccessDenied", 403)
    return caught.value.message


@pytest.mark.parametrize(
    ("condition", "fields", "holds"),
    [
        ({"acl": "private"}, {"acl": "private"}, True),
        ({"ACL": "private"}, {"acl": "private"}, True),
        ({"acl": "private"}, {"acl": "Private"}, False),
        ({"acl": "private"}, {}, False),
        (["eq", "$acl", "private"], {"acl": "private"}, True),
        (["EQ", "$acl", "private"], {"acl": "private"}, True),
        (["eq", "$acl", "private"], {"acl": "private "}, False),
        (["starts-with", "$key", "user/"], {"key": "user/a"}, True),
        (["starts-with", "$key", "user/"], {"key": "users/a"}, False),
        (["starts-with", "$key", ""], {"key": "anything"}, True),
        (["starts-with", "$key", ""], {}, False),
        (["starts-with", "$Content-Type", "image/"], {"content-type": "image/png,image/gif"}, True),
        (["starts-with", "$Content-Type", "image/"], {"content-type": "image/png, image/gif"}, True),
        (["starts-with", "$Content-Type", "image/"], {"content-type": "image/png,text/html"}, False),
        (["starts-with", "$x-amz-meta-a", "image/"], {"x-amz-meta-a": "image/png,text/html"}, True),
        ({"bucket": "bucket"}, {}, True),
        ({"bucket": "other"}, {}, False),
        ({"bucket": "other"}, {"bucket": "other"}, False),
    ],
)
def test_conditions(condition, fields, holds):
    if holds:
        check_form(policy(condition), fields, "bucket", BEFORE)
    else:
        assert refused([condition], fields).startswith("Invalid according to Policy: Policy Condition failed: [")


def test_the_key_that_a_condition_demands_is_not_shown():
    name = "x-amz-server-side-encryption-customer-key"
    for condition in ({name: "c2VjcmV0"}, ["eq", f"${name}", "c2VjcmV0"]):
        assert "c2VjcmV0" not in refused([condition], {name: "other"})
    with pytest.raises(S3Error) as caught:
        policy(["like", f"${name}", "c2VjcmV0"])
    assert "c2VjcmV0" not in caught.value.message


def test_each_field_must_be_covered_but_the_exempt_ones():
    exempt = {
        "x-amz-signature": "",
        "AWSAccessKeyId".lower(): "",
        "signature": "",
        "policy": "",
        "file": "",
        "x-ignore-me": "",
    }
    check_form(policy(), exempt, "bucket", BEFORE)
    message = refused([{"acl": "private"}], {"acl": "private", "tagging": "", "x-ignoreme": ""})
    assert message == "Invalid according to Policy: Extra input fields: tagging, x-ignoreme"


def test_a_policy_ends_at_its_expiration():
    check_form(policy(), {}, "bucket", BEFORE)
    assert refused([], {}, AFTER) == "Invalid according to Policy: Policy expired."


def test_size_ranges_narrow_each_other():
    assert policy().size is None
    assert policy(["content-length-range", 1, "1000"]).size == (1, 1000)
    assert policy(["content-length-range", 1, 1000], ["content-length-range", 10, 2000]).size == (10, 1000)


def test_the_size_of_the_file_is_checked():
    check_size(5, None)
    check_size(1, (1, 2))
    check_size(2, (1, 2))
    for size, code in ((0, "EntityTooSmall"), (3, "EntityTooLarge")):
        with pytest.raises(S3Error) as caught:
            check_size(size, (1, 2))
        assert (caught.value.code, caught.value.extras["ProposedSize"]) == (code, str(size))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "not base64!",
        base64.b64encode(b"\xff").decode(),
        base64.b64encode(b"[" * 20000).decode(),
        encode([]),
        encode("x"),
        encode({"conditions": []}),
        encode({"expiration": "soon", "conditions": []}),
        encode({"expiration": "2030-01-01T00:00:00", "conditions": []}),
        encode({"expiration": 1893456000, "conditions": []}),
        encode({"expiration": EXPIRATION}),
        encode({"expiration": EXPIRATION, "conditions": {}}),
        encode({"expiration": EXPIRATION, "conditions": [], "more": 1}),
        *(
            encode({"expiration": EXPIRATION, "conditions": [condition]})
            for condition in (
                {},
                {"a": "1", "b": "2"},
                {"a": 1},
                [],
                ["eq", "$a"],
                ["eq", "a", "1"],
                ["eq", "$a", 1],
                ["eq", 1, "a"],
                ["like", "$a", "1"],
                [1, "$a", "1"],
                "eq",
                None,
                ["content-length-range", 1],
                ["content-length-range", 1, 2, 3],
                ["content-length-range", -1, 2],
                ["content-length-range", 1, "x"],
                ["content-length-range", True, 2],
                ["content-length-range", 1.5, 2],
            )
        ),
    ],
)
def test_a_document_that_is_not_understood_is_refused(text):
    with pytest.raises(S3Error) as caught:
        parse_form_policy(text)
    assert (caught.value.code, caught.value.status) == ("InvalidPolicyDocument", 400)
    assert caught.value.message.startswith("Invalid Policy: ")
