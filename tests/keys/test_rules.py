"""The key of a write is what its SSE headers say, else the bucket's; AWS's errors for the rest."""

from __future__ import annotations

import base64
import json

import pytest

from proxy.config import BucketEncryption, KekSettings
from proxy.errors import S3Error
from proxy.keys.ring import KeyRing, MasterKey
from proxy.keys.rules import ALGORITHM, BUCKET_KEY, CONTEXT, KEY_ID, choose_key, read_context
from proxy.s3.headers import Headers
from tests.keys.conftest import FakeService, Observed, aes

ARN = "arn:aws:kms:eu-central-1:123456789012:key/"
BUCKET = BucketEncryption("envelope", "standard")


def ring() -> KeyRing:
    described = [aes("standard", 1), aes("hr", 2, aliases=("alias/hr",)), aes("off", 3, enabled=False), aes("cloud", 4)]
    masters = [
        MasterKey(s.name, s.arn, s.aliases, s.enabled, None, s.name == "cloud", FakeService(s.name), Observed())
        for s in described
    ]
    return KeyRing(masters, {each.name: each for each in described})


def context(value: object) -> str:
    return base64.b64encode(json.dumps(value).encode()).decode()


@pytest.mark.parametrize("headers", [{}, {ALGORITHM: "AES256"}])
def test_without_a_key_named_it_is_the_buckets_and_shown_as_aes256(headers: dict[str, str]) -> None:
    choice = choose_key(ring(), BUCKET, Headers.of(headers.items()))
    assert choice.key.name == "standard"
    assert choice.answer_headers == {ALGORITHM: "AES256"}
    assert not choice.uses_kek


def test_sse_kms_without_an_id_is_the_buckets_key_and_shown_by_its_arn() -> None:
    choice = choose_key(ring(), BUCKET, Headers.of([(ALGORITHM, "aws:kms")]))
    assert choice.answer_headers == {ALGORITHM: "aws:kms", KEY_ID: ARN + "standard"}


@pytest.mark.parametrize("named", ["hr", "alias/hr", ARN + "hr"])
def test_sse_kms_names_its_key_and_context(named: str) -> None:
    header = context({"department": "hr"})
    choice = choose_key(ring(), BUCKET, Headers.of([(ALGORITHM, "aws:kms"), (KEY_ID, named), (CONTEXT, header)]))
    assert (choice.key.name, choice.context) == ("hr", {"department": "hr"})
    assert choice.answer_headers == {ALGORITHM: "aws:kms", KEY_ID: ARN + "hr", CONTEXT: header}


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({ALGORITHM: "aws:kms:dsse"}, "NotImplemented"),
        ({ALGORITHM: "aes256"}, "InvalidArgument"),
        ({KEY_ID: "hr"}, "InvalidArgument"),
        ({ALGORITHM: "AES256", KEY_ID: "hr"}, "InvalidArgument"),
        ({ALGORITHM: "AES256", CONTEXT: context({})}, "InvalidArgument"),
        ({ALGORITHM: "aws:kms", KEY_ID: "gone"}, "KMS.NotFoundException"),
        ({ALGORITHM: "aws:kms", KEY_ID: "off"}, "KMS.DisabledException"),
        ({ALGORITHM: "aws:kms", CONTEXT: "{}"}, "InvalidArgument"),
        ({BUCKET_KEY: "yes"}, "InvalidArgument"),
    ],
)
def test_what_aws_refuses_is_refused_with_its_code(headers: dict[str, str], code: str) -> None:
    with pytest.raises(S3Error) as caught:
        choose_key(ring(), BUCKET, Headers.of(headers.items()))
    assert caught.value.code == code


@pytest.mark.parametrize("key", [None, "gone"])
def test_a_bucket_without_its_key_never_stores(key: str | None) -> None:
    with pytest.raises(S3Error, match="InternalError"):
        choose_key(ring(), BucketEncryption("envelope", key), Headers())


@pytest.mark.parametrize(
    ("use", "key", "header", "wanted"),
    [
        ("auto", "hr", None, False),
        ("auto", "cloud", None, True),
        ("auto", "hr", "true", True),
        ("auto", "cloud", "false", False),
        ("always", "hr", "false", True),
        ("never", "cloud", "true", False),
    ],
)
def test_the_configuration_decides_about_bucket_keys_before_the_client(
    use: str, key: str, header: str | None, wanted: bool
) -> None:
    bucket = BucketEncryption("envelope", key, KekSettings(use=use))
    headers = [(ALGORITHM, "aws:kms")] + ([(BUCKET_KEY, header)] if header is not None else [])
    choice = choose_key(ring(), bucket, Headers.of(headers))
    assert choice.uses_kek is wanted
    assert choice.answer_headers.get(BUCKET_KEY) == ("true" if wanted else None)


@pytest.mark.parametrize(
    "header",
    [
        "%%%",
        base64.b64encode(b"\xff").decode(),
        context([]),
        context({"a": 1}),
        context({"aws:s3:arn": "x"}),
        context({"s3w": "1s"}),
        base64.b64encode(b'{"a":"b","a":"c"}').decode(),
        base64.b64encode(b"[" * 6000).decode(),
        "A" * 8196,
    ],
)
def test_a_context_that_is_no_object_of_texts_is_refused(header: str) -> None:
    with pytest.raises(S3Error, match="InvalidArgument"):
        read_context(header)
