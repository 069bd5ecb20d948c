"""The official AWS Encryption SDK opens what is stored here, and what it writes is opened here."""

from __future__ import annotations

from typing import Any

import aws_encryption_sdk
import pytest
from aws_cryptographic_material_providers.mpl import AwsCryptographicMaterialProviders
from aws_cryptographic_material_providers.mpl.config import MaterialProvidersConfig
from aws_cryptographic_material_providers.mpl.models import (
    AesWrappingAlg,
    CreateDefaultCryptographicMaterialsManagerInput,
    CreateMultiKeyringInput,
    CreateRawAesKeyringInput,
    CreateRawRsaKeyringInput,
    CreateRequiredEncryptionContextCMMInput,
    PaddingScheme,
)
from aws_encryption_sdk.exceptions import AWSEncryptionSDKClientError
from aws_encryption_sdk.identifiers import AlgorithmSuite
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from proxy.envelope.capsule import Kind, ObjectKeys, draft_capsule, parse_capsule
from proxy.envelope.context import object_arn
from proxy.envelope.frames import FrameOpener, FrameSealer, open_whole
from proxy.envelope.keyring import AesKeyring, RsaKeyring, unwrap_any
from proxy.envelope.manifest import TRAILER_FRAME
from proxy.envelope.message import DataKey, open_header, parse_header
from proxy.envelope.single import parse_envelope
from proxy.envelope.sizes import FRAME, single_plain_size

ARN = object_arn("bucket", "key")
MASTER = bytes(range(32))
SUITE = AlgorithmSuite.AES_256_GCM_HKDF_SHA512_COMMIT_KEY
SIZES = [0, 1, FRAME - 1, FRAME, FRAME + 1, 3 * FRAME + 5]

SDK = aws_encryption_sdk.EncryptionSDKClient()
MPL: Any = AwsCryptographicMaterialProviders(config=MaterialProvidersConfig())


def official_aes(key: bytes, name: str, namespace: str = "s3w") -> Any:
    return MPL.create_raw_aes_keyring(
        CreateRawAesKeyringInput(
            key_namespace=namespace,
            key_name=name,
            wrapping_key=key,
            wrapping_alg=AesWrappingAlg.ALG_AES256_GCM_IV12_TAG16,
        )
    )


@pytest.fixture(scope="module")
def private() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def official_rsa(private: rsa.RSAPrivateKey, name: str) -> Any:
    return MPL.create_raw_rsa_keyring(
        CreateRawRsaKeyringInput(
            key_namespace="s3w",
            key_name=name,
            padding_scheme=PaddingScheme.OAEP_SHA256_MGF1,
            public_key=private.public_key().public_bytes(
                serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
            ),
            private_key=private.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            ),
        )
    )


def official_decrypt(message: bytes, keyring: Any, context: dict[str, str] | None = None) -> tuple[bytes, Any]:
    plaintext, header = SDK.decrypt(source=message, keyring=keyring, encryption_context=context or {})
    return plaintext, header


@pytest.mark.parametrize("size", SIZES)
def test_a_single_part_object_opens_in_two_official_calls(writer, size: int) -> None:
    stored = writer.single(bytes(size), context={"department": "hr"})
    envelope = parse_envelope(stored.value)
    keys, header = official_decrypt(envelope.capsule.raw, official_aes(MASTER, "hr@1"), {"aws:s3:arn": ARN})
    assert keys == stored.keys.wrap + stored.keys.trailer + stored.keys.checksum
    assert header.algorithm is SUITE
    plaintext, _ = official_decrypt(envelope.body_header + stored.body, official_aes(keys[:32], "body"))
    assert plaintext == stored.plaintext


def test_the_official_tool_refuses_the_capsule_under_another_name(writer) -> None:
    envelope = parse_envelope(writer.single(b"x").value)
    for context in ({"aws:s3:arn": object_arn("bucket", "moved")}, {}):
        with pytest.raises(AWSEncryptionSDKClientError):
            official_decrypt(envelope.capsule.raw, official_aes(MASTER, "hr@1"), context)


def test_every_segment_and_the_trailer_open_in_one_official_call_each(writer) -> None:
    pieces = [(1, bytes(FRAME + 9)), (2, b""), (3, b"last")]
    stored = writer.multipart(pieces)
    for (number, plaintext), segment in zip(pieces, stored.segments, strict=True):
        opened, header = official_decrypt(segment, official_aes(stored.keys.wrap, "part"))
        assert opened == plaintext
        assert header.encryption_context == {"s3w-n": f"{number:05}"}
    manifest, _ = official_decrypt(stored.trailer[:-16], official_aes(stored.keys.trailer, "tail"))
    assert int.from_bytes(manifest[:8], "big") == FRAME + 13
    assert int.from_bytes(manifest[8:12], "big") == 3
    assert manifest[12 + 3 * 44 :].strip(b"\0") == b""


