"""Who a key's policy can name: other accounts, everybody but some, nobody at all; and policies that change."""

from __future__ import annotations

import base64
import json
import os
import signal
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ACCOUNT, Store
from tests.journeys.front import until
from tests.journeys.signing import Key
from tests.journeys.walking import (
    BOB,
    CAROL,
    MALLORY,
    Document,
    Walk,
    allow,
    bucket_policy,
    identity,
    make_bucket,
    store_client,
)
from tests.journeys.walking import walking as run_proxy
from tests.server.envelope.test_key_policies import DENIED, USE, principal, statement, under
from tests.server.envelope.test_sse import refused

ELSEWHERE = "210987654321"
EVE = Key("AKIAEVE", "eve-secret")
"""Of the other account as well, with no policy about keys."""
ANYONE = statement("kms:*")
KEY_POLICIES: dict[str, list[Document]] = {
    "named": [statement(USE, {"AWS": [f"arn:aws:iam::{ELSEWHERE}:user/{name}" for name in ("mallory", "eve")]})],
    "lent": [statement(USE, {"AWS": ELSEWHERE})],
    "ours": [statement(USE, StringEquals={"kms:CallerAccount": ACCOUNT})],
    "but-bob": [ANYONE, {
        "Effect": "Deny", "NotPrincipal": {"AWS": [f"arn:aws:iam::{ACCOUNT}:user/bob", ACCOUNT]},
        "Action": "kms:Decrypt", "Resource": "*",
    }],
    "bare": [statement(USE, **{"ForAllValues:StringEquals": {"kms:EncryptionContextKeys": ["aws:s3:arn"]}})],
    "everybody": [ANYONE],
    "changing": [statement(USE, principal("bob"))],
}  # fmt: skip


def policy(*statements: Document) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [dict(each) for each in statements]})


@pytest.fixture(scope="module")
def walk(moto_store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Walk]:
    folder = tmp_path_factory.mktemp("key-grants")
    keys: dict[str, Any] = {"open": _material(0)}
    for number, (name, statements) in enumerate(KEY_POLICIES.items(), 1):
        (folder / f"key-{name}.yaml").write_text(policy(*statements))
        keys[name] = {**_material(number), "policy": f"key-{name}.yaml"}
    everything: Document = {
        "Action": "s3:*",
        "Effect": "Allow",
        "Resource": ["arn:aws:s3:::lent", "arn:aws:s3:::lent/*"],
    }
    with run_proxy(
        folder,
        moto_store,
        policies={"may-use": allow("s3:*", *USE), "s3-only": allow("s3:*")},
        buckets={"lent": bucket_policy(everything)},
        identities=[
            identity("user/bob", BOB),
            identity("user/carol", CAROL),
            identity("user/mallory", MALLORY, "may-use.yaml", account=ELSEWHERE),
            identity("user/eve", EVE, "s3-only.yaml", account=ELSEWHERE),
        ],
        rules={"lent": {"encryption": {"mode": "envelope", "key": "open"}}},
        keys=keys,
    ) as running:
        make_bucket(store_client(moto_store), "lent")
        yield running


def _material(number: int) -> dict[str, str]:
    return {"type": "aes", "material": base64.b64encode(bytes([number]) * 32).decode()}


def put(walk: Walk, who: Key, key: str, **context: str) -> Any:
    return walk.client(who).put_object(Bucket="lent", Key=key, Body=b"x", **under(key, **context))


def get(walk: Walk, who: Key, key: str) -> bytes:
    return bytes(walk.client(who).get_object(Bucket="lent", Key=key)["Body"].read())


@pytest.mark.parametrize("key", ["named", "lent"])
def test_another_account_needs_the_keys_policy_and_its_own(walk: Walk, key: str) -> None:
    put(walk, MALLORY, key)
    assert get(walk, MALLORY, key) == b"x"
    assert refused(get, walk=walk, who=EVE, key=key)[:2] == DENIED, "no policy of her own says kms:Decrypt"
    assert refused(put, walk=walk, who=EVE, key=key)[:2] == DENIED
    assert refused(get, walk=walk, who=BOB, key=key)[:2] == DENIED, "of this account, and not named"


def test_the_callers_account_is_a_condition(walk: Walk) -> None:
    put(walk, BOB, "ours")
    assert get(walk, CAROL, "ours") == b"x"
    assert refused(get, walk=walk, who=MALLORY, key="ours")[:2] == DENIED


def test_all_but_some_can_be_denied(walk: Walk) -> None:
    put(walk, CAROL, "but-bob")
    assert get(walk, BOB, "but-bob") == b"x"
    for who in (CAROL, MALLORY):
        assert refused(get, walk=walk, who=who, key="but-bob")[:2] == DENIED


def test_which_pairs_there_may_be_is_a_condition(walk: Walk) -> None:
    put(walk, BOB, "bare")
    assert refused(put, walk=walk, who=BOB, key="bare", department="hr")[:2] == DENIED


def unsigned(walk: Walk, key: str) -> int:
    try:
        with urllib.request.urlopen(f"{walk.endpoint}/lent/{key}") as answer:  # noqa: S310 - one of our own servers
            assert answer.read() == b"x"
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def test_who_signs_nothing_uses_keys_that_are_everybodys(walk: Walk) -> None:
    put(walk, BOB, "everybody")
    put(walk, BOB, "ours")
    walk.client(BOB).put_object(Bucket="lent", Key="open", Body=b"x")
    assert (unsigned(walk, "everybody"), unsigned(walk, "open"), unsigned(walk, "ours")) == (200, 200, 403)


def test_a_changed_policy_of_a_key_is_in_force_after_a_signal_and_a_wrong_one_never(walk: Walk) -> None:
    put(walk, BOB, "changing")
    assert refused(get, walk=walk, who=CAROL, key="changing")[:2] == DENIED
    _signalled(walk, policy(statement(USE, principal("carol"))), "reloaded")
    assert get(walk, CAROL, "changing") == b"x"
    assert refused(get, walk=walk, who=BOB, key="changing")[:2] == DENIED
    _signalled(walk, policy(statement("kms:Decrypto")), "kms:Decrypto")
    assert get(walk, CAROL, "changing") == b"x"
    assert refused(get, walk=walk, who=BOB, key="changing")[:2] == DENIED


def _signalled(walk: Walk, text: str, said: str) -> None:
    before = walk.log().count(said)
    Path(walk.folder / "key-changing.yaml").write_text(text)
    os.kill(walk.pid, signal.SIGHUP)
    until(lambda: walk.log().count(said) > before)
