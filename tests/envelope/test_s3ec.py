"""Objects of the S3 Encryption Client, some of them written by the official one."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from proxy.envelope.s3ec import (
    ClientObjectOpener,
    is_client_encrypted,
    parse_client_object,
    unwrap_with_aes,
    unwrap_with_rsa,
)
from proxy.errors import IntegrityError

DOCUMENT: dict[str, Any] = json.loads((Path(__file__).parent.parent / "vectors" / "envelope" / "s3ec.json").read_text())
DATA_KEY = bytes.fromhex(DOCUMENT["data_key"])
VECTORS: list[dict[str, Any]] = DOCUMENT["vectors"]


def opened(vector: dict[str, Any], data_key: bytes = DATA_KEY, **changes: str) -> bytes:
    client_object = parse_client_object({**vector["metadata"], **changes})
    assert client_object is not None
    opener = ClientObjectOpener(client_object, data_key)
    opener.feed(bytes.fromhex(vector["stored"]))
    return opener.finish()


@pytest.mark.parametrize("vector", VECTORS)
def test_what_the_official_client_wrote_opens(vector: dict[str, Any]) -> None:
    assert opened(vector) == vector["plaintext"].encode()
    client_object = parse_client_object(vector["metadata"])
    assert client_object is not None
    assert client_object.wrap == "kms+context"
    assert client_object.wrapped_key == b"wrapped by a key service"
    assert client_object.context["project"] == "alpha"
    assert is_client_encrypted(vector["metadata"])


@pytest.mark.parametrize("vector", VECTORS)
def test_another_data_key_or_changed_bytes_are_refused(vector: dict[str, Any]) -> None:
    stored = bytearray.fromhex(vector["stored"])
    stored[-1] ^= 1
    for data_key, changed in (
        (bytes(32), vector["stored"]),
        (b"", vector["stored"]),
        (DATA_KEY, stored.hex()),
        (DATA_KEY, ""),
    ):
        with pytest.raises(IntegrityError) as caught:
            opened({**vector, "stored": changed}, data_key)
        assert caught.value.where == "s3ec"


@pytest.mark.parametrize("vector", VECTORS)
def test_every_needed_field_is_needed(vector: dict[str, Any]) -> None:
    optional = {"x-amz-tag-len", "x-amz-key-v2", "x-amz-3"}
    for name in vector["metadata"].keys() - optional:
        with pytest.raises(IntegrityError):
            parse_client_object({key: value for key, value in vector["metadata"].items() if key != name})


@pytest.mark.parametrize(
    ("index", "changes"),
    [
        (0, {"x-amz-cek-alg": "AES/CBC/PKCS5Padding"}),
        (0, {"x-amz-tag-len": "32"}),
        (0, {"x-amz-wrap-alg": "kms"}),
        (0, {"x-amz-wrap-alg": "AESWrap"}),
        (0, {"x-amz-iv": "AAAA"}),
        (0, {"x-amz-iv": "not base64"}),
        (0, {"x-amz-matdesc": "{"}),
        (0, {"x-amz-matdesc": "[]"}),
        (0, {"x-amz-matdesc": '{"a": 1}'}),
        (0, {"x-amz-matdesc": '{"aws:x-amz-cek-alg": "115"}'}),
        (0, {"x-amz-key": "AAAA"}),
        (0, {"x-amz-3": "AAAA"}),
        (2, {"x-amz-c": "114"}),
        (2, {"x-amz-w": "11"}),
        (2, {"x-amz-d": "AAAA"}),
        (2, {"x-amz-i": "AAAA"}),
        (2, {"x-amz-key-v2": "AAAA"}),
    ],
)
def test_legacy_mixed_and_malformed_metadata_are_refused(index: int, changes: dict[str, str]) -> None:
    with pytest.raises(IntegrityError):
        parse_client_object({**VECTORS[index]["metadata"], **changes})


def test_v1_objects_are_recognised_and_refused() -> None:
    metadata = {"x-amz-key": "AAAA", "x-amz-iv": "AAAA", "x-amz-matdesc": "{}"}
    assert is_client_encrypted(metadata)
    with pytest.raises(IntegrityError):
        parse_client_object(metadata)


def test_other_objects_are_none_of_it() -> None:
    assert parse_client_object({"x-amz-iv": "AAAA", "author": "me"}) is None
    assert not is_client_encrypted({"author": "me"})


def wrapped_metadata(version: int, wrap: str, wrapped: bytes) -> dict[str, str]:
    metadata = dict(VECTORS[1 if version == 2 else 3]["metadata"])
    key, algorithm, context = (
        ("x-amz-key-v2", "x-amz-wrap-alg", "x-amz-matdesc") if version == 2 else ("x-amz-3", "x-amz-w", "x-amz-m")
    )
    codes = {"AES/GCM": "02", "RSA-OAEP-SHA1": "22"}
    metadata.pop("x-amz-t", None)
    return {
        **metadata,
        key: base64.b64encode(wrapped).decode(),
        algorithm: wrap if version == 2 else codes[wrap],
        context: '{"name": "x"}',
    }


@pytest.mark.parametrize(("version", "algorithm"), [(2, "AES/GCM/NoPadding"), (3, "115")])
def test_local_aes_and_rsa_keys_unwrap_bound_to_the_content_algorithm(version: int, algorithm: str) -> None:
    key, nonce = b"k" * 32, b"n" * 12
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    oaep = padding.OAEP(mgf=padding.MGF1(hashes.SHA1()), algorithm=hashes.SHA1(), label=None)  # noqa: S303 - theirs
    for named, good in ((algorithm, True), ("AES/CTR/NoPadding", False)):
        aes_wrapped = nonce + AESGCM(key).encrypt(nonce, DATA_KEY, named.encode())
        rsa_wrapped = private.public_key().encrypt(bytes([32]) + DATA_KEY + named.encode(), oaep)
        aes = parse_client_object(wrapped_metadata(version, "AES/GCM", aes_wrapped))
        with_rsa = parse_client_object(wrapped_metadata(version, "RSA-OAEP-SHA1", rsa_wrapped))
        assert aes is not None
        assert with_rsa is not None
        if good:
            assert unwrap_with_aes(aes, key) == DATA_KEY
            assert unwrap_with_rsa(with_rsa, private) == DATA_KEY
            assert ClientObjectOpener(aes, DATA_KEY)
        for unwrap, client_object, other in (
            (unwrap_with_aes, with_rsa, key),
            (unwrap_with_rsa, aes, private),
            (unwrap_with_aes, aes, key if not good else b"x" * 32),
            (unwrap_with_rsa, with_rsa, private if not good else rsa.generate_private_key(65537, 2048)),
        ):
            with pytest.raises(IntegrityError) as caught:
                unwrap(client_object, other)
            assert caught.value.where == "edk"


def test_an_object_over_the_bound_is_refused_before_it_is_held() -> None:
    client_object = parse_client_object(VECTORS[1]["metadata"])
    assert client_object is not None
    opener = ClientObjectOpener(client_object, DATA_KEY, limit=10)
    opener.feed(bytes(10))
    with pytest.raises(IntegrityError):
        opener.feed(b"x")


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("wrap", ["AES/GCM", "RSA-OAEP-SHA1"])
def test_what_nothing_authenticates_never_says_which_object_it_is(version: int, wrap: str) -> None:
    """Else whoever holds the store could choose which object a key's policy is asked about."""
    metadata = wrapped_metadata(version, wrap, b"w" * 60)
    described = {"aws:s3:arn": "arn:aws:s3:::public/x", "AWS:S3:arn": "arn:aws:s3:::public/x", "name": "x"}
    metadata["x-amz-matdesc" if version == 2 else "x-amz-m"] = json.dumps(described)
    found = parse_client_object(metadata)
    assert found is not None
    assert found.context == {"name": "x"}
