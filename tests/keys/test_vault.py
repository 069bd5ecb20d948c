"""Keys of a transit engine wrap and unwrap, versions included; every way it can fail fails closed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from proxy.config import Secret, Vault
from proxy.envelope.keyring import Edk
from proxy.errors import IntegrityError, S3Error
from proxy.keys.service import KeyUnavailableError
from proxy.keys.vault import VaultKey
from tests.keys.conftest import CONTEXT, DATA_KEY
from tests.keys.transit import TOKEN, Transit


@pytest.fixture
def transit() -> Iterator[Transit]:
    with Transit() as server:
        yield server


def key(transit: Transit, token: str = TOKEN, key_name: str = "hr", **more: str) -> VaultKey:
    return VaultKey("hr", Vault(transit.address, Secret(token), key_name, **more), 5)


async def test_a_data_key_comes_back_under_its_context_only(transit: Transit) -> None:
    vault = key(transit)
    edk = await vault.wrap(DATA_KEY, CONTEXT)
    assert (edk.provider_id, edk.key_info) == ("s3w-vault", b"hr@v1")
    assert vault.names(edk)
    assert await vault.unwrap(edk, CONTEXT) == DATA_KEY
    with pytest.raises(IntegrityError):
        await vault.unwrap(edk, {"aws:s3:arn": "arn:aws:s3:::other/key"})
    await vault.close()


async def test_after_a_rotation_the_new_version_writes_and_both_read(transit: Transit) -> None:
    vault = key(transit)
    before = await vault.wrap(DATA_KEY, CONTEXT)
    transit.keys["hr"].append(bytes(32))
    after = await vault.wrap(DATA_KEY, CONTEXT)
    assert (before.key_info, after.key_info) == (b"hr@v1", b"hr@v2")
    assert await vault.unwrap(before, CONTEXT) == await vault.unwrap(after, CONTEXT) == DATA_KEY


@pytest.mark.parametrize(
    "edk",
    [
        Edk("s3w-vault", b"hr@v2", b"vault:v1:AAAA"),
        Edk("s3w-vault", b"hr@v1", b"vault:v1:%%%"),
        Edk("s3w-vault", b"hr@v1", b"\xff"),
        Edk("s3w-vault", b"hr@v1", b"vault:v1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"),
    ],
)
async def test_a_data_key_that_was_changed_does_not_open(transit: Transit, edk: Edk) -> None:
    with pytest.raises(IntegrityError):
        await key(transit).unwrap(edk, CONTEXT)


async def test_another_keys_data_key_is_not_sent(transit: Transit) -> None:
    vault = key(transit)
    assert await vault.unwrap(Edk("s3w-vault", b"it@v1", b"x"), CONTEXT) is None
    assert await vault.unwrap(Edk("s3w", b"hr@v1", b"x"), CONTEXT) is None
    assert transit.seen == []


async def test_a_token_that_may_not_use_the_key_is_access_denied(transit: Transit) -> None:
    vault = key(transit, token="hvs.another")
    with pytest.raises(S3Error, match="AccessDenied") as caught:
        await vault.wrap(DATA_KEY, CONTEXT)
    assert "permission denied" in caught.value.detail
    assert caught.value.message == "Access Denied"
    assert "not valid any more" in str(await vault.check())


async def test_a_check_finds_a_good_token_good(transit: Transit) -> None:
    assert await key(transit).check() is None


async def test_an_engine_that_is_not_there_is_not_found(transit: Transit) -> None:
    with pytest.raises(S3Error, match=r"KMS\.NotFoundException"):
        await key(transit, mount="elsewhere").wrap(DATA_KEY, CONTEXT)


@pytest.mark.parametrize("status", [429, 500, 502, 503])
async def test_a_server_in_trouble_may_be_asked_again(transit: Transit, status: int) -> None:
    transit.status = status
    with pytest.raises(KeyUnavailableError):
        await key(transit).wrap(DATA_KEY, CONTEXT)


@pytest.mark.parametrize("body", [{"data": {"ciphertext": "plain"}}, {"data": None}, ["x"]])
async def test_an_answer_that_is_none_is_not_taken_for_one(transit: Transit, body: object) -> None:
    transit.body = body
    with pytest.raises(KeyUnavailableError):
        await key(transit).wrap(DATA_KEY, CONTEXT)


@pytest.mark.parametrize("plaintext", ["%%%", "AAAA", ""])
async def test_an_unwrapped_key_of_another_length_is_refused(transit: Transit, plaintext: str) -> None:
    vault = key(transit)
    edk = await vault.wrap(DATA_KEY, CONTEXT)
    transit.body = {"data": {"plaintext": plaintext}}
    with pytest.raises(IntegrityError):
        await vault.unwrap(edk, CONTEXT)


async def test_the_token_does_not_follow_a_redirect(transit: Transit) -> None:
    with Transit() as other:
        transit.redirect = f"{other.address}/v1/transit/encrypt/hr"
        with pytest.raises((KeyUnavailableError, S3Error)):
            await key(transit).wrap(DATA_KEY, CONTEXT)
        assert other.seen == []


async def test_a_server_that_cannot_be_reached_may_be_asked_again(transit: Transit) -> None:
    vault = VaultKey("hr", Vault("http://127.0.0.1:1", Secret(TOKEN), "hr"), 1)
    with pytest.raises(KeyUnavailableError) as caught:
        await vault.wrap(DATA_KEY, CONTEXT)
    assert TOKEN not in str(caught.value) + repr(vault)


async def test_the_namespace_is_named_in_every_call(transit: Transit) -> None:
    await key(transit, namespace="storage").wrap(DATA_KEY, CONTEXT)
    assert transit.seen[0][1]["X-Vault-Namespace"] == "storage"
