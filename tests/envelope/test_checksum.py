"""The sealed checksum."""

from __future__ import annotations

import base64

import pytest

from proxy.envelope.capsule import ObjectKeys
from proxy.envelope.checksum import open_checksum, seal_checksum
from proxy.errors import IntegrityError

TEXT = "crc32c=yZRlqg==;FULL_OBJECT"


def test_it_opens_with_the_objects_key(entropy) -> None:
    keys = ObjectKeys.fresh(entropy)
    value = seal_checksum(TEXT, keys, entropy)
    assert open_checksum(value, keys) == TEXT
    assert len(base64.b64decode(value)) == 12 + len(TEXT) + 16
    assert value != seal_checksum(TEXT, keys, entropy)


def test_another_object_and_other_bytes_are_refused(entropy) -> None:
    keys, other = ObjectKeys.fresh(entropy), ObjectKeys.fresh(entropy)
    value = seal_checksum(TEXT, keys, entropy)
    raw = base64.b64decode(value)
    changed = base64.b64encode(raw[:-1] + bytes([raw[-1] ^ 1])).decode()
    long = base64.b64encode(bytes(400)).decode()
    for attempt, with_keys in ((value, other), (changed, keys), ("AAAA", keys), (long, keys)):
        with pytest.raises(IntegrityError) as caught:
            open_checksum(attempt, with_keys)
        assert caught.value.where == "checksum"
    with pytest.raises(IntegrityError) as caught:
        open_checksum(value + " ", keys)
    assert caught.value.where == "metadata"
