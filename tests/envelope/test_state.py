"""Sealed keys of unfinished uploads."""

from __future__ import annotations

import pytest

from proxy.envelope.capsule import ObjectKeys
from proxy.envelope.state import StateSeal, check_upload_tag, upload_tag
from proxy.errors import IntegrityError

NAME = ".s3w/mpu/abc/ctx"


def test_the_first_secret_writes_and_all_read(entropy) -> None:
    old, new = b"o" * 32, b"n" * 40
    sealed = StateSeal([old], entropy).seal(b"keys", NAME)
    assert StateSeal([new, old], entropy).open(sealed, NAME) == b"keys"
    fresh = StateSeal([new, old], entropy).seal(b"keys", NAME)
    assert StateSeal([new], entropy).open(fresh, NAME) == b"keys"


def test_state_under_another_name_or_secret_or_changed_is_refused(entropy) -> None:
    seal = StateSeal([b"o" * 32], entropy)
    sealed = seal.seal(b"keys", NAME)
    attempts = [
        (seal, sealed, NAME + "x"),
        (StateSeal([b"n" * 32], entropy), sealed, NAME),
        (seal, sealed[:-1] + bytes([sealed[-1] ^ 1]), NAME),
        (seal, sealed[:20], NAME),
    ]
    for opener, raw, name in attempts:
        with pytest.raises(IntegrityError) as caught:
            opener.open(raw, name)
        assert caught.value.where == "state"


def test_short_secrets_are_refused_and_none_shows(entropy) -> None:
    for secrets in ([], [b"short"], [b"x" * 32, b"short"]):
        with pytest.raises(ValueError, match="secret"):
            StateSeal(secrets, entropy)
    assert repr(StateSeal([b"x" * 32], entropy)) == "StateSeal(<1 secrets>)"


def test_the_tag_of_a_document_is_that_of_its_upload_and_keys(entropy) -> None:
    keys, others = ObjectKeys.fresh(entropy), ObjectKeys.fresh(entropy)
    tag = upload_tag(keys, "upload", b"{}")
    check_upload_tag(tag, keys, "upload", b"{}")
    wrong = [
        (tag, others, "upload", b"{}"),
        (tag, keys, "uploa", b"d{}"),
        (tag, keys, "upload", b"{ }"),
        (tag[:-1], keys, "upload", b"{}"),
        (b"", keys, "upload", b"{}"),
        (upload_tag(others, "upload", b"{}"), keys, "upload", b"{}"),
    ]
    for arguments in wrong:
        with pytest.raises(IntegrityError) as caught:
            check_upload_tag(*arguments)
        assert caught.value.where == "upload-context"


def test_a_completion_has_what_the_tag_takes(entropy) -> None:
    keys = ObjectKeys.fresh(entropy)
    assert upload_tag(ObjectKeys(b"", keys.trailer, b""), "upload", b"{}") == upload_tag(keys, "upload", b"{}")
