"""Bucket keys: the master key is asked once, for a bounded time and number of objects, and decides still."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace

import aws_encryption_sdk
import pytest
from aws_cryptographic_material_providers.mpl import AwsCryptographicMaterialProviders
from aws_cryptographic_material_providers.mpl.config import MaterialProvidersConfig
from aws_cryptographic_material_providers.mpl.models import AesWrappingAlg, CreateRawAesKeyringInput

from proxy.clock import FixedClock
from proxy.config import BucketEncryption, KekSettings, KeySettings, State
from proxy.envelope.entropy import SystemEntropy
from proxy.envelope.keyring import PROVIDER, AesKeyring, Edk
from proxy.errors import IntegrityError, S3Error
from proxy.keys.custody import Custody
from proxy.keys.kek import BucketKeks, kek_id, parse_kek
from proxy.keys.local import local_key
from proxy.keys.ring import KeyRing, MasterKey
from proxy.keys.witness import MasterUse
from tests.keys.conftest import CONTEXT, DATA_KEY, FakeService, Observed, aes, rsa_settings

ENTROPY = SystemEntropy()
DEFAULT_STATE = State()
SETTINGS = KekSettings(cache_seconds=60, max_age_hours=1)


@dataclass
class Documents:
    """KEK documents, in memory."""

    objects: dict[tuple[str, str], bytes] = field(default_factory=dict)
    reads: int = 0

    async def get(self, bucket: str, key: str) -> bytes | None:
        self.reads += 1
        await asyncio.sleep(0)
        return self.objects.get((bucket, key))

    async def put(self, bucket: str, key: str, body: bytes) -> None:
        await asyncio.sleep(0)
        self.objects[bucket, key] = body


def master(settings: KeySettings, observed: Observed) -> MasterKey:
    service = local_key(settings, ENTROPY)
    return MasterKey(settings.name, settings.arn, (), settings.enabled, None, True, service, observed)


class Proxy:
    """One process with its keys, over documents that others share."""

    def __init__(self, documents: Documents, *keys: KeySettings, state: State = DEFAULT_STATE) -> None:
        self.observed = Observed()
        self.clock = FixedClock(1_790_000_000)
        self.documents = documents
        self.configure(*keys)
        self.keks = BucketKeks(lambda: self.ring, documents, lambda: state, ENTROPY, self.clock)
        self.custody = Custody(lambda: self.ring, self.keks)

    def configure(self, *keys: KeySettings) -> None:
        self.ring = KeyRing([master(each, self.observed) for each in keys], {each.name: each for each in keys})

    async def wrap(self, settings: KekSettings = SETTINGS, bucket: str = "bucket") -> Edk:
        return await self.keks.wrap(bucket, next(iter(self.ring)), settings, DATA_KEY, CONTEXT)

    async def unwrap(self, edk: Edk, bucket: str = "bucket", settings: KekSettings = SETTINGS) -> bytes:
        encryption = BucketEncryption("envelope", None, settings)
        (holder,) = await self.custody.holders(bucket, encryption, [edk])
        return await self.custody.unwrap(holder, CONTEXT)

    def asked(self, op: str) -> int:
        return sum(seen[1] == op for seen in self.observed.seen)


async def test_one_call_to_the_master_key_serves_many_objects() -> None:
    proxy = Proxy(Documents(), aes("hr", 1))
    edks = await asyncio.gather(*(proxy.wrap() for _ in range(20)))
    assert len({kek_id(edk) for edk in edks}) == 1
    assert [await proxy.unwrap(edk) for edk in edks] == [DATA_KEY] * 20
    assert (proxy.asked("wrap"), proxy.asked("unwrap")) == (1, 0)


async def test_another_process_reads_with_one_call() -> None:
    documents = Documents()
    edk = await Proxy(documents, aes("hr", 1)).wrap()
    reader = Proxy(documents, aes("hr", 1))
    assert await asyncio.gather(*(reader.unwrap(edk) for _ in range(5))) == [DATA_KEY] * 5
    assert (reader.asked("unwrap"), documents.reads) == (1, 1)


async def test_each_bucket_and_each_process_has_keys_of_its_own() -> None:
    documents = Documents()
    one, two = Proxy(documents, aes("hr", 1)), Proxy(documents, aes("hr", 1))
    ids = {kek_id(edk) for edk in (await one.wrap(), await two.wrap(), await one.wrap(bucket="other"))}
    assert len(ids) == 3


async def test_a_document_holds_for_its_bucket_only() -> None:
    documents = Documents()
    edk = await Proxy(documents, aes("hr", 1)).wrap()
    ((_, key), raw), *_ = documents.objects.items()
    documents.objects["other", key] = raw
    with pytest.raises(IntegrityError):
        await Proxy(documents, aes("hr", 1)).unwrap(edk, "other")


async def test_documents_can_be_kept_in_a_bucket_of_their_own() -> None:
    documents = Documents()
    proxy = Proxy(documents, aes("hr", 1), state=State("state", "x/"))
    edk = await proxy.wrap()
    assert list(documents.objects) == [("state", f"x/kek/{kek_id(edk)}")]


async def test_it_serves_its_number_of_objects_and_no_more() -> None:
    proxy = Proxy(Documents(), aes("hr", 1))
    settings = replace(SETTINGS, max_objects=2)
    ids = [kek_id(await proxy.wrap(settings)) for _ in range(5)]
    assert [ids.count(each) for each in dict.fromkeys(ids)] == [2, 2, 1]


async def test_an_old_one_is_replaced_for_new_objects_and_still_reads() -> None:
    proxy = Proxy(Documents(), aes("hr", 1))
    old = await proxy.wrap()
    proxy.clock.seconds += 3600
    assert kek_id(await proxy.wrap()) != kek_id(old)
    assert await proxy.unwrap(old) == DATA_KEY


async def test_after_the_cache_time_the_master_key_is_asked_again() -> None:
    proxy = Proxy(Documents(), aes("hr", 1))
    first = await proxy.wrap()
    proxy.clock.seconds += 60
    assert kek_id(await proxy.wrap()) == kek_id(first), "the same key, opened again"
    assert proxy.asked("unwrap") == 1
    assert await proxy.unwrap(first) == DATA_KEY
    assert proxy.asked("unwrap") == 1


async def test_keys_that_nobody_asks_for_any_more_are_dropped_from_memory() -> None:
    documents = Documents()
    writer, reader = Proxy(documents, aes("hr", 1)), Proxy(documents, aes("hr", 1))
    edks = [await writer.wrap(bucket=bucket) for bucket in ("a", "b", "c")]
    for bucket, edk in zip("ab", edks, strict=False):
        assert await reader.unwrap(edk, bucket) == DATA_KEY
    assert len(reader.keks._known) == 2
    reader.clock.seconds += 60
    assert await reader.unwrap(edks[2], "c") == DATA_KEY
    assert [bucket for bucket, _ in reader.keks._known] == ["c"]


async def test_one_that_wrote_and_rests_is_dropped_too_and_opened_again_when_it_is_to_write() -> None:
    documents, settings = Documents(), replace(SETTINGS, max_objects=2)
    proxy = Proxy(documents, aes("hr", 1))
    first = await proxy.wrap(settings)
    secret = proxy.keks._writing["bucket", "hr", None].keyring._secret  # type: ignore[attr-defined]  # the wiped one
    proxy.clock.seconds += 60
    await proxy.wrap(settings, bucket="other")
    assert [bucket for bucket, *_ in proxy.keks._writing] == ["other"]
    assert not any(secret)
    assert kek_id(await proxy.wrap(settings)) == kek_id(first), "no document more than there has to be"
    assert kek_id(await proxy.wrap(settings)) != kek_id(first), "what it took before it rested counts"
    assert await proxy.unwrap(first) == DATA_KEY


@pytest.mark.parametrize("rests", [False, True])
async def test_one_whose_document_is_gone_takes_nothing_more(rests: bool) -> None:
    """A bucket that was deleted and made again, say: what is written then must not hang on a key that is nowhere."""
    documents = Documents()
    proxy = Proxy(documents, aes("hr", 1))
    first = await proxy.wrap()
    proxy.clock.seconds += 60
    if rests:
        await proxy.wrap(bucket="other")
    documents.objects.clear()
    second = await proxy.wrap()
    assert kek_id(second) != kek_id(first)
    assert await Proxy(documents, aes("hr", 1)).unwrap(second) == DATA_KEY


@pytest.mark.parametrize("rests", [False, True])
async def test_one_whose_document_does_not_open_stops_writing_until_it_does(rests: bool) -> None:
    documents = Documents()
    proxy = Proxy(documents, aes("hr", 1))
    first = await proxy.wrap()
    proxy.clock.seconds += 60
    if rests:
        await proxy.wrap(bucket="other")
    kept = dict(documents.objects)
    documents.objects.update({place: raw[:-1] + bytes([raw[-1] ^ 1]) for place, raw in kept.items()})
    for _ in range(2):
        with pytest.raises(IntegrityError):
            await proxy.wrap()
    documents.objects = kept
    assert kek_id(await proxy.wrap()) == kek_id(first)


async def test_a_secret_is_overwritten_when_its_bucket_key_is_dropped_and_not_before() -> None:
    proxy = Proxy(Documents(), aes("hr", 1))
    edk = await proxy.wrap()
    kek = await proxy.keks.find("bucket", kek_id(edk) or "", SETTINGS)
    keyring = kek.keyring
    [secret] = [getattr(keyring, name) for name in type(keyring).__slots__]
    assert any(secret)
    del kek
    proxy.keks.forget()
    assert keyring.unwrap(edk, CONTEXT) == DATA_KEY, "a request that has it can end"
    del keyring
    assert secret == bytearray(32)


async def test_the_count_of_objects_outlives_opening_again() -> None:
    proxy = Proxy(Documents(), aes("hr", 1))
    settings = replace(SETTINGS, max_objects=2)
    first = await proxy.wrap(settings)
    proxy.clock.seconds += 60
    assert kek_id(await proxy.wrap(settings)) == kek_id(first)
    assert kek_id(await proxy.wrap(settings)) != kek_id(first)


async def test_a_disabled_master_key_stops_its_bucket_keys_at_once() -> None:
    proxy = Proxy(Documents(), aes("hr", 1))
    edk = await proxy.wrap()
    proxy.configure(aes("hr", 1, enabled=False))
    for use in (proxy.wrap(), proxy.unwrap(edk)):
        with pytest.raises(S3Error, match=r"KMS\.DisabledException"):
            await use
    proxy.configure(aes("it", 2))
    with pytest.raises(S3Error, match=r"KMS\.NotFoundException"):
        await proxy.unwrap(edk)


async def test_a_recovery_key_opens_the_document_without_the_master_key() -> None:
    documents = Documents()
    writer = Proxy(documents, aes("hr", 1), rsa_settings("offline", can_read=False))
    edk = await writer.wrap(replace(SETTINGS, recovery="offline"))
    assert await Proxy(documents, rsa_settings("offline")).unwrap(edk) == DATA_KEY
    with pytest.raises(S3Error, match="InternalError"):
        await writer.wrap(replace(SETTINGS, recovery="gone"))


async def test_a_document_that_one_of_its_keys_does_not_seal_is_on_record_under_that_key() -> None:
    offline = replace(rsa_settings("offline", can_read=False), enabled=False)
    proxy, seen = Proxy(Documents(), aes("hr", 1), offline), []

    async def witness(use: MasterUse) -> None:
        seen.append((use.key.rpartition("/")[2], use.action, use.error and str(use.error).partition(":")[0]))

    settings = replace(SETTINGS, recovery="offline")
    with pytest.raises(S3Error, match=r"KMS\.DisabledException"):
        await proxy.keks.wrap("bucket", proxy.ring.find("hr"), settings, DATA_KEY, CONTEXT, witness)
    assert seen == [
        ("hr", "kms:GenerateDataKey", None),
        ("offline", "kms:GenerateDataKey", "KMS.DisabledException"),
    ]
    assert proxy.documents.objects == {}
    proxy.configure(aes("hr", 1, enabled=False), rsa_settings("offline", can_read=False))
    seen.clear()
    with pytest.raises(S3Error, match=r"KMS\.DisabledException"):
        await proxy.keks.wrap("bucket", proxy.ring.find("hr"), settings, DATA_KEY, CONTEXT, witness)
    assert seen == [("hr", "kms:GenerateDataKey", "KMS.DisabledException")], "the other one was not asked"


async def test_the_recovery_keys_policy_does_not_decide_when_the_master_key_is_down() -> None:
    documents = Documents()
    writer = Proxy(documents, aes("hr", 1), rsa_settings("offline"))
    edk = await writer.wrap(replace(SETTINGS, recovery="offline"))

    class Down(FakeService):
        def names(self, edk: Edk) -> bool:
            return edk.key_info.startswith(b"hr@")

    def act() -> None:
        raise S3Error("ServiceUnavailable")

    reader = Proxy(documents, aes("hr", 1), rsa_settings("offline"))
    hr, offline = reader.ring
    reader.ring = KeyRing(
        [replace(hr, service=Down(act=act)), offline], {"hr": aes("hr", 1), "offline": rsa_settings("offline")}
    )
    told: list[MasterUse] = []

    async def witness(use: MasterUse) -> None:
        told.append(use)

    (holder,) = await reader.custody.holders("bucket", BucketEncryption("envelope", "hr", SETTINGS), [edk], witness)
    assert holder.key.name == "hr", "opened by another, but hr decides who may"
    assert [(use.action, use.key.rpartition("/")[2], use.error is None) for use in told] == [
        ("kms:Decrypt", "hr", False),
        ("kms:Decrypt", "offline", True),
    ], "the key that failed is told, too"


async def test_a_public_key_alone_goes_on_writing_and_never_reads() -> None:
    documents = Documents()
    writer = Proxy(documents, rsa_settings("offline", can_read=False))
    first = await writer.wrap()
    writer.clock.seconds += 120
    assert kek_id(await writer.wrap()) == kek_id(first)
    with pytest.raises(IntegrityError, match="none of the configured keys can open"):
        await writer.unwrap(first)
    assert await Proxy(documents, rsa_settings("offline")).unwrap(first) == DATA_KEY


@pytest.mark.parametrize("what", ["gone", "another", "changed", "no kek"])
async def test_a_document_that_is_not_the_right_one_is_refused(what: str) -> None:
    documents = Documents()
    proxy = Proxy(documents, aes("hr", 1))
    edk, other = await proxy.wrap(), await proxy.wrap(bucket="other")
    place = ("bucket", f".s3w/kek/{kek_id(edk)}")
    raw = documents.objects[place]
    match what:
        case "gone":
            del documents.objects[place]
        case "another":
            documents.objects[place] = documents.objects["other", f".s3w/kek/{kek_id(other)}"]
        case "changed":
            documents.objects[place] = raw[:-1] + bytes([raw[-1] ^ 1])
        case _:
            documents.objects[place] = raw.replace(b"1k", b"1s")
    proxy.keks.forget()
    with pytest.raises(IntegrityError):
        await proxy.unwrap(edk)


async def test_a_kek_is_stored_before_anything_is_wrapped_under_it() -> None:
    class Full(Documents):
        async def put(self, bucket: str, key: str, body: bytes) -> None:
            raise S3Error("ServiceUnavailable")

    proxy = Proxy(Full(), aes("hr", 1))
    with pytest.raises(S3Error, match="ServiceUnavailable"):
        await proxy.wrap()


@pytest.mark.parametrize(
    "edk",
    [
        Edk("s3w", b"kek/" + b"a" * 32, b""),
        Edk("s3w", b"kek/" + b"A" * 32 + b"\0\0\0\x80\0\0\0\x0c" + bytes(12), b""),
        Edk("s3w-sse-c", b"kek/" + b"a" * 32 + b"\0\0\0\x80\0\0\0\x0c" + bytes(12), b""),
        Edk("s3w", b"hr@1\0\0\0\x80\0\0\0\x0c" + bytes(12), b""),
    ],
)
def test_only_a_canonical_name_is_a_keks(edk: Edk) -> None:
    assert kek_id(edk) is None


async def test_the_official_sdk_opens_a_document_and_what_it_wrapped() -> None:
    documents = Documents()
    edk = await Proxy(documents, aes("hr", 1)).wrap()
    keyring = AwsCryptographicMaterialProviders(config=MaterialProvidersConfig()).create_raw_aes_keyring(
        input=CreateRawAesKeyringInput(
            key_namespace=PROVIDER,
            key_name="hr@1",
            wrapping_key=bytes([1]) * 32,
            wrapping_alg=AesWrappingAlg.ALG_AES256_GCM_IV12_TAG16,
        )
    )
    ((place, raw),) = documents.objects.items()
    assert parse_kek(raw).id == kek_id(edk)
    secret, _ = aws_encryption_sdk.EncryptionSDKClient().decrypt(
        source=raw, keyring=keyring, encryption_context={"aws:s3:arn": f"arn:aws:s3:::{place[0]}"}
    )
    assert AesKeyring(PROVIDER, f"kek/{kek_id(edk)}", secret, ENTROPY).unwrap(edk, CONTEXT) == DATA_KEY
