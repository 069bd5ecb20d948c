"""HTTP that S3 has no use for, or that two readers could understand in two ways, is not let in."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest
from aiohttp import web

from proxy.access.questions import Question, Target
from proxy.errors import S3Error
from proxy.s3.address import Domains
from proxy.s3.form import FormParser
from proxy.s3.request import S3Request, recognise
from proxy.server.body import ClientBody
from proxy.server.intake import (
    FormFile,
    FormUpload,
    read_form,
    receive,
    refuse_bucket_policies,
    refuse_lacking,
    refuse_reserved,
)
from proxy.server.rules import Rules, load_rules

CONFIG = """
upstream:
  endpoint: http://127.0.0.1:1
  credentials: {access_key_id: AKIAUP, secret_access_key: up-secret}
  state: {prefix: .kept/}
  lacks: [tagging, acl]
limits: {header_bytes: 8192}
owner: "123456789012"
"""
BORDER = "b0rder"
FORM = (
    f'--{BORDER}\r\nContent-Disposition: form-data; name="key"\r\n\r\nuploads/${{filename}}\r\n'
    f'--{BORDER}\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\nthe file\r\n--{BORDER}--\r\n'
).encode()


@pytest.fixture
def rules(tmp_path: Path) -> Rules:
    (tmp_path / "config.yaml").write_text(CONFIG)
    return load_rules(tmp_path / "config.yaml", {})


class Http:
    def __init__(self, method: str = "GET", target: str = "/bucket/key", **headers: str) -> None:
        self.method = method
        self.raw_path = target
        self.raw_headers = tuple(
            (name.replace("_", "-").encode(), value.encode()) for name, value in {"Host": "proxy", **headers}.items()
        )

    def received(self, rules: Rules) -> Any:
        return receive(cast("web.BaseRequest", self), rules)


def request_of(rules: Rules, method: str, target: str, **headers: str) -> S3Request:
    return recognise(Http(method, target, **headers).received(rules), Domains.of([]))


def test_a_plain_request_is_let_in_as_it_came(rules: Rules) -> None:
    head = Http("PUT", "/bucket/a%20b?x-id=PutObject", Transfer_Encoding="Chunked").received(rules)
    assert (head.method, head.path, head.query_string) == ("PUT", "/bucket/a%20b", "x-id=PutObject")


@pytest.mark.parametrize("encoding", ["gzip, chunked", "gzip", "identity", "chunked, chunked", ""])
def test_only_chunks_may_frame_a_body_without_a_length(rules: Rules, encoding: str) -> None:
    with pytest.raises(S3Error, match="NotImplemented") as caught:
        Http("PUT", Transfer_Encoding=encoding).received(rules)
    assert caught.value.close
    assert caught.value.extras == {"Header": "Transfer-Encoding"}


def test_nobody_may_leave_http(rules: Rules) -> None:
    with pytest.raises(S3Error, match="NotImplemented") as caught:
        Http(Upgrade="h2c").received(rules)
    assert caught.value.close


@pytest.mark.parametrize(("target", "value"), [("/bucket/key", "x" * 8200), ("/bucket/" + "k" * 8200, "x")])
def test_a_head_has_a_limit_as_a_whole(rules: Rules, target: str, value: str) -> None:
    with pytest.raises(S3Error, match="RequestHeaderSectionTooLarge") as caught:
        Http(target=target, x_amz_meta_a=value).received(rules)
    assert caught.value.extras == {"MaxSizeAllowed": "8192"}


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_bucket_policies_on_the_store_are_not_for_clients(rules: Rules, method: str) -> None:
    with pytest.raises(S3Error, match="files on this proxy"):
        refuse_bucket_policies(request_of(rules, method, "/bucket?policy"), rules)
    refuse_bucket_policies(request_of(rules, method, "/bucket?cors"), rules)


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("PUT", "/bucket/key?tagging"),
        ("DELETE", "/bucket/key?tagging"),
        ("PUT", "/bucket/key?acl"),
        ("GET", "/bucket?acl"),
    ],
)
def test_a_store_is_not_asked_about_sub_resources_that_it_does_not_know(rules: Rules, method: str, target: str) -> None:
    with pytest.raises(S3Error, match="NotImplemented"):
        refuse_lacking(request_of(rules, method, target), rules)
    refuse_lacking(request_of(rules, method, target.partition("?")[0]), rules)
    refuse_lacking(request_of(rules, "PUT", "/bucket/key?retention"), rules)


@pytest.mark.parametrize(
    ("key", "refused"), [(".kept/mpu/x", True), (".kept/", True), (".kept", False), ("a/.kept/", False)]
)
def test_keys_of_the_proxy_itself_are_reserved(rules: Rules, key: str, refused: bool) -> None:
    target = Target("bucket", key)
    question = Question("s3:GetObject", f"arn:aws:s3:::bucket/{key}", "bucket", "123456789012", {}, target)
    if not refused:
        refuse_reserved([question], rules)
        return
    with pytest.raises(S3Error, match=r"reserved"):
        refuse_reserved([question], rules)


class Body:
    """Gives a form in pieces of one size."""

    def __init__(self, data: bytes, size: int) -> None:
        self.pieces = [data[at : at + size] for at in range(0, len(data), size)]

    async def read(self) -> bytes:
        return self.pieces.pop(0) if self.pieces else b""


class Kept:
    """A machine that passes everything on."""

    def feed(self, data: Any) -> list[Any]:
        return [bytes(data)]

    def finish(self) -> list[Any]:
        return [b"."]


async def form_of(rules: Rules, data: bytes, size: int) -> tuple[FormUpload, Body]:
    kind = f"multipart/form-data; boundary={BORDER}"
    request = request_of(rules, "POST", "/bucket", Content_Type=kind, Content_Length=str(len(data)))
    body = Body(data, size)
    return await read_form(cast("ClientBody", body), request), body


@pytest.mark.parametrize("size", [1, 7, 50, 10_000])
async def test_a_form_is_read_up_to_its_file_however_it_arrives(rules: Rules, size: int) -> None:
    upload, body = await form_of(rules, FORM, size)
    assert upload.fields["key"] == "uploads/${filename}"
    assert upload.length() == len("the file")
    machine = FormFile(upload, Kept())
    found = [piece for data in body.pieces for piece in machine.feed(data)] + machine.finish()
    assert b"".join(found) == b"the file."


async def test_a_form_without_a_file_uploads_nothing(rules: Rules) -> None:
    data = f'--{BORDER}\r\nContent-Disposition: form-data; name="key"\r\n\r\nk\r\n--{BORDER}--\r\n'.encode()
    with pytest.raises(S3Error) as caught:
        await form_of(rules, data, 50)
    assert caught.value.code in ("IncorrectNumberOfFilesInPostRequest", "MalformedPOSTRequest")


async def test_a_file_of_unknown_length_is_refused(rules: Rules) -> None:
    parser = FormParser(f"multipart/form-data; boundary={BORDER}", None)
    pieces = parser.feed(FORM)
    assert parser.form is not None
    with pytest.raises(S3Error, match="MissingContentLength"):
        FormUpload(parser, parser.form, list(pieces)).length()
