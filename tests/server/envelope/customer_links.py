"""Keys of clients (SSE-C) without an SDK: presigned URLs and forms, as cases for any store."""

from __future__ import annotations

import base64
import urllib.error
import urllib.parse
from collections.abc import Callable
from typing import Any

import pytest

from tests.server.envelope.conftest import Sealed, fetch, s3_client
from tests.server.envelope.customer_cases import KEY, OTHER, digest, key
from tests.server.envelope.test_single import refused


def answer_to(ask: Callable[[], Any]) -> tuple[int, str]:
    """Return status and text of a refusal."""
    with pytest.raises(urllib.error.HTTPError) as raised:
        ask()
    with raised.value as answer:
        return answer.code, answer.read().decode()


class CustomerLinkCases:
    """Needs the fixtures of `CustomerKeyCases`."""

    def test_presigned_urls_take_a_key_in_their_headers(self, own: Sealed, bucket: str) -> None:
        fields = {
            "x-amz-server-side-encryption-customer-algorithm": "AES256",
            "x-amz-server-side-encryption-customer-key": base64.b64encode(KEY).decode(),
            "x-amz-server-side-encryption-customer-key-MD5": digest(),
        }
        arguments = {"Bucket": bucket, "Key": "key"}
        presign = own.client.generate_presigned_url
        sent = {**fields, "Content-Type": "text/plain"}
        with fetch(presign("put_object", Params={**arguments, **key()}), b"text", sent, "PUT") as answer:
            assert answer.headers["x-amz-server-side-encryption-customer-key-MD5"] == digest()
        url = presign("get_object", Params={**arguments, **key()})
        assert base64.b64encode(KEY).decode() not in urllib.parse.unquote(url)
        with fetch(url, headers=fields) as answer:
            assert answer.read() == b"text"
        for wrong in ({}, {name: value for name, value in fields.items() if not name.endswith("MD5")}):
            assert answer_to(lambda wrong=wrong: fetch(url, headers=wrong))[0] in (400, 403)
        with fetch(presign("head_object", Params={**arguments, **key()}), headers=fields, method="HEAD") as answer:
            assert answer.headers["Content-Length"] == "4"

    def test_urls_of_signature_version_2_carry_a_key_that_is_not_logged(self, own: Sealed, bucket: str) -> None:
        own.client.put_object(Bucket=bucket, Key="key", Body=b"text", **key())
        old = s3_client(own.endpoint, "AKIAALICE", "alice-secret", signature_version="s3")
        url = old.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "key", **key()})
        written = urllib.parse.quote(base64.b64encode(KEY).decode(), safe="")
        assert written in url
        with fetch(url) as answer:
            assert answer.read() == b"text"
        kept = own.log() + (own.folder / "decisions.jsonl").read_text()
        assert base64.b64encode(KEY).decode() not in urllib.parse.unquote(kept)

    def test_forms_bring_a_key_in_their_fields(self, own: Sealed, bucket: str) -> None:
        fields = {
            "x-amz-server-side-encryption-customer-algorithm": "AES256",
            "x-amz-server-side-encryption-customer-key": base64.b64encode(KEY).decode(),
            "x-amz-server-side-encryption-customer-key-MD5": digest(),
        }

        def post(sent: dict[str, str]) -> Any:
            form = own.client.generate_presigned_post(
                bucket, "form", sent, [["starts-with", f"${name}", ""] for name in sent]
            )
            parts = [
                f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
                for name, value in form["fields"].items()
            ]
            body = "".join(parts) + '--b\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\n'
            data = body.encode() + b"from a browser" + b"\r\n--b--\r\n"
            return fetch(form["url"], data, {"Content-Type": "multipart/form-data; boundary=b"})

        with post(fields) as answer:
            assert answer.status == 204
            assert answer.headers["x-amz-server-side-encryption-customer-key-MD5"] == digest()
        assert own.client.get_object(Bucket=bucket, Key="form", **key())["Body"].read() == b"from a browser"
        assert refused(own.client.get_object, Bucket=bucket, Key="form") == (400, "InvalidRequest")
        status, said = answer_to(
            lambda: post({**fields, "x-amz-server-side-encryption-customer-key-MD5": digest(OTHER)})
        )
        assert (status, "InvalidArgument" in said) == (400, True)
        assert digest() not in said
