"""Keys are found by everything that may name them, and a disabled or unknown one fails closed."""

from __future__ import annotations

import pytest

from proxy.config import AwsKms, KeySettings
from proxy.envelope.entropy import SystemEntropy
from proxy.envelope.keyring import Edk
from proxy.errors import IntegrityError, S3Error
from proxy.keys.local import local_key
from proxy.keys.ring import KeyRing, MasterKey
from proxy.keys.service import KeyService
from tests.keys.conftest import CONTEXT, DATA_KEY, FakeService, Observed, aes, rsa_settings, settings

ARN = "arn:aws:kms:eu-central-1:123456789012:key/hr"
KMS_ARN = "arn:aws:kms:eu-west-1:210987654321:key/1234"


def ring(observed: Observed, *keys: KeySettings, **services: KeyService) -> KeyRing:
    masters = [
        MasterKey(
            each.name,
            each.arn,
            each.aliases,
            each.enabled,
            each.policy,
            False,
            services.get(each.name) or local_key(each, SystemEntropy()),
            observed,
        )
        for each in keys
    ]
    return KeyRing(masters, {each.name: each for each in keys})


@pytest.mark.parametrize(
    "identifier",
    ["hr", "key/hr", ARN, "alias/hr", "arn:aws:kms:eu-central-1:123456789012:alias/hr"],
)
def test_a_key_is_found_by_every_name_it_has(observed: Observed, identifier: str) -> None:
    keys = ring(observed, aes("hr", 1, aliases=("alias/hr",)), aes("it", 2))
    assert keys.find(identifier) is keys.named("hr")
    assert [key.name for key in keys] == ["hr", "it"]


def test_a_key_of_kms_is_also_known_by_its_own_arn(observed: Observed) -> None:
    keys = ring(observed, settings("cloud", "aws-kms", backend=AwsKms(KMS_ARN)), cloud=FakeService())
    assert keys.find(KMS_ARN).name == "cloud"


@pytest.mark.parametrize("identifier", ["", "x", "alias/x", ARN + "x", ARN.replace("eu-central-1", "us-east-1")])
def test_an_unknown_key_is_refused_as_kms_does(observed: Observed, identifier: str) -> None:
    with pytest.raises(S3Error, match=r"KMS\.NotFoundException"):
        ring(observed, aes("hr", 1)).find(identifier)


async def test_a_data_key_is_opened_by_the_first_key_that_can(observed: Observed) -> None:
    keys = ring(observed, rsa_settings("offline", can_read=False), aes("hr", 1), aes("it", 2))
    edks = [await key.wrap(DATA_KEY, CONTEXT) for key in keys]
    found = await keys.unwrap(edks, CONTEXT)
    assert (found[0], found[1].name) == (DATA_KEY, "hr")
    assert [key.name for _, key in keys.owners(edks)] == ["offline", "hr", "it"]
    assert observed.seen[-2:] == [("local", "unwrap", "refused"), ("local", "unwrap", "ok")]


async def test_a_data_key_of_nobody_here_is_an_integrity_error(observed: Observed) -> None:
    with pytest.raises(IntegrityError) as caught:
        await ring(observed, aes("hr", 1)).unwrap([Edk("s3w", b"gone@1", b"x")], CONTEXT)
    assert caught.value.where == "key"


async def test_a_disabled_key_neither_wraps_nor_unwraps(observed: Observed) -> None:
    edk = await local_key(aes("hr", 1), SystemEntropy()).wrap(DATA_KEY, CONTEXT)
    keys = ring(observed, aes("hr", 1, enabled=False))
    with pytest.raises(S3Error, match=r"KMS\.DisabledException"):
        await keys.unwrap([edk], CONTEXT)
    with pytest.raises(S3Error, match=r"KMS\.DisabledException"):
        await keys.find("hr").wrap(DATA_KEY, CONTEXT)
    assert observed.seen == []


async def test_a_service_that_is_down_does_not_matter_while_another_key_opens(observed: Observed) -> None:
    def act() -> None:
        raise S3Error("ServiceUnavailable")

    keys = ring(observed, aes("cloud", 9), aes("hr", 1), cloud=FakeService("cloud", act))
    edks = [Edk("fake", b"cloud", b"x"), await keys.find("hr").wrap(DATA_KEY, CONTEXT)]
    assert (await keys.unwrap(edks, CONTEXT))[1].name == "hr"
    with pytest.raises(S3Error, match="ServiceUnavailable"):
        await keys.unwrap(edks[:1], CONTEXT)


async def test_a_changed_data_key_is_seen_and_counted(observed: Observed) -> None:
    keys = ring(observed, aes("hr", 1))
    edk = await keys.find("hr").wrap(DATA_KEY, CONTEXT)
    with pytest.raises(IntegrityError):
        await keys.unwrap([edk], {})
    assert observed.seen[-1] == ("local", "unwrap", "invalid")


async def test_closing_closes_every_service(observed: Observed) -> None:
    service = FakeService()
    await ring(observed, aes("cloud", 9), aes("hr", 1), cloud=service).close()
    assert service.closed


async def test_a_check_names_the_keys_that_cannot_be_used(observed: Observed) -> None:
    class Sick(FakeService):
        async def check(self) -> str | None:
            return "sealed"

    described = [aes("cloud", 9), aes("well", 1), aes("off", 3, enabled=False)]
    keys = ring(observed, *described, cloud=Sick(), off=Sick())
    assert await keys.check() == "key `cloud`: sealed"
    assert await ring(observed, aes("hr", 1)).check() is None
