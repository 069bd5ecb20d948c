"""Capsules: bound to a name, never edited, always fresh."""

from __future__ import annotations

import pytest

from proxy.envelope.capsule import (
    Capsule,
    CapsuleDraft,
    Kind,
    ObjectKeys,
    draft_capsule,
    parse_capsule,
    redraft_capsule,
)
from proxy.envelope.context import object_arn
from proxy.envelope.keyring import unwrap_any
from proxy.envelope.message import KeyReuseError
from proxy.errors import IntegrityError, S3Error

ARN = object_arn("bucket", "key")


def opened(capsule: Capsule, keyring, arn: str = ARN) -> ObjectKeys:
    return capsule.open(unwrap_any(capsule.edks, [keyring], capsule.context(arn)), arn)


def test_a_capsule_gives_back_keys_kind_and_client_context(writer, entropy) -> None:
    keys = ObjectKeys.fresh(entropy)
    raw = writer.capsule(Kind.MULTIPART, ARN, keys, {"department": "hr", "a": "b"})
    capsule, rest = parse_capsule(raw + b"rest")
    assert rest == b"rest"
    assert capsule.raw == raw
    assert capsule.kind is Kind.MULTIPART
    assert capsule.client_context == {"department": "hr", "a": "b"}
    assert opened(capsule, writer.keyring) == keys


def test_a_capsule_under_a_raw_aes_key_has_316_bytes_and_the_names(writer, entropy) -> None:
    raw = writer.capsule(Kind.SINGLE, ARN, ObjectKeys.fresh(entropy))
    assert len(raw) == 316 + len("hr@1")


def test_the_data_key_is_wrapped_under_stored_and_required_context(entropy) -> None:
    draft = draft_capsule(Kind.SINGLE, ARN, ObjectKeys.fresh(entropy), entropy, client_context={"a": "b"})
    assert draft.context == {"s3w": "1s", "a": "b", "aws:s3:arn": ARN}


def test_an_object_moved_to_another_key_or_bucket_does_not_open(writer, entropy) -> None:
    keys = ObjectKeys.fresh(entropy)
    draft = draft_capsule(Kind.SINGLE, ARN, keys, entropy)
    data_key = draft.data_key
    raw = draft.seal([writer.keyring.wrap(draft.data_key, draft.context)])
    capsule, _ = parse_capsule(raw)
    for arn in (object_arn("bucket", "other"), object_arn("other", "key")):
        with pytest.raises(IntegrityError) as caught:
            opened(capsule, writer.keyring, arn)
        assert caught.value.where == "edk"
        # An RSA EDK does not know the context: the header tag does.
        with pytest.raises(IntegrityError) as caught:
            capsule.open(data_key, arn)
        assert caught.value.where == "header"


def test_every_flipped_bit_is_noticed(writer, entropy) -> None:
    raw = writer.capsule(Kind.SINGLE, ARN, ObjectKeys.fresh(entropy), {"a": "b"})
    for index in range(len(raw)):
        changed = raw[:index] + bytes([raw[index] ^ 1]) + raw[index + 1 :]
        with pytest.raises(IntegrityError):
            opened(parse_capsule(changed)[0], writer.keyring)


def test_every_cut_is_noticed(writer, entropy) -> None:
    raw = writer.capsule(Kind.SINGLE, ARN, ObjectKeys.fresh(entropy))
    for size in range(len(raw)):
        with pytest.raises(IntegrityError):
            parse_capsule(raw[:size])


def test_a_kind_flip_is_noticed(writer, entropy) -> None:
    raw = writer.capsule(Kind.MULTIPART, ARN, ObjectKeys.fresh(entropy))
    capsule, _ = parse_capsule(raw.replace(b"\0\2" + b"1m", b"\0\2" + b"1s", 1))
    assert capsule.kind is Kind.SINGLE
    with pytest.raises(IntegrityError):
        opened(capsule, writer.keyring)


