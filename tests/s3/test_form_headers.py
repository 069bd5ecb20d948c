"""A form's fields become the headers of a PutObject, and nothing slips in beside them."""

from __future__ import annotations

import pytest

from proxy.errors import S3Error
from proxy.s3.form_headers import form_headers


def refusal(fields: dict[str, str]) -> S3Error:
    with pytest.raises(S3Error) as caught:
        form_headers(fields)
    return caught.value


def test_fields_with_a_meaning_for_the_object_become_headers() -> None:
    fields = {
        "acl": "private",
        "content-type": "text/plain",
        "cache-control": "no-cache",
        "x-amz-meta-name": "grün",
        "x-amz-server-side-encryption": "aws:kms",
        "x-amz-storage-class": "STANDARD_IA",
        "x-amz-checksum-crc32": "AAAAAA==",
    }
    assert form_headers(fields) == (
        ("x-amz-acl", "private"),
        ("content-type", "text/plain"),
        ("cache-control", "no-cache"),
        ("x-amz-meta-name", "gr\u00c3\u00bcn"),
        ("x-amz-server-side-encryption", "aws:kms"),
        ("x-amz-storage-class", "STANDARD_IA"),
        ("x-amz-checksum-crc32", "AAAAAA=="),
    )


def test_fields_of_the_signature_the_answer_and_the_page_are_left_out() -> None:
    names = ["policy", "x-amz-signature", "x-amz-credential", "x-amz-date", "x-amz-algorithm", "x-amz-security-token"]
    names += ["awsaccesskeyid", "signature", "key", "success_action_status", "success_action_redirect", "redirect"]
    assert form_headers(dict.fromkeys([*names, "submit", "x-ignore-me"], "x")) == ()


@pytest.mark.parametrize(
    "name",
    ["x-amz-copy-source", "x-amz-content-sha256", "x-amz-decoded-content-length", "x-amz-trailer", "x-amz-new-thing"],
)
def test_a_field_that_looks_like_a_header_of_s3_and_is_none_of_an_upload_is_refused(name: str) -> None:
    error = refusal({name: "x"})
    assert (error.code, error.extras["ArgumentName"]) == ("InvalidArgument", name)


def test_tags_are_said_again_as_a_query() -> None:
    tagging = "<Tagging><TagSet><Tag><Key>a b</Key><Value>1&amp;2</Value></Tag></TagSet></Tagging>"
    assert form_headers({"tagging": tagging}) == (("x-amz-tagging", "a%20b=1%262"),)
    assert refusal({"tagging": "<Tagging>"}).code == "MalformedXML"


def test_a_header_cannot_be_given_in_two_ways() -> None:
    assert refusal({"acl": "private", "x-amz-acl": "public-read"}).code == "InvalidArgument"


@pytest.mark.parametrize("value", ["a\r\nx-amz-acl: public-read", "a\x00b", "a\x7fb"])
def test_a_value_cannot_end_its_header(value: str) -> None:
    assert refusal({"x-amz-meta-a": value}).code == "InvalidArgument"


def test_an_empty_checksum_is_not_a_checksum() -> None:
    assert refusal({"x-amz-checksum-crc32": " "}).code == "InvalidArgument"
