"""The proxy with its keys in a real OpenBao server: used, rotated there, refused, revoked, sealed."""

from __future__ import annotations

import json
import os
import signal
import urllib.error
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from proxy.audit.chain import records
from proxy.audit.journal import journal_places
from proxy.cli.main import main
from proxy.server.upstream import PooledUpstream
from tests.conftest import ACCOUNT, Store
from tests.journeys.front import until
from tests.keys.openbao import OpenBao, guides_policy
from tests.server.envelope.conftest import Sealed, fetch, sealed_proxy
from tests.server.rotation.test_rotation import wrapped_by

PART = 5 * 1024 * 1024
# Nothing is cached, so that every use of an object is one of the server.
BUCKETS = """\
  "direct-*": {encryption: {mode: envelope, key: cloud, kek: {use: never}}}
  "kek-*": {encryption: {mode: envelope, key: cloud, kek: {cache_seconds: 0}}}
  "pair-*": {encryption: {mode: envelope, key: pair}}
audit: {path: keys.jsonl}
"""


@pytest.fixture(scope="module")
def bao(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenBao]:
    with OpenBao(tmp_path_factory.mktemp("openbao"), tls=True) as server:
        server.key("pair", type="rsa-2048")
        yield server


@pytest.fixture
def proxy(bao: OpenBao, moto_store: Store, tmp_path: Path) -> Iterator[Sealed]:
    """A proxy whose key `cloud` is a key of the server that no other test uses."""
    name = f"hr-{os.urandom(4).hex()}"
    bao.key(name)
    (tmp_path / "key").write_text(name)
    (tmp_path / "token").write_text(bao.token(guides_policy(name)))
    (tmp_path / "pair-token").write_text(bao.token(guides_policy("pair")))
    server = f'type: vault, address: "{bao.address}", ca: "{bao.ca}"'
    keys = (
        f'  cloud: {{{server}, token: "${{file:token}}", key_name: {name}}}\n'
        f'  pair: {{{server}, token: "${{file:pair-token}}"}}'
    )
    with sealed_proxy(tmp_path, moto_store, keys=keys, extra=BUCKETS) as running:
        yield running


def key_of(proxy: Sealed) -> str:
    return (proxy.folder / "key").read_text()


def put(proxy: Sealed, bucket: str, key: str = "a", body: bytes = b"payroll") -> None:
    proxy.client.put_object(Bucket=bucket, Key=key, Body=body)


def get(proxy: Sealed, bucket: str, key: str = "a") -> bytes:
    return bytes(proxy.client.get_object(Bucket=bucket, Key=key)["Body"].read())


def refused(proxy: Sealed, bucket: str) -> list[str]:
    """Return how a write of `b` and a read of `a` are refused."""
    codes = []
    for use in (lambda: put(proxy, bucket, "b"), lambda: get(proxy, bucket)):
        with pytest.raises(ClientError) as caught:
            use()
        codes.append(caught.value.response["Error"]["Code"])
        assert "Vault" not in json.dumps(caught.value.response), "what is inside is for the log only"
    names = [each["Key"] for each in proxy.direct.list_objects_v2(Bucket=bucket)["Contents"]]
    assert "b" not in names, "nothing is stored without its key"
    return codes


def readiness(proxy: Sealed) -> tuple[int, str]:
    try:
        answer = fetch(f"http://127.0.0.1:{proxy.admin}/readyz")
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    return answer.status, answer.read().decode()


def reloaded(proxy: Sealed) -> None:
    before = proxy.log().count("reloaded")
    os.kill(proxy.pid, signal.SIGHUP)
    assert until(lambda: proxy.log().count("reloaded") > before, 20)


def command(proxy: Sealed, *arguments: str) -> int:
    return main([*arguments, "--config", str(proxy.folder / "config.yaml")])


def failures(proxy: Sealed) -> list[dict[str, Any]]:
    found = records(journal_places(proxy.folder / "keys.jsonl"))
    return [each for each in found if each["outcome"] == "failed"]


@pytest.mark.parametrize("kind", ["direct", "kek"])
def test_objects_are_written_and_read_under_a_key_of_the_server(proxy: Sealed, kind: str) -> None:
    bucket = proxy.bucket(kind)
    put(proxy, bucket)
    assert get(proxy, bucket) == b"payroll"
    assert b"payroll" not in proxy.direct.get_object(Bucket=bucket, Key="a")["Body"].read()
    upload = proxy.client.create_multipart_upload(Bucket=bucket, Key="m")["UploadId"]
    place = {"Bucket": bucket, "Key": "m", "UploadId": upload}
    tags = [
        proxy.client.upload_part(**place, PartNumber=number, Body=bytes([number]) * size)["ETag"]
        for number, size in ((1, PART), (2, 1000))
    ]
    parts = [{"PartNumber": number, "ETag": tag} for number, tag in enumerate(tags, 1)]
    proxy.client.complete_multipart_upload(**place, MultipartUpload={"Parts": parts})
    assert get(proxy, bucket, "m") == b"\1" * PART + b"\2" * 1000
    assert readiness(proxy)[0] == 200
    assert command(proxy, "keys", "list", "--check") == 0


