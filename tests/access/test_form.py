"""Upload forms as the uploads they ask for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.access.form import form_upload
from proxy.errors import S3Error
from proxy.s3.address import Domains
from proxy.s3.head import parse_head
from proxy.s3.headers import Headers
from proxy.s3.request import S3Request, recognise


def uploaded(fields: dict[str, str]) -> S3Request:
    headers = Headers.of([("Content-Type", "multipart/form-data; boundary=x"), ("User-Agent", "browser")])
    return form_upload(recognise(parse_head("POST", "/bkt", headers), Domains.of(())), fields)


def test_fields_are_headers_of_the_upload() -> None:
    request = uploaded(
        {
            "key": "user/a b",
            "acl": "private",
            "content-type": "text/plain",
            "x-amz-server-side-encryption": "aws:kms",
            "x-amz-meta-name": "é",
            "tagging": "<Tagging><TagSet><Tag><Key>a b</Key><Value>1&amp;2</Value></Tag></TagSet></Tagging>",
        }
    )
    assert (request.operation.name, request.bucket, request.key) == ("PostObject", "bkt", "user/a b")
    assert dict(request.headers) == {
        "x-amz-acl": "private",
        "content-type": "text/plain",
        "x-amz-server-side-encryption": "aws:kms",
        "x-amz-meta-name": "é".encode().decode("latin-1"),
        "x-amz-tagging": "a%20b=1%262",
    }


def test_what_belongs_to_the_form_itself_is_no_header() -> None:
    signature = dict.fromkeys(["policy", "x-amz-signature", "x-amz-credential", "x-amz-date", "awsaccesskeyid"], "x")
    answer = dict.fromkeys(["success_action_status", "success_action_redirect", "x-amz-security-token"], "x")
    assert len(uploaded({"key": "k", **signature, **answer}).headers) == 0


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({}, "InvalidArgument"),
        ({"key": ""}, "InvalidArgument"),
        ({"key": "k" * 1025}, "KeyTooLongError"),
        ({"key": "k", "acl": "private", "x-amz-acl": "public-read"}, "InvalidArgument"),
        ({"key": "k", "tagging": "<Tagging/>"}, "MalformedXML"),
        ({"key": "k", "x-amz-copy-source": "/b/k"}, "NotImplemented"),
        ({"key": "k", "x-amz-unheard-of": "1"}, "NotImplemented"),
        ({"key": "k", "x-amz-object-lock-event-hold": "ON"}, "NotImplemented"),
        ({"key": "k", "content-type": "a\r\nx-amz-acl: public-read"}, "InvalidArgument"),
        ({"key": "k", "x-amz-meta-a b": "1"}, "InvalidArgument"),
        ({"key": "k", "x-amz-meta-é": "1"}, "InvalidArgument"),
    ],
)
def test_fields_that_are_no_upload_are_refused(fields: dict[str, str], code: str) -> None:
    with pytest.raises(S3Error) as caught:
        uploaded(fields)
    assert caught.value.code == code


@given(st.dictionaries(st.text(max_size=12).map(lambda text: f"x-amz-meta-{text.lower()}"), st.text(max_size=12)))
def test_no_field_can_smuggle_a_header(fields: dict[str, str]) -> None:
    try:
        headers = uploaded({"key": "k", **fields}).headers
    except S3Error:
        return
    assert set(headers.names()) == set(fields)
    assert all(b"\n" not in value and b"\r" not in value for _, value in headers.raw)
