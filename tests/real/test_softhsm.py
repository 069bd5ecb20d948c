"""A key in a PKCS#11 token wraps and unwraps, and makes the same data keys as a local key would."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pkcs11
import pytest

from proxy.cli.main import main
from proxy.config import Pkcs11, Secret, load_config
from proxy.envelope.entropy import SystemEntropy
from proxy.envelope.keyring import PROVIDER, AesKeyring
from proxy.errors import IntegrityError, S3Error
from proxy.keys.guard import GuardedKey
from proxy.keys.pkcs11 import Pkcs11Key
from proxy.keys.registry import ignore

MODULE = Path("/usr/lib/softhsm/libsofthsm2.so")
PIN = "1234"
DATA_KEY = bytes(range(32))
CONTEXT = {"aws:s3:arn": "arn:aws:s3:::bucket/key"}
ENTROPY = SystemEntropy()


@pytest.fixture(scope="module")
def token(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pkcs11]:
    """A token with an AES key for two versions; the module reads its configuration once per process."""
    folder = tmp_path_factory.mktemp("softhsm")
    (folder / "tokens").mkdir()
    (folder / "softhsm2.conf").write_text(f"directories.tokendir = {folder}/tokens\nlog.level = ERROR\n")
    os.environ["SOFTHSM2_CONF"] = str(folder / "softhsm2.conf")
    initialise = ["softhsm2-util", "--init-token", "--free", "--label", "s3warden", "--pin", PIN, "--so-pin", "5678"]
    subprocess.run(initialise, check=True, capture_output=True)
    with pkcs11.lib(str(MODULE)).get_token(token_label="s3warden").open(rw=True, user_pin=PIN) as session:
        for label, value in (("hr-1", bytes([1]) * 32), ("hr-2", bytes([2]) * 32)):
            session.create_object(
                {
                    pkcs11.Attribute.CLASS: pkcs11.ObjectClass.SECRET_KEY,
                    pkcs11.Attribute.KEY_TYPE: pkcs11.KeyType.AES,
                    pkcs11.Attribute.LABEL: label,
                    pkcs11.Attribute.VALUE: value,
                    pkcs11.Attribute.TOKEN: True,
                    pkcs11.Attribute.ENCRYPT: True,
                    pkcs11.Attribute.DECRYPT: True,
                }
            )
    yield Pkcs11(MODULE, "s3warden", Secret(PIN))
    del os.environ["SOFTHSM2_CONF"]


def key(token: Pkcs11, *versions: str) -> Pkcs11Key:
    return Pkcs11Key("hr", token, [(version, f"hr-{version}") for version in versions], ENTROPY)


async def test_the_first_version_writes_and_all_read(token: Pkcs11) -> None:
    old, both = key(token, "1"), key(token, "2", "1")
    before, after = await old.wrap(DATA_KEY, CONTEXT), await both.wrap(DATA_KEY, CONTEXT)
    assert after.key_info.startswith(b"hr@2")
    assert await both.unwrap(before, CONTEXT) == await both.unwrap(after, CONTEXT) == DATA_KEY
    assert await old.unwrap(after, CONTEXT) is None
    assert await both.check() is None
    for each in (old, both):
        await each.close()


async def test_what_the_token_wraps_a_local_key_of_the_same_material_opens(token: Pkcs11) -> None:
    hsm, local = key(token, "1"), AesKeyring(PROVIDER, "hr@1", bytes([1]) * 32, ENTROPY)
    assert local.unwrap(await hsm.wrap(DATA_KEY, CONTEXT), CONTEXT) == DATA_KEY
    assert await hsm.unwrap(local.wrap(DATA_KEY, CONTEXT), CONTEXT) == DATA_KEY
    await hsm.close()


async def test_another_context_or_a_changed_data_key_does_not_open(token: Pkcs11) -> None:
    hsm = key(token, "1")
    edk = await hsm.wrap(DATA_KEY, CONTEXT)
    with pytest.raises(IntegrityError):
        await hsm.unwrap(edk, {"aws:s3:arn": "arn:aws:s3:::other/key"})
    with pytest.raises(IntegrityError):
        await hsm.unwrap(replace(edk, ciphertext=bytes(48)), CONTEXT)
    assert await hsm.unwrap(edk, CONTEXT) == DATA_KEY, "the session goes on"
    await hsm.close()


async def test_a_key_that_the_token_does_not_have_is_not_found(token: Pkcs11) -> None:
    hsm = key(token, "3")
    with pytest.raises(S3Error, match=r"KMS\.NotFoundException"):
        await hsm.wrap(DATA_KEY, CONTEXT)
    assert await hsm.check() == "the token has no AES key labelled `hr-3`"
    await hsm.close()


async def test_two_keys_of_one_token_live_side_by_side_and_one_may_go(token: Pkcs11) -> None:
    one, two = (GuardedKey("hr", key(token, version), 5, ignore) for version in "12")
    assert await one.unwrap(await one.wrap(DATA_KEY, CONTEXT), CONTEXT) == DATA_KEY
    edk = await two.wrap(DATA_KEY, CONTEXT)
    await one.close()
    assert await two.unwrap(edk, CONTEXT) == DATA_KEY, "closing one logs the other out, which logs in again"
    await two.close()


async def test_a_wrong_pin_fails_closed(token: Pkcs11) -> None:
    hsm = GuardedKey("hr", key(replace(token, pin=Secret("0000")), "1"), 5, ignore)
    with pytest.raises(S3Error, match="ServiceUnavailable") as caught:
        await hsm.wrap(DATA_KEY, CONTEXT)
    assert "PinIncorrect" in caught.value.detail
    await hsm.close()


def test_a_new_version_is_made_in_the_token(token: Pkcs11, tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(
        'upstream: {endpoint: "http://127.0.0.1:1", credentials: {access_key_id: AKIA, secret_access_key: s}}\n'
        'owner: "123456789012"\n'
        f"keys:\n  hr-1: {{type: pkcs11, module: {MODULE}, token_label: s3warden, pin: '{PIN}'}}\n"
    )
    assert main(["keys", "rotate", "hr-1", "--config", str(config)]) == 0
    key = load_config(config).keys["hr-1"]
    assert [(version.id, version.label) for version in key.versions] == [("2", "hr-1-2"), ("1", "hr-1")]
    assert main(["keys", "list", "--check", "--config", str(config)]) == 0
    # A label that is taken is never used for two keys.
    config.write_text(config.read_text().replace('{id: "2", label: "hr-1-2"}, ', ""))
    assert main(["keys", "rotate", "hr-1", "--config", str(config)]) == 2
