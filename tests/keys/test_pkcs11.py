"""A token that is not there, or a module that is none, fails closed; tests/real has a token."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxy.config import Pkcs11, Secret
from proxy.envelope.entropy import SystemEntropy
from proxy.envelope.keyring import Edk
from proxy.errors import IntegrityError
from proxy.keys.pkcs11 import Pkcs11Key
from proxy.keys.service import KeyUnavailableError
from tests.keys.conftest import CONTEXT, DATA_KEY

INFO = b"hsm@1" + (128).to_bytes(4, "big") + (12).to_bytes(4, "big")


def key(module: Path) -> Pkcs11Key:
    return Pkcs11Key("hsm", Pkcs11(module, "token", Secret("1234")), [("1", "label")], SystemEntropy())


async def test_a_module_that_cannot_be_loaded_may_be_asked_again(tmp_path: Path) -> None:
    hsm = key(tmp_path / "none.so")
    with pytest.raises(KeyUnavailableError):
        await hsm.wrap(DATA_KEY, CONTEXT)
    await hsm.close()


async def test_a_data_key_of_the_wrong_form_is_refused_without_the_token(tmp_path: Path) -> None:
    hsm = key(tmp_path / "none.so")
    for edk in (Edk("s3w", INFO + bytes(11), bytes(48)), Edk("s3w", INFO + bytes(12), bytes(47))):
        assert hsm.names(edk)
        with pytest.raises(IntegrityError):
            await hsm.unwrap(edk, CONTEXT)
    assert await hsm.unwrap(Edk("s3w", b"hsm@2" + INFO[5:] + bytes(12), bytes(48)), CONTEXT) is None
    assert await hsm.unwrap(Edk("aws-kms", INFO + bytes(12), bytes(48)), CONTEXT) is None
