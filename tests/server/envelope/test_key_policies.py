"""Keys with policies: who may do what under a key, whatever the policies of buckets allow."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from botocore.exceptions import ClientError

from proxy.envelope.sizes import MIN_PART
from tests.conftest import ACCOUNT, Store
from tests.journeys.signing import Key
from tests.journeys.walking import ALICE, BOB, CAROL, Document, Walk, bucket_policy, identity, make_bucket, store_client
from tests.journeys.walking import walking as run_proxy
from tests.server.envelope.test_sse import refused

HR = Key("AKIAHR", "hr-secret")
"""A role that the bucket's policy knows, and the key's."""
DAVE = Key("AKIADAVE", "dave-secret")
"""Has a policy of his own for keys; the key `delegated` trusts his account."""
ARN = f"arn:aws:kms:us-east-1:{ACCOUNT}:key/"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/hr"


def principal(name: str) -> Document:
    return {"AWS": f"arn:aws:iam::{ACCOUNT}:user/{name}"}


def statement(actions: str | list[str], who: Document | str = "*", effect: str = "Allow", **condition: Any) -> Document:
    found: dict[str, Any] = {"Effect": effect, "Principal": who, "Action": actions, "Resource": "*"}
    return {**found, **({"Condition": condition} if condition else {})}


BUCKETS = ("hr-data", "common", "unsealed")
USE = ["kms:Decrypt", "kms:GenerateDataKey"]
VIA = {"kms:ViaService": "s3.us-east-1.amazonaws.com"}
KEY_POLICIES: dict[str, list[Document]] = {
    # Only HR decrypts HR data, through S3 here, and objects of this bucket alone.
    "hr": [
        statement(
            USE,
            {"AWS": ROLE},
            StringEquals=VIA,
            StringLike={"kms:EncryptionContext:aws:s3:arn": "arn:aws:s3:::hr-data/*"},
        ),
        statement("kms:GenerateDataKey", principal("bob")),
    ],
    "elsewhere": [statement(USE, StringEquals={"kms:ViaService": "s3.eu-central-1.amazonaws.com"})],
    "department": [
        statement(USE, {"AWS": ROLE}, StringEquals={"kms:EncryptionContext:department": "hr"}),
        statement(USE, principal("bob"), StringEquals={"kms:EncryptionContext:department": "it"}),
    ],
    "read": [statement("kms:Decrypt")],
    "write": [statement("kms:GenerateDataKey")],
    "rewrap": [statement(["kms:ReEncryptFrom", "kms:ReEncryptTo"])],
    "delegated": [statement(USE, {"AWS": ACCOUNT})],
    "never-mallory": [
        statement("kms:*"),
        statement("kms:Decrypt", principal("bob"), "Deny"),
    ],
}


@pytest.fixture(scope="module")
def walk(moto_store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Walk]:
    folder = tmp_path_factory.mktemp("key-policies")
    keys: dict[str, Any] = {"open": _material(0)}
    for number, (name, statements) in enumerate(KEY_POLICIES.items(), 1):
        (folder / f"key-{name}.yaml").write_text(
            json.dumps({"Version": "2012-10-17", "Statement": [dict(each) for each in statements]})
        )
        keys[name] = {**_material(number), "policy": f"key-{name}.yaml"}
    may_use = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": list(USE), "Resource": "*"}]}
    sealed = {"mode": "envelope", "key": "hr"}
    with run_proxy(
        folder,
        moto_store,
        policies={"may-use": may_use},
        buckets={name: _open_to_all(name) for name in BUCKETS},
        identities=[
            identity("user/alice", ALICE, "full.yaml"),
            identity("user/bob", BOB),
            identity("user/carol", CAROL),
            identity("user/dave", DAVE, "may-use.yaml"),
            identity("role/hr", HR),
        ],
        rules={
            "hr-data": {"encryption": sealed},
            "common": {"encryption": {"mode": "envelope", "key": "open", "object_api": "always"}},
        },
        keys=keys,
    ) as running:
        for name in BUCKETS:
            make_bucket(store_client(moto_store), name)
        yield running


def _material(number: int) -> dict[str, str]:
    return {"type": "aes", "material": base64.b64encode(bytes([number]) * 32).decode()}


def _open_to_all(bucket: str) -> Document:
    resources = [f"arn:aws:s3:::{bucket}{tail}" for tail in ("", "/*")]
    return bucket_policy({"Effect": "Allow", "Action": "s3:*", "Resource": resources})


def under(name: str, **context: str) -> dict[str, Any]:
    asked = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": name}
    if context:
        asked["SSEKMSEncryptionContext"] = base64.b64encode(json.dumps(context).encode()).decode()
    return asked


DENIED = (403, "AccessDenied")


def test_only_hr_decrypts_hr_data_although_the_bucket_lets_everybody_read(walk: Walk) -> None:
    hr, bob, carol = walk.client(HR), walk.client(BOB), walk.client(CAROL)
    named = {"Bucket": "hr-data", "Key": "salaries"}
    hr.put_object(**named, Body=b"salaries", ChecksumAlgorithm="SHA256")
    assert hr.get_object(**named)["Body"].read() == b"salaries"
    for client in (bob, carol):
        for more in ({}, {"Range": "bytes=0-1"}, {"PartNumber": 1}, {"ChecksumMode": "ENABLED"}):
            assert refused(client.get_object, **named, **more)[:2] == DENIED
        copy = {"Bucket": "unsealed", "Key": "copy", "CopySource": "hr-data/salaries"}
        assert refused(client.copy_object, **copy)[:2] == DENIED
        assert client.head_object(**named)["ContentLength"] == 8, "what HEAD shows takes no key"
        assert [row["Size"] for row in client.list_objects_v2(Bucket="hr-data", Prefix="sal")["Contents"]] == [8]
    assert refused(carol.put_object, **named, Body=b"other")[:2] == DENIED
    bob.put_object(Bucket="hr-data", Key="from bob", Body=b"application")
    assert hr.get_object(Bucket="hr-data", Key="from bob")["Body"].read() == b"application"
    assert refused(bob.get_object, Bucket="hr-data", Key="from bob")[:2] == DENIED
    assert walk.client(HR).list_objects_v2(Bucket="unsealed")["KeyCount"] == 0


def test_the_answer_and_the_log_say_which_key_and_which_action(walk: Walk) -> None:
    walk.client(HR).put_object(Bucket="hr-data", Key="logged", Body=b"x")
    with pytest.raises(ClientError) as caught:
        walk.client(BOB).get_object(Bucket="hr-data", Key="logged")
    answer = caught.value.response
    assert "kms:Decrypt" in answer["Error"]["Message"]
    line = walk.decided(answer["ResponseMetadata"]["RequestId"])
    assert (line["decision"], ARN + "hr" in line["resources"]) == ("implicit_deny", True)


def test_uploads_in_parts_are_judged_at_every_part(walk: Walk) -> None:
    hr, carol = walk.client(HR), walk.client(CAROL)
    named = {"Bucket": "hr-data", "Key": "parts"}
    upload = {**named, "UploadId": hr.create_multipart_upload(**named)["UploadId"]}
    assert refused(carol.create_multipart_upload, **named)[:2] == DENIED
    assert refused(carol.upload_part, **upload, PartNumber=1, Body=b"x")[:2] == DENIED
    etag = hr.upload_part(**upload, PartNumber=1, Body=b"x" * MIN_PART)["ETag"]
    assert refused(carol.upload_part, **upload, PartNumber=2, Body=b"x")[:2] == DENIED, "its keys are in memory now"
    parts = {"Parts": [{"PartNumber": 1, "ETag": etag}]}
    assert refused(carol.complete_multipart_upload, **upload, MultipartUpload=parts)[:2] == DENIED
    hr.complete_multipart_upload(**upload, MultipartUpload=parts)
    assert hr.get_object(**named, Range="bytes=1-3")["Body"].read() == b"xxx"
    assert refused(carol.get_object, **named, Range="bytes=1-3")[:2] == DENIED, "so is its manifest"
    copy = {"Bucket": "unsealed", "Key": "m"}
    target = {**copy, "UploadId": carol.create_multipart_upload(**copy)["UploadId"]}
    assert refused(carol.upload_part_copy, **target, PartNumber=1, CopySource="hr-data/parts")[:2] == DENIED


def test_the_service_is_this_s3_and_no_other(walk: Walk) -> None:
    put = {"Bucket": "common", "Key": "elsewhere", "Body": b"x"}
    assert refused(walk.client(HR).put_object, **put, **under("elsewhere"))[:2] == DENIED


def test_the_object_that_a_key_is_for_stands_in_its_context(walk: Walk) -> None:
    put = {"Bucket": "common", "Key": "moved", "Body": b"x"}
    assert refused(walk.client(HR).put_object, **put, **under("hr"))[:2] == DENIED, "HR's key is for HR's bucket"


@pytest.mark.parametrize("name", ["aws:s3:arn", "AWS:S3:ARN", "Aws:S3:Arn"])
def test_a_client_cannot_say_which_object_a_key_is_for(walk: Walk, name: str) -> None:
    """Condition keys know no letter case: another spelling must not stand beside the object's own name."""
    wish = under("hr", **{name: "arn:aws:s3:::hr-data/moved"})
    hr, named = walk.client(HR), {"Bucket": "common", "Key": "named"}
    assert refused(hr.put_object, **named, Body=b"x", **wish)[:2] == (400, "InvalidArgument")
    assert refused(hr.create_multipart_upload, **named, **wish)[:2] == (400, "InvalidArgument")
    assert refused(hr.head_object, **named)[0] == 404


