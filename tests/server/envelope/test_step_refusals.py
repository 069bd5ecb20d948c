"""What clients are told when the store refuses one of several requests that make one operation."""

from __future__ import annotations

import pytest

from proxy.server.envelope.step_refusals import refusal_of, refusal_of_completion


def document(code: str) -> bytes:
    return f"<Error><Code>{code}</Code></Error>".encode()


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (document("NoSuchUpload"), "NoSuchUpload"),
        (document("Unheard"), "ServiceUnavailable"),
        (b"no document", "ServiceUnavailable"),
        (b"", "ServiceUnavailable"),
    ],
)
def test_an_error_that_s3_knows_is_passed_on(body: bytes, code: str) -> None:
    assert refusal_of(404, body).code == code


@pytest.mark.parametrize("code", ["InvalidPart", "InvalidPartOrder"])
def test_parts_that_changed_since_they_were_checked_were_changed_by_somebody_else(code: str) -> None:
    refusal = refusal_of_completion(document(code))
    assert (refusal.status, refusal.code) == (409, "OperationAborted")


def test_other_refusals_of_a_completion_are_what_they_are() -> None:
    assert refusal_of_completion(document("InvalidRequest")).code == "InvalidRequest"
