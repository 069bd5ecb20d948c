"""A real OpenBao server wraps and unwraps with the rights that the guide gives; what it refuses is told apart."""

from __future__ import annotations

import base64
from collections.abc import Iterator

import pytest
import requests

from proxy.config import Secret, Vault
from proxy.envelope.context import serialise_context
from proxy.errors import IntegrityError, S3Error
from proxy.keys.service import KeyUnavailableError
from proxy.keys.vault import VaultKey
from tests.keys.conftest import CONTEXT, DATA_KEY
from tests.keys.openbao import OpenBao, guides_policy
from tests.keys.transit import TOKEN, Transit


@pytest.fixture(scope="module")
def bao(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenBao]:
    with OpenBao(tmp_path_factory.mktemp("openbao"), tls=True) as server:
        server.key("hr")
        yield server


def key(bao: OpenBao, token: str, key_name: str = "hr", **more: object) -> VaultKey:
    settings: dict[str, object] = {"ca": bao.ca, **more}
    return VaultKey("hr", Vault(bao.address, Secret(token), key_name, **settings), 5)


async def refused(vault: VaultKey) -> S3Error:
    with pytest.raises(S3Error) as caught:
        await vault.wrap(DATA_KEY, CONTEXT)
    return caught.value


async def test_the_guides_policy_is_enough_for_all_that_a_proxy_does(bao: OpenBao) -> None:
    vault = key(bao, bao.token())
    edk = await vault.wrap(DATA_KEY, CONTEXT)
    assert (edk.provider_id, edk.key_info) == ("s3w-vault", b"hr@v1")
    assert await vault.unwrap(edk, CONTEXT) == DATA_KEY
    assert await vault.check() is None
    await vault.close()


async def test_the_guides_policy_allows_nothing_else(bao: OpenBao) -> None:
    bao.key("other")
    token = bao.token()
    assert (await refused(key(bao, token, "other"))).code == "AccessDenied"
    for path in ("transit/keys/hr/rotate", "transit/rewrap/hr", "transit/keys/hr/config", "transit/encrypt/fresh"):
        answer = requests.post(
            f"{bao.address}/v1/{path}", headers={"X-Vault-Token": token}, json={}, verify=str(bao.ca), timeout=5
        )
        assert answer.status_code == 403, path
    listed = bao.operator.secrets.transit.list_keys()["data"]["keys"]
    assert "fresh" not in listed, "without `create`, nobody makes a key by using it"
    with pytest.raises(S3Error, match="AccessDenied"):
        await key(bao, token).renew("")


async def test_the_object_is_the_associated_data(bao: OpenBao) -> None:
    vault = key(bao, bao.token())
    edk = await vault.wrap(DATA_KEY, CONTEXT)
    with pytest.raises(IntegrityError, match="message authentication failed"):
        await vault.unwrap(edk, {"aws:s3:arn": "arn:aws:s3:::other/key"})
    # The engine alone, without the proxy, opens it under the same context and no other.
    named = base64.b64encode(serialise_context(CONTEXT)).decode()
    body = {"ciphertext": edk.ciphertext.decode(), "associated_data": named}
    assert base64.b64decode(bao.ask("transit/decrypt/hr", body)["data"]["plaintext"]) == DATA_KEY
    await vault.close()


async def test_a_new_version_writes_old_ones_read_and_one_that_is_retired_does_not_open(bao: OpenBao) -> None:
    bao.key("turning")
    vault = key(bao, bao.token(guides_policy("turning")), "turning")
    before = await vault.wrap(DATA_KEY, CONTEXT)
    bao.rotate("turning")
    after = await vault.wrap(DATA_KEY, CONTEXT)
    assert (before.key_info, after.key_info) == (b"hr@v1", b"hr@v2")
    assert await vault.unwrap(before, CONTEXT) == await vault.unwrap(after, CONTEXT) == DATA_KEY
    bao.configure("turning", min_decryption_version=2)
    with pytest.raises(IntegrityError, match="disallowed by policy"):
        await vault.unwrap(before, CONTEXT)
    assert await vault.unwrap(after, CONTEXT) == DATA_KEY
    await vault.close()


async def test_who_may_rotates_a_key_from_here(bao: OpenBao) -> None:
    bao.key("renewed")
    more = 'path "transit/keys/renewed/rotate" { capabilities = ["update"] }'
    vault = key(bao, bao.token(guides_policy("renewed") + more), "renewed")
    await vault.renew("")
    assert (await vault.wrap(DATA_KEY, CONTEXT)).key_info == b"hr@v2"
    await vault.close()


async def test_a_right_to_create_makes_a_missing_key_which_is_why_the_guide_gives_none(bao: OpenBao) -> None:
    careless = bao.token('path "transit/*" { capabilities = ["create", "update"] }')
    await key(bao, careless, "mistyped").wrap(DATA_KEY, CONTEXT)
    assert "mistyped" in bao.operator.secrets.transit.list_keys()["data"]["keys"]


@pytest.mark.parametrize(("name", "options"), [("pair", {"type": "rsa-2048"}), ("derived", {"derived": True})])
async def test_a_key_that_cannot_bind_a_data_key_to_its_object_is_refused(
    bao: OpenBao, name: str, options: dict[str, object]
) -> None:
    bao.key(name, **options)
    error = await refused(key(bao, bao.token(guides_policy(name)), name))
    assert error.code == "KMS.KMSInvalidStateException"
    assert name == "derived" or "non-AEAD" in error.detail


async def test_another_aead_key_serves_as_well(bao: OpenBao) -> None:
    bao.key("chacha", type="xchacha20-poly1305")
    vault = key(bao, bao.token(guides_policy("chacha")), "chacha")
    assert await vault.unwrap(await vault.wrap(DATA_KEY, CONTEXT), CONTEXT) == DATA_KEY


