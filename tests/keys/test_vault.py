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
    assert "is not valid" in str(await vault.check())


@pytest.mark.parametrize(("key_name", "right"), [("hr", None), ("gone", "may neither encrypt nor decrypt with it")])
async def test_a_check_says_whether_the_token_may_use_the_key(
    transit: Transit, key_name: str, right: str | None
) -> None:
    found = await key(transit, key_name=key_name).check()
    assert found is None if right is None else right in str(found)


@pytest.mark.parametrize("body", [{"data": {}}, {"data": {"transit/encrypt/hr": "update"}}])
async def test_a_check_that_is_answered_with_garbage_finds_the_key_useless(transit: Transit, body: object) -> None:
    transit.body = body
    assert "may neither encrypt nor decrypt" in str(await key(transit).check())


@pytest.mark.parametrize(("status", "body"), [(400, {"errors": [1]}), (400, {"errors": 5}), (403, ["x"]), (404, "x")])
async def test_a_refusal_that_no_server_would_word_so_fails_closed(transit: Transit, status: int, body: object) -> None:
    transit.status, transit.body = status, body
    with pytest.raises((S3Error, KeyUnavailableError)):
        await key(transit).wrap(DATA_KEY, CONTEXT)


async def test_what_a_server_says_stays_short_and_on_one_line(transit: Transit) -> None:
    transit.status, transit.body = 403, {"errors": ["no\n\tway " + "x" * 10_000]}
    with pytest.raises(S3Error, match="AccessDenied") as caught:
        await key(transit).wrap(DATA_KEY, CONTEXT)
    assert "no way" in caught.value.detail
    assert len(caught.value.detail) < 400


async def test_a_rotation_that_is_redirected_is_none(transit: Transit) -> None:
    transit.redirect = transit.address
    with pytest.raises(KeyUnavailableError):
        await key(transit).renew("")
    assert len(transit.keys["hr"]) == 1


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
