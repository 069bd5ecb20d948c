"""What is said about the body."""

from __future__ import annotations

import pytest

from proxy.auth.claim import NO_PAYLOAD_HASH, PayloadMode, parse_payload_hash
from proxy.errors import S3Error

LITERALS = [mode for mode in PayloadMode if mode not in (PayloadMode.NONE, PayloadMode.SHA256)]


@pytest.mark.parametrize("mode", LITERALS)
def test_each_literal_is_known(mode):
    payload = parse_payload_hash(mode.value, "PUT")
    assert (payload.mode, payload.text, payload.sha256) == (mode, mode.value, None)
    assert mode.aws_chunked == mode.value.startswith("STREAMING-")
    assert mode.signed_chunks == mode.value.startswith("STREAMING-AWS4-HMAC-SHA256-PAYLOAD")


def test_a_digest_is_compared_in_lower_case_but_kept_as_signed():
    payload = parse_payload_hash("AB" * 32, "GET")
    assert (payload.mode, payload.text, payload.sha256) == (PayloadMode.SHA256, "AB" * 32, "ab" * 32)
    assert NO_PAYLOAD_HASH.sha256 is None


@pytest.mark.parametrize(
    "text", ["", "none", "sha256", "0" * 63, "0" * 65, "g" * 64, "0" * 64 + "\n", "unsigned-payload"]
)
def test_anything_else_is_refused(text):
    with pytest.raises(S3Error) as caught:
        parse_payload_hash(text, "PUT")
    assert (caught.value.code, caught.value.extras["ArgumentName"]) == ("InvalidArgument", "x-amz-content-sha256")