def test_a_client_cannot_have_it_both_ways(walk: Walk) -> None:
    both = under("department", department="it", Department="hr")
    put = {"Bucket": "common", "Key": "both", "Body": b"x"}
    for client in (walk.client(HR), walk.client(BOB)):
        assert refused(client.put_object, **put, **both)[:2] == (400, "InvalidArgument")


def test_the_pairs_that_a_client_sends_are_conditions(walk: Walk) -> None:
    hr, bob = walk.client(HR), walk.client(BOB)
    named = {"Bucket": "common", "Key": "papers"}
    for context in ({}, {"department": "it"}, {"Department ": "hr"}):
        assert refused(hr.put_object, **named, Body=b"x", **under("department", **context))[:2] == DENIED
    hr.put_object(**named, Body=b"x", **under("department", department="hr", case="1"))
    assert hr.get_object(**named)["Body"].read() == b"x"
    assert refused(bob.get_object, **named)[:2] == DENIED
    bob.put_object(Bucket="common", Key="it", Body=b"y", **under("department", department="it"))
    assert bob.get_object(Bucket="common", Key="it")["Body"].read() == b"y"
    assert refused(hr.get_object, Bucket="common", Key="it")[:2] == DENIED
    # A copy brings no pairs along: its own request says what it is for.
    copy = {"Bucket": "common", "Key": "copied", "CopySource": "common/papers"}
    assert refused(hr.copy_object, **copy, **under("department"))[:2] == DENIED
    hr.copy_object(**copy, **under("department", department="hr"))


