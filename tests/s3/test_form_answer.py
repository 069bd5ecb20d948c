"""A browser is answered the way its form asks for, with addresses of the proxy."""

from __future__ import annotations

import pytest

from proxy.s3.form_answer import FormAnswer, form_answer
from proxy.s3.xml import parse_xml

URL = "https://photos.s3.example.test/a%20b"


def answered(**fields: str) -> FormAnswer:
    return form_answer(fields, "photos", "a b", '"etag"', URL)


@pytest.mark.parametrize(("asked", "status"), [("200", 200), ("204", 204), ("299", 204), ("", 204)])
def test_a_status_that_s3_offers_is_given(asked: str, status: int) -> None:
    assert answered(success_action_status=asked) == FormAnswer(status, (("Location", URL),))


def test_a_201_comes_with_a_document_that_names_the_object_by_its_url() -> None:
    made = answered(success_action_status="201")
    root = parse_xml(made.document)
    assert (made.status, made.headers) == (201, (("Location", URL),))
    told = {name: root.value(name) for name in ("Location", "Bucket", "Key", "ETag")}
    assert told == {"Location": URL, "Bucket": "photos", "Key": "a b", "ETag": '"etag"'}


@pytest.mark.parametrize("field", ["success_action_redirect", "redirect"])
def test_a_redirect_says_what_was_stored(field: str) -> None:
    made = answered(**{field: "https://app.example.test/done?x=1"})
    query = "x=1&bucket=photos&key=a+b&etag=%22etag%22"
    assert made == FormAnswer(303, (("Location", f"https://app.example.test/done?{query}"),))


@pytest.mark.parametrize("address", ["javascript:alert(1)", "/done", "https://", "https://a b/", "http://[x/"])
def test_a_redirect_to_no_web_address_is_ignored(address: str) -> None:
    assert answered(success_action_redirect=address).status == 204