async def test_what_is_missing_is_told_to_whom_may_know(bao: OpenBao) -> None:
    everywhere = bao.token('path "*" { capabilities = ["read", "update"] }')
    assert (await refused(key(bao, everywhere, mount="elsewhere"))).code == "KMS.NotFoundException"
    assert (await refused(key(bao, everywhere, namespace="nowhere"))).code == "KMS.NotFoundException"
    assert "no handler for route" in (await refused(key(bao, everywhere, mount="elsewhere"))).detail
    # A key that is missing would be made by its first use, for which this token has no right.
    assert (await refused(key(bao, everywhere, "gone"))).code == "AccessDenied"
    with pytest.raises(S3Error, match=r"KMS\.KMSInvalidStateException"):
        await key(bao, everywhere, "gone").renew("")


async def test_a_check_knows_good_tokens_from_others(bao: OpenBao) -> None:
    lines = guides_policy().splitlines()
    for verb in ("encrypt", "decrypt"):
        only = "\n".join(line for line in lines if "transit/" not in line or verb in line)
        assert await key(bao, bao.token(only)).check() is None, f"a proxy that may only {verb} is ready"
    assert "may neither" in str(await key(bao, bao.token(guides_policy("other"))).check())
    assert "is not valid, or may not ask" in str(
        await key(bao, bao.token('path "other" { capabilities = ["read"] }')).check()
    )
    assert "is not valid" in str(await key(bao, "s.nobodysToken").check())
    assert "is not valid" in str(await key(bao, bao.token(), namespace="nowhere").check())
    assert await key(bao, bao.operator.token).check() is None


async def test_an_engine_in_a_namespace_is_used_with_a_token_from_there(bao: OpenBao) -> None:
    bao.ask("sys/namespaces/storage")
    bao.mount("storage")
    bao.key("hr", "storage")
    inside = key(bao, bao.token(namespace="storage"), namespace="storage")
    assert await inside.unwrap(await inside.wrap(DATA_KEY, CONTEXT), CONTEXT) == DATA_KEY
    assert await inside.check() is None
    edk = await inside.wrap(DATA_KEY, CONTEXT)
    with pytest.raises(IntegrityError):
        await key(bao, bao.token()).unwrap(edk, CONTEXT)
    assert (await refused(key(bao, bao.token(), namespace="storage"))).code == "AccessDenied"


async def test_only_the_authority_that_is_named_is_trusted(bao: OpenBao) -> None:
    with pytest.raises(KeyUnavailableError, match="SSLError"):
        await key(bao, bao.token(), ca=None).wrap(DATA_KEY, CONTEXT)


async def test_a_server_that_limits_the_rate_may_be_asked_again(bao: OpenBao) -> None:
    vault = key(bao, bao.token())
    bao.ask("sys/quotas/rate-limit/slow", {"path": "transit/", "rate": 0.001, "interval": "1m"})
    try:
        await vault.wrap(DATA_KEY, CONTEXT)
        with pytest.raises(KeyUnavailableError, match="RateLimitExceeded"):
            await vault.wrap(DATA_KEY, CONTEXT)
    finally:
        bao.operator.adapter.delete("/v1/sys/quotas/rate-limit/slow")


async def test_a_sealed_server_does_not_answer_and_shows_in_the_check(bao: OpenBao) -> None:
    vault = key(bao, bao.token())
    edk = await vault.wrap(DATA_KEY, CONTEXT)
    bao.seal()
    try:
        for use in (vault.wrap(DATA_KEY, CONTEXT), vault.unwrap(edk, CONTEXT), vault.check()):
            with pytest.raises(KeyUnavailableError, match="VaultDown"):
                await use
    finally:
        bao.unseal()
    assert await vault.unwrap(edk, CONTEXT) == DATA_KEY


async def test_the_stand_in_answers_as_the_server_does(bao: OpenBao) -> None:
    """Status and words of every answer that the stand-in gives of itself, in one conversation with both."""
    aad, data = (base64.b64encode(raw).decode() for raw in (b"context", DATA_KEY))

    def talk(address: str, token: str, verify: object) -> list[tuple[int, object]]:
        def post(path: str, body: dict[str, object], by: str = token) -> requests.Response:
            url = f"{address}/v1/{path}"
            return requests.post(url, json=body, headers={"X-Vault-Token": by}, verify=verify, timeout=5)

        sealed = post("transit/encrypt/hr", {"plaintext": data, "associated_data": aad}).json()["data"]["ciphertext"]
        version = sealed.split(":")[1]

        def opened(
            ciphertext: str, by: str = token, under: str = aad, key: str = "transit/decrypt/hr"
        ) -> tuple[int, object]:
            answer = post(key, {"ciphertext": ciphertext, "associated_data": under}, by)
            return answer.status_code, answer.json().get("errors") or answer.json()["data"]

        paths = ["transit/encrypt/hr", "transit/decrypt/hr", "transit/encrypt/gone"]
        rights = post("sys/capabilities-self", {"paths": paths})
        return [
            opened(sealed),
            opened(sealed, under=data),
            opened(sealed.replace(version, "v99")),
            opened(f"vault:{version}:AAA"),
            opened(f"vault:{version}:AAAA"),
            opened(sealed, by="nobodys"),
            opened(sealed, key="transit/decrypt/gone"),
            opened(sealed, key="elsewhere/decrypt/hr"),
            (rights.status_code, [rights.json()["data"][path] for path in paths]),
        ]

    with Transit() as transit:
        assert talk(transit.address, TOKEN, True) == talk(bao.address, bao.token(), str(bao.ca))