@pytest.mark.parametrize("kind", ["direct", "kek"])
def test_a_key_is_rotated_at_the_server_and_its_old_version_retired_there(
    proxy: Sealed, bao: OpenBao, kind: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket, forgotten, name = proxy.bucket(kind), proxy.bucket(kind), key_of(proxy)
    for each in (bucket, forgotten):
        put(proxy, each)
    bao.rotate(name)
    put(proxy, bucket, "new")
    assert get(proxy, bucket) == get(proxy, bucket, "new") == b"payroll"
    if kind == "direct":
        assert [wrapped_by(proxy, bucket, key) for key in ("a", "new")] == ["cloud@v1", "cloud@v2"]
    stored = proxy.direct.get_object(Bucket=bucket, Key="a")["Body"].read()
    assert command(proxy, "keys", "retire", "cloud@v1", "--bucket", bucket) == 1
    seen = []
    real = PooledUpstream.send

    async def send(pool: PooledUpstream, request: Any) -> Any:
        seen.append(f"{request.method} {request.target}")
        return await real(pool, request)

    monkeypatch.setattr(PooledUpstream, "send", send)
    # moto does not check conditions of copies.
    assert command(proxy, "keys", "rewrap", "--alone", "--bucket", bucket) == 0
    assert seen
    assert not {f"GET /{bucket}/{key}" for key in ("a", "new")} & set(seen), "bodies are never downloaded"
    assert command(proxy, "keys", "retire", "cloud@v1", "--bucket", bucket) == 0
    assert "min_decryption_version" in capsys.readouterr().out
    assert proxy.direct.get_object(Bucket=bucket, Key="a")["Body"].read() == stored, "no body was written anew"
    bao.configure(name, min_decryption_version=2)
    assert get(proxy, bucket) == get(proxy, bucket, "new") == b"payroll"
    with pytest.raises(ClientError) as caught:
        get(proxy, forgotten)
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 500
    assert "disallowed by policy" in proxy.log(), "the operator is told what the server said"
    bao.configure(name, min_decryption_version=1)
    assert get(proxy, forgotten) == b"payroll", "and can take it back"


@pytest.mark.parametrize("kind", ["direct", "kek"])
def test_a_token_that_is_revoked_is_access_denied_until_there_is_another(
    proxy: Sealed, bao: OpenBao, kind: str
) -> None:
    bucket, token = proxy.bucket(kind), proxy.folder / "token"
    put(proxy, bucket)
    bao.ask("auth/token/revoke", {"token": token.read_text()})
    assert refused(proxy, bucket) == ["AccessDenied", "AccessDenied"]
    assert {each["action"] for each in failures(proxy)} == {"kms:GenerateDataKey", "kms:Decrypt"}
    assert {each["principal"] for each in failures(proxy)} == {f"arn:aws:iam::{ACCOUNT}:user/alice"}
    status, told = readiness(proxy)
    assert (status, "key `cloud`" in told) == (503, True)
    assert command(proxy, "keys", "list", "--check") == 1
    token.write_text(bao.token(guides_policy(key_of(proxy))))
    reloaded(proxy)
    assert get(proxy, bucket) == b"payroll"
    put(proxy, bucket, "b")
    assert token.read_text() not in proxy.log() + (proxy.folder / "decisions.jsonl").read_text()


def test_a_sealed_server_stops_what_needs_it_and_unsealing_starts_it_again(proxy: Sealed, bao: OpenBao) -> None:
    direct, kek, unharmed = proxy.bucket("direct"), proxy.bucket("kek"), proxy.bucket()
    for bucket in (direct, kek):
        put(proxy, bucket)
    bao.seal()
    try:
        for bucket in (direct, kek, direct):
            assert refused(proxy, bucket) == ["ServiceUnavailable", "ServiceUnavailable"]
        reasons = [each["detail"] for each in proxy.decisions() if each["status"] == 503]
        assert "answered VaultDown" in reasons[0]
        assert "is left alone for some seconds" in reasons[-1], "after five failures, nobody asks"
        put(proxy, unharmed)
        assert get(proxy, unharmed) == b"payroll"
        status, told = readiness(proxy)
        assert (status, "key `cloud`" in told) == (503, True)
    finally:
        bao.unseal()
    assert until(lambda: readiness(proxy)[0] == 200, 30)
    for bucket in (direct, kek):
        assert get(proxy, bucket) == b"payroll"
        put(proxy, bucket, "b")


def test_a_key_that_cannot_bind_a_data_key_to_its_object_is_refused_on_record(proxy: Sealed) -> None:
    bucket = proxy.bucket("pair")
    for options in ({}, {"ServerSideEncryption": "aws:kms", "BucketKeyEnabled": False}):
        with pytest.raises(ClientError) as caught:
            proxy.client.put_object(Bucket=bucket, Key="a", Body=b"x", **options)
        assert caught.value.response["Error"]["Code"] == "KMS.KMSInvalidStateException"
        last = failures(proxy)[-1]
        assert (last["key"].rpartition("/")[2], last["error"]) == ("pair", "KMS.KMSInvalidStateException")
        assert last["request_id"] == caught.value.response["ResponseMetadata"]["RequestId"]
    assert "Contents" not in proxy.direct.list_objects_v2(Bucket=bucket)