def test_a_kind_from_the_future_is_refused(writer, entropy) -> None:
    raw = writer.capsule(Kind.MULTIPART, ARN, ObjectKeys.fresh(entropy))
    for other in (raw.replace(b"1m", b"2m", 1), raw.replace(b"\0\3s3w\0\x021m", b"\0\3s3x\0\x021m", 1)):
        with pytest.raises(IntegrityError) as caught:
            parse_capsule(other)
        assert caught.value.where == "capsule"


def test_a_rewrap_carries_the_keys_and_shares_neither_data_key_nor_message_id(writer, entropy) -> None:
    keys = ObjectKeys.fresh(entropy)
    first, _ = parse_capsule(writer.capsule(Kind.SINGLE, ARN, keys, {"a": "b"}))
    moved = object_arn("other", "copy")
    draft = redraft_capsule(first, moved, opened(first, writer.keyring), entropy)
    second, _ = parse_capsule(draft.seal([writer.keyring.wrap(draft.data_key, draft.context)]))
    assert opened(second, writer.keyring, moved) == keys
    assert (second.kind, second.client_context) == (first.kind, first.client_context)
    assert first.raw[3:35] != second.raw[3:35]
    data_keys = [unwrap_any(c.edks, [writer.keyring], c.context(arn)) for c, arn in ((first, ARN), (second, moved))]
    assert data_keys[0] != data_keys[1]


def test_the_wish_for_sse_kms_is_marked_where_nothing_else_tells_it_and_carried_along(writer, entropy) -> None:
    def sealed(draft: CapsuleDraft) -> Capsule:
        return parse_capsule(draft.seal([writer.keyring.wrap(draft.data_key, draft.context)]))[0]

    keys = ObjectKeys.fresh(entropy)
    marked = sealed(draft_capsule(Kind.SINGLE, ARN, keys, entropy, marks_kms=True))
    assert (marked.marks_kms, dict(marked.client_context)) == (True, {})
    assert marked.context(ARN) == {"s3w": "1s", "s3w-sse": "aws:kms", "aws:s3:arn": ARN}
    assert marked.asked_for_kms(default=True)
    assert sealed(redraft_capsule(marked, ARN, keys, entropy)).marks_kms
    told = sealed(draft_capsule(Kind.SINGLE, ARN, keys, entropy, marks_kms=True, client_context={"a": "b"}))
    assert (told.marks_kms, told.asked_for_kms(default=True)) == (False, True)
    plain = sealed(draft_capsule(Kind.SINGLE, ARN, keys, entropy))
    assert (plain.asked_for_kms(default=True), plain.asked_for_kms(default=False)) == (False, True)
    assert sealed(redraft_capsule(plain, ARN, keys, entropy, marks_kms=True)).marks_kms


def test_another_mark_is_refused(writer, entropy) -> None:
    draft = draft_capsule(Kind.SINGLE, ARN, ObjectKeys.fresh(entropy), entropy, marks_kms=True)
    raw = draft.seal([writer.keyring.wrap(draft.data_key, draft.context)])
    with pytest.raises(IntegrityError, match="in no known way"):
        parse_capsule(raw.replace(b"aws:kms", b"aws:kmz"))


def test_a_draft_makes_one_capsule(writer, entropy) -> None:
    draft = draft_capsule(Kind.SINGLE, ARN, ObjectKeys.fresh(entropy), entropy)
    edk = writer.keyring.wrap(draft.data_key, draft.context)
    draft.seal([edk])
    with pytest.raises(KeyReuseError):
        draft.seal([edk])
    with pytest.raises(KeyReuseError):
        _ = draft.data_key


def test_a_key_service_may_bring_the_data_key(writer, entropy) -> None:
    draft = draft_capsule(Kind.SINGLE, ARN, ObjectKeys.fresh(entropy), entropy, data_key=b"k" * 32)
    assert draft.data_key == b"k" * 32


def test_reserved_client_context_is_the_clients_error(entropy) -> None:
    with pytest.raises(S3Error):
        draft_capsule(Kind.SINGLE, ARN, ObjectKeys.fresh(entropy), entropy, client_context={"aws:s3:arn": "x"})


def test_object_keys_never_show(entropy) -> None:
    assert repr(ObjectKeys.fresh(entropy)) == "ObjectKeys()"
