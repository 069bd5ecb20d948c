"""Single-part objects as stored."""

from __future__ import annotations

import base64

import pytest

from proxy.envelope.capsule import Kind, ObjectKeys
from proxy.envelope.context import object_arn
from proxy.envelope.frames import FrameOpener
from proxy.envelope.keyring import AesKeyring, unwrap_any
from proxy.envelope.single import envelope_value, open_body_header, parse_envelope, plain_size_of_body, seal_body_header
from proxy.envelope.sizes import single_plain_size
from proxy.errors import IntegrityError

ARN = object_arn("bucket", "key")


def read(value: str, body: bytes, keyring, arn: str = ARN) -> bytes:
    """Read a whole object as the proxy does."""
    envelope = parse_envelope(value)
    capsule = envelope.capsule
    keys = capsule.open(unwrap_any(capsule.edks, [keyring], capsule.context(arn)), arn)
    size = plain_size_of_body(len(body))
    opener = FrameOpener(open_body_header(envelope.body_header, keys), size)
    plaintext = bytes(opener.feed(body))
    opener.finish()
    return plaintext


@pytest.mark.parametrize("size", [0, 1, 65_536, 65_537, 200_000])
def test_an_object_reads_back(writer, size: int) -> None:
    stored = writer.single(bytes(size))
    assert read(stored.value, stored.body, writer.keyring) == bytes(size)
    assert single_plain_size(len(stored.body)) == size


def test_metadata_is_capsule_and_188_bytes(writer) -> None:
    envelope = parse_envelope(writer.single(b"x").value)
    assert envelope.kind is Kind.SINGLE
    assert len(envelope.body_header) == 188


def test_the_body_header_of_another_object_does_not_open(writer) -> None:
    one, two = writer.single(b"one"), writer.single(b"two")
    mixed = envelope_value(parse_envelope(one.value).capsule.raw, parse_envelope(two.value).body_header)
    for body in (one.body, two.body):
        with pytest.raises(IntegrityError):
            read(mixed, body, writer.keyring)


def test_the_capsule_of_another_object_does_not_open_the_body(writer) -> None:
    one, two = writer.single(b"one"), writer.single(b"two")
    with pytest.raises(IntegrityError):
        read(one.value, two.body, writer.keyring)


def test_every_flipped_bit_of_the_body_header_is_noticed(writer) -> None:
    stored = writer.single(b"x")
    envelope = parse_envelope(stored.value)
    raw = envelope.body_header
    for index in range(len(raw)):
        for bit in (1, 0x80):
            changed = raw[:index] + bytes([raw[index] ^ bit]) + raw[index + 1 :]
            with pytest.raises(IntegrityError):
                open_body_header(changed, stored.keys)


def test_a_header_made_for_a_part_or_a_trailer_is_no_body_header(writer, entropy) -> None:
    keys = ObjectKeys.fresh(entropy)
    multipart = writer.multipart([(1, b"x")], keys=keys)
    for raw in (multipart.segments[0][:189], multipart.segments[0][:188], multipart.trailer[:189]):
        with pytest.raises(IntegrityError):
            open_body_header(raw, keys)


@pytest.mark.parametrize("cut", [1, 8, 32, 40])
def test_a_cut_or_longer_body_is_noticed(writer, cut: int) -> None:
    stored = writer.single(bytes(70_000))
    for body in (stored.body[:-cut], stored.body + bytes(cut), stored.body[: 65_536 + 32]):
        with pytest.raises(IntegrityError):
            read(stored.value, body, writer.keyring)


def test_no_length_of_trailing_bytes_passes_for_another_object(writer) -> None:
    stored = writer.single(bytes(65_530))
    for extra in range(1, 120):
        with pytest.raises(IntegrityError):
            read(stored.value, stored.body + bytes(extra), writer.keyring)


def test_an_object_cut_at_a_frame_boundary_is_noticed(writer) -> None:
    stored = writer.single(bytes(3 * 65_536))
    for frames in (1, 2):
        with pytest.raises(IntegrityError):
            read(stored.value, stored.body[: frames * 65_568], writer.keyring)


def test_metadata_of_another_length_than_its_kind_is_refused(writer, entropy) -> None:
    keys = ObjectKeys.fresh(entropy)
    header, _ = seal_body_header(keys, entropy)
    single, multipart = writer.capsule(Kind.SINGLE, ARN, keys), writer.capsule(Kind.MULTIPART, ARN, keys)
    for value in (
        envelope_value(single),
        envelope_value(multipart, header),
        envelope_value(single, header + b"x"),
        envelope_value(single, header[:-1]),
    ):
        with pytest.raises(IntegrityError) as caught:
            parse_envelope(value)
        assert caught.value.where == "metadata"


def test_metadata_in_other_base64_is_refused(writer) -> None:
    value = writer.single(b"x").value
    raw = base64.b64decode(value)
    for other in (
        value + "\n",
        value.rstrip("=") if value.endswith("=") else value + "=",
        base64.urlsafe_b64encode(raw + b"\xff\xff\xff").decode(),
    ):
        with pytest.raises(IntegrityError):
            parse_envelope(other)


def test_the_wrong_master_key_opens_nothing(writer, entropy) -> None:
    stored = writer.single(b"x")
    with pytest.raises(IntegrityError) as caught:
        read(stored.value, stored.body, AesKeyring("s3w", "hr@1", b"w" * 32, entropy))
    assert caught.value.where == "edk"
    with pytest.raises(IntegrityError) as caught:
        read(stored.value, stored.body, AesKeyring("s3w", "other@1", bytes(range(32)), entropy))
    assert caught.value.where == "key"


def test_the_wrong_clients_key_opens_nothing(writer, entropy) -> None:
    right, wrong = (AesKeyring("s3w-sse-c", "sse-c", bytes([n]) * 32, entropy) for n in (1, 2))
    writer.keyring = right
    stored = writer.single(b"x")
    assert read(stored.value, stored.body, right) == b"x"
    with pytest.raises(IntegrityError) as caught:
        read(stored.value, stored.body, wrong)
    assert caught.value.where == "edk"