def test_a_copy_needs_to_decrypt_under_one_key_and_to_encrypt_under_the_other(walk: Walk) -> None:
    alice = walk.client(ALICE)
    alice.put_object(Bucket="common", Key="source-open", Body=b"x")
    alice.put_object(Bucket="common", Key="source-write", Body=b"x", **under("write"))

    def copied(source: str, to: str) -> Any:
        copy = {"Bucket": "common", "Key": f"{source}-{to}", "CopySource": f"common/source-{source}"}
        return alice.copy_object(**copy, **under(to))

    copied("open", "write")
    for source, to in (("open", "read"), ("open", "rewrap"), ("write", "open")):
        assert refused(copied, source=source, to=to)[:2] == DENIED
    assert refused(alice.put_object, Bucket="common", Key="k", Body=b"", **under("rewrap"))[:2] == DENIED


def test_another_key_for_an_object_takes_the_permission_to_re_encrypt_under_both(walk: Walk) -> None:
    alice = walk.client(ALICE)

    def change(key: str, to: str) -> Any:
        wanted = {"SSEKMS": {"KMSKeyArn": ARN + to}}
        return alice.update_object_encryption(Bucket="common", Key=key, ObjectEncryption=wanted)

    alice.put_object(Bucket="common", Key="from-open", Body=b"x")
    alice.put_object(Bucket="common", Key="from-write", Body=b"x", **under("write"))
    for key, to in (("from-open", "write"), ("from-open", "read"), ("from-write", "open")):
        answer = refused(change, key=key, to=to)
        assert (answer[:2], "kms:ReEncrypt" in answer[2]) == (DENIED, True)
    change("from-open", "rewrap")
    assert refused(alice.get_object, Bucket="common", Key="from-open")[:2] == DENIED, "that key decrypts for nobody"
    change("from-open", "open")
    assert alice.get_object(Bucket="common", Key="from-open")["Body"].read() == b"x"


def test_a_key_that_trusts_an_account_leaves_it_to_identity_policies(walk: Walk) -> None:
    named, dave = {"Bucket": "common", "Key": "delegated"}, walk.client(DAVE)
    dave.put_object(**named, Body=b"x", **under("delegated"))
    assert dave.get_object(**named)["Body"].read() == b"x"
    assert refused(walk.client(BOB).get_object, **named)[:2] == DENIED
    assert refused(dave.put_object, **named, Body=b"x", **under("read"))[:2] == DENIED, "this key trusts no account"


def test_a_denial_beats_what_allows(walk: Walk) -> None:
    named = {"Bucket": "common", "Key": "denied"}
    walk.client(BOB).put_object(**named, Body=b"x", **under("never-mallory"))
    assert refused(walk.client(BOB).get_object, **named)[:2] == DENIED
    got = walk.client(CAROL).get_object(**named)
    assert got["Body"].read() == b"x"
    assert walk.decided(got["ResponseMetadata"]["RequestId"])["decision"] == "allow"


def test_a_key_policy_with_a_mistake_keeps_the_proxy_from_starting(moto_store: Store, tmp_path: Path) -> None:
    policy = bucket_policy({"Effect": "Allow", "Action": "kms:Decrypto", "Resource": "*"})
    (tmp_path / "bad.yaml").write_text(yaml.safe_dump(dict(policy)))
    keys = {"bad": {**_material(1), "policy": "bad.yaml"}}
    with pytest.raises(AssertionError, match="ended with 2"), run_proxy(tmp_path, moto_store, keys=keys):
        pass
    assert "kms:Decrypto" in (tmp_path / "stderr.txt").read_text()
