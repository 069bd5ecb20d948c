"""A program with boto3 works through the proxy as on the store, over http and https, until a policy says no."""

from __future__ import annotations

import io
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError, SSLError

from tests.conftest import ACCOUNT, Store
from tests.journeys.clients.site import certificates
from tests.journeys.front import Front, until
from tests.journeys.signing import multipart
from tests.journeys.walking import ALICE, MALLORY, Walk, bucket_policy, client, store_client, walking

MEBI = 1 << 20
LARGE = bytes(range(256)) * (11 * MEBI // 256)
KEYS = (
    "a b+c~/d/e(é)!*'",
    "percent %2F and %41",
    "plus+and space",
    "日本/ü",
    "quotes \"'&<>",
    "back\\slash",
    "question?hash#",
    "equals=comma,colon:at@",
    "x" * 200 + "/" + "y" * 200,
)
# rclone keeps objects as files, so these are not different names there.
NOT_FILES = (
    "a b+c~//d//e",
    "a/../b",
    "a/./b",
    "/leading",
    "trailing/",
    "...",
    "tab\there",
    "y" * 1024,
)
NOT_A_ROUTE = "line\nbreak"  # moto answers 404

STRICT = bucket_policy(
    {
        "Sid": "UploadsNameTheirEncryption",
        "Effect": "Deny",
        "Action": "s3:PutObject",
        "Resource": "arn:aws:s3:::strict/*",
        "Condition": {"StringNotEquals": {"s3:x-amz-server-side-encryption": ["AES256", "aws:kms"]}},
    }
)
LOCKED = bucket_policy(
    {
        "Sid": "LockedStays",
        "Effect": "Deny",
        "Action": ["s3:DeleteObject", "s3:DeleteObjectVersion"],
        "Resource": "arn:aws:s3:::journey/locked/*",
    }
)


@dataclass
class Journey:
    walk: Walk
    store: Store
    s3: Any
    direct: Any
    moto: bool

    def listed(self, bucket: str = "journey") -> list[str]:
        return [each["Key"] for each in self.s3.list_objects_v2(Bucket=bucket).get("Contents", [])]

    def read(self, key: str, bucket: str = "journey") -> bytes:
        return bytes(self.s3.get_object(Bucket=bucket, Key=key)["Body"].read())

    def state(self, bucket: str) -> list[str]:
        """What the proxy keeps for itself on the store."""
        found = self.direct.list_objects_v2(Bucket=bucket, Prefix=".s3w/")
        return [each["Key"] for each in found.get("Contents", [])]

    def forgotten(self, bucket: str) -> bool:
        """Tell whether the proxy has removed what it kept; it does so after the answer."""
        return until(lambda: self.state(bucket) == [])

    def decision(self, response: Any) -> dict[str, Any]:
        """Return the line of the decision log about an answer that boto3 got."""
        return self.walk.decided(response["ResponseMetadata"]["RequestId"])

    def fetch(self, url: str, method: str = "GET", body: bytes | None = None, **headers: str) -> bytes:
        """Use a URL as anybody could who was given it."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(url, body, named, method=method)  # noqa: S310  the proxy under test
        if body is not None and "Content-Type" not in named:
            request.add_header("Content-Type", "")  # else urllib would add one that nobody signed
        with urllib.request.urlopen(request, timeout=30, context=self.walk.context) as answer:  # noqa: S310  likewise
            return bytes(answer.read())


@pytest.fixture(scope="module", params=["http", "https"])
def journey(
    request: pytest.FixtureRequest, store: Store, front: Front, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Journey]:
    folder = tmp_path_factory.mktemp(f"boto3-{front.name}-{request.param}")
    authority, cert, key = certificates(folder)
    authority.rename(folder / "ca.pem")
    tls = {"tls": {"cert": str(cert), "key": str(key)}} if request.param == "https" else {}
    context = ssl.create_default_context(cafile=str(folder / "ca.pem")) if tls else None
    direct = store_client(store)
    empty(direct)
    policies = {"strict": STRICT, "journey": LOCKED}
    with walking(folder, store, endpoint=front.endpoint, buckets=policies, context=context, listen=tls) as walk:
        walk.endpoint = walk.endpoint.replace("127.0.0.1", "localhost")
        # rclone sends the checksum of the whole object with a part of it.
        s3 = walk.client(response_checksum_validation="when_required" if front.name == "rclone" else "when_supported")
        for bucket in ("journey", "strict"):
            s3.create_bucket(Bucket=bucket)
        yield Journey(walk, store, s3, direct, front.name == "moto")
        s3.close()
    empty(direct)


def empty(direct: Any) -> None:
    """Remove the buckets of this journey, beside the proxy."""
    for bucket in ("journey", "strict"):
        try:
            found = direct.list_objects_v2(Bucket=bucket).get("Contents", [])
        except ClientError:
            continue
        for each in found:
            direct.delete_object(Bucket=bucket, Key=each["Key"])
        direct.delete_bucket(Bucket=bucket)


def folded(metadata: dict[str, str]) -> dict[str, str]:
    """Names as S3 writes them; rclone's begin with capitals."""
    return {name.lower(): value for name, value in metadata.items()}


def test_an_object_comes_back_as_it_was_put(journey: Journey) -> None:
    s3 = journey.s3
    put = s3.put_object(Bucket="journey", Key="plain", Body=b"hello", ContentType="text/x", Metadata={"a": "b"})
    got = s3.get_object(Bucket="journey", Key="plain")
    assert (got["Body"].read(), got["ContentType"], folded(got["Metadata"])) == (b"hello", "text/x", {"a": "b"})
    assert got["ETag"] == put["ETag"]
    head = s3.head_object(Bucket="journey", Key="plain")
    assert (head["ContentLength"], head["ETag"], folded(head["Metadata"])) == (5, put["ETag"], {"a": "b"})
    s3.put_object(Bucket="journey", Key="empty", Body=b"")
    assert journey.read("empty") == b""
    assert s3.head_object(Bucket="journey", Key="empty")["ContentLength"] == 0


def test_a_part_of_an_object_is_a_range(journey: Journey) -> None:
    s3 = journey.s3
    s3.put_object(Bucket="journey", Key="digits", Body=b"0123456789")
    for asked, found, said in (
        ("bytes=1-3", b"123", "bytes 1-3/10"),
        ("bytes=-2", b"89", "bytes 8-9/10"),
        ("bytes=7-", b"789", "bytes 7-9/10"),
    ):
        got = s3.get_object(Bucket="journey", Key="digits", Range=asked)
        assert (got["Body"].read(), got["ContentRange"]) == (found, said)
    with pytest.raises(ClientError, match="InvalidRange"):
        s3.get_object(Bucket="journey", Key="digits", Range="bytes=20-30")


@pytest.mark.parametrize("key", [*KEYS, NOT_A_ROUTE, *NOT_FILES], ids=lambda key: repr(key[:20]))
def test_a_key_is_a_name_and_not_a_path(journey: Journey, key: str) -> None:
    if (key in NOT_FILES and not journey.moto) or (key == NOT_A_ROUTE and journey.moto):
        return
    journey.s3.put_object(Bucket="journey", Key=key, Body=key.encode())
    assert journey.read(key) == key.encode()
    assert key in journey.listed()
    assert journey.direct.get_object(Bucket="journey", Key=key)["Body"].read() == key.encode()
    copied = journey.s3.copy_object(Bucket="journey", Key="copied", CopySource={"Bucket": "journey", "Key": key})
    assert copied["CopyObjectResult"]["ETag"]
    assert journey.read("copied") == key.encode()
    decision = journey.decision(copied)
    assert decision["resources"][:2] == ["arn:aws:s3:::journey/copied", f"arn:aws:s3:::journey/{key}"]
    link = journey.s3.generate_presigned_url("get_object", {"Bucket": "journey", "Key": key})
    assert journey.fetch(link) == key.encode()
    journey.s3.delete_objects(Bucket="journey", Delete={"Objects": [{"Key": key}]})
    assert key not in journey.listed()


def test_a_key_cannot_leave_its_bucket(journey: Journey, front: Front) -> None:
    with front.watched() as seen, pytest.raises(ClientError, match="InvalidURI"):
        journey.s3.put_object(Bucket="journey", Key="../strict/up", Body=b"x")
    assert seen == []


def test_a_listing_has_pages_and_folders(journey: Journey) -> None:
    names = [f"pages/{letter}/{number}" for letter in "abc" for number in range(3)]
    for name in names:
        journey.s3.put_object(Bucket="journey", Key=name, Body=b"x")
    for operation in ("list_objects_v2", "list_objects"):
        pages = list(
            journey.s3.get_paginator(operation).paginate(
                Bucket="journey", Prefix="pages/", PaginationConfig={"PageSize": 4}
            )
        )
        assert [each["Key"] for page in pages for each in page["Contents"]] == names
        if journey.moto:  # rclone answers with everything at once
            assert len(pages) == 3
    found = journey.s3.list_objects_v2(Bucket="journey", Prefix="pages/", Delimiter="/")
    assert [each["Prefix"] for each in found["CommonPrefixes"]] == ["pages/a/", "pages/b/", "pages/c/"]


def test_metadata_is_what_its_bytes_say(journey: Journey) -> None:
    wire_value = "=?UTF-8?B?Z3LDvMOfZQ==?="
    journey.s3.put_object(Bucket="journey", Key="meta", Body=b"x", Metadata={"name": wire_value})
    assert folded(journey.s3.head_object(Bucket="journey", Key="meta")["Metadata"])["name"] == wire_value


def test_a_multipart_upload_is_put_together(journey: Journey) -> None:
    config = TransferConfig(multipart_threshold=5 * MEBI, multipart_chunksize=5 * MEBI, max_concurrency=3)
    journey.s3.upload_fileobj(io.BytesIO(LARGE), "journey", "large", Config=config)
    back = io.BytesIO()
    journey.s3.download_fileobj("journey", "large", back, Config=config)
    assert back.getvalue() == LARGE
    # Nothing is kept for uploads to buckets whose policies do not look at what only creations say.
    assert journey.state("journey") == []


def test_an_upload_in_parts_is_judged_by_the_encryption_it_began_with(journey: Journey, front: Front) -> None:
    s3, of = journey.s3, {"Bucket": "strict", "Key": "large"}
    with pytest.raises(ClientError, match="UploadsNameTheirEncryption"):
        s3.create_multipart_upload(**of)
    upload_id = s3.create_multipart_upload(**of, ServerSideEncryption="AES256")["UploadId"]
    [context] = journey.state("strict")
    assert context.startswith(".s3w/mpu/")
    bodies = {1: LARGE[: 5 * MEBI], 2: b"the rest"}
    parts = []
    for number, body in bodies.items():
        with front.watched() as seen:
            part = s3.upload_part(**of, UploadId=upload_id, PartNumber=number, Body=body)
        parts.append({"PartNumber": number, "ETag": part["ETag"]})
        assert all("x-amz-server-side-encryption" not in each.headers for each in seen)
        assert journey.decision(part)["decision"] == "allow"
    done = s3.complete_multipart_upload(**of, UploadId=upload_id, MultipartUpload={"Parts": parts})
    assert journey.decision(done)["decision"] == "allow"
    assert journey.read("large", "strict") == b"".join(bodies.values())
    assert journey.forgotten("strict")


def test_an_upload_that_is_given_up_leaves_nothing_of_the_proxys(journey: Journey) -> None:
    of = {"Bucket": "strict", "Key": "given up"}
    upload_id = journey.s3.create_multipart_upload(**of, ServerSideEncryption="AES256")["UploadId"]
    assert len(journey.state("strict")) == 1
    journey.s3.abort_multipart_upload(**of, UploadId=upload_id)
    assert journey.forgotten("strict")


def test_what_the_proxy_keeps_is_not_listed(journey: Journey) -> None:
    of = {"Bucket": "strict", "Key": "under way"}
    for name in ("listed/a", "listed/b"):
        journey.s3.put_object(Bucket="strict", Key=name, Body=b"x", ServerSideEncryption="AES256")
    upload_id = journey.s3.create_multipart_upload(**of, ServerSideEncryption="AES256")["UploadId"]
    assert journey.state("strict")
    for operation in ("list_objects_v2", "list_objects"):
        for size in (1, 1000):
            pages = journey.s3.get_paginator(operation).paginate(
                Bucket="strict", PaginationConfig={"PageSize": size}, Delimiter="/"
            )
            shown = [each["Prefix"] for page in pages for each in page.get("CommonPrefixes", [])]
            assert ".s3w/" not in shown
            assert "listed/" in shown
    assert not [key for key in journey.listed("strict") if key.startswith(".s3w/")]
    journey.s3.abort_multipart_upload(**of, UploadId=upload_id)
    assert journey.forgotten("strict")


def test_parts_of_an_upload_that_the_proxy_does_not_know_are_denied(journey: Journey) -> None:
    of = {"Bucket": "strict", "Key": "beside"}
    upload_id = journey.direct.create_multipart_upload(**of)["UploadId"]
    with pytest.raises(ClientError, match="UploadsNameTheirEncryption"):
        journey.s3.upload_part(**of, UploadId=upload_id, PartNumber=1, Body=b"x")
    with pytest.raises(ClientError, match="UploadsNameTheirEncryption"):
        journey.s3.complete_multipart_upload(
            **of, UploadId=upload_id, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": "e"}]}
        )
    journey.direct.abort_multipart_upload(**of, UploadId=upload_id)


def test_another_proxy_of_the_fleet_knows_the_upload(journey: Journey, front: Front, tmp_path: Any) -> None:
    of = {"Bucket": "strict", "Key": "fleet"}
    upload_id = journey.s3.create_multipart_upload(**of, ServerSideEncryption="AES256")["UploadId"]
    with walking(tmp_path, journey.store, endpoint=front.endpoint, buckets={"strict": STRICT}) as second:
        part = second.client().upload_part(**of, UploadId=upload_id, PartNumber=1, Body=b"x")
    parts = [{"PartNumber": 1, "ETag": part["ETag"]}]
    journey.s3.complete_multipart_upload(**of, UploadId=upload_id, MultipartUpload={"Parts": parts})
    assert journey.read("fleet", "strict") == b"x"
    assert journey.forgotten("strict")


def test_an_upload_that_is_not_encrypted_is_denied_and_leaves_nothing(journey: Journey, front: Front) -> None:
    with front.watched() as seen, pytest.raises(ClientError) as caught:
        journey.s3.put_object(Bucket="strict", Key="plain", Body=b"x")
    assert seen == []
    error = caught.value.response
    assert (error["Error"]["Code"], error["ResponseMetadata"]["HTTPStatusCode"]) == ("AccessDenied", 403)
    assert error["Error"]["Message"] == (
        f"User: arn:aws:iam::{ACCOUNT}:user/alice is not authorized to perform: s3:PutObject on resource: "
        '"arn:aws:s3:::strict/plain" with an explicit deny in a resource-based policy '
        '(statement "UploadsNameTheirEncryption")'
    )
    decision = journey.decision(error)
    assert (decision["decision"], decision["status"], decision["bytes_in"]) == ("explicit_deny", 403, 0)
    [statement] = decision["statements"]
    assert statement["sid"] == "UploadsNameTheirEncryption"
    file, _, line = statement["at"].rpartition(":")
    assert file.endswith("strict.yaml")
    assert line.isdigit()
    with pytest.raises(ClientError, match="404"):
        journey.s3.head_object(Bucket="strict", Key="plain")
    with front.watched() as seen:
        journey.s3.put_object(Bucket="strict", Key="sealed", Body=b"x", ServerSideEncryption="AES256")
    assert seen[0].headers["x-amz-server-side-encryption"] == "AES256"
    assert journey.read("sealed", "strict") == b"x"
    with pytest.raises(ClientError, match="UploadsNameTheirEncryption"):
        journey.s3.copy_object(Bucket="strict", Key="copy", CopySource={"Bucket": "strict", "Key": "sealed"})


def test_a_batch_delete_spares_what_is_locked(journey: Journey, front: Front) -> None:
    names = ["locked/a", "free/a", "locked/b", "free/b"]
    for name in names:
        journey.s3.put_object(Bucket="journey", Key=name, Body=b"x")
    with front.watched() as seen:
        done = journey.s3.delete_objects(Bucket="journey", Delete={"Objects": [{"Key": name} for name in names]})
    assert sorted(each["Key"] for each in done["Deleted"]) == ["free/a", "free/b"]
    assert [(each["Key"], each["Code"]) for each in done["Errors"]] == [
        ("locked/a", "AccessDenied"),
        ("locked/b", "AccessDenied"),
    ]
    assert "LockedStays" in done["Errors"][0]["Message"]
    assert b"locked" not in seen[0].body
    assert {"locked/a", "locked/b"} <= set(journey.listed())
    assert not {"free/a", "free/b"} & set(journey.listed())
    decision = journey.decision(done)
    assert decision["denied_resources"] == ["arn:aws:s3:::journey/locked/a", "arn:aws:s3:::journey/locked/b"]
    with front.watched() as seen:
        done = journey.s3.delete_objects(Bucket="journey", Delete={"Objects": [{"Key": "locked/a"}], "Quiet": True})
    assert (seen, [each["Key"] for each in done["Errors"]]) == ([], ["locked/a"])
    for name in ("locked/a", "locked/b"):
        journey.direct.delete_object(Bucket="journey", Key=name)


def test_tags_are_set_read_and_copied(journey: Journey) -> None:
    if not journey.moto:
        return  # rclone has no tags
    s3, of = journey.s3, {"Bucket": "journey", "Key": "tagged"}
    s3.put_object(**of, Body=b"x", Tagging="a=1&%C3%BC=x%20y")
    assert {each["Key"]: each["Value"] for each in s3.get_object_tagging(**of)["TagSet"]} == {"a": "1", "ü": "x y"}
    s3.put_object_tagging(**of, Tagging={"TagSet": [{"Key": "c", "Value": "3"}]})
    assert s3.get_object_tagging(**of)["TagSet"] == [{"Key": "c", "Value": "3"}]
    source = {"CopySource": {"Bucket": "journey", "Key": "tagged"}, "Bucket": "journey"}
    s3.copy_object(**source, Key="with its tags")
    assert s3.get_object_tagging(Bucket="journey", Key="with its tags")["TagSet"] == [{"Key": "c", "Value": "3"}]
    s3.copy_object(**source, Key="with new tags", TaggingDirective="REPLACE", Tagging="d=4")
    assert s3.get_object_tagging(Bucket="journey", Key="with new tags")["TagSet"] == [{"Key": "d", "Value": "4"}]
    s3.delete_object_tagging(**of)
    assert s3.get_object_tagging(**of)["TagSet"] == []


@pytest.mark.parametrize("signature", ["s3v4", "s3", None], ids=["version 4", "version 2", "boto3's default"])
def test_a_link_lets_anybody_get_and_put(journey: Journey, signature: str | None) -> None:
    more = {} if signature is None else {"signature_version": signature}
    s3 = journey.walk.client(**more)
    of = {"Bucket": "journey", "Key": "by link +ü"}
    journey.fetch(s3.generate_presigned_url("put_object", of), "PUT", b"by link")
    assert journey.fetch(s3.generate_presigned_url("get_object", of)) == b"by link"
    typed = {**of, "ContentType": "text/x", "Metadata": {"who": "me"}}
    headers = {"Content_Type": "text/x", "x_amz_meta_who": "me"} if signature == "s3v4" else {"Content_Type": "text/x"}
    journey.fetch(s3.generate_presigned_url("put_object", typed), "PUT", b"typed", **headers)
    head = journey.s3.head_object(**of)
    assert (head["ContentType"], folded(head["Metadata"])) == ("text/x", {"who": "me"})
    with pytest.raises(urllib.error.HTTPError, match="403"):
        journey.fetch(s3.generate_presigned_url("put_object", {"Bucket": "strict", "Key": "l"}), "PUT", b"x")


def test_a_form_lets_a_browser_upload(journey: Journey) -> None:
    for signature in ("s3v4", "s3"):
        s3 = journey.walk.client(signature_version=signature)
        post = s3.generate_presigned_post(
            "journey",
            "forms/${filename}",
            Fields={"success_action_status": "201", "Content-Type": "text/x"},
            Conditions=[{"success_action_status": "201"}, {"Content-Type": "text/x"}],
        )
        body, kind = multipart(list(post["fields"].items()), b"from a form", name="photo.txt")
        answer = journey.fetch(post["url"], "POST", body, Content_Type=kind)
        assert b"<Key>forms/photo.txt</Key>" in answer
        got = journey.s3.get_object(Bucket="journey", Key="forms/photo.txt")
        assert (got["Body"].read(), got["ContentType"]) == (b"from a form", "text/x")


def test_conditions_are_the_stores_to_judge(journey: Journey) -> None:
    s3, of = journey.s3, {"Bucket": "journey", "Key": "conditional"}
    etag = s3.put_object(**of, Body=b"x")["ETag"]
    with pytest.raises(ClientError, match="304"):
        s3.get_object(**of, IfNoneMatch=etag)
    with pytest.raises(ClientError, match="304"):
        s3.head_object(**of, IfNoneMatch=etag)
    assert s3.get_object(**of, IfMatch=etag)["Body"].read() == b"x"
    if journey.moto:
        with pytest.raises(ClientError, match="PreconditionFailed"):
            s3.get_object(**of, IfMatch='"other"')
        with pytest.raises(ClientError, match="PreconditionFailed"):
            s3.put_object(**of, Body=b"y", IfNoneMatch="*")
    assert journey.read("conditional") == b"x"


def test_answers_can_be_relabelled(journey: Journey) -> None:
    of = {"Bucket": "journey", "Key": "relabelled"}
    journey.s3.put_object(**of, Body=b"x", ContentType="text/plain")
    got = journey.s3.get_object(
        **of, ResponseContentType="text/y", ResponseContentDisposition='attachment; filename="a"'
    )
    if journey.moto:  # rclone takes no notice
        assert (got["ContentType"], got["ContentDisposition"]) == ("text/y", 'attachment; filename="a"')


def test_somebody_of_another_account_learns_nothing(journey: Journey) -> None:
    with pytest.raises(ClientError) as caught:
        journey.walk.client(MALLORY).get_object(Bucket="journey", Key="plain")
    assert caught.value.response["Error"]["Message"] == "Access Denied"


def test_buckets_are_made_shown_and_removed(journey: Journey) -> None:
    s3 = journey.s3
    s3.create_bucket(Bucket="passing")
    assert "passing" in [each["Name"] for each in s3.list_buckets()["Buckets"]]
    s3.head_bucket(Bucket="passing")
    s3.get_bucket_location(Bucket="passing")
    s3.delete_bucket(Bucket="passing")
    with pytest.raises(ClientError, match="404"):
        s3.head_bucket(Bucket="passing")
    with pytest.raises(ClientError, match="NoSuchBucket"):
        s3.list_objects_v2(Bucket="passing")


def test_versions_can_be_kept_and_named(journey: Journey) -> None:
    if not journey.moto:
        return  # rclone keeps no versions
    s3 = journey.s3
    s3.create_bucket(Bucket="versions")
    s3.put_bucket_versioning(Bucket="versions", VersioningConfiguration={"Status": "Enabled"})
    of = {"Bucket": "versions", "Key": "k"}
    first = s3.put_object(**of, Body=b"1")["VersionId"]
    s3.put_object(**of, Body=b"2")
    got = s3.get_object(**of, VersionId=first)
    assert got["Body"].read() == b"1"
    assert journey.decision(got)["actions"] == ["s3:GetObjectVersion"]
    assert len(s3.list_object_versions(Bucket="versions")["Versions"]) == 2
    found = s3.list_object_versions(Bucket="versions")["Versions"]
    for each in found:
        s3.delete_object(**of, VersionId=each["VersionId"])
    s3.delete_bucket(Bucket="versions")


def test_a_client_that_does_not_know_the_authority_is_not_served_over_tls(journey: Journey) -> None:
    if journey.walk.context is None:
        return
    with pytest.raises(SSLError):
        client(journey.walk.endpoint, ALICE).list_buckets()
