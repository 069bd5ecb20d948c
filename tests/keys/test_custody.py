"""Capsules are wrapped as chosen, and found again by what they name."""

from __future__ import annotations

import pytest

from proxy.config import BucketEncryption
from proxy.envelope.keyring import Edk
from proxy.errors import IntegrityError
from proxy.keys.kek import kek_id
from proxy.keys.rules import KeyChoice
from tests.keys.conftest import CONTEXT, DATA_KEY, aes, rsa_settings
from tests.keys.test_kek import Documents, Proxy

BUCKET = BucketEncryption("envelope", "hr")


@pytest.mark.parametrize("uses_kek", [True, False])
async def test_what_is_wrapped_as_chosen_is_opened_by_its_holder(uses_kek: bool) -> None:
    proxy = Proxy(Documents(), aes("hr", 1))
    choice = KeyChoice(proxy.ring.find("hr"), False, uses_kek=uses_kek)
    edk = await proxy.custody.wrap(choice, "bucket", BUCKET, DATA_KEY, CONTEXT)
    assert (kek_id(edk) is not None) is uses_kek
    (holder,) = await proxy.custody.holders("bucket", BUCKET, [edk])
    assert (holder.key.name, holder.kek is not None) == ("hr", uses_kek)
    assert await proxy.custody.unwrap(holder, CONTEXT) == DATA_KEY
    with pytest.raises(IntegrityError):
        await proxy.custody.unwrap(holder, {})


async def test_a_capsule_of_nobody_here_is_an_integrity_error() -> None:
    proxy = Proxy(Documents(), aes("hr", 1))
    with pytest.raises(IntegrityError) as caught:
        await proxy.custody.holders("bucket", BUCKET, [Edk("s3w", b"gone@1", b"")])
    assert caught.value.where == "key"


async def test_a_public_key_alone_is_a_holder_that_cannot_open() -> None:
    proxy = Proxy(Documents(), rsa_settings("offline", can_read=False))
    edk = await proxy.ring.find("offline").wrap(DATA_KEY, CONTEXT)
    (holder,) = await proxy.custody.holders("bucket", BUCKET, [edk])
    with pytest.raises(IntegrityError, match="`offline` cannot open"):
        await proxy.custody.unwrap(holder, CONTEXT)
