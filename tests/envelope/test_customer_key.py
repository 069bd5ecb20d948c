"""Keys that clients send: which are taken, what they wrap, and that nothing shows them."""

from __future__ import annotations

import base64
from hashlib import md5

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.envelope.context import object_arn
from proxy.envelope.customer_key import (
    OF_OBJECT,
    OF_SOURCE,
    CustomerKey,
    customer_edk,
    parse_customer_key,
)
from proxy.envelope.keyring import Edk
from proxy.errors import IntegrityError, S3Error
from proxy.s3.headers import Headers

KEY = bytes(range(32))
CONTEXT = {"s3w": "1s", "aws:s3:arn": object_arn("bucket", "key")}


def fields(key: bytes = KEY, prefix: str = OF_OBJECT, /, **changed: str | None) -> Headers:
    """Return the three fields of a key; None leaves one out."""
    pairs = {
        "algorithm": "AES256",
        "key": base64.b64encode(key).decode(),
        "key_md5": base64.b64encode(md5(key, usedforsecurity=False).digest()).decode(),
        **changed,
    }
    return Headers.of((prefix + name.replace("_", "-"), text) for name, text in pairs.items() if text is not None)


def read(key: bytes = KEY, /, **changed: str | None) -> CustomerKey:
    found = parse_customer_key(fields(key, **changed))
    assert found is not None
    return found


def test_a_whole_key_is_read_and_confirmed() -> None:
    found = read()
    assert found.key == KEY
    digest = base64.b64encode(md5(KEY, usedforsecurity=False).digest()).decode()
    assert found.answer == [(f"{OF_OBJECT}algorithm", "AES256"), (f"{OF_OBJECT}key-MD5", digest)]


def test_the_key_of_a_copys_source_has_fields_of_its_own() -> None:
    headers = fields(KEY, OF_SOURCE)
    assert parse_customer_key(headers) is None
    found = parse_customer_key(headers, OF_SOURCE)
    assert found is not None
    assert found.key == KEY


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"algorithm": None}, "a valid encryption algorithm"),
        ({"algorithm": "AES128"}, "a valid encryption algorithm"),
        ({"algorithm": "aes256"}, "a valid encryption algorithm"),
        ({"key": None}, "an appropriate secret key"),
        ({"key_md5": None}, "the client calculated MD5"),
        ({"key": ""}, "invalid for the specified algorithm"),
        ({"key": "not base64!"}, "invalid for the specified algorithm"),
        ({"key_md5": ""}, "did not match"),
        ({"key_md5": "not base64!"}, "did not match"),
        ({"key_md5": "AAAAAAAAAAAAAAAAAAAAAA=="}, "did not match"),
    ],
)
def test_a_key_that_is_not_whole_is_refused_as_s3_does(changed: dict[str, str | None], words: str) -> None:
    with pytest.raises(S3Error, match=words) as caught:
        read(**changed)
    assert caught.value.code == "InvalidArgument"


@pytest.mark.parametrize("size", [0, 1, 16, 31, 33, 64])
def test_a_key_of_another_size_is_refused(size: int) -> None:
    with pytest.raises(S3Error, match="invalid for the specified algorithm"):
        read(bytes(size))


def test_what_a_key_wraps_opens_with_it_alone_and_in_its_place_alone(entropy) -> None:
    edk = read().wrap(b"d" * 32, CONTEXT, entropy)
    assert edk.provider_id == "s3w-sse-c"
    assert edk.key_info[:-12] == b"sse-c" + (128).to_bytes(4, "big") + (12).to_bytes(4, "big")
    assert read().unwrap(edk, CONTEXT, entropy) == b"d" * 32
    assert read(bytes(32)).unwrap(edk, CONTEXT, entropy) is None
    assert read().unwrap(edk, {**CONTEXT, "aws:s3:arn": object_arn("bucket", "other")}, entropy) is None
    assert read().unwrap(edk, {**CONTEXT, "s3w": "1m"}, entropy) is None
    changed = bytes([edk.ciphertext[0] ^ 1]) + edk.ciphertext[1:]
    assert read().unwrap(Edk(edk.provider_id, edk.key_info, changed), CONTEXT, entropy) is None


def test_a_capsule_is_under_a_clients_key_or_under_others_never_both(entropy) -> None:
    own, other = read().wrap(b"d" * 32, CONTEXT, entropy), Edk("s3w", b"hr@1", b"")
    assert customer_edk([own]) is own
    assert customer_edk([other]) is None
    with pytest.raises(IntegrityError):
        customer_edk([own, other])


def test_nothing_shows_a_key_or_its_digest() -> None:
    found = read()
    for secret in (KEY.hex(), base64.b64encode(KEY).decode(), found.md5, repr(KEY)):
        assert secret not in repr(found)
    for changed in ({"key_md5": "AAAAAAAAAAAAAAAAAAAAAA=="}, {"algorithm": None}, {"key_md5": None}):
        with pytest.raises(S3Error) as caught:
            read(**changed)
        error = caught.value
        told = f"{error} {error.extras} {error.detail} {error.headers}"
        assert base64.b64encode(KEY).decode() not in told
        assert found.md5 not in told


@given(
    algorithm=st.sampled_from([None, "AES256", ""]),
    text=st.one_of(st.none(), st.text(st.characters(max_codepoint=0xFF, exclude_characters="\0\r\n"), max_size=60)),
    md5_text=st.one_of(st.none(), st.text(st.characters(max_codepoint=0xFF), max_size=30)),
)
def test_whatever_a_client_writes_is_a_key_or_an_s3_error(
    algorithm: str | None, text: str | None, md5_text: str | None
) -> None:
    brought = fields(KEY, OF_OBJECT, algorithm=algorithm, key=text, key_md5=md5_text)
    if not brought:
        assert parse_customer_key(brought) is None
        return
    with pytest.raises(S3Error) as caught:
        parse_customer_key(brought)
    assert caught.value.code == "InvalidArgument"


def test_two_keys_are_never_equal() -> None:
    assert read() != read()