def test_the_official_tool_opens_rsa_and_multi_key_capsules(private, entropy) -> None:
    keys = ObjectKeys.fresh(entropy)
    aes = AesKeyring("s3w", "hr@1", MASTER, entropy)
    offline = RsaKeyring("s3w", "offline@1", private.public_key(), private)
    for keyrings in ([offline], [aes, offline]):
        draft = draft_capsule(Kind.MULTIPART, ARN, keys, entropy)
        raw = draft.seal([keyring.wrap(draft.data_key, draft.context) for keyring in keyrings])
        opened, _ = official_decrypt(raw, official_rsa(private, "offline@1"), {"aws:s3:arn": ARN})
        assert opened[:32] == keys.wrap
        capsule, _ = parse_capsule(raw)
        assert capsule.open(unwrap_any(capsule.edks, [offline], capsule.context(ARN)), ARN) == keys


def official_encrypt(plaintext: bytes, keyring: Any, context: dict[str, str], frame: int, required: list[str]) -> bytes:
    source: dict[str, Any] = {"keyring": keyring}
    if required:
        cmm = MPL.create_required_encryption_context_cmm(
            CreateRequiredEncryptionContextCMMInput(
                underlying_cmm=MPL.create_default_cryptographic_materials_manager(
                    CreateDefaultCryptographicMaterialsManagerInput(keyring=keyring)
                ),
                required_encryption_context_keys=required,
            )
        )
        source = {"materials_manager": cmm}
    message, _ = SDK.encrypt(
        source=plaintext, encryption_context=context, algorithm=SUITE, frame_length=frame, **source
    )
    return bytes(message)


@pytest.mark.parametrize("with_rsa", [False, True])
def test_a_capsule_that_the_official_tool_wrote_opens_here(private, entropy, with_rsa: bool) -> None:
    keys = ObjectKeys.fresh(entropy)
    official = official_aes(MASTER, "hr@1")
    mine: list[Any] = [AesKeyring("s3w", "hr@1", MASTER, entropy)]
    if with_rsa:
        official = MPL.create_multi_keyring(
            CreateMultiKeyringInput(generator=official_rsa(private, "offline@1"), child_keyrings=[official])
        )
        mine = [RsaKeyring("s3w", "offline@1", private.public_key(), private)]
    raw = official_encrypt(
        keys.wrap + keys.trailer + keys.checksum,
        official,
        {"s3w": "1m", "Größe": "ß", "aws:s3:arn": ARN},
        FRAME,
        ["aws:s3:arn"],
    )
    capsule, rest = parse_capsule(raw)
    assert rest == b""
    assert capsule.client_context == {"Größe": "ß"}
    assert capsule.open(unwrap_any(capsule.edks, mine, capsule.context(ARN)), ARN) == keys


# The official tool ends a body of whole frames with an empty final frame; this format never does, which
# keeps lengths unambiguous. Such bodies are read as foreign messages.
@pytest.mark.parametrize("size", [size for size in SIZES if size == 0 or size % FRAME])
def test_a_body_that_the_official_tool_wrote_opens_here(entropy, size: int) -> None:
    wrap = bytes(32)
    raw = official_encrypt(bytes(size), official_aes(wrap, "body"), {"s3w-n": "body"}, FRAME, [])
    header = parse_header(raw, FRAME)
    assert header.size == 188
    assert single_plain_size(len(raw) - 188) == size
    data_key = unwrap_any(header.edks, [AesKeyring("s3w", "body", wrap, entropy)], header.context)
    opener = FrameOpener(open_header(header, data_key), size)
    assert bytes(opener.feed(raw[188:])) == bytes(size)
    opener.finish()


def test_a_trailer_that_the_official_tool_wrote_opens_here(entropy) -> None:
    raw = official_encrypt(b"manifest", official_aes(bytes(32), "tail"), {"s3w-n": "00000"}, TRAILER_FRAME, [])
    header = parse_header(raw, TRAILER_FRAME)
    data_key = unwrap_any(header.edks, [AesKeyring("s3w", "tail", bytes(32), entropy)], header.context)
    assert open_whole(open_header(header, data_key), raw[header.size :]) == b"manifest"


def test_an_exported_object_is_one_message_for_the_official_tool(entropy) -> None:
    data_key = DataKey(entropy)
    edk = AesKeyring("s3w", "hr@1", MASTER, entropy).wrap(data_key.plaintext, {"exported": "yes"})
    header, key = data_key.seal_header({"exported": "yes"}, [edk], FRAME)
    sealer = FrameSealer(key)
    message = header + bytes(sealer.feed(bytes(100_000))) + bytes(sealer.finish())
    assert official_decrypt(message, official_aes(MASTER, "hr@1"))[0] == bytes(100_000)


def test_the_official_tool_refuses_a_flipped_bit(writer) -> None:
    stored = writer.multipart([(1, b"x" * 100)])
    segment = bytearray(stored.segments[0])
    segment[-1] ^= 1
    with pytest.raises(InvalidTag):
        official_decrypt(bytes(segment), official_aes(stored.keys.wrap, "part"))
